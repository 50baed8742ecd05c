package index

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/varve-db/varve/series"
)

// Churn is how many series came into memory, and which. Lists name what came
// most, and about how often: rare names may be missing from them.
type Churn struct {
	Since          time.Time // the start of what was counted
	Series         uint64    // all that came
	SeriesByMetric []Count
	ValuesByLabel  []Count // values of each label name that no series had before
	SeriesByPair   []Count // series of each "name=value"
}

// churn counts births in slots of time, of which the latest are kept. The
// table's lock guards it.
type churn struct {
	slots [churnSlots]*churnSlot // by number modulo churnSlots
	key   []byte
}

const (
	churnSlotTime = 10 * time.Minute
	// churnSlots are an hour, and the part of a slot that has passed.
	churnSlots = 7
	// Counters a slot: about half a megabyte if names and values are of usual
	// length.
	churnMetrics = 512
	churnLabels  = 256
	churnPairs   = 1024
	// churnLookedAt is how many new series of a request are looked at, about.
	churnLookedAt = 512
)

// churnSlot counts by tenant and name: keys are the tenant, four bytes, and
// then the name.
type churnSlot struct {
	number  int64 // of the slot since 1970
	series  map[series.TenantID]uint64
	metrics *heavy
	labels  *heavy
	pairs   *heavy // the name is an encoded label
}

func churnNumber(now time.Time) int64 { return now.UnixNano() / int64(churnSlotTime) }

// slot returns the slot of a time, empty if it is new.
func (c *churn) slot(now time.Time) *churnSlot {
	number := churnNumber(now)
	at := &c.slots[uint64(number)%churnSlots]
	if *at == nil || (*at).number != number {
		*at = &churnSlot{
			number: number, series: map[series.TenantID]uint64{},
			metrics: newHeavy(churnMetrics), labels: newHeavy(churnLabels), pairs: newHeavy(churnPairs),
		}
	}
	return *at
}

// born counts a new series. Of many that come at once it looks at the labels of
// some only, each for as many: one in sample.
func (c *churn) born(s *churnSlot, tenant series.TenantID, ls series.Labels, hash, sample uint64) {
	s.series[tenant]++
	s.metrics.add(c.name(tenant, ls.Get(series.MetricName)), 1)
	if (hash>>20)%sample != 0 {
		return
	}
	for rest := ls; len(rest) > 0; {
		name, _, after, ok := rest.CutPair()
		if !ok {
			return
		}
		if string(name) != series.MetricName {
			s.pairs.add(c.name(tenant, rest[:len(rest)-len(after)]), sample)
		}
		rest = after
	}
}

// value counts a value that the label called name did not have before.
func (c *churn) value(s *churnSlot, tenant series.TenantID, name []byte) {
	s.labels.add(c.name(tenant, name), 1)
}

func (c *churn) name(tenant series.TenantID, name []byte) []byte {
	c.key = append(binary.BigEndian.AppendUint32(c.key[:0], uint32(tenant)), name...)
	return c.key
}

// Churn returns what came for a tenant in the last hour, at most limit entries a
// list. Series that a restart brought back came, too.
func (t *Table) Churn(tenant series.TenantID, limit int) Churn {
	now := churnNumber(t.now())
	out := Churn{Since: time.Unix(0, (now-churnSlots+1)*int64(churnSlotTime)).UTC()}
	t.mu.RLock()
	defer t.mu.RUnlock()
	metrics, labels, pairs := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	prefix := string(binary.BigEndian.AppendUint32(nil, uint32(tenant)))
	gather := func(to map[string]uint64) func(string, uint64) {
		return func(key string, n uint64) {
			if name, ok := strings.CutPrefix(key, prefix); ok {
				to[name] += n
			}
		}
	}
	for _, s := range t.churn.slots {
		if s == nil || s.number <= now-churnSlots || s.number > now {
			continue
		}
		out.Series += s.series[tenant]
		s.metrics.each(gather(metrics))
		s.labels.each(gather(labels))
		s.pairs.each(gather(pairs))
	}
	out.SeriesByMetric = top(metrics, limit, func(s string) string { return s })
	out.ValuesByLabel = top(labels, limit, func(s string) string { return s })
	out.SeriesByPair = top(pairs, limit, func(s string) string {
		name, value, _, _ := series.Labels(s).CutPair()
		return string(name) + "=" + string(value)
	})
	return out
}

func top(counts map[string]uint64, limit int, say func(string) string) []Count {
	var list []Count
	for name, n := range counts {
		list = keepTop(list, limit, n, func() string { return say(name) })
	}
	return list
}

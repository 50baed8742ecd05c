package tenant

import (
	"fmt"
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/series"
)

// Admit implements tsdb.Quota.
func (r *Registry) Admit(id series.TenantID, have int, metricHas func(n int) bool) series.Reason {
	t := r.ByID(id)
	if t == nil {
		return ""
	}
	l := t.limits.Load()
	switch {
	case l.SeriesMax > 0 && have >= l.SeriesMax:
		return series.ReasonTooManySeries
	case l.SeriesPerMetricMax > 0 && metricHas(l.SeriesPerMetricMax):
		return series.ReasonTooManyOfMetric
	}
	return ""
}

// Refused implements tsdb.Quota.
func (r *Registry) Refused(id series.TenantID, ls series.Labels) {
	if t := r.ByID(id); t != nil {
		t.refused.note(ls, r.now())
	}
}

// Describe implements tsdb.Quota. Now and then it also tells the log.
func (r *Registry) Describe(id series.TenantID, reason series.Reason) string {
	t := r.ByID(id)
	if t == nil {
		return ""
	}
	label, values, due := t.refused.describe(r.now())
	l := t.limits.Load()
	text := fmt.Sprintf("tenant %s has %d series in memory, which is its limit (active-series)", t.Name, l.SeriesMax)
	if reason == series.ReasonTooManyOfMetric {
		text = fmt.Sprintf("tenant %s has %d series of this metric, which is its limit (series-per-metric)", t.Name, l.SeriesPerMetricMax)
	}
	if label != "" {
		text += fmt.Sprintf("; among the series refused lately label %q has most values, about %d", label, values)
	}
	if due {
		r.log.Warn("series refused", "tenant", t.Name, "reason", string(reason), "label", label, "values", values)
	}
	return text
}

// Bounds of what is remembered of refused series.
const (
	refusedLabelsMax = 64
	refusedBits      = 1024 // of a label's set of values
	refusedFor       = 5 * time.Minute
	refusedLogEvery  = time.Minute
)

// refusals remembers the labels of series that were refused lately, to find the
// one that has too many values: for each name a set of hashes, of which the number
// of values is estimated (linear counting, Whang et al., 1990).
type refusals struct {
	mu     sync.Mutex
	since  time.Time
	told   time.Time
	values map[string]*[refusedBits / 64]uint64
	top    string
	count  int // bits of top
}

// note adds a series.
func (r *refusals) note(ls series.Labels, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil || now.Sub(r.since) > refusedFor {
		r.values, r.since, r.top, r.count = map[string]*[refusedBits / 64]uint64{}, now, "", 0
	}
	for rest := ls; len(rest) > 0; {
		name, value, after, ok := rest.CutPair()
		if !ok {
			break
		}
		r.valueLocked(name, value)
		rest = after
	}
}

func (r *refusals) valueLocked(name, value []byte) {
	set := r.values[string(name)]
	if set == nil {
		if len(r.values) >= refusedLabelsMax {
			return
		}
		set = new([refusedBits / 64]uint64)
		r.values[string(name)] = set
	}
	bit := xxh3.Hash(value) % refusedBits
	if set[bit/64]&(1<<(bit%64)) != 0 {
		return
	}
	set[bit/64] |= 1 << (bit % 64)
	n := 0
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	if n > r.count {
		r.top, r.count = string(name), n
	}
}

// describe returns the label with most values and about how many they are, and
// whether it is time to tell the log again.
func (r *refusals) describe(now time.Time) (label string, values int, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if due = now.Sub(r.told) >= refusedLogEvery; due {
		r.told = now
	}
	zeros := float64(max(refusedBits-r.count, 1))
	return r.top, int(math.Round(-refusedBits * math.Log(zeros/refusedBits))), due
}

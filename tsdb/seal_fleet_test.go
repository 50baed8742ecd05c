package tsdb

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// sealFleet makes up the scrapes of a few targets: series that share timestamps,
// with gaps, different starts and all kinds of samples.
type sealFleet struct {
	r       *rand.Rand
	members []*fleetMember
}

// fleetTarget is scraped at phase + n*interval, and up to jitter later.
type fleetTarget struct{ interval, jitter, phase int64 }

type fleetMember struct {
	tenant      series.TenantID
	labels      labels.Labels
	target      fleetTarget
	kind        fleetKind
	from, until int64
	state       float64
	counts      [6]int64 // of a histogram
	next        int64    // scrape
}

type fleetKind int

const (
	kindConstant fleetKind = iota
	kindCounter
	kindGauge
	kindNoise
	kindStarts
	kindHistogram
	kindGaugeHistogram
	kindFloatHistogram
	kindCustomHistogram
	kindsOfMembers
)

func newSealFleet(r *rand.Rand, start int64) *sealFleet {
	f := &sealFleet{r: r}
	for target := range 4 {
		at := fleetTarget{interval: 15_000, phase: r.Int64N(15_000)}
		if target == 0 {
			at.interval = 1000
		}
		if r.IntN(2) == 0 {
			at.jitter = 1 + r.Int64N(9)
		}
		members := 3 + r.IntN(6)
		if target == 0 {
			members = 2
		}
		for i := range members {
			m := &fleetMember{
				tenant: series.TenantID(r.IntN(2)), target: at, kind: fleetKind(r.IntN(int(kindsOfMembers))),
				from: start, until: math.MaxInt64,
			}
			if target == 0 {
				m.kind = []fleetKind{kindConstant, kindCounter, kindGauge, kindStarts}[r.IntN(4)]
			}
			if r.IntN(3) == 0 {
				m.from += r.Int64N(4 * 3_600_000)
				m.until = m.from + r.Int64N(3*3_600_000)
			}
			m.next = (m.from-at.phase)/at.interval + 1
			b := labels.NewBuilder(labels.FromStrings("__name__", "metric_"+strconv.Itoa(r.IntN(4)), "instance", strconv.Itoa(target), "i", strconv.Itoa(i)))
			if m.kind == kindCounter {
				b.Set("le", []string{"1", "10", "+Inf", "2.5", "x"}[r.IntN(5)])
			}
			m.labels = b.Labels()
			f.members = append(f.members, m)
		}
	}
	return f
}

// until returns what the targets expose up to t, by tenant.
func (f *sealFleet) until(t int64) map[series.TenantID][]sent {
	out := map[series.TenantID][]sent{}
	for _, m := range f.members {
		row := sent{labels: m.labels}
		for {
			at := m.target.phase + m.next*m.target.interval
			if at > t || at > m.until {
				break
			}
			m.next++
			if m.target.jitter > 0 { // the same for all series of a scrape
				at += int64(uint64(at) * 0x9e3779b97f4a7c15 >> 60 % uint64(m.target.jitter+1))
			}
			if f.r.IntN(50) == 0 {
				continue // a gap
			}
			row.samples = append(row.samples, f.sample(m, at))
		}
		if len(row.samples) > 0 && f.r.IntN(6) == 0 {
			at := row.samples[f.r.IntN(len(row.samples))].Time
			row.exemplars = append(row.exemplars, modelExemplar{at, math.Float64bits(f.r.Float64()), string(series.AppendLabels(nil, labels.FromStrings("trace_id", strconv.Itoa(f.r.IntN(1000)))))})
		}
		if len(row.samples) > 0 {
			out[m.tenant] = append(out[m.tenant], row)
		}
	}
	return out
}

func (f *sealFleet) sample(m *fleetMember, at int64) chunks.Sample {
	s := chunks.Sample{Time: at}
	switch m.kind {
	case kindConstant:
		s.Bits = math.Float64bits(42)
	case kindCounter:
		if m.state += float64(f.r.IntN(5)); f.r.IntN(300) == 0 {
			m.state = 0
		}
		s.Bits = math.Float64bits(m.state)
	case kindGauge:
		s.Bits = math.Float64bits(float64(f.r.IntN(1000)) / 10)
	case kindNoise:
		s.Bits = f.r.Uint64()
	case kindStarts:
		m.state++
		s.Bits = math.Float64bits(m.state)
		s.Start = at - 1000*(1+int64(m.state)%100)
	default:
		s.Histogram = f.histogram(m)
	}
	if f.r.IntN(100) == 0 {
		s = chunks.Sample{Time: at, Bits: staleBits}
	}
	return s
}

func (f *sealFleet) histogram(m *fleetMember) []byte {
	if f.r.IntN(200) == 0 {
		m.counts = [6]int64{}
	}
	m.counts[f.r.IntN(len(m.counts))] += f.r.Int64N(3)
	h := &histogram.Histogram{Schema: 2, ZeroThreshold: 0.001, Sum: m.state, PositiveSpans: []histogram.Span{{Offset: -1, Length: 4}, {Offset: 3, Length: 2}}}
	m.state += f.r.Float64()
	if m.kind == kindCustomHistogram {
		h.Schema, h.ZeroThreshold, h.CustomValues = histogram.CustomBucketsSchema, 0, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}
		h.PositiveSpans[0].Offset = 0
	}
	if m.kind == kindGaugeHistogram {
		h.CounterResetHint = histogram.GaugeType
	}
	last := int64(0)
	for _, n := range m.counts {
		h.PositiveBuckets = append(h.PositiveBuckets, n-last)
		last = n
		h.Count += uint64(n)
	}
	if m.kind == kindFloatHistogram {
		return chunks.AppendFloatHistogram(nil, h.ToFloat(nil))
	}
	return chunks.AppendHistogram(nil, h)
}

// sealTruth is what a database should hold.
type sealTruth map[modelKey]map[int64]chunks.Sample

// join puts rows of a tenant into the map.
func (m sealTruth) join(tenant series.TenantID, rows []sent) {
	for _, row := range rows {
		key := modelKey{tenant, row.labels.String()}
		for _, s := range row.samples {
			s = canonical(s)
			if m[key] == nil {
				m[key] = map[int64]chunks.Sample{}
			}
			if old, ok := m[key][s.Time]; !ok || compareModel(old, s) < 0 {
				m[key][s.Time] = s
			}
		}
	}
}

// between returns the samples of a tenant in [mint, maxt] of the series that
// satisfy ms.
func (m sealTruth) between(tenant series.TenantID, mint, maxt int64, accept func(labels string) bool) map[string][]chunks.Sample {
	out := map[string][]chunks.Sample{}
	for key, all := range m {
		if key.tenant != tenant || !accept(key.labels) {
			continue
		}
		var list []chunks.Sample
		for _, t := range slices.Sorted(maps.Keys(all)) {
			if t >= mint && t <= maxt {
				list = append(list, all[t])
			}
		}
		if len(list) > 0 {
			out[key.labels] = list
		}
	}
	return out
}

// all is everything of a tenant.
func (m sealTruth) all(tenant series.TenantID) map[string][]chunks.Sample {
	return m.between(tenant, math.MinInt64, math.MaxInt64, func(string) bool { return true })
}

// answer reads what matches in [mint, maxt].
func answer(db *DB, tenant series.TenantID, mint, maxt int64, ms ...*labels.Matcher) (map[string][]chunks.Sample, int, error) {
	q, err := db.Querier(tenant, mint, maxt)
	if err != nil {
		return nil, 0, err
	}
	defer q.Close()
	if len(ms) == 0 {
		ms = []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*")}
	}
	got, err := read(q, ms...)
	for _, list := range got {
		for i := range list {
			list[i] = canonical(list[i])
		}
	}
	return got, len(q.Warnings()), err
}

// differ says how got differs from want, "" if it does not.
func differ(got, want map[string][]chunks.Sample) string {
	for name, list := range want {
		other := got[name]
		for i := range list {
			if i >= len(other) {
				return fmt.Sprintf("series %s has %d samples, want %d", name, len(other), len(list))
			}
			if list[i].Time != other[i].Time || compareModel(list[i], other[i]) != 0 {
				return fmt.Sprintf("series %s, sample %d of %d is %s, want %s", name, i, len(list), describe(other[i]), describe(list[i]))
			}
		}
		if len(other) > len(list) {
			return fmt.Sprintf("series %s has %d samples, want %d", name, len(other), len(list))
		}
	}
	for name := range got {
		if want[name] == nil {
			return fmt.Sprintf("series %s should not be there", name)
		}
	}
	return ""
}

// mustEqualTruth compares all that a database answers.
func mustEqualTruth(t testing.TB, db *DB, truth sealTruth, when string) {
	t.Helper()
	for tenant := range series.TenantID(2) {
		got, warnings, err := answer(db, tenant, math.MinInt64, math.MaxInt64)
		if err != nil || warnings > 0 {
			t.Fatalf("%s: %d warnings, %v", when, warnings, err)
		}
		if d := differ(got, truth.all(tenant)); d != "" {
			t.Fatalf("%s: tenant %d: %s", when, tenant, d)
		}
	}
}

// mustSeal seals all.
func mustSeal(t testing.TB, db *DB) []SealReport {
	t.Helper()
	reports, err := db.Seal(context.Background())
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	return reports
}

// cloneStore copies a store in memory.
func cloneStore(t testing.TB, from kv.Reader) *memkv.Store {
	t.Helper()
	to := memkv.New(memkv.Options{})
	it, err := from.Scan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var batch kv.Batch
	for ok := it.SeekGE(nil); ok; ok = it.Next() {
		batch.Set(slices.Clone(it.Key()), slices.Clone(it.Value()))
	}
	if err := to.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
	return to
}

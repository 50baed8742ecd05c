package tsdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// TestModel does random things to a database and to a plain map, and compares.
// VARVE_SOAK_SECONDS makes it go on with further seeds for that long;
// VARVE_MODEL_SEED runs one seed alone.
func TestModel(t *testing.T) {
	Sequential(t)
	if seed, err := strconv.ParseUint(os.Getenv("VARVE_MODEL_SEED"), 10, 64); err == nil {
		runModel(t, seed, 500)
		return
	}
	for seed := range uint64(40) {
		runModel(t, seed, 80)
	}
	seconds, _ := strconv.Atoi(os.Getenv("VARVE_SOAK_SECONDS"))
	if seconds == 0 {
		return
	}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	seed := uint64(time.Now().UnixNano())
	t.Logf("soak from seed %d", seed)
	n := 0
	for ; time.Now().Before(end) && !t.Failed(); n++ {
		runModel(t, seed+uint64(n), 80+n%400)
	}
	t.Logf("%d seeds", n)
}

func runModel(t *testing.T, seed uint64, steps int) {
	t.Helper()
	m := newModel(seed)
	defer m.db.Close()
	for i := range steps {
		if err := m.step(); err != nil {
			t.Fatalf("seed %d, step %d of %d: %v\nlast steps: %q", seed, i, steps, err, m.done[max(0, len(m.done)-12):])
		}
	}
	if err := m.check(); err != nil {
		t.Fatalf("seed %d, at the end: %v", seed, err)
	}
	if err := m.checkDigests(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

// modelKey names a series of a tenant.
type modelKey struct {
	tenant series.TenantID
	labels string // encoded
}

// modelSeries is what a series should hold.
type modelSeries struct {
	labels  labels.Labels
	samples map[int64]chunks.Sample
}

type modelExemplar struct {
	t      int64
	bits   uint64
	labels string
}

// dbModel is a database next to the map that it should equal.
type dbModel struct {
	r       *rand.Rand
	store   *faultyStore
	options Options
	db      *DB
	now     time.Time
	horizon int64
	known   []labels.Labels // label sets in use
	series  map[modelKey]*modelSeries
	// exemplars of a series, which are few enough never to be replaced.
	exemplars map[modelKey]map[modelExemplar]struct{}
	metadata  map[series.TenantID]map[string]series.Metadata
	done      []string
}

func newModel(seed uint64) *dbModel {
	m := &dbModel{
		r: rand.New(rand.NewPCG(seed, 7)), store: &faultyStore{Store: memkv.New(memkv.Options{})},
		now: time.UnixMilli(3*dayMillis + 3_600_000), horizon: math.MinInt64,
		series: map[modelKey]*modelSeries{}, exemplars: map[modelKey]map[modelExemplar]struct{}{},
		metadata: map[series.TenantID]map[string]series.Metadata{},
	}
	m.options = Options{
		Now: func() time.Time { return m.now }, Random: m.r.Uint64,
		EpochPartitionsMax: 1000, BacklogMax: 1 << 20,
	}
	if m.r.IntN(3) == 0 {
		m.options.Width = 2 * time.Hour
	}
	if m.r.IntN(3) == 0 {
		m.options.Retention = 5 * 24 * time.Hour
	}
	m.known = randomSeries(m.r, 3+m.r.IntN(30))
	m.open()
	return m
}

const dayMillis = 24 * 3600 * 1000

func randomSeries(r *rand.Rand, n int) []labels.Labels {
	seen := map[string]bool{}
	var out []labels.Labels
	for len(out) < n {
		b := labels.NewBuilder(labels.EmptyLabels())
		b.Set("__name__", []string{"up", "requests_total", "latency"}[r.IntN(3)])
		b.Set("instance", strconv.Itoa(r.IntN(8)))
		if r.IntN(2) == 0 {
			b.Set("job", []string{"a", "b", "ab", "é", "a\x00b"}[r.IntN(5)])
		}
		if r.IntN(3) == 0 {
			b.Set("zone", []string{"x", "y"}[r.IntN(2)])
		}
		if ls := b.Labels(); !seen[ls.String()] {
			seen[ls.String()] = true
			out = append(out, ls)
		}
	}
	return out
}

func (m *dbModel) open() {
	db, err := Open(context.Background(), m.store, m.options)
	if err != nil {
		panic(fmt.Sprintf("open: %v", err))
	}
	m.db = db
}

// oldest returns the time before which nothing is accepted or read.
func (m *dbModel) oldest() int64 {
	if m.options.Retention > 0 {
		return max(m.horizon, m.now.Add(-m.options.Retention).UnixMilli())
	}
	return m.horizon
}

func (m *dbModel) step() error {
	switch n := m.r.IntN(100); {
	case n < 50:
		return m.named("append", m.append)
	case n < 60:
		return m.named("flush", m.flush)
	case n < 63:
		return m.named("flush and send again", m.flushAndRepeat)
	case n < 66:
		m.now = m.now.Add(time.Duration(m.r.IntN(20)) * time.Minute)
		return m.named("step", func() error { return m.db.Step(context.Background()) })
	case n < 71:
		return m.named("reopen", m.reopen)
	case n < 74:
		return m.named("drop", m.drop)
	case n < 79:
		return m.named("flush with a fault", m.flushWithFault)
	case n < 81:
		return m.named("append with a fault", m.appendWithFault)
	case n < 84:
		m.now = m.now.Add(time.Duration(m.r.Int64N(int64(6 * time.Hour))))
		return m.named("clock", func() error { return nil })
	case n < 86:
		return m.named("check all", m.check)
	case n < 88:
		return m.named("metadata", m.appendMetadata)
	case n < 90:
		return m.named("seal", m.seal)
	case n < 91:
		return m.named("seal what is due", func() error { return m.db.SealDue(context.Background()) })
	case n < 93:
		return m.named("seal with a fault", m.sealWithFault)
	default:
		return m.named("select", m.checkRandomSelect)
	}
}

func (m *dbModel) named(name string, f func() error) error {
	m.done = append(m.done, name)
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// randomTime returns a time near a midnight, near the clock, or before 1970.
func (m *dbModel) randomTime() int64 {
	const second = 1000
	day := m.now.UnixMilli() / dayMillis * dayMillis
	switch m.r.IntN(6) {
	case 0:
		return day + (m.r.Int64N(20)-10)*second
	case 1:
		return day - dayMillis*(m.r.Int64N(3)) + (m.r.Int64N(20)-10)*second
	case 2:
		return -m.r.Int64N(20) * second
	case 3:
		return day + m.r.Int64N(5) - 2
	default:
		return m.now.UnixMilli() - m.r.Int64N(30)*second
	}
}

var modelFloats = []float64{0, math.Copysign(0, -1), 1, 2, -1, 0.1, 1e300, math.Inf(1), math.Inf(-1), math.NaN(), 12345678}

func (m *dbModel) randomSample(ls labels.Labels, at int64) chunks.Sample {
	s := chunks.Sample{Time: at}
	if m.r.IntN(5) == 0 {
		s.Start = at - 1 - m.r.Int64N(5)*1000
	}
	if ls.Get("__name__") == "latency" && m.r.IntN(4) > 0 {
		s.Histogram = randomHistogram(m.r)
		return s
	}
	switch m.r.IntN(8) {
	case 0:
		s.Bits = staleBits
	case 1:
		s.Bits = 0x7ff8000000000001 + m.r.Uint64N(3) // NaN with other bits
	default:
		s.Bits = math.Float64bits(modelFloats[m.r.IntN(len(modelFloats))])
	}
	return s
}

// append sends a random batch.
func (m *dbModel) append() error {
	tenant, batch := m.randomBatch()
	return m.send(tenant, batch)
}

// sent is one series of a batch with its samples.
type sent struct {
	labels    labels.Labels
	samples   []chunks.Sample
	exemplars []modelExemplar
}

func (m *dbModel) randomBatch() (series.TenantID, []sent) {
	tenant := series.TenantID(m.r.IntN(3))
	var out []sent
	for range 1 + m.r.IntN(12) {
		row := sent{labels: m.known[m.r.IntN(len(m.known))]}
		switch m.r.IntN(3) {
		case 0: // a run in order
			at := m.randomTime()
			for range m.r.IntN(30) {
				row.samples = append(row.samples, m.randomSample(row.labels, at))
				at += int64(m.r.IntN(3)) * 1000
			}
		default:
			for range m.r.IntN(6) {
				row.samples = append(row.samples, m.randomSample(row.labels, m.randomTime()))
			}
		}
		key := modelKey{tenant, string(series.AppendLabels(nil, row.labels))}
		if m.r.IntN(4) == 0 && len(m.exemplars[key]) < 60 {
			row.exemplars = append(row.exemplars, modelExemplar{
				m.randomTime(), math.Float64bits(float64(m.r.IntN(3))), string(series.AppendLabels(nil, labels.FromStrings("trace_id", strconv.Itoa(m.r.IntN(3))))),
			})
		}
		out = append(out, row)
	}
	return tenant, out
}

// toBatch returns rows as a batch.
func toBatch(rows []sent) *series.Batch {
	b := new(series.Batch)
	for _, row := range rows {
		b.AddEncodedRow(series.AppendLabels(nil, row.labels))
		for _, s := range row.samples {
			if s.Histogram == nil {
				b.AddSample(s.Time, s.Start, math.Float64frombits(s.Bits))
				continue
			}
			h, fh, err := chunks.DecodeHistogram(s.Histogram)
			if err != nil {
				panic(err)
			}
			b.AddHistogram(series.Histogram{Timestamp: s.Time, Start: s.Start, Int: h, Float: fh})
		}
		for _, x := range row.exemplars {
			b.AddEncodedExemplar(x.t, math.Float64frombits(x.bits), series.Labels(x.labels))
		}
	}
	return b
}

// send appends rows to the database and to the map, and compares the outcomes.
func (m *dbModel) send(tenant series.TenantID, rows []sent) error {
	outcome, err := m.db.Append(context.Background(), tenant, toBatch(rows))
	if err != nil {
		return err
	}
	var want series.Outcome
	refused := map[series.Reason]int{}
	for _, row := range rows {
		key := modelKey{tenant, string(series.AppendLabels(nil, row.labels))}
		for _, s := range row.samples {
			if reason := m.reason(s.Time); reason != "" {
				refused[reason]++
				continue
			}
			if s.Histogram == nil {
				want.Samples++
			} else {
				want.Histograms++
			}
			m.join(key, row.labels, s)
		}
		for _, x := range row.exemplars {
			if reason := m.reason(x.t); reason != "" {
				refused[reason]++
				continue
			}
			want.Exemplars++
			if m.exemplars[key] == nil {
				m.exemplars[key] = map[modelExemplar]struct{}{}
			}
			m.exemplars[key][x] = struct{}{}
		}
	}
	got := map[series.Reason]int{}
	for _, e := range outcome.Refused.All() {
		got[e.Reason] = e.Samples + e.Histograms + e.Exemplars
	}
	if outcome.Samples != want.Samples || outcome.Histograms != want.Histograms || outcome.Exemplars != want.Exemplars || !maps.Equal(got, refused) {
		return fmt.Errorf("outcome %+v (%s), want %+v and refusals %v", outcome, outcome.Refused, want, refused)
	}
	return nil
}

func (m *dbModel) reason(t int64) series.Reason {
	switch {
	case t < m.oldest():
		return series.ReasonTooOld
	case t > m.now.Add(10*time.Minute).UnixMilli():
		return series.ReasonTooFarAhead
	default:
		return ""
	}
}

// join puts a sample into the map by the rule of the join.
func (m *dbModel) join(key modelKey, ls labels.Labels, s chunks.Sample) {
	of := m.series[key]
	if of == nil {
		of = &modelSeries{labels: ls, samples: map[int64]chunks.Sample{}}
		m.series[key] = of
	}
	s = canonical(s)
	if old, ok := of.samples[s.Time]; !ok || compareModel(old, s) < 0 {
		of.samples[s.Time] = s
	}
}

// compareModel is the order of the join, written independently of the product's.
func compareModel(a, b chunks.Sample) int {
	switch {
	case a.Histogram == nil && b.Histogram == nil:
		return cmp.Or(series.CompareFloat(a.Bits, b.Bits), cmp.Compare(a.Start, b.Start))
	case a.Histogram == nil:
		return -1
	case b.Histogram == nil:
		return 1
	}
	return cmp.Or(
		cmp.Compare(countOf(a.Histogram), countOf(b.Histogram)),
		cmp.Compare(string(a.Histogram), string(b.Histogram)),
		cmp.Compare(a.Start, b.Start),
	)
}

func (m *dbModel) flush() error { return m.db.Flush(context.Background()) }

// flushAndRepeat flushes, and sends the first sample of every chunk again, with
// equal and with other values.
func (m *dbModel) flushAndRepeat() error {
	before := map[block.ID]int{}
	var damage error
	strange := func(key []byte, err error) { damage = fmt.Errorf("damage behind %x: %w", key, err) }
	listed, err := block.List(context.Background(), m.store, strange)
	if err = errors.Join(err, damage); err != nil {
		return err
	}
	for _, g := range listed.Readable {
		before[g.ID] = len(g.Flushes)
	}
	if err := m.flush(); err != nil {
		return err
	}
	if listed, err = block.List(context.Background(), m.store, strange); errors.Join(err, damage) != nil {
		return errors.Join(err, damage)
	}
	for _, g := range listed.Readable {
		for _, f := range g.Flushes[before[g.ID]:] {
			rows, err := m.firstSamples(g, f)
			if err != nil {
				return err
			}
			if err := m.send(g.ID.Tenant, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstSamples returns the first sample of each chunk of a flush as the map
// has it, or with another value.
func (m *dbModel) firstSamples(g block.Generation, f block.Summary) (rows []sent, err error) {
	reader := block.NewReader(m.store, g)
	ordinals := make([]uint32, f.FirstOrdinal+f.NewSeries)
	for i := range ordinals {
		ordinals[i] = uint32(i)
	}
	encoded := make([]string, len(ordinals))
	if err := reader.Labels(ordinals, func(i int, ls series.Labels) error { encoded[i] = string(ls); return nil }); err != nil {
		return nil, err
	}
	return rows, reader.Chunks(f.Flush, ordinals, func(i int, row []byte) error {
		list, err := chunks.DecodeList(nil, row, g.ID.Start, 0)
		of := m.series[modelKey{g.ID.Tenant, encoded[i]}]
		if err != nil || of == nil {
			return errors.Join(err, fmt.Errorf("flushed series %q", encoded[i]))
		}
		again := sent{labels: of.labels}
		for _, c := range list {
			s := of.samples[c.MinTime]
			if m.r.IntN(2) == 0 {
				s = m.randomSample(of.labels, c.MinTime)
			}
			again.samples = append(again.samples, s)
		}
		rows = append(rows, again)
		return nil
	})
}

// reopen leaves the database as a crash would, and opens it again.
func (m *dbModel) reopen() error {
	m.db.Close() // writes nothing
	m.open()
	return nil
}

func (m *dbModel) drop() error {
	width := m.options.Width
	if width == 0 {
		width = 24 * time.Hour
	}
	t := m.now.Add(-time.Duration(m.r.Int64N(int64(12 * 24 * time.Hour)))).Truncate(width).UnixMilli()
	if err := m.db.DropBefore(context.Background(), t); err != nil {
		return err
	}
	m.horizon = max(m.horizon, t)
	return nil
}

// flushWithFault lets one write of a flush fail, before or after it took effect,
// and sometimes the process end there.
func (m *dbModel) flushWithFault() error {
	at, after := m.r.IntN(3), m.r.IntN(2) == 0
	n := 0
	m.store.setFault(func(string) (bool, bool) {
		n++
		return n > at && !after, n > at && after
	})
	err := m.flush()
	m.store.setFault(nil)
	if err != nil && !errors.Is(err, errInjected) {
		return err
	}
	if m.r.IntN(2) == 0 {
		return m.reopen()
	}
	return nil
}

func (m *dbModel) seal() error {
	_, err := m.db.Seal(context.Background())
	return err
}

// sealWithFault lets one write of a seal, or of the flush before it, fail.
func (m *dbModel) sealWithFault() error {
	at, after := m.r.IntN(8), m.r.IntN(2) == 0
	n := 0
	m.store.setFault(func(string) (bool, bool) {
		n++
		return n == at && !after, n == at && after
	})
	err := m.seal()
	m.store.setFault(nil)
	if err != nil && !errors.Is(err, errInjected) {
		return err
	}
	if m.r.IntN(2) == 0 {
		return m.reopen()
	}
	return nil
}

// appendWithFault lets a commit fail, and sends the batch again as a client does.
func (m *dbModel) appendWithFault() error {
	tenant, rows := m.randomBatch()
	after := m.r.IntN(2) == 0
	m.store.setFault(func(string) (bool, bool) { return !after, after })
	_, err := m.db.Append(context.Background(), tenant, toBatch(rows))
	m.store.setFault(nil)
	if err != nil && !errors.Is(err, errInjected) {
		return err
	}
	if m.r.IntN(2) == 0 {
		if err := m.reopen(); err != nil {
			return err
		}
	}
	return m.send(tenant, rows)
}

func (m *dbModel) appendMetadata() error {
	tenant := series.TenantID(m.r.IntN(3))
	if m.metadata[tenant] == nil {
		m.metadata[tenant] = map[string]series.Metadata{}
	}
	var b series.Batch
	for range 1 + m.r.IntN(3) {
		d := series.Metadata{
			Metric: []string{"up", "latency", "a\x00b"}[m.r.IntN(3)], Type: model.MetricTypeCounter,
			Unit: []string{"", "seconds"}[m.r.IntN(2)], Help: []string{"", "Helpful.", "Ω\n"}[m.r.IntN(3)],
		}
		b.Metadata = append(b.Metadata, d)
		m.metadata[tenant][d.Metric] = d
	}
	_, err := m.db.Append(context.Background(), tenant, &b)
	return err
}

// check compares everything.
func (m *dbModel) check() error {
	all, err := labels.NewMatcher(labels.MatchRegexp, "__name__", ".+")
	if err != nil {
		return err
	}
	for tenant := range series.TenantID(4) {
		if err := m.checkSelect(tenant, math.MinInt64, math.MaxInt64, []*labels.Matcher{all}); err != nil {
			return err
		}
		got := m.db.Metadata(tenant, "", 0)
		want := slices.SortedFunc(maps.Values(m.metadata[tenant]), func(a, b series.Metadata) int { return cmp.Compare(a.Metric, b.Metric) })
		if !slices.Equal(got, want) {
			return fmt.Errorf("metadata %v, want %v", got, want)
		}
	}
	return nil
}

func (m *dbModel) checkRandomSelect() error {
	mint, maxt := m.randomTime(), m.randomTime()
	if mint > maxt {
		mint, maxt = maxt, mint
	}
	switch m.r.IntN(5) {
	case 0:
		mint = math.MinInt64
	case 1:
		maxt = math.MaxInt64
	case 2:
		mint, maxt = math.MinInt64, math.MaxInt64
	}
	return m.checkSelect(series.TenantID(m.r.IntN(3)), mint, maxt, randomMatchers(m.r))
}

func randomMatchers(r *rand.Rand) []*labels.Matcher {
	kinds := []labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}
	var out []*labels.Matcher
	for range r.IntN(4) {
		kind := kinds[r.IntN(4)]
		name := []string{"__name__", "instance", "job", "zone", "none"}[r.IntN(5)]
		value := []string{"", "a", "up", "latency", "3", "x", "é"}[r.IntN(7)]
		if kind == labels.MatchRegexp || kind == labels.MatchNotRegexp {
			value = []string{"", ".*", ".+", "a|b", "a.*", "up|latency", "[1-4]", "a|", "(?i)A", "x", ".*l.*", "1|2|3|4|5|6|7|8|9|10", "a\x00b"}[r.IntN(13)]
		}
		m, err := labels.NewMatcher(kind, name, value)
		if err != nil {
			panic(err)
		}
		out = append(out, m)
	}
	return out
}

// checkSelect compares what a select returns, and labels and exemplars.
func (m *dbModel) checkSelect(tenant series.TenantID, mint, maxt int64, ms []*labels.Matcher) error {
	want := m.expect(tenant, mint, maxt, ms)
	q, err := m.db.Querier(tenant, mint, maxt)
	if err != nil {
		return err
	}
	defer q.Close()
	hints := &storage.SelectHints{Start: mint, End: maxt}
	if m.r.IntN(2) == 0 {
		hints = nil
	}
	set := q.Select(context.Background(), true, hints, ms...)
	var it chunkenc.Iterator
	var last labels.Labels
	for n := 0; set.Next(); n++ {
		ls := set.At().Labels()
		if n > 0 && labels.Compare(last, ls) >= 0 {
			return fmt.Errorf("series %s comes after %s", ls, last)
		}
		last = ls
		it = set.At().Iterator(it)
		expected := want[ls.String()]
		if err := m.walk(it, expected); err != nil {
			return fmt.Errorf("tenant %d, %v in [%d, %d], series %s: %w", tenant, ms, mint, maxt, ls, err)
		}
		delete(want, ls.String())
	}
	if err := set.Err(); err != nil {
		return err
	}
	if w := q.Warnings(); len(w) > 0 {
		return fmt.Errorf("warnings %v", w)
	}
	for name := range want {
		return fmt.Errorf("tenant %d, %v in [%d, %d]: series %s is missing", tenant, ms, mint, maxt, name)
	}
	if err := m.checkLabels(q, tenant, mint, maxt, ms); err != nil {
		return err
	}
	return m.checkExemplars(tenant, mint, maxt, ms)
}

func matchesAll(ls labels.Labels, ms []*labels.Matcher) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
}

// expect returns the samples that a select should find, without series that
// have none.
func (m *dbModel) expect(tenant series.TenantID, mint, maxt int64, ms []*labels.Matcher) map[string][]chunks.Sample {
	mint = max(mint, m.oldest())
	out := map[string][]chunks.Sample{}
	for key, of := range m.series {
		if key.tenant != tenant || !matchesAll(of.labels, ms) {
			continue
		}
		var samples []chunks.Sample
		for t, s := range of.samples {
			if t >= mint && t <= maxt {
				samples = append(samples, s)
			}
		}
		if len(samples) > 0 {
			slices.SortFunc(samples, func(a, b chunks.Sample) int { return cmp.Compare(a.Time, b.Time) })
			out[of.labels.String()] = samples
		}
	}
	return out
}

// walk compares an iterator with the samples that it should have, by steps and,
// half the times, by seeks.
func (m *dbModel) walk(it chunkenc.Iterator, want []chunks.Sample) error {
	seeks := m.r.IntN(2) == 0
	at := -1 // position in want
	for {
		var kind chunkenc.ValueType
		if seeks && m.r.IntN(3) == 0 && len(want) > 0 {
			t := want[m.r.IntN(len(want))].Time + m.r.Int64N(3) - 1
			kind = it.Seek(t)
			if at < 0 || at < len(want) && want[at].Time < t {
				at = max(at, 0)
				for at < len(want) && want[at].Time < t {
					at++
				}
			}
		} else {
			kind = it.Next()
			at++
		}
		if at >= len(want) {
			if kind != chunkenc.ValNone {
				return fmt.Errorf("has a sample %s after the %d expected ones", describe(sampleAt(it, kind)), len(want))
			}
			return it.Err()
		}
		if kind == chunkenc.ValNone {
			return fmt.Errorf("ends before sample %d of %d, %s: %w", at, len(want), describe(want[at]), it.Err())
		}
		got := canonical(sampleAt(it, kind))
		if got.Time != want[at].Time || it.AtT() != got.Time || compareModel(got, want[at]) != 0 {
			return fmt.Errorf("sample %d of %d is %s, want %s", at, len(want), describe(got), describe(want[at]))
		}
	}
}

func describe(s chunks.Sample) string {
	if s.Histogram != nil {
		h, fh, _ := chunks.DecodeHistogram(s.Histogram)
		return fmt.Sprintf("(%d, start %d, %v %v %x)", s.Time, s.Start, h, fh, s.Histogram)
	}
	return fmt.Sprintf("(%d, start %d, %v %#x)", s.Time, s.Start, math.Float64frombits(s.Bits), s.Bits)
}

// checkLabels expects label names and values to hold those of the series with
// samples in range, and none that no series of the tenant ever had.
func (m *dbModel) checkLabels(q *Querier, tenant series.TenantID, mint, maxt int64, ms []*labels.Matcher) error {
	needed := m.expect(tenant, mint, maxt, ms)
	names, _, err := q.LabelNames(context.Background(), nil, ms...)
	if err != nil {
		return err
	}
	values, _, err := q.LabelValues(context.Background(), "job", nil, ms...)
	if err != nil {
		return err
	}
	if !slices.IsSorted(names) || !slices.IsSorted(values) {
		return fmt.Errorf("label names %q or values %q are out of order", names, values)
	}
	allowed, allowedValues := map[string]bool{}, map[string]bool{}
	for _, ls := range m.known {
		if !matchesAll(ls, ms) {
			continue
		}
		ls.Range(func(l labels.Label) { allowed[l.Name] = true })
		allowedValues[ls.Get("job")] = true
		if _, ok := needed[ls.String()]; !ok {
			continue
		}
		if job := ls.Get("job"); job != "" && !slices.Contains(values, job) {
			return fmt.Errorf("%v: value %q of job is missing in %q", ms, job, values)
		}
		missing := ""
		ls.Range(func(l labels.Label) {
			if !slices.Contains(names, l.Name) {
				missing = l.Name
			}
		})
		if missing != "" {
			return fmt.Errorf("%v: label name %q is missing in %q", ms, missing, names)
		}
	}
	for _, name := range names {
		if !allowed[name] {
			return fmt.Errorf("%v: label name %q has no series", ms, name)
		}
	}
	for _, value := range values {
		if !allowedValues[value] {
			return fmt.Errorf("%v: value %q of job has no series", ms, value)
		}
	}
	return nil
}

func (m *dbModel) checkExemplars(tenant series.TenantID, mint, maxt int64, ms []*labels.Matcher) error {
	q, err := m.db.ExemplarQueryable(tenant).ExemplarQuerier(context.Background())
	if err != nil {
		return err
	}
	results, err := q.Select(mint, maxt, ms)
	if err != nil {
		return err
	}
	got := map[string]int{}
	for _, r := range results {
		key := modelKey{tenant, string(series.AppendLabels(nil, r.SeriesLabels))}
		last := int64(math.MinInt64)
		for _, x := range r.Exemplars {
			e := modelExemplar{x.Ts, math.Float64bits(x.Value), string(series.AppendLabels(nil, x.Labels))}
			if _, ok := m.exemplars[key][e]; !ok || x.Ts < max(mint, m.oldest()) || x.Ts > maxt || !matchesAll(r.SeriesLabels, ms) {
				return fmt.Errorf("series %s has an exemplar that nobody sent or asked for: %v", r.SeriesLabels, x)
			}
			if x.Ts < last {
				return fmt.Errorf("series %s: the exemplar at %d comes after that at %d", r.SeriesLabels, x.Ts, last)
			}
			last = x.Ts
			got[key.labels]++
		}
	}
	for key, all := range m.exemplars {
		var builder labels.ScratchBuilder
		ls, err := series.Labels(key.labels).Decode(&builder)
		if err != nil {
			return err
		}
		if key.tenant != tenant || !matchesAll(ls, ms) {
			continue
		}
		want := 0
		for x := range all {
			if x.t >= max(mint, m.oldest()) && x.t <= maxt {
				want++
			}
		}
		if got[key.labels] != want {
			return fmt.Errorf("tenant %d, %v in [%d, %d]: series %s has %d exemplars, want %d", tenant, ms, mint, maxt, ls, got[key.labels], want)
		}
	}
	return nil
}

// checkDigests puts what the map holds into a second database, in random order,
// and expects its sealed generations to have the same digests.
func (m *dbModel) checkDigests() error {
	if m.options.Retention > 0 {
		return nil // what it has passed may still be on disk
	}
	other := newModel(0)
	defer other.db.Close()
	other.options.Width, other.options.Retention, other.now = m.options.Width, 0, m.now
	other.db.Close()
	other.store.Store = memkv.New(memkv.Options{})
	other.open()
	keys := slices.SortedFunc(maps.Keys(m.series), func(a, b modelKey) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.labels, b.labels))
	})
	for _, key := range keys {
		row := sent{labels: m.series[key].labels}
		for _, t := range slices.Sorted(maps.Keys(m.series[key].samples)) {
			if t >= m.oldest() {
				row.samples = append(row.samples, m.series[key].samples[t])
			}
		}
		m.r.Shuffle(len(row.samples), func(i, j int) { row.samples[i], row.samples[j] = row.samples[j], row.samples[i] })
		if err := other.send(key.tenant, []sent{row}); err != nil {
			return err
		}
	}
	got, err := sealedDigests(m)
	if err != nil {
		return err
	}
	want, err := sealedDigests(other)
	if err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("digests %v, a database with the same samples has %v", got, want)
	}
	return nil
}

// sealedDigests seals everything, and returns the digests by tenant and time.
func sealedDigests(m *dbModel) (map[string]string, error) {
	if err := m.seal(); err != nil {
		return nil, err
	}
	blocks, err := m.db.Blocks()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, b := range blocks {
		for _, d := range b.Digests {
			out[fmt.Sprintf("%d/%d", b.Tenant, d.Start)] += d.Sum
		}
	}
	return out, nil
}

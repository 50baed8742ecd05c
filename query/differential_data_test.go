package query

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// world is random series and how they come into a database.
type world struct {
	seed     uint64
	interval int64 // of most series, milliseconds
	from, to int64 // the times of the samples
	series   []*worldSeries
	batches  []afterBatch
	width    time.Duration
}

// worldSeries is a series with its samples in the order of being sent.
type worldSeries struct {
	labels  labels.Labels
	samples []worldSample
}

type worldSample struct {
	time, start int64
	value       float64
	int         *histogram.Histogram
	float       *histogram.FloatHistogram
	batch       int // the one it is sent in
}

// afterBatch says what happens to the database when a batch is in it.
type afterBatch int

const (
	thenNothing afterBatch = iota
	thenFlush
	thenSeal
	thenReopen
)

// newWorld makes up a world.
func newWorld(seed uint64) *world {
	g := &worldMaker{Rand: rand.New(rand.NewPCG(seed, 1))}
	w := &world{seed: seed, interval: pick(g.Rand, []int64{1000, 7300, 15_000, 15_000, 30_000, 60_000, 300_000})}
	w.from = pick(g.Rand, []int64{0, 1_700_000_000_000, 1_700_000_000_000, 1_699_999_990_001, 1_700_006_400_000 - 20*w.interval})
	g.world, g.count = w, 8+g.IntN(120)
	w.to = w.from + int64(g.count)*w.interval
	w.width = pick(g.Rand, []time.Duration{2 * time.Hour, 24 * time.Hour, 10 * time.Minute})
	if span := time.Duration(w.to-w.from) * time.Millisecond; span > 12*w.width {
		w.width = 24 * time.Hour
	}
	for range 1 + g.IntN(5) {
		w.batches = append(w.batches, pick(g.Rand, []afterBatch{thenNothing, thenNothing, thenFlush, thenFlush, thenSeal, thenSeal, thenReopen}))
	}
	g.fill()
	return w
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// worldMaker fills a world.
type worldMaker struct {
	*rand.Rand
	world *world
	count int // of scrapes
}

func (g *worldMaker) chance(p float64) bool { return g.Float64() < p }

// fill makes a few targets, each of which has some of all metrics.
func (g *worldMaker) fill() {
	targets := 1 + g.IntN(5)
	if g.chance(0.15) {
		targets = 20 + g.IntN(30) // rows enough for several workers
	}
	for i := range targets {
		target := []string{"job", pick(g.Rand, []string{"api", "db", "web"}), "instance", strconv.Itoa(i)}
		if g.chance(0.5) {
			target = append(target, "zone", pick(g.Rand, []string{"east", "west"}))
		}
		g.target(target, g.scrapes())
	}
}

// scrapes returns the times at which a target is read.
func (g *worldMaker) scrapes() []int64 {
	offset, jitter := int64(0), int64(0)
	if g.chance(0.5) {
		offset = g.Int64N(g.world.interval)
	}
	if g.chance(0.4) {
		jitter = 1 + g.Int64N(g.world.interval/3)
	}
	times := make([]int64, 0, g.count)
	for i := range int64(g.count) {
		t := g.world.from + i*g.world.interval + offset
		if jitter > 0 {
			t += g.Int64N(jitter)
		}
		times = append(times, t)
	}
	return times
}

func (g *worldMaker) target(base []string, times []int64) {
	add := func(p float64, name string, fill func([]int64) []worldSample, more ...string) {
		if g.chance(p) {
			g.add(labels.FromStrings(append([]string{"__name__", name}, append(slices.Clone(base), more...)...)...), fill(times))
		}
	}
	for _, code := range []string{"200", "404", "500"} {
		add(0.6, "requests_total", g.counter, "code", code)
		add(0.3, "errors_total", g.counter, "code", code)
	}
	add(0.8, "memory", g.gauge)
	add(0.6, "temperature", g.gauge, "sensor", pick(g.Rand, []string{"a", "b"}))
	add(0.5, "odd", g.odd)
	add(0.6, "up", g.flags)
	add(0.4, "typed", g.gauge, "__type__", "gauge", "__unit__", "bytes")
	add(0.5, "target_info", g.ones, "version", pick(g.Rand, []string{"1.0", "1.1"}))
	add(0.3, "requests", g.counter)
	if g.chance(0.7) {
		g.buckets(base, times)
	}
	for _, name := range []string{"latency", "size"} {
		add(0.5, name, func(times []int64) []worldSample { return g.histograms(times, name == "size") })
	}
	add(0.4, "mixed", g.mixed)
}

// add cuts gaps into samples, deals them out to batches and adds the series.
func (g *worldMaker) add(ls labels.Labels, samples []worldSample) {
	if g.chance(0.3) { // lives a part of the time
		from := g.IntN(len(samples))
		samples = samples[from : from+1+g.IntN(len(samples)-from)]
	}
	if g.chance(0.4) {
		samples = g.gaps(samples)
	}
	batches := len(g.world.batches)
	late := g.chance(0.25)
	for i := range samples {
		samples[i].batch = int(samples[i].time-g.world.from) * batches / int(g.world.to-g.world.from+g.world.interval)
		samples[i].batch = min(max(samples[i].batch, 0), batches-1)
		if late && g.chance(0.2) {
			samples[i].batch = min(samples[i].batch+g.IntN(batches), batches-1)
		}
	}
	if g.chance(0.1) {
		samples = g.again(samples)
	}
	g.world.series = append(g.world.series, &worldSeries{labels: ls, samples: samples})
}

// gaps leaves out stretches, some of which begin with a stale marker.
func (g *worldMaker) gaps(samples []worldSample) []worldSample {
	var out []worldSample
	for i := 0; i < len(samples); i++ {
		if !g.chance(0.06) {
			out = append(out, samples[i])
			continue
		}
		if g.chance(0.7) {
			stale := worldSample{time: samples[i].time, value: math.Float64frombits(value.StaleNaN)}
			if samples[i].int != nil || samples[i].float != nil {
				if g.chance(0.5) {
					stale.float = &histogram.FloatHistogram{Sum: stale.value}
				} else {
					stale.int = &histogram.Histogram{Sum: stale.value}
				}
			}
			out = append(out, stale)
		}
		i += g.IntN(12)
	}
	return out
}

// again sends some samples twice, with another value now and then.
func (g *worldMaker) again(samples []worldSample) []worldSample {
	for _, s := range slices.Clone(samples) {
		if !g.chance(0.2) {
			continue
		}
		if g.chance(0.3) {
			s.value++
		}
		s.batch = g.IntN(len(g.world.batches))
		samples = append(samples, s)
	}
	return samples
}

func (g *worldMaker) each(times []int64, value func(i int) float64) []worldSample {
	out := make([]worldSample, len(times))
	for i, t := range times {
		out[i] = worldSample{time: t, value: value(i)}
	}
	return out
}

// counter has resets, and start timestamps now and then.
func (g *worldMaker) counter(times []int64) []worldSample {
	v, whole, starts := 0.0, g.chance(0.6), g.chance(0.35)
	if g.chance(0.5) {
		v = float64(g.IntN(10000))
	}
	resets := pick(g.Rand, []float64{0, 0, 0.03, 0.2})
	start := times[0] - g.Int64N(3*g.world.interval) - 1
	previous := start
	return eachAfter(g.each(times, func(int) float64 {
		step := g.ExpFloat64() * 20
		if whole {
			step = math.Floor(step)
		}
		if v += step; g.chance(resets) {
			v = math.Floor(step / 2)
		}
		return v
	}), func(i int, s *worldSample, before float64) {
		if !starts {
			return
		}
		if i > 0 && s.value < before || g.chance(0.03) {
			start = previous + g.Int64N(s.time-previous+1)
		}
		if s.start = start; g.chance(0.05) {
			s.start = pick(g.Rand, []int64{0, s.time, s.time + 5, previous, previous - 1})
		}
		previous = s.time
	})
}

func eachAfter(samples []worldSample, change func(i int, s *worldSample, before float64)) []worldSample {
	before := 0.0
	for i := range samples {
		v := samples[i].value
		change(i, &samples[i], before)
		before = v
	}
	return samples
}

func (g *worldMaker) gauge(times []int64) []worldSample {
	v := g.NormFloat64() * 100
	switch g.IntN(7) {
	case 0: // constant
		return g.each(times, func(int) float64 { return v })
	case 1:
		return g.each(times, func(int) float64 { return float64(g.IntN(20) - 10) })
	case 2:
		return g.each(times, func(i int) float64 { return math.Sin(float64(i)/7) * 1e3 })
	case 3: // decimals
		return g.each(times, func(int) float64 { return float64(g.IntN(1000)) / 100 })
	case 4: // bytes
		return g.each(times, func(int) float64 { return float64(g.IntN(1<<20)) * 4096 })
	case 5: // of all magnitudes
		return g.each(times, func(int) float64 { return g.NormFloat64() * math.Pow(10, float64(g.IntN(40)-20)) })
	default:
		return g.each(times, func(int) float64 { v += g.NormFloat64(); return v })
	}
}

func (g *worldMaker) flags(times []int64) []worldSample {
	return g.each(times, func(int) float64 { return float64(g.IntN(8) / 7) })
}

func (g *worldMaker) ones(times []int64) []worldSample {
	return g.each(times, func(int) float64 { return 1 })
}

// odd has the values that arithmetic trips over.
func (g *worldMaker) odd(times []int64) []worldSample {
	values := []float64{0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 1e16, 1, 0.1, 0.2, 0.3, 1e-300}
	if n := 2 + g.IntN(len(values)); g.chance(0.7) {
		g.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		values = values[:min(n, len(values))]
	}
	return g.each(times, func(int) float64 { return pick(g.Rand, values) })
}

// buckets adds a classic histogram, broken now and then.
func (g *worldMaker) buckets(base []string, times []int64) {
	bounds := []string{"0.1", "0.5", "1", "2.5", "10", "+Inf"}
	switch g.IntN(8) {
	case 0:
		bounds = bounds[:len(bounds)-1]
	case 1:
		bounds = append(bounds, "0.50")
	case 2:
		bounds = append(bounds, "much")
	case 3:
		bounds = []string{"+Inf"}
	case 4:
		bounds = append(bounds, "-1", "-0.2", "0")
	}
	broken := g.chance(0.2)
	total := g.counter(times)
	for i, bound := range bounds {
		share := float64(i+1) / float64(len(bounds))
		samples := slices.Clone(total)
		for k := range samples {
			samples[k].value = math.Floor(samples[k].value * share)
			if broken && g.chance(0.1) {
				samples[k].value += float64(g.IntN(5) - 2)
			}
		}
		g.add(labels.FromStrings(append([]string{"__name__", "duration_bucket", "le", bound}, base...)...), samples)
	}
	for _, name := range []string{"duration_count", "duration_sum"} {
		g.add(labels.FromStrings(append([]string{"__name__", name}, base...)...), slices.Clone(total))
	}
}

// mixed changes between floats and histograms.
func (g *worldMaker) mixed(times []int64) []worldSample {
	samples, floats := g.histograms(times, false), g.gauge(times)
	isFloat := false
	for i := range samples {
		if g.chance(0.1) {
			isFloat = !isFloat
		}
		if isFloat {
			samples[i] = floats[i]
		}
	}
	return samples
}

// histograms is a native histogram that changes its layout now and then.
func (g *worldMaker) histograms(times []int64, gauge bool) []worldSample {
	h := &growing{worldMaker: g, gauge: gauge}
	h.reset()
	floats := pick(g.Rand, []float64{0, 0, 1, 0.1})
	changes := pick(g.Rand, []float64{0, 0.02, 0.1})
	starts := !gauge && g.chance(0.25)
	start := times[0] - 1
	out := make([]worldSample, len(times))
	for i, t := range times {
		if g.chance(changes) {
			h.reset()
			start = t - 1
		}
		h.grow()
		out[i] = worldSample{time: t, int: h.histogram()}
		if g.chance(floats) {
			out[i].float, out[i].int = out[i].int.ToFloat(nil), nil
			if g.chance(0.1) {
				out[i].float.Sum = pick(g.Rand, []float64{math.NaN(), math.Inf(1), -1.5})
			}
		}
		if starts {
			out[i].start = start
		}
	}
	return out
}

// growing is a native histogram that counts.
type growing struct {
	*worldMaker
	gauge  bool
	schema int32
	custom []float64
	counts map[int32]uint64 // of positive buckets
	below  map[int32]uint64 // of negative ones
	zero   uint64
	sum    float64
}

// reset starts afresh, in a layout of its own.
func (h *growing) reset() {
	h.counts, h.below, h.zero, h.sum, h.custom = map[int32]uint64{}, map[int32]uint64{}, 0, 0, nil
	h.schema = int32(h.IntN(6) - 1)
	if h.chance(0.25) {
		h.schema = histogram.CustomBucketsSchema
		h.custom = pick(h.Rand, [][]float64{{0.5, 1, 2, 5}, {1, 2, 5, 10}, {0.5, 2}, {5}})
	}
}

func (h *growing) grow() {
	if h.gauge && h.chance(0.3) {
		h.counts, h.below = map[int32]uint64{}, map[int32]uint64{}
	}
	for range h.IntN(12) {
		if h.custom != nil {
			h.counts[h.Int32N(int32(len(h.custom)+1))]++
		} else {
			switch h.IntN(8) {
			case 0:
				h.zero++
			case 1:
				h.below[h.Int32N(5)-2]++
			default:
				h.counts[h.Int32N(8)-2] += uint64(1 + h.IntN(3))
			}
		}
		h.sum += math.Floor(h.NormFloat64()*100) / 10
	}
}

func (h *growing) histogram() *histogram.Histogram {
	out := &histogram.Histogram{Schema: h.schema, Sum: h.sum, CustomValues: h.custom}
	if h.custom == nil {
		out.ZeroThreshold, out.ZeroCount = 0.001, h.zero
	}
	if h.gauge {
		out.CounterResetHint = histogram.GaugeType
	}
	var positive, negative uint64
	out.PositiveSpans, out.PositiveBuckets, positive = spansOf(h.counts)
	out.NegativeSpans, out.NegativeBuckets, negative = spansOf(h.below)
	out.Count = out.ZeroCount + positive + negative
	return out
}

// spansOf encodes the counts of buckets by index.
func spansOf(counts map[int32]uint64) (spans []histogram.Span, deltas []int64, total uint64) {
	indices := make([]int32, 0, len(counts))
	for i := range counts {
		indices = append(indices, i)
	}
	slices.Sort(indices)
	next, before := int32(0), int64(0)
	for k, i := range indices {
		if k == 0 || i != next {
			spans = append(spans, histogram.Span{Offset: i - next})
		}
		spans[len(spans)-1].Length++
		next = i + 1
		deltas = append(deltas, int64(counts[i])-before)
		before = int64(counts[i])
		total += counts[i]
	}
	return spans, deltas, total
}

// load opens a database and fills it as the world says.
func (w *world) load(t testing.TB) *tsdb.DB {
	ctx := context.Background()
	store := memkv.New(memkv.Options{})
	random := rand.New(rand.NewPCG(w.seed, 2))
	open := func() *tsdb.DB {
		db, err := tsdb.Open(ctx, store, tsdb.Options{
			Now:    func() time.Time { return time.UnixMilli(w.to).Add(time.Hour) },
			Random: random.Uint64, AheadMax: 24 * time.Hour, Width: w.width, EpochPartitionsMax: 1 << 16,
		})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	for i, then := range w.batches {
		if err := w.send(ctx, db, i); err != nil {
			t.Fatal(err)
		}
		var err error
		if then != thenNothing {
			err = db.Flush(ctx)
		}
		if err == nil && then == thenSeal {
			_, err = db.Seal(ctx)
		}
		if err == nil && then == thenReopen {
			err = db.Close()
			db = open()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// send appends a batch.
func (w *world) send(ctx context.Context, db *tsdb.DB, number int) error {
	var batch series.Batch
	for _, s := range w.series {
		begun := false
		for _, sample := range s.samples {
			if sample.batch != number {
				continue
			}
			if !begun {
				batch.AddEncodedRow(series.AppendLabels(nil, s.labels))
				begun = true
			}
			if sample.int != nil || sample.float != nil {
				h := series.Histogram{Timestamp: sample.time, Start: sample.start, Float: sample.float}
				if sample.int != nil {
					h.Int = sample.int.Copy()
				} else {
					h.Float = sample.float.Copy()
				}
				batch.AddHistogram(h)
				continue
			}
			batch.AddSample(sample.time, sample.start, sample.value)
		}
	}
	if len(batch.Rows) == 0 {
		return nil
	}
	outcome, err := db.Append(ctx, series.DefaultTenant, &batch)
	if err == nil && !outcome.Refused.Empty() {
		err = fmt.Errorf("append: %s", outcome.Refused.String())
	}
	return err
}

// String prints the series and samples.
func (w *world) String() string {
	text := fmt.Sprintf("seed %d, partitions of %s, then after each batch (1 flush, 2 seal, 3 reopen): %v\n", w.seed, w.width, w.batches)
	const shown = 20
	for k, s := range w.series {
		if k == shown {
			text += fmt.Sprintf("and %d more\n", len(w.series)-k)
			break
		}
		text += s.labels.String() + "\n"
		for i, sample := range s.samples {
			if i == shown {
				text += fmt.Sprintf("  and %d more\n", len(s.samples)-i)
				break
			}
			text += "  " + sample.String() + "\n"
		}
	}
	return text
}

func (s worldSample) String() string {
	text := fmt.Sprintf("%d (batch %d) ", s.time, s.batch)
	if s.start != 0 {
		text += fmt.Sprintf("since %d ", s.start)
	}
	switch {
	case s.int != nil:
		return text + fmt.Sprintf("int %s schema %d hint %d", s.int, s.int.Schema, s.int.CounterResetHint)
	case s.float != nil:
		return text + fmt.Sprintf("float %s schema %d hint %d", s.float, s.float.Schema, s.float.CounterResetHint)
	case value.IsStaleNaN(s.value):
		return text + "stale"
	}
	return text + strconv.FormatFloat(s.value, 'g', -1, 64)
}

package chunks

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks/column"
)

// histogramSource makes the histograms of one series, with everything that may
// happen to it.
type histogramSource struct {
	r                  *rand.Rand
	schema             int32
	threshold          float64
	custom             []float64
	positive, negative map[int]int64
	zero, above        uint64
	sum                float64
	float, gauge       bool
	start              int64
}

func newHistogramSource(r *rand.Rand) *histogramSource {
	s := &histogramSource{r: r, positive: map[int]int64{}, negative: map[int]int64{}, float: r.IntN(3) == 0, gauge: r.IntN(3) == 0}
	s.change()
	return s
}

// change takes another schema.
func (s *histogramSource) change() {
	clear(s.positive)
	clear(s.negative)
	s.threshold, s.custom = []float64{0, 1e-128, 0.001}[s.r.IntN(3)], nil
	s.schema = []int32{-4, 0, 3, 5, 8, histogram.CustomBucketsSchema}[s.r.IntN(6)]
	if s.schema == histogram.CustomBucketsSchema {
		s.threshold, s.zero = 0, 0
		for i := range 1 + s.r.IntN(10) {
			s.custom = append(s.custom, float64(i)+[]float64{0, 0.25, 0.1}[s.r.IntN(3)])
		}
	}
}

// bucket returns the index of a bucket to observe in.
func (s *histogramSource) bucket() int {
	if s.custom != nil {
		return s.r.IntN(len(s.custom) + 1)
	}
	return int(s.r.NormFloat64()*6) + 10
}

func (s *histogramSource) observe() {
	for range s.r.IntN(8) {
		n := 1 + s.r.Int64N(4)
		if s.gauge && s.r.IntN(2) == 0 {
			n = -n
		}
		at := s.bucket()
		side := s.positive
		if s.custom == nil && s.r.IntN(4) == 0 {
			side = s.negative
		}
		side[at] = max(0, side[at]+n)
		if side[at] == 0 && s.r.IntN(2) == 0 {
			delete(side, at)
		}
		s.sum += s.r.Float64()
	}
	if s.custom == nil {
		s.zero += s.r.Uint64N(3)
	}
	switch s.r.IntN(300) {
	case 0:
		s.change()
	case 1: // a reset
		clear(s.positive)
		clear(s.negative)
		s.zero, s.sum = 0, 0
	case 2:
		s.gauge = !s.gauge
	case 3:
		s.float = !s.float
	case 4:
		s.above++ // as observations of NaN do
	case 5:
		s.start = s.r.Int64N(3) * 1000
	case 6:
		s.positive[s.bucket()] += 1 << (10 + s.r.IntN(40))
	}
}

// sample returns the present histogram.
func (s *histogramSource) sample(t int64) Sample {
	h := &histogram.Histogram{Schema: s.schema, ZeroThreshold: s.threshold, ZeroCount: s.zero, Sum: s.sum, CustomValues: s.custom}
	h.PositiveSpans, h.PositiveBuckets = spansOf(s.positive)
	h.NegativeSpans, h.NegativeBuckets = spansOf(s.negative)
	h.Count = addDeltas(addDeltas(s.zero, h.PositiveBuckets), h.NegativeBuckets) + s.above
	out := Sample{Time: t}
	if s.start > 0 {
		out.Start = t - s.start
	}
	if s.gauge {
		h.CounterResetHint = histogram.GaugeType
	}
	switch s.r.IntN(150) {
	case 0:
		h.Sum = floatOf(value.StaleNaN)
	case 1:
		h.Sum = floatOf(value.NormalNaN)
	case 2:
		h.CounterResetHint = histogram.CounterReset
	}
	if !s.float {
		out.Histogram = AppendHistogram(nil, h)
		return out
	}
	f := h.ToFloat(nil)
	for i := range f.PositiveBuckets {
		f.PositiveBuckets[i] *= 0.1
	}
	f.Count *= 0.1
	if s.r.IntN(200) == 0 {
		f.Count, f.ZeroCount = math.Inf(1), math.Copysign(0, -1)
	}
	out.Histogram = AppendFloatHistogram(nil, f)
	return out
}

func randomHistograms(r *rand.Rand, n int) []Sample {
	s := newHistogramSource(r)
	at := int64(1.7e12)
	samples := make([]Sample, n)
	for i := range samples {
		s.observe()
		samples[i] = s.sample(at)
		at += 15000
		if r.IntN(20) == 0 {
			at += 1 + r.Int64N(9)
		}
	}
	return samples
}

// walk returns the samples of a list in [mint, maxt] as the iterator gives them,
// seeking now and then as r says.
func walk(t *testing.T, list []Chunk, mint, maxt int64, r *rand.Rand) (out []Sample) {
	t.Helper()
	var it Iterator
	it.Reset(slices.Clone(list), mint, maxt)
	kind := it.Next()
	for kind != chunkenc.ValNone {
		s := Sample{Time: it.AtT(), Start: it.AtST()}
		switch kind {
		case chunkenc.ValHistogram:
			_, h := it.AtHistogram(nil)
			s.Histogram = AppendHistogram(nil, h)
			_, f := it.AtFloatHistogram(nil)
			s.Histogram = AppendFloatHistogram(s.Histogram, f)
		case chunkenc.ValFloatHistogram:
			_, f := it.AtFloatHistogram(&histogram.FloatHistogram{})
			s.Histogram = AppendFloatHistogram(nil, f)
		}
		out = append(out, s)
		if r.IntN(40) == 0 {
			kind = it.Seek(s.Time + r.Int64N(4_000_000))
		} else {
			kind = it.Next()
		}
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out
}

// checkWalk expects the iterator to give the samples that Columns gives.
func checkWalk(t *testing.T, seed uint64, list []Chunk, want []Sample) {
	t.Helper()
	var it Iterator
	var got []Sample
	for it.Reset(list, math.MinInt64, math.MaxInt64); it.Next() != chunkenc.ValNone; {
		s := Sample{Time: it.AtT(), Start: it.AtST()}
		if it.kind == chunkenc.ValHistogram {
			_, h := it.AtHistogram(nil)
			s.Histogram = AppendHistogram(nil, h)
		} else {
			_, h := it.AtFloatHistogram(nil)
			s.Histogram = AppendFloatHistogram(nil, h)
		}
		got = append(got, s)
	}
	compareSamples(t, seed, want, got)
}

func canonical(samples []Sample) {
	for i := range samples {
		samples[i].Histogram = CanonicalHistogram(samples[i].Histogram)
	}
}

func same(a, b Sample) bool {
	return a.Time == b.Time && a.Start == b.Start && bytes.Equal(a.Histogram, b.Histogram)
}

// TestRunsReadAsChunks expects runs in columns to give what the chunks give that
// they replace, record by record, however they are read: all or a part, with
// seeks, as columns, and merged with samples that overlap them.
func TestRunsReadAsChunks(t *testing.T) {
	counts := map[string]int{}
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 3))
		samples := randomHistograms(r, 1+r.IntN(900))
		plain, runs, _ := replaced(t, column.Level(r.IntN(3)), samples)
		count(counts, runs)
		for range 3 {
			mint, maxt := int64(math.MinInt64), int64(math.MaxInt64)
			if r.IntN(2) == 0 {
				mint = samples[r.IntN(len(samples))].Time - r.Int64N(2)
				maxt = mint + r.Int64N(20_000_000)
			}
			steps := r.Uint64()
			want := walk(t, plain, mint, maxt, rand.New(rand.NewPCG(steps, 0)))
			got := walk(t, runs, mint, maxt, rand.New(rand.NewPCG(steps, 0)))
			compareSamples(t, seed, want, got)
		}
		// Late samples overlap a part.
		var late []Sample
		for range 1 + r.IntN(5) {
			s := samples[r.IntN(len(samples))]
			s.Time += r.Int64N(2) * 7
			late = append(late, s)
		}
		late, _ = SortAndJoin(late)
		overlap, err := Encode(nil, late)
		if err != nil {
			t.Fatal(err)
		}
		for i := range overlap {
			overlap[i] = overlap[i].WithList(1, i)
		}
		for _, more := range [][]Chunk{nil, overlap} {
			var want, got Columns
			if err := errors.Join(want.Load(slices.Concat(plain, more)), got.Load(slices.Concat(runs, more))); err != nil {
				t.Fatal(err)
			}
			if len(more) > 0 {
				// Of two versions that are equal the first is kept, with its empty
				// buckets; which is the first depends on where chunks begin.
				canonical(want.Histograms)
				canonical(got.Histograms)
			}
			compareSamples(t, seed, want.Histograms, got.Histograms)
			if want.Conflicts != got.Conflicts {
				t.Fatalf("seed %d: %d conflicts, want %d", seed, got.Conflicts, want.Conflicts)
			}
			var again Columns // as the iterator gives them
			if err := again.Load(slices.Concat(runs, more)); err != nil {
				t.Fatal(err)
			}
			checkWalk(t, seed, slices.Concat(runs, more), again.Histograms)
		}
	}
	for _, what := range []string{"integers", "floats", "starts", "stale", "layouts", "gauge", "custom", "chunks that stay", "several runs"} {
		if counts[what] < 3 {
			t.Errorf("%s: %d of 25 series have them", what, counts[what])
		}
	}
}

// count says what is in the runs of a list.
func count(counts map[string]int, list []Chunk) {
	runs := 0
	for _, c := range list {
		if c.Encoding != EncHistogramColumns {
			counts["chunks that stay"]++
			continue
		}
		runs++
		var run histogramRun
		if err := run.decode(c); err != nil {
			continue // reading says so
		}
		for what, is := range map[string]bool{
			"integers": !run.float, "floats": run.float, "starts": len(run.starts) > 0, "layouts": len(run.layouts) > 1,
			"gauge": slices.Contains(run.hints, histogram.GaugeType), "custom": len(run.custom) > 0,
			"stale": slices.ContainsFunc(run.sums, value.IsStaleNaN),
		} {
			if is {
				counts[what]++
			}
		}
	}
	if runs > 1 {
		counts["several runs"]++
	}
}

func compareSamples(t *testing.T, seed uint64, want, got []Sample) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("seed %d: %d samples, want %d", seed, len(got), len(want))
	}
	for i := range want {
		if !same(want[i], got[i]) {
			t.Fatalf("seed %d, sample %d: got %+v, want %+v", seed, i, got[i], want[i])
		}
	}
}

// TestRunsOfExtremes encodes histograms whose counts are whatever they like.
func TestRunsOfExtremes(t *testing.T) {
	runs := 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 5))
		n := 1 + r.IntN(200)
		samples := make([]Sample, n)
		width := 1 + r.IntN(5)
		for i := range samples {
			spans := []histogram.Span{{Offset: math.MinInt32, Length: uint32(width)}, {Offset: math.MaxInt32, Length: 1}}
			if seed%2 == 0 {
				h := &histogram.Histogram{CounterResetHint: histogram.GaugeType, Count: r.Uint64(), ZeroCount: r.Uint64(), Sum: floatOf(r.Uint64()), NegativeSpans: spans}
				for range width + 1 {
					h.NegativeBuckets = append(h.NegativeBuckets, int64(r.Uint64()>>r.IntN(64)))
				}
				samples[i].Histogram = AppendHistogram(nil, h)
			} else {
				h := &histogram.FloatHistogram{CounterResetHint: histogram.GaugeType, Count: floatOf(r.Uint64()), ZeroCount: floatOf(randomBits(r, 0)), Sum: 3, PositiveSpans: spans}
				for range width + 1 {
					h.PositiveBuckets = append(h.PositiveBuckets, floatOf(randomBits(r, 0)))
				}
				samples[i].Histogram = AppendFloatHistogram(nil, h)
			}
			samples[i].Time = int64(i)*math.MaxInt32 - math.MaxInt32
		}
		plain, list, _ := replaced(t, column.Balanced, samples)
		var want, got Columns
		if err := errors.Join(want.Load(plain), got.Load(list)); err != nil {
			t.Fatal(err)
		}
		compareSamples(t, seed, want.Histograms, got.Histograms)
		for _, c := range list {
			if c.Encoding == EncHistogramColumns {
				runs++
			}
		}
	}
	if runs < 20 {
		t.Errorf("%d runs", runs)
	}
}

// TestLargeRunsAreCut expects a run to hold no more counts than decoding allows.
func TestLargeRunsAreCut(t *testing.T) {
	const buckets = 3000
	h := &histogram.Histogram{Schema: 8, PositiveSpans: []histogram.Span{{Length: buckets}}, PositiveBuckets: make([]int64, buckets)}
	var samples []Sample
	for i := range 500 {
		h.PositiveBuckets[0]++
		h.Count += buckets
		samples = append(samples, Sample{Time: int64(i), Histogram: AppendHistogram(nil, h)})
	}
	plain, runs, _ := replaced(t, column.Fast, samples)
	if len(runs) != 2 || runs[0].Encoding != EncHistogramColumns || runs[0].Count != 240 || runs[1].Count != 260 {
		t.Fatalf("%d chunks, the first of %d samples", len(runs), runs[0].Count)
	}
	var want, got Columns
	if err := errors.Join(want.Load(plain), got.Load(runs)); err != nil {
		t.Fatal(err)
	}
	compareSamples(t, 0, want.Histograms, got.Histograms)
}

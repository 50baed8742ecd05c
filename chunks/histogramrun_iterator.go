package chunks

import (
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// runIterator walks a decoded run as Prometheus's iterators walk a chunk. The
// histograms that it gives are the caller's, but for their custom bounds.
type runIterator struct {
	run    histogramRun
	at     int // the current sample, -1 before the first
	layout int // of the current sample
}

// runIterator returns an iterator over the run of histograms that c holds.
func (c Chunk) runIterator(reuse chunkenc.Iterator) (chunkenc.Iterator, error) {
	it, ok := reuse.(*runIterator)
	if !ok {
		it = new(runIterator)
	}
	it.at, it.layout = -1, 0
	if err := it.run.decode(c); err != nil {
		return nil, corrupt(c, err)
	}
	return it, nil
}

// Next moves to the next sample.
func (it *runIterator) Next() chunkenc.ValueType { return it.move(it.at + 1) }

// Seek moves to the first sample at or after t, never back.
func (it *runIterator) Seek(t int64) chunkenc.ValueType {
	from := max(it.at, 0)
	rest := it.run.times[min(from, len(it.run.times)):]
	return it.move(from + sort.Search(len(rest), func(i int) bool { return rest[i] >= t }))
}

// move makes the sample at the current one.
func (it *runIterator) move(at int) chunkenc.ValueType {
	r := &it.run
	if at >= len(r.times) {
		it.at = len(r.times)
		return chunkenc.ValNone
	}
	it.at = at
	for it.layout+1 < len(r.layouts) && r.layouts[it.layout+1].first <= at {
		it.layout++
	}
	if r.float {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValHistogram
}

// At may not be called: there are no floats.
func (it *runIterator) At() (int64, float64) { panic("a run of histograms has no floats") }

// AtHistogram returns the current sample; counts must be integers.
func (it *runIterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	r := &it.run
	t, sum := r.times[it.at], r.sums[it.at]
	if value.IsStaleNaN(sum) {
		return t, &histogram.Histogram{Sum: sum}
	}
	if h == nil {
		h = new(histogram.Histogram)
	}
	l := &r.layouts[it.layout]
	h.CounterResetHint, h.Schema, h.ZeroThreshold = r.hints[it.at], r.schema, r.threshold
	h.Sum, h.CustomValues = sum, r.custom
	h.PositiveSpans = append(h.PositiveSpans[:0], l.positive...)
	h.NegativeSpans = append(h.NegativeSpans[:0], l.negative...)
	h.ZeroCount = uint64(r.ints[it.at])
	total := r.ints[it.at] + r.above[it.at]
	positives := bucketsIn(l.positive)
	h.PositiveBuckets = it.deltas(h.PositiveBuckets, l.places[:positives], &total)
	h.NegativeBuckets = it.deltas(h.NegativeBuckets, l.places[positives:], &total)
	h.Count = uint64(total)
	return t, h
}

// deltas sets dst to the differences between the counts at places, and adds the
// counts to total.
func (it *runIterator) deltas(dst []int64, places []int32, total *int64) []int64 {
	dst = resize(dst, len(places))
	if len(places) == 0 {
		return dst
	}
	cells, stride := it.run.ints[it.run.stride+it.at:], it.run.stride
	last, sum := int64(0), int64(0)
	for i, place := range places {
		v := cells[int(place)*stride]
		dst[i] = v - last
		last = v
		sum += v
	}
	*total += sum
	return dst
}

// AtFloatHistogram returns the current sample with float counts.
func (it *runIterator) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	r := &it.run
	t, sum := r.times[it.at], r.sums[it.at]
	if value.IsStaleNaN(sum) {
		return t, &histogram.FloatHistogram{Sum: sum}
	}
	if h == nil {
		h = new(histogram.FloatHistogram)
	}
	l := &r.layouts[it.layout]
	h.CounterResetHint, h.Schema, h.ZeroThreshold = r.hints[it.at], r.schema, r.threshold
	h.Sum, h.CustomValues = sum, r.custom
	h.PositiveSpans = append(h.PositiveSpans[:0], l.positive...)
	h.NegativeSpans = append(h.NegativeSpans[:0], l.negative...)
	positives := bucketsIn(l.positive)
	h.PositiveBuckets = resize(h.PositiveBuckets, positives)
	h.NegativeBuckets = resize(h.NegativeBuckets, len(l.places)-positives)
	if r.float {
		h.ZeroCount = r.floats[it.at]
		it.copyFloats(h.PositiveBuckets, l.places[:positives])
		it.copyFloats(h.NegativeBuckets, l.places[positives:])
		h.Count = countOf(r.above[it.at], totalOf(h))
		return t, h
	}
	h.ZeroCount = float64(uint64(r.ints[it.at]))
	total := r.ints[it.at] + r.above[it.at]
	it.convert(h.PositiveBuckets, l.places[:positives], &total)
	it.convert(h.NegativeBuckets, l.places[positives:], &total)
	h.Count = float64(uint64(total))
	return t, h
}

func (it *runIterator) copyFloats(dst []float64, places []int32) {
	if len(places) == 0 {
		return
	}
	cells, stride := it.run.floats[it.run.stride+it.at:], it.run.stride
	for i, place := range places {
		dst[i] = cells[int(place)*stride]
	}
}

// convert sets dst to the integers at places, and adds them to total.
func (it *runIterator) convert(dst []float64, places []int32, total *int64) {
	if len(places) == 0 {
		return
	}
	cells, stride := it.run.ints[it.run.stride+it.at:], it.run.stride
	sum := int64(0)
	for i, place := range places {
		v := cells[int(place)*stride]
		dst[i] = float64(v)
		sum += v
	}
	*total += sum
}

// totalOf adds the counts of the buckets of h, always in the same order.
func totalOf(h *histogram.FloatHistogram) float64 {
	total := h.ZeroCount
	for _, v := range h.PositiveBuckets {
		total += v
	}
	for _, v := range h.NegativeBuckets {
		total += v
	}
	return total
}

// AtT returns the current timestamp.
func (it *runIterator) AtT() int64 { return it.run.times[it.at] }

// AtST returns the current sample's start timestamp, 0 when unknown.
func (it *runIterator) AtST() int64 {
	if len(it.run.starts) == 0 {
		return 0
	}
	return it.run.starts[it.at]
}

// Err returns nil: all has been decoded.
func (it *runIterator) Err() error { return nil }

// bucketsIn returns the number of buckets of spans.
func bucketsIn(spans []histogram.Span) (n int) {
	for _, s := range spans {
		n += int(s.Length)
	}
	return n
}

// resize returns a slice of n elements, s if it is large enough, nil for none.
func resize[T any](s []T, n int) []T {
	if n == 0 {
		return s[:0]
	}
	return grow(s, n)
}

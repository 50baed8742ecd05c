package exec

import (
	"math"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/almost"
	"github.com/prometheus/prometheus/util/annotations"
)

// bucketScratch is a worker's memory for a histogramCall, and what it found.
type bucketScratch struct {
	free  [][]float64 // rows to use again
	arena floats      // for results

	rows    [][]float64 // of the buckets that have one
	bounds  []float64   // theirs
	above   []float64   // the bounds of a step's buckets, ascending
	counts  []float64   // and their counts
	buckets promql.Buckets

	alone  []*bucketGroup
	bad    []int32 // series with floats, but without a good le
	mixed  []int32 // histograms that a classic one competes with
	forced map[string]*forced
	notes  annotations.Annotations
}

// take returns a row of n floats with undefined contents.
func (s *bucketScratch) take(n int) []float64 {
	if k := len(s.free); k > 0 {
		out := s.free[k-1]
		s.free = s.free[:k-1]
		return out
	}
	return make([]float64, n)
}

// evaluate makes the result rows of a group.
func (s *bucketScratch) evaluate(h *histogramCall, g *bucketGroup) {
	s.rows, s.bounds = s.rows[:0], s.bounds[:0]
	for slot, row := range g.buckets {
		if row != nil {
			s.rows, s.bounds = append(s.rows, row), append(s.bounds, g.bounds[slot])
		}
	}
	if len(s.rows) == 0 && g.native == nil {
		return
	}
	g.out = make([]Row, len(h.columns))
	name := ""
	if h.query.DelayedNames {
		name = g.input.Labels.Get(model.MetricNameLabel)
	}
	mixed := false
	for step := range h.grid.Count() {
		s.gather(step)
		var native *histogram.FloatHistogram
		if g.native != nil {
			native = g.native[step]
		}
		switch {
		case native != nil && len(s.counts) > 0:
			mixed = true
		case native != nil:
			s.ofNative(h, g, step, native, name)
		case len(s.counts) == 0:
		case h.fraction:
			s.set(h, g, 0, step, promql.BucketFraction(h.params[0][step], h.params[1][step], s.pairs()))
		case g.repeated:
			s.ofRepeated(h, g, step, name)
		default:
			s.ofClassic(h, g, step, name)
		}
	}
	if mixed {
		s.mixed = append(s.mixed, g.nativeAt)
	}
}

// gather collects the buckets that have a point at a step.
func (s *bucketScratch) gather(step int) {
	if cap(s.counts) < len(s.rows) {
		s.above, s.counts = make([]float64, len(s.rows)), make([]float64, len(s.rows))
	}
	above, counts := s.above[:len(s.rows)], s.counts[:len(s.rows)]
	n := 0
	for k, row := range s.rows {
		v := row[step]
		above[n], counts[n] = s.bounds[k], v
		if !IsAbsent(v) {
			n++
		}
	}
	s.above, s.counts = above[:n], counts[:n]
}

// pairs returns the step's buckets as Prometheus's functions want them.
func (s *bucketScratch) pairs() promql.Buckets {
	s.buckets = s.buckets[:0]
	for i, bound := range s.above {
		s.buckets = append(s.buckets, promql.Bucket{UpperBound: bound, Count: s.counts[i]})
	}
	return s.buckets
}

// set gives a result its value.
func (s *bucketScratch) set(h *histogramCall, g *bucketGroup, arg, step int, v float64) {
	column := int32(0)
	if h.several {
		column = h.at[arg][step]
	}
	out := &g.out[column]
	if out.Floats == nil {
		out.Floats = s.arena.take(h.grid.Count())
		fillAbsent(out.Floats)
	}
	out.Floats[step] = v
}

func (s *bucketScratch) ofNative(h *histogramCall, g *bucketGroup, step int, native *histogram.FloatHistogram, name string) {
	at := h.of.PositionRange()
	if h.fraction {
		v, notes := promql.HistogramFraction(h.params[0][step], h.params[1][step], native, name, at)
		s.notes.Merge(notes)
		s.set(h, g, 0, step, v)
		return
	}
	for a, qs := range h.params {
		v, notes := promql.HistogramQuantile(qs[step], native, name, at)
		s.notes.Merge(notes)
		s.set(h, g, a, step, v)
	}
}

// ofRepeated is for groups in which several buckets have one bound: how they are
// summed depends on the order that Prometheus's function sorts them in, and its
// second quantile sees what the first has left.
func (s *bucketScratch) ofRepeated(h *histogramCall, g *bucketGroup, step int, name string) {
	buckets := s.pairs()
	for a, qs := range h.params {
		v, changed, _, low, high, diff := promql.BucketQuantile(qs[step], buckets)
		if changed {
			s.force(name).add(h.grid.Count(), step, monotony{low, high, diff})
		}
		s.set(h, g, a, step, v)
	}
}

func (s *bucketScratch) ofClassic(h *histogramCall, g *bucketGroup, step int, name string) {
	for a, qs := range h.params {
		v, changed, m := bucketQuantile(qs[step], s.above, s.counts)
		if changed {
			s.force(name).add(h.grid.Count(), step, m)
		}
		s.set(h, g, a, step, v)
	}
}

// monotony says which buckets had fewer counts than one below them, and by how
// much at most.
type monotony struct{ low, high, diff float64 }

// bucketQuantile returns the quantile q of a classic histogram: bounds ascend,
// counts are cumulative, and made so if they are not.
func bucketQuantile(q float64, bounds, counts []float64) (v float64, changed bool, m monotony) {
	switch {
	case math.IsNaN(q):
		return math.NaN(), false, m
	case q < 0:
		return math.Inf(-1), false, m
	case q > 1:
		return math.Inf(+1), false, m
	}
	last := len(bounds) - 1
	if last < 0 || !math.IsInf(bounds[last], +1) {
		return math.NaN(), false, m
	}
	changed, m = ascend(bounds, counts)
	total := counts[last]
	if last == 0 || total == 0 {
		return math.NaN(), changed, m
	}
	rank := q * total
	// The search is sort.Search's, whatever NaN among the counts does to it.
	b, end := 0, last
	for b < end {
		middle := int(uint(b+end) >> 1)
		if counts[middle] >= rank {
			end = middle
		} else {
			b = middle + 1
		}
	}
	switch {
	case b == last:
		return bounds[last-1], changed, m
	case b == 0 && bounds[0] <= 0:
		return bounds[0], changed, m
	}
	start, count := 0.0, counts[b]
	if b > 0 {
		start = bounds[b-1]
		count -= counts[b-1]
		rank -= counts[b-1]
	}
	return start + (bounds[b]-start)*(rank/count), changed, m
}

// negligible is the relative difference of counts that is taken for an error of
// floating point.
const negligible = 1e-12

// ascend makes counts ascend: decreases are undone, and so, without a word, are
// differences that are negligible.
func ascend(bounds, counts []float64) (changed bool, m monotony) {
	m = monotony{low: math.Inf(+1), high: math.Inf(-1)}
	previous := counts[0]
	for i := 1; i < len(counts); i++ {
		count := counts[i]
		// Certainly more, and not just by a little: what follows would find the same.
		if count-previous > 4*negligible*count && count > 1e-290 && previous >= 0 {
			previous = count
			continue
		}
		switch {
		case count == previous:
		case almost.Equal(previous, count, negligible):
			counts[i] = previous
		case count < previous:
			counts[i], changed = previous, true
			m.low, m.high = min(m.low, bounds[i]), max(m.high, bounds[i])
			if diff := previous - count; diff > m.diff {
				m.diff = diff
			}
		default:
			previous = count
		}
	}
	return changed, m
}

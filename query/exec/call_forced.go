package exec

import (
	"errors"
	"math"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"
)

// forced gathers how often the buckets of histograms of one name were made
// cumulative.
type forced struct {
	monotony
	first, last int     // steps
	times       []int32 // by step
}

// force returns the record for a metric name.
func (s *bucketScratch) force(name string) *forced {
	f := s.forced[name]
	if f == nil {
		f = &forced{}
		if s.forced == nil {
			s.forced = map[string]*forced{}
		}
		s.forced[name] = f
	}
	return f
}

func (f *forced) add(steps, step int, m monotony) {
	if f.times == nil {
		f.times = make([]int32, steps)
		f.monotony, f.first, f.last = m, step, step
	}
	f.times[step]++
	f.widen(m, step, step)
}

func (f *forced) widen(m monotony, first, last int) {
	f.low, f.high, f.diff = min(f.low, m.low), max(f.high, m.high), max(f.diff, m.diff)
	f.first, f.last = min(f.first, first), max(f.last, last)
}

// include adds what another worker has found.
func (f *forced) include(other *forced) {
	if f.times == nil {
		*f = *other
		return
	}
	for step, n := range other.times {
		f.times[step] += n
	}
	f.widen(other.monotony, other.first, other.last)
}

// samples returns the number of samples that Prometheus's engine comes to. At
// each step it merges the annotation so far into the expression's, which is the
// same one, so that it doubles; unless an argument had brought one with this text.
func (f *forced) samples(brought bool) uint64 {
	n, sum, begun := uint64(0), uint64(0), false
	for _, times := range f.times {
		switch {
		case begun && !brought:
			n = 2 * (n + uint64(times))
		case begun || times > 0:
			n, begun = n+uint64(times), true
		}
		sum += n
	}
	if brought {
		return sum
	}
	return n
}

// note returns the annotation; of are those of the arguments.
func (f *forced) note(name string, pos posrange.PositionRange, grid Grid, of annotations.Annotations) error {
	one := func(step int) error {
		return annotations.NewHistogramQuantileForcedMonotonicityInfo(name, pos, grid.At(step), f.low, f.high, f.diff)
	}
	first, last := one(f.first), one(f.last)
	_, brought := of[first.Error()]
	return repeated(f.samples(brought), first, last)
}

// repeated returns an annotation of n samples, made of those of two. The count
// can be reached only by merging: it is doubled and increased bit by bit.
func repeated(n uint64, first, last error) error {
	type merger interface {
		error
		Merge(error) error
	}
	var a, b merger
	if !errors.As(first, &a) || !errors.As(last, &b) {
		return first
	}
	bits := 0
	for rest := n; rest > 1; rest >>= 1 {
		bits++
	}
	if n == 0 { // it has overflown
		bits = 64
	}
	sum := error(a)
	for bit := bits - 1; bit >= 0; bit-- {
		if bit == bits-1 {
			sum = b.Merge(sum)
		} else {
			errors.As(sum, &a)
			sum = a.Merge(sum)
		}
		if n>>bit&1 == 1 {
			sum = b.Merge(sum)
		}
	}
	return sum
}

// annotate adds what the workers found to the answer; of are the annotations of
// the arguments.
func (h *histogramCall) annotate(of annotations.Annotations) {
	h.annotateQuantiles()
	at := h.of.PositionRange()
	all := map[string]*forced{}
	for _, s := range h.scratches() {
		for _, i := range s.bad {
			ls := h.input[i].Labels
			h.query.noteError(annotations.NewBadBucketLabelWarning(h.nameOf(ls), ls.Get(model.BucketLabel), at))
		}
		for _, i := range s.mixed {
			h.query.noteError(annotations.NewMixedClassicNativeHistogramsWarning(h.nameOf(h.input[i].Labels), at))
		}
		h.query.note(s.notes)
		for name, f := range s.forced {
			if all[name] == nil {
				all[name] = &forced{}
			}
			all[name].include(f)
		}
	}
	for name, f := range all {
		h.query.noteError(f.note(name, at, h.grid, of))
	}
}

// nameOf returns the metric name that annotations mention.
func (h *histogramCall) nameOf(ls labels.Labels) string {
	if !h.query.DelayedNames {
		return ""
	}
	return ls.Get(model.MetricNameLabel)
}

// annotateQuantiles warns of arguments that are no quantile.
func (h *histogramCall) annotateQuantiles() {
	if h.fraction {
		return
	}
	for step := range h.grid.Count() {
		if step > 0 && h.sameParams(step) {
			continue
		}
		for a, qs := range h.params {
			if q := qs[step]; math.IsNaN(q) || q < 0 || q > 1 {
				h.query.noteError(annotations.NewInvalidQuantileWarning(q, h.exprs[a].PositionRange()))
			}
		}
	}
}

// sameParams reports whether the arguments are those of the step before.
func (h *histogramCall) sameParams(step int) bool {
	for _, values := range h.params {
		if math.Float64bits(values[step]) != math.Float64bits(values[step-1]) {
			return false
		}
	}
	return true
}

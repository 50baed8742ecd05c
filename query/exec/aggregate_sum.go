package exec

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/kahansum"
)

// sums is sum and avg: compensated sums of floats and of histograms.
type sums struct {
	in     *intake
	mean   bool
	groups []sumGroup
	sum    groupColumns[float64] // or the mean, of incremental points
	comp   groupColumns[float64] // what rounding took from sum
	flags  groupColumns[sumFlags]
	count  groupColumns[float64] // only of means
}

// sumGroup is the state of a group as a whole.
type sumGroup struct {
	run rowRun // the rows that flags and count do not have yet
	// slow says that there were other points than tame floats: then each is added
	// with an eye to what was there.
	slow       bool
	histograms []histogramSum // nil, or one for each step
}

// histogramSum is a compensated sum of histograms.
type histogramSum struct{ value, mean, comp *histogram.FloatHistogram }

// sumFlags are what a step of a group has seen.
type sumFlags uint8

const (
	sumFloat       sumFlags = 1 << iota
	sumHistogram            // a histogram
	sumClosed               // histograms that do not go together: the rest is ignored
	sumIncremental          // the sum of floats would overflow
	sumIncrementalHistogram
	sumReset // by their hints, of histograms
	sumNoReset
)

func newSums(in *intake, mean bool) *sums { return &sums{in: in, mean: mean} }

func (s *sums) add(group, i int, row *Row, sh shape) error {
	if group == len(s.groups) {
		if err := s.grow(group); err != nil {
			return err
		}
	}
	g := &s.groups[group]
	if g.slow || sh.kind > shapeGaps {
		s.settle(group)
		g.slow = true
		return s.addSlow(group, i, row)
	}
	sum, comp := s.sum.of(group), s.comp.of(group)
	if sh.kind == shapeRun {
		if !g.run.takes(sh) {
			s.settle(group)
			g.run.takes(sh)
		}
		addRun(sum[sh.from:sh.to], comp[sh.from:sh.to], row.Floats[sh.from:sh.to])
		return nil
	}
	addGaps(sum, comp, s.flags.of(group), row.Floats)
	if s.mean {
		count := s.count.of(group)
		for step, v := range row.Floats {
			if !IsAbsent(v) {
				count[step]++
			}
		}
	}
	return nil
}

// settle brings flags and count up to date.
func (s *sums) settle(group int) {
	run := &s.groups[group].run
	if run.rows == 0 {
		return
	}
	for flags, step := s.flags.of(group), run.from; step < run.to; step++ {
		flags[step] |= sumFloat
	}
	if s.mean {
		run.move(s.count.of(group))
	}
	run.rows = 0
}

func (s *sums) grow(group int) error {
	groups, points := len(s.in.number), s.in.steps
	s.groups = append(s.groups, sumGroup{})
	s.sum.grow(group, s.in.steps, groups)
	s.comp.grow(group, s.in.steps, groups)
	s.flags.grow(group, s.in.steps, groups)
	if s.mean {
		s.count.grow(group, s.in.steps, groups)
		points += points / 2
	}
	return s.in.hold(points)
}

// addRun adds tame floats. The rounding error of a sum of two is exact however
// it is computed, so this is what kahansum.Inc gives, without its branches. Sums
// start at 0 and not at the first value, which shows with -0 alone, and there the
// compensation makes the result 0.
func addRun(sum, comp, row []float64) {
	sum, comp = sum[:len(row)], comp[:len(row)]
	for i, v := range row {
		old := sum[i]
		t := old + v
		part := t - old
		comp[i] += (old - (t - part)) + (v - part)
		sum[i] = t
	}
}

// addGaps is addRun for rows that are absent at some steps.
func addGaps(sum, comp []float64, flags []sumFlags, row []float64) {
	sum, comp, flags = sum[:len(row)], comp[:len(row)], flags[:len(row)]
	for i, v := range row {
		if IsAbsent(v) {
			continue
		}
		old := sum[i]
		t := old + v
		part := t - old
		comp[i] += (old - (t - part)) + (v - part)
		sum[i] = t
		flags[i] |= sumFloat
	}
}

// addSlow adds any points.
func (s *sums) addSlow(group, i int, row *Row) error {
	flags := s.flags.of(group)
	for step, v := range row.Floats {
		if flags[step]&sumClosed != 0 {
			continue
		}
		if h := row.Histogram(step); h != nil {
			if err := s.addHistogram(group, i, step, h); err != nil {
				return err
			}
		} else if !IsAbsent(v) {
			s.addFloat(group, step, v)
		}
	}
	return nil
}

// closed reports whether a step of a group ignores further points.
func (s *sums) closed(group, step int) bool {
	return group < len(s.groups) && s.flags.of(group)[step]&sumClosed != 0
}

// counted counts a point, and returns how many there are.
func (s *sums) counted(group, step int) float64 {
	count := &s.count.of(group)[step]
	*count++
	return *count
}

func (s *sums) addFloat(group, step int, v float64) {
	sum, comp, flags := &s.sum.of(group)[step], &s.comp.of(group)[step], &s.flags.of(group)[step]
	n := 0.0
	if s.mean {
		n = s.counted(group, step)
	}
	first := *flags == 0
	*flags |= sumFloat
	switch {
	case first:
		*sum = v
		return
	case !s.mean:
		*sum, *comp = kahansum.Inc(v, *sum, *comp)
		return
	case *flags&sumIncremental == 0:
		t, c := kahansum.Inc(v, *sum, *comp)
		if !math.IsInf(t, 0) {
			*sum, *comp = t, c
			return
		}
		*flags |= sumIncremental
		*sum /= n - 1
		*comp /= n - 1
	}
	q := (n - 1) / n
	*sum, *comp = kahansum.Inc(v/n, q**sum, q**comp)
}

func (s *sums) addHistogram(group, i, step int, h *histogram.FloatHistogram) error {
	g, flags := &s.groups[group], &s.flags.of(group)[step]
	if g.histograms == nil {
		g.histograms = make([]histogramSum, s.in.steps)
	}
	sum, first := &g.histograms[step], *flags == 0
	*flags |= sumHistogram
	n := 0.0
	if s.mean {
		n = s.counted(group, step)
	}
	if !first && sum.value == nil {
		return nil // floats came first: there is no result
	}
	switch h.CounterResetHint {
	case histogram.CounterReset:
		*flags |= sumReset
	case histogram.NotCounterReset:
		*flags |= sumNoReset
	}
	if first {
		sum.value = h.Copy()
		return s.in.hold(int(histogramPoints(h.Size())))
	}
	var reconciled bool
	var err error
	if s.mean {
		reconciled, err = sum.average(h, n, flags)
	} else {
		sum.comp, _, reconciled, err = sum.value.KahanAdd(h, sum.comp)
	}
	if err != nil {
		*flags |= sumClosed
		if !errors.Is(err, histogram.ErrHistogramsIncompatibleSchema) {
			return err
		}
		s.in.query.noteError(annotations.NewMixedExponentialCustomHistogramsWarning(s.in.metricName(i), s.in.expr.Expr.PositionRange()))
	}
	if reconciled {
		s.in.query.noteError(annotations.NewMismatchedCustomBucketsHistogramsInfo(s.in.expr.Expr.PositionRange(), annotations.HistogramAgg))
	}
	return nil
}

// average makes h the n-th histogram of a mean. Once the sum would overflow, the
// mean itself is kept.
func (sum *histogramSum) average(h *histogram.FloatHistogram, n float64, flags *sumFlags) (reconciled bool, err error) {
	if *flags&sumIncrementalHistogram == 0 {
		value, comp := sum.value.Copy(), sum.comp
		if comp != nil {
			comp = comp.Copy()
		}
		if comp, _, reconciled, err = value.KahanAdd(h, comp); err != nil {
			return false, err
		}
		if !value.HasOverflow() {
			sum.value, sum.comp = value, comp
			return reconciled, nil
		}
		*flags |= sumIncrementalHistogram
		sum.mean = sum.value.Copy().Div(n - 1)
		if sum.comp != nil {
			sum.comp.Div(n - 1)
		}
	}
	q := (n - 1) / n
	if sum.comp != nil {
		sum.comp.Mul(q)
	}
	var again bool
	sum.comp, _, again, err = sum.mean.Mul(q).KahanAdd(h.Copy().Div(n), sum.comp)
	return err == nil && again || reconciled, err
}

func (s *sums) finish(group int) (last int, err error) {
	s.settle(group)
	g, sum, comp, flags := &s.groups[group], s.sum.of(group), s.comp.of(group), s.flags.of(group)
	var count []float64
	if s.mean {
		count = s.count.of(group)
	}
	last = -1
	for step, f := range flags {
		switch {
		case f&(sumFloat|sumHistogram) == sumFloat|sumHistogram:
			s.in.query.noteError(annotations.NewMixedFloatsHistogramsAggWarning(s.in.expr.Expr.PositionRange()))
			sum[step] = Absent
			g.histograms[step] = histogramSum{}
			continue
		case f&sumHistogram != 0:
			sum[step] = Absent
			if g.histograms[step].value = s.total(group, step, f); g.histograms[step].value == nil {
				continue
			}
		case f == 0:
			sum[step] = Absent
			continue
		case !s.mean || f&sumIncremental != 0:
			sum[step] += comp[step]
		default:
			n := count[step]
			sum[step] = sum[step]/n + comp[step]/n
		}
		last = step
	}
	return last, nil
}

// total returns the sum or mean of the histograms of a step, nil if they do not go
// together.
func (s *sums) total(group, step int, f sumFlags) *histogram.FloatHistogram {
	if f&sumClosed != 0 {
		return nil
	}
	g := &s.groups[group]
	sum := &g.histograms[step]
	value, comp := sum.value, sum.comp
	switch {
	case f&sumIncrementalHistogram != 0:
		value = sum.mean
	case s.mean:
		n := s.count.of(group)[step]
		value.Div(n)
		if comp != nil {
			comp.Div(n)
		}
	}
	if comp != nil {
		// They have been added before, so this does not fail.
		value, _, _, _ = value.Add(comp)
	}
	if f&sumReset != 0 && f&sumNoReset != 0 {
		s.in.query.noteError(annotations.NewHistogramCounterResetCollisionWarning(s.in.expr.Expr.PositionRange(), annotations.HistogramAgg))
	}
	return value.Compact(0)
}

func (s *sums) fill(_ *Worker, group int, row *Row) error {
	row.Floats = s.sum.of(group)
	if g := &s.groups[group]; g.histograms != nil {
		row.Histograms = emptyHistograms(s.in.steps)
		for step := range g.histograms {
			row.Histograms[step] = g.histograms[step].value
		}
	}
	return nil
}

package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// chosen is a selection of the input's points.
type chosen struct {
	series []int32 // of the input, that of each row
	points []chosenPoint
	ends   []int // of the points of each row
}

type chosenPoint struct {
	value     float64
	histogram *histogram.FloatHistogram
	step      int32
}

// append adds a row with one point, at step 0.
func (c *chosen) append(p ranked, h *histogram.FloatHistogram) {
	c.series, c.points = append(c.series, p.series), append(c.points, chosenPoint{value: p.value, histogram: h})
	c.ends = append(c.ends, len(c.points))
}

func (c *chosen) fill(steps int) compute {
	return func(w *Worker, i int, row *Row) error {
		from := 0
		if i > 0 {
			from = c.ends[i-1]
		}
		*row = w.Row(steps)
		for _, p := range c.points[from:c.ends[i]] {
			row.Set(int(p.step), p.value, p.histogram)
		}
		return nil
	}
}

// limit is limitk, which takes the first points of a group, and limit_ratio, which
// takes points by the hash of their labels. They do not look at values, so over a
// range rows just flow through. In an instant, values decide on the order.
type limit struct {
	intake
	limits []int64
	ratios []float64 // one of these is nil
	failed error
	taken  [][]int32 // of each group, by step
	result chosen
}

func newLimit(in intake) *limit { return &limit{intake: in} }

func (l *limit) Grid() Grid { return l.grid }

func (l *limit) Series(ctx context.Context) ([]Series, error) {
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	if l.expr.Op == parser.LIMITK {
		l.limits, l.failed = l.parameter.counts()
	} else {
		l.ratios, l.failed = l.readRatios()
	}
	if l.nothing() {
		if err := l.discard(ctx); err != nil {
			return nil, err
		}
		return nil, l.failed
	}
	if !l.grid.Instant() {
		return l.input, nil
	}
	if err := l.gather(ctx); err != nil {
		return nil, err
	}
	out := make([]Series, len(l.result.series))
	for i, series := range l.result.series {
		out[i] = l.input[series]
	}
	return out, nil
}

// nothing reports whether no point is taken at all.
func (l *limit) nothing() bool { return l.limits == nil && l.ratios == nil }

func (l *limit) Run(ctx context.Context, each Each, sink Sink) error {
	defer l.release()
	switch {
	case l.nothing():
		return nil
	case l.grid.Instant():
		return l.query.runRows(ctx, rowsOf{len(l.result.series), l.steps, l.result.fill(l.steps)}, each, sink)
	case l.ratios != nil:
		return l.child.Run(ctx, chain(l.sample, each), sink)
	}
	return l.firstPoints(ctx, each, sink)
}

// gather makes the result of an instant.
func (l *limit) gather(ctx context.Context) error {
	var heaps [][]ranked
	histograms := map[int32]*histogram.FloatHistogram{}
	const byValue ranking = false
	err := l.run(ctx, func(group, i int, row *Row, _ shape) error {
		if group == len(heaps) {
			heaps = append(heaps, nil)
		}
		if l.ratios != nil && !l.samples(i, 0) || l.limits != nil && int64(len(heaps[group])) >= l.limits[0] {
			return nil
		}
		p := ranked{value: row.Floats[0], series: int32(i)}
		if h := row.Histogram(0); h != nil {
			p.value, histograms[p.series] = 0, h
		}
		heaps[group] = byValue.push(heaps[group], p)
		return l.hold(1)
	})
	for _, heap := range heaps {
		for _, p := range heap {
			l.result.append(p, histograms[p.series])
		}
	}
	return err
}

// samples reports whether limit_ratio takes series i at a step.
func (l *limit) samples(i, step int) bool {
	var sampler promql.HashRatioSampler
	ratio := l.ratios[step]
	return ratio != 0 && sampler.AddRatioSampleWithOffset(ratio, sampler.SampleOffset(&l.input[i].Labels))
}

// sample takes the points off a row that limit_ratio does not choose.
func (l *limit) sample(_ *Worker, i int, row *Row) error {
	var sampler promql.HashRatioSampler
	offset := sampler.SampleOffset(&l.input[i].Labels)
	for step, ratio := range l.ratios {
		if ratio == 0 || !sampler.AddRatioSampleWithOffset(ratio, offset) {
			row.Set(step, Absent, nil)
		}
	}
	return nil
}

// firstPoints passes on, at each step, the first points of each group.
func (l *limit) firstPoints(ctx context.Context, each Each, sink Sink) error {
	l.taken = make([][]int32, len(l.number))
	w := &Worker{}
	return l.child.Run(ctx, nil, func(i int, row *Row) error {
		group := l.groupOf(i)
		if l.taken[group] == nil {
			l.taken[group] = make([]int32, l.steps)
			if err := l.hold(l.steps / 4); err != nil {
				return err
			}
		}
		w.used = 0
		own, found := w.Row(l.steps), false
		for step, taken := range l.taken[group] {
			if row.Has(step) && int64(taken) < l.limits[step] {
				l.taken[group][step]++
				own.Set(step, row.Floats[step], row.Histogram(step))
				found = true
			}
		}
		if !found {
			return nil
		}
		return give(w, i, &own, each, sink)
	})
}

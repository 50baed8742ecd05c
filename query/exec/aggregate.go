package exec

import (
	"context"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// newAggregate returns the operator for e over child. param is its parameter on
// the same grid, nil if it has none or a label. All of them do their work in
// Series: which group comes first depends on which series have points.
func newAggregate(q *Query, e *parser.AggregateExpr, grid Grid, child, param Operator) Operator {
	in := intake{query: q, expr: e, grid: grid, child: child, param: param, steps: grid.Count()}
	switch e.Op {
	case parser.TOPK, parser.BOTTOMK:
		return newTopK(in)
	case parser.LIMITK, parser.LIMIT_RATIO:
		return newLimit(in)
	case parser.COUNT_VALUES:
		return newCountValues(in)
	}
	a := &aggregate{intake: in}
	switch e.Op {
	case parser.SUM, parser.AVG:
		a.fold = newSums(&a.intake, e.Op == parser.AVG)
	case parser.COUNT, parser.GROUP:
		a.fold = newCounts(&a.intake, e.Op == parser.GROUP)
	case parser.MIN, parser.MAX:
		a.fold = newExtremes(&a.intake, e.Op == parser.MAX)
	case parser.STDVAR, parser.STDDEV:
		a.fold = newDeviations(&a.intake, e.Op == parser.STDDEV)
	case parser.QUANTILE:
		a.fold = newQuantiles(&a.intake)
	default:
		panic(fmt.Errorf("expected aggregation operator but got %q", e.Op))
	}
	return a
}

// groupFold is the state of the groups of an aggregation.
type groupFold interface {
	// add folds the row of a series into a group. Groups are numbered as they
	// appear, rows come in order of series.
	add(group, i int, row *Row, s shape) error
	// finish is called for each group, in order, when all rows are in. It returns
	// the last step at which the group has a point, -1 if there is none.
	finish(group int) (last int, err error)
	// fill returns the row of a group. Groups may be filled in parallel.
	fill(w *Worker, group int, row *Row) error
}

// aggregate makes one row of each group.
type aggregate struct {
	intake
	fold   groupFold
	groups []int // of the rows
}

func (a *aggregate) Grid() Grid { return a.grid }

func (a *aggregate) Series(ctx context.Context) ([]Series, error) {
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	if a.expr.Op == parser.QUANTILE {
		a.warnQuantile()
	}
	drops := newDropNames(a)
	err := a.run(ctx, func(group, i int, row *Row, s shape) error {
		if drops.tracks {
			drops.add(group, i, row)
		}
		return a.fold.add(group, i, row, s)
	})
	if err != nil {
		return nil, err
	}
	out := make([]Series, 0, len(a.first))
	for group := range a.first {
		last, err := a.fold.finish(group)
		if err != nil {
			return nil, err
		}
		if last >= 0 {
			out = append(out, Series{Labels: a.groupLabels(group), DropName: drops.at(group, last)})
			a.groups = append(a.groups, group)
		}
	}
	a.input = nil
	return out, nil
}

func (a *aggregate) Run(ctx context.Context, each Each, sink Sink) error {
	defer a.release()
	return a.query.runRows(ctx, rowsOf{len(a.groups), a.steps, func(w *Worker, i int, row *Row) error {
		return a.fold.fill(w, a.groups[i], row)
	}}, each, sink)
}

// dropNames finds out which groups lose their metric name: those in which, at the
// last step with a result, a series took part that loses it.
type dropNames struct {
	input  []Series
	tracks bool // series differ
	steps  int
	seen   [][]bool // of group, step
	drop   [][]bool
	// ignores says that the aggregation ignores histograms; closed that a step of
	// a group takes no more points.
	ignores bool
	closed  func(group, step int) bool
}

func newDropNames(a *aggregate) *dropNames {
	d := &dropNames{input: a.input, steps: a.steps}
	for _, s := range a.input {
		d.tracks = d.tracks || s.DropName != a.input[0].DropName
	}
	switch a.expr.Op {
	case parser.SUM, parser.AVG:
		d.closed = a.fold.(*sums).closed
	case parser.COUNT, parser.GROUP:
	default:
		d.ignores = true
	}
	return d
}

// add takes note of a row that is about to be folded into a group.
func (d *dropNames) add(group, i int, row *Row) {
	for group >= len(d.seen) {
		d.seen, d.drop = append(d.seen, make([]bool, d.steps)), append(d.drop, make([]bool, d.steps))
	}
	seen, drop := d.seen[group], d.drop[group]
	for step := range row.Floats {
		if !row.Has(step) || d.closed != nil && d.closed(group, step) {
			continue
		}
		if !seen[step] {
			if d.ignores && row.Histogram(step) != nil {
				continue
			}
			seen[step] = true
		}
		drop[step] = drop[step] || d.input[i].DropName
	}
}

func (d *dropNames) at(group, last int) bool {
	if !d.tracks {
		return len(d.input) > 0 && d.input[0].DropName
	}
	return d.drop[group][last]
}

// metricName returns the name of an input series, for annotations.
func (in *intake) metricName(i int) string { return in.input[i].Labels.Get(model.MetricNameLabel) }

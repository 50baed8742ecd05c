package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// constant is a number at every step.
type constant struct {
	grid  Grid
	value float64
}

func (c constant) Grid() Grid { return c.grid }

func (c constant) Series(context.Context) ([]Series, error) {
	return []Series{{Labels: labels.EmptyLabels()}}, nil
}

func (c constant) Run(_ context.Context, each Each, sink Sink) error {
	w := &Worker{}
	row := Row{Floats: w.Floats(c.grid.Count())}
	for i := range row.Floats {
		row.Floats[i] = c.value
	}
	return give(w, 0, &row, each, sink)
}

// once evaluates its child, which does not depend on the step, at the first step,
// and repeats the points.
type once struct {
	child Operator
	grid  Grid
}

func (o *once) Grid() Grid { return o.grid }

func (o *once) Series(ctx context.Context) ([]Series, error) { return o.child.Series(ctx) }

func (o *once) Run(ctx context.Context, each Each, sink Sink) error {
	n := o.grid.Count()
	return o.child.Run(ctx, func(w *Worker, i int, row *Row) error {
		if row.Floats == nil {
			return nil
		}
		first := *row
		*row = Row{Floats: w.Floats(n)}
		for k := range row.Floats {
			row.Floats[k] = first.Floats[0]
		}
		if h := first.Histogram(0); h != nil {
			row.Histograms = emptyHistograms(n)
			for k := range row.Histograms {
				row.Histograms[k] = h
			}
		}
		if each == nil {
			return nil
		}
		return each(w, i, row)
	}, sink)
}

// negation is the unary minus.
type negation struct {
	query *Query
	child Operator
}

func newNegation(q *Query, child Operator) Operator { return q.merged(&negation{q, child}, false) }

func (n *negation) Grid() Grid { return n.child.Grid() }

func (n *negation) Series(ctx context.Context) ([]Series, error) {
	series, err := n.child.Series(ctx)
	out := make([]Series, len(series))
	for i, s := range series {
		out[i] = n.query.withoutName(s)
	}
	return out, err
}

func (n *negation) Run(ctx context.Context, each Each, sink Sink) error {
	return n.child.Run(ctx, chain(func(_ *Worker, _ int, row *Row) error {
		for i, v := range row.Floats {
			if !IsAbsent(v) {
				row.Floats[i] = -v
			}
		}
		for i, h := range row.Histograms {
			if h != nil {
				row.Histograms[i] = h.Copy().Mul(-1)
			}
		}
		return nil
	}, each), sink)
}

// reference evaluates an expression with Prometheus's engine.
type reference struct {
	query  *Query
	expr   parser.Expr
	grid   Grid
	matrix promql.Matrix
}

func (r *reference) Grid() Grid { return r.grid }

func (r *reference) Series(ctx context.Context) ([]Series, error) {
	matrix, notes, err := r.query.Reference(ctx, r.expr, r.grid)
	r.query.note(notes)
	if err != nil {
		return nil, err
	}
	r.matrix = matrix
	series := make([]Series, len(matrix))
	for i, s := range matrix {
		series[i] = Series{Labels: s.Metric, DropName: s.DropName}
	}
	return series, nil
}

func (r *reference) Run(ctx context.Context, each Each, sink Sink) error {
	return r.query.runRows(ctx, rowsOf{len(r.matrix), r.grid.Count(), func(w *Worker, i int, row *Row) error {
		*row = w.Row(r.grid.Count())
		for _, p := range r.matrix[i].Floats {
			row.Floats[(p.T-r.grid.Start)/r.grid.Step] = p.F
		}
		for _, p := range r.matrix[i].Histograms {
			row.Set(int((p.T-r.grid.Start)/r.grid.Step), 0, p.H)
		}
		return nil
	}}, each, sink)
}

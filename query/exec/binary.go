package exec

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// newBinary returns the operator of a binary expression, whose sides lhs and rhs
// compute. Its label sets are unique wherever those of Prometheus's engine are.
func newBinary(q *Query, e *parser.BinaryExpr, grid Grid, lhs, rhs Operator) Operator {
	left, right := e.LHS.Type() == parser.ValueTypeVector, e.RHS.Type() == parser.ValueTypeVector
	b := newArithmetic(e)
	switch {
	case !left && !right:
		return &scalars{query: q, arithmetic: b, grid: grid, lhs: lhs, rhs: rhs}
	case !left || !right:
		o := &vectorScalar{query: q, arithmetic: b, grid: grid, vector: lhs, scalar: rhs}
		if right {
			o.vector, o.scalar, b.keepsRight = rhs, lhs, true
		}
		return q.merged(o, true)
	case e.Op == parser.LOR:
		return q.merged(&union{query: q, matching: e.VectorMatching, grid: grid, lhs: lhs, rhs: rhs}, true)
	case e.Op == parser.LAND || e.Op == parser.LUNLESS:
		o := &intersection{query: q, matching: e.VectorMatching, grid: grid, lhs: lhs, rhs: rhs, unless: e.Op == parser.LUNLESS}
		return q.merged(o, true)
	}
	return q.merged(newJoin(q, b, grid, lhs, rhs), true)
}

// scalars combines two scalars.
type scalars struct {
	query      *Query
	arithmetic *arithmetic
	grid       Grid
	lhs, rhs   Operator
}

func (s *scalars) Grid() Grid { return s.grid }

func (s *scalars) Series(context.Context) ([]Series, error) {
	return []Series{{Labels: labels.EmptyLabels()}}, nil
}

func (s *scalars) Run(ctx context.Context, each Each, sink Sink) error {
	lhs, err := s.query.scalar(ctx, s.lhs)
	if err != nil {
		return err
	}
	rhs, err := s.query.scalar(ctx, s.rhs)
	if err != nil {
		return err
	}
	if s.arithmetic.trims() {
		return fmt.Errorf("operator %q not allowed for Scalar operations", s.arithmetic.op)
	}
	w := &Worker{}
	row := Row{Floats: w.Floats(len(lhs))}
	s.arithmetic.floats(row.Floats, lhs, rhs)
	return give(w, 0, &row, each, sink)
}

// vectorScalar combines the points of a vector with a scalar.
type vectorScalar struct {
	query          *Query
	arithmetic     *arithmetic
	grid           Grid
	vector, scalar Operator
	values         []float64 // of the scalar
	lasts          lastErrors
}

func (v *vectorScalar) Grid() Grid { return v.grid }

// scalarFirst reports whether the scalar is the left side.
func (v *vectorScalar) scalarFirst() bool { return v.arithmetic.keepsRight }

func (v *vectorScalar) Series(ctx context.Context) (series []Series, err error) {
	if v.scalarFirst() {
		if v.values, err = v.query.scalar(ctx, v.scalar); err != nil {
			return nil, err
		}
	}
	if series, err = v.vector.Series(ctx); err != nil || !v.arithmetic.dropsName() {
		return series, err
	}
	out := make([]Series, len(series))
	for i, s := range series {
		out[i] = v.query.withoutName(s)
	}
	return out, nil
}

func (v *vectorScalar) Run(ctx context.Context, each Each, sink Sink) (err error) {
	var notes annotations.Annotations // of a scalar on the right
	if !v.scalarFirst() {
		notes, err = v.query.aside(func() error {
			v.values, err = v.query.scalar(ctx, v.scalar)
			return err
		})
		if err != nil {
			return firstOf(ctx, v.vector, err)
		}
	}
	scalar := Row{Floats: v.values}
	v.lasts.steps = v.grid.Count()
	err = v.vector.Run(ctx, chain(func(_ *Worker, i int, row *Row) error {
		if v.scalarFirst() {
			v.arithmetic.row(row, &scalar, row, i, &v.lasts)
		} else {
			v.arithmetic.row(row, row, &scalar, i, &v.lasts)
		}
		return nil
	}, each), sink)
	if err != nil {
		return err
	}
	v.query.note(notes)
	return v.lasts.note(v.query, v.arithmetic)
}

// firstOf returns the error that comes first when the right side of an operation
// has failed with err before its left side, whose series are known, was run:
// Prometheus's engine evaluates the left side before.
func firstOf(ctx context.Context, left Operator, err error) error {
	if first := left.Run(ctx, nil, discard); first != nil {
		return first
	}
	return err
}

// discard is a Sink that needs no rows.
func discard(int, *Row) error { return nil }

// aside evaluates a right side before the left one, and returns its annotations,
// which come after those of the left side: of equal ones the last gives the place.
func (q *Query) aside(evaluate func() error) (notes annotations.Annotations, err error) {
	before := q.swapNotes(nil)
	err = evaluate()
	return q.swapNotes(before), err
}

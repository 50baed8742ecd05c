package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
	"github.com/prometheus/prometheus/util/annotations"
)

// newCall returns the operator for a call of a function without a range vector;
// args are the operators of its arguments, nil for strings. It returns nil for a
// function that is left to Prometheus's engine.
func newCall(q *Query, e *parser.Call, grid Grid, args []Operator) (Operator, error) {
	switch e.Func.Name {
	case "time", "pi", "min_of", "max_of":
		return newNumber(q, e, grid, args), nil
	case "scalar":
		return &toScalar{args[0]}, nil
	case "vector":
		return &toVector{args[0]}, nil
	case "absent":
		return &absence{child: args[0], labels: absentLabels(e.Args[0])}, nil
	case "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
		return newSorted(q, e, args[0]), nil
	case "label_replace", "label_join":
		// Prometheus's engine merges these in both modes of names.
		return &merge{query: q, child: newRelabel(e, args[0])}, nil
	case "histogram_quantile", "histogram_quantiles", "histogram_fraction":
		return q.merged(newHistogramCall(q, e, grid, args), true), nil
	}
	if date := dateFunctions[e.Func.Name]; date != nil && len(args) == 0 {
		return &number{grid: grid, at: dateAt(date)}, nil
	}
	apply := mappings[e.Func.Name]
	if apply == nil {
		return nil, nil
	}
	op := &mapping{query: q, call: e, child: args[0], apply: apply}
	for _, arg := range args[1:] {
		op.args = append(op.args, arg)
	}
	if q.DelayedNames {
		return op, nil // label sets stay as distinct as they are
	}
	return q.merged(op, true), nil
}

// text returns the value of a string argument.
func text(e parser.Expr) string { return Unwrap(e).(*parser.StringLiteral).Val }

// scalars evaluates scalar arguments. Their annotations are returned, for the
// caller to add when those of the arguments before have been: the last of equal
// ones gives the position.
func (q *Query) scalars(ctx context.Context, args []Operator) (values [][]float64, notes annotations.Annotations, err error) {
	if len(args) == 0 {
		return nil, nil, nil
	}
	before := q.swapNotes(nil)
	values = make([][]float64, len(args))
	for i, arg := range args {
		if values[i], err = q.scalar(ctx, arg); err != nil {
			break
		}
	}
	return values, q.swapNotes(before), err
}

// swapNotes replaces the annotations so far.
func (q *Query) swapNotes(notes annotations.Annotations) annotations.Annotations {
	q.mu.Lock()
	defer q.mu.Unlock()
	old := q.notes
	q.notes = notes
	return old
}

// absentLabels returns the labels of what absent says about expr: those that a
// selector pins to one value.
func absentLabels(expr parser.Expr) labels.Labels {
	for {
		paren, ok := expr.(*parser.ParenExpr)
		if !ok {
			break
		}
		expr = paren.Expr
	}
	var matchers []*labels.Matcher
	switch e := expr.(type) {
	case *parser.VectorSelector:
		matchers = e.LabelMatchers
	case *parser.MatrixSelector:
		matchers = e.VectorSelector.(*parser.VectorSelector).LabelMatchers
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	pinned := make(map[string]bool, len(matchers))
	for _, m := range matchers {
		switch {
		case schema.IsMetadataLabel(m.Name):
		case m.Type == labels.MatchEqual && !pinned[m.Name]:
			b.Set(m.Name, m.Value)
			pinned[m.Name] = true
		default:
			b.Del(m.Name) // named twice, or by something else than a value
		}
	}
	return b.Labels()
}

// ofOne calls a function of Prometheus's that maps a histogram to a number.
func ofOne(call promql.FunctionCall, sample promql.Sample) float64 {
	out, _ := call([]promql.Vector{{sample}}, nil, nil, &promql.EvalNodeHelper{})
	return out[0].F
}

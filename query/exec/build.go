package exec

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/plan"
)

// ErrUnclaimed says that no operator evaluates the expression as a whole, as one
// that results in a range vector or a string.
var ErrUnclaimed = errors.New("left to Prometheus's engine")

// Build plans an expression that promql.PreprocessExpr has prepared and returns
// its operator. claims is as for Plan.
func Build(q *Query, expr parser.Expr, grid Grid, claims func(parser.Expr) bool) (Operator, error) {
	return FromPlan(q, Plan(q, expr, grid, claims))
}

// Plan returns the plan of an expression that promql.PreprocessExpr has prepared.
// claims, if it is not nil, says which subexpressions the operators of this
// package may evaluate; the rest goes to Query.Reference.
func Plan(q *Query, expr parser.Expr, grid Grid, claims func(parser.Expr) bool) *plan.Tree {
	return plan.Build(expr, plan.Grid(grid), plan.Options{
		Lookback:        q.Lookback,
		SubqueryStep:    q.SubqueryStep,
		Coverage:        q.Windows.Coverage,
		Coarsest:        q.Windows.Coarsest,
		StartTimestamps: q.StartTimestamps,
		DelayedNames:    q.DelayedNames,
		Refuses: func(expr parser.Expr) string {
			if claims != nil && !claims(expr) {
				return "kept from the columnar executor by the engine's options"
			}
			return unclaimed(expr)
		},
	})
}

// unclaimed returns why there is no operator for an expression, nothing if there is.
func unclaimed(expr parser.Expr) string {
	if call, ok := expr.(*parser.Call); ok && !hasOperator(call) {
		return "the columnar executor has no operator for " + call.Func.Name
	}
	return ""
}

// FromPlan returns the operator of a plan.
func FromPlan(q *Query, tree *plan.Tree) (Operator, error) {
	if q.Measure {
		q.meter = newMeter(q, tree)
	}
	b := builder{query: q, groups: map[int]*sharedRows{}}
	return b.build(tree.Root)
}

type builder struct {
	query  *Query
	groups map[int]*sharedRows // by plan.Node.Shared
}

// Unwrap returns expr without parentheses and step-invariant wrappers.
func Unwrap(expr parser.Expr) parser.Expr {
	for {
		switch e := expr.(type) {
		case *parser.ParenExpr:
			expr = e.Expr
		case *parser.StepInvariantExpr:
			expr = e.Expr
		default:
			return expr
		}
	}
}

func (b *builder) build(n *plan.Node) (Operator, error) {
	grid := Grid(n.Grid)
	if grid.Count() == 0 {
		return nothing{grid}, nil
	}
	switch n.Expr.Type() {
	case parser.ValueTypeMatrix, parser.ValueTypeString:
		return nil, ErrUnclaimed
	}
	switch n.Kind {
	case plan.KindParentheses:
		return b.build(n.Children[0])
	case plan.KindOnce:
		child, err := b.build(n.Children[0])
		if err != nil || grid.Instant() {
			return child, err
		}
		return b.measured(n, &once{child: child, grid: grid}), nil
	case plan.KindNumber:
		return constant{grid, n.Expr.(*parser.NumberLiteral).Val}, nil
	}
	op, err := b.operation(n, grid)
	if err != nil {
		return nil, err
	}
	if n.Shared > 0 {
		op = b.shared(n.Shared, op)
	}
	return b.measured(n, op), nil
}

// operation returns the operator of what the plan gives to one of the executors.
func (b *builder) operation(n *plan.Node, grid Grid) (Operator, error) {
	if n.Executor == plan.Columnar {
		if op, err := b.claimed(n, grid); op != nil || err != nil {
			return op, err
		}
	}
	return &reference{query: b.query, expr: n.Expr, grid: grid}, nil
}

// claimed returns the operator for an expression, or nil if there is none.
func (b *builder) claimed(n *plan.Node, grid Grid) (Operator, error) {
	switch e := n.Expr.(type) {
	case *parser.UnaryExpr:
		child, err := b.build(n.Children[0])
		if err != nil || e.Op != parser.SUB {
			return child, err
		}
		return newNegation(b.query, child), nil
	case *parser.VectorSelector:
		if e.Smoothed {
			return newSmoothed(b.query, e, grid), nil
		}
		return b.instant(n.Selector, grid, takesValue), nil
	case *parser.AggregateExpr:
		if op := b.census(n, grid); op != nil {
			return op, nil
		}
		child, err := b.build(n.Children[0])
		if err != nil {
			return nil, err
		}
		var param Operator
		if e.Param != nil && e.Param.Type() != parser.ValueTypeString {
			if param, err = b.build(n.Children[1]); err != nil {
				return nil, err
			}
		}
		return newAggregate(b.query, e, grid, child, param), nil
	case *parser.BinaryExpr:
		lhs, err := b.build(n.Children[0])
		if err != nil {
			return nil, err
		}
		rhs, err := b.build(n.Children[1])
		if err != nil {
			return nil, err
		}
		return newBinary(b.query, e, grid, lhs, rhs), nil
	case *parser.Call:
		return b.call(n, e, grid)
	}
	return nil, fmt.Errorf("unhandled expression of type: %T", n.Expr)
}

func (b *builder) call(n *plan.Node, e *parser.Call, grid Grid) (Operator, error) {
	if plan.OfTimestamps(e) != nil {
		return b.timestamps(e, n.Children[0].Selector, grid), nil
	}
	args := make([]Operator, len(e.Args))
	var ranged *plan.Node
	for i, arg := range n.Children {
		var err error
		switch arg.Expr.Type() {
		case parser.ValueTypeString:
		case parser.ValueTypeMatrix:
			ranged = arg
		default:
			args[i], err = b.build(arg)
		}
		if err != nil {
			return nil, err
		}
	}
	if ranged == nil {
		return newCall(b.query, e, grid, args)
	}
	op, err := b.overRange(rangeCall{e, grid, args}, ranged.Unwrap())
	if err != nil {
		return nil, err
	}
	if e.Func.Name == "absent_over_time" {
		return newAbsentOverTime(b.query, e, op), nil
	}
	return b.query.merged(op, false), nil
}

// timestamps returns the operator for a function of the timestamps of a selector's
// samples.
func (b *builder) timestamps(e *parser.Call, s *plan.Selector, grid Grid) Operator {
	take := takesTime
	if e.Func.Name == "start_timestamp" {
		if take = takesStart; !b.query.StartTimestamps {
			return nothing{grid}
		}
	}
	return b.query.merged(b.instant(s, grid, take), true)
}

// instant returns the operator for a selector of instants.
func (b *builder) instant(s *plan.Selector, grid Grid, take takes) Operator {
	if len(s.Pieces) > 0 {
		return b.instantPieces(s, grid, take)
	}
	return newInstant(b.query, s.Vector, grid, take)
}

// overRange returns the operator for a function of a range vector.
func (b *builder) overRange(c rangeCall, arg *plan.Node) (Operator, error) {
	switch m := arg.Expr.(type) {
	case *parser.MatrixSelector:
		if len(arg.Selector.Pieces) > 0 {
			return b.rangePieces(c, arg.Selector, m), nil
		}
		return newOverSelector(b.query, c, m), nil
	case *parser.SubqueryExpr:
		child, err := b.build(arg.Children[0])
		if err != nil {
			return nil, err
		}
		return newOverSubquery(b.query, c, m, child)
	}
	return nil, fmt.Errorf("unhandled range vector of type: %T", arg.Expr)
}

// hasOperator reports whether newCall or overRange makes an operator for a call.
func hasOperator(e *parser.Call) bool {
	switch e.Func.Name {
	case "time", "pi", "min_of", "max_of", "scalar", "vector", "absent",
		"sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "label_replace", "label_join",
		"histogram_quantile", "histogram_quantiles", "histogram_fraction":
		return true
	}
	for _, arg := range e.Args {
		if arg.Type() == parser.ValueTypeMatrix {
			return true
		}
	}
	return dateFunctions[e.Func.Name] != nil && len(e.Args) == 0 || mappings[e.Func.Name] != nil
}

// nothing has no series.
type nothing struct{ grid Grid }

func (n nothing) Grid() Grid { return n.grid }

func (n nothing) Series(context.Context) ([]Series, error) { return nil, nil }

func (n nothing) Run(context.Context, Each, Sink) error { return nil }

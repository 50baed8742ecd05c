package plan

import (
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// clone copies an expression, but for what no rule changes: matchers and groupings.
func clone(expr parser.Expr) parser.Expr {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		c := *e
		c.Expr = clone(e.Expr)
		return &c
	case *parser.StepInvariantExpr:
		return &parser.StepInvariantExpr{Expr: clone(e.Expr)}
	case *parser.UnaryExpr:
		c := *e
		c.Expr = clone(e.Expr)
		return &c
	case *parser.VectorSelector:
		c := *e
		c.LabelMatchers = slices.Clip(e.LabelMatchers)
		return &c
	case *parser.MatrixSelector:
		c := *e
		c.VectorSelector = clone(e.VectorSelector)
		return &c
	case *parser.SubqueryExpr:
		c := *e
		c.Expr = clone(e.Expr)
		return &c
	case *parser.AggregateExpr:
		c := *e
		c.Expr = clone(e.Expr)
		if e.Param != nil {
			c.Param = clone(e.Param)
		}
		return &c
	case *parser.BinaryExpr:
		c := *e
		c.LHS, c.RHS = clone(e.LHS), clone(e.RHS)
		return &c
	case *parser.Call:
		c := *e
		c.Args = make(parser.Expressions, len(e.Args))
		for i, arg := range e.Args {
			c.Args[i] = clone(arg)
		}
		return &c
	default: // literals
		return expr
	}
}

package query

import (
	"context"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
)

// Explanation says how a request would be answered.
type Explanation struct {
	Plan *plan.Tree
	// Series is how many series each selector finds in the index; it is nil for
	// storage that has no columns.
	Series   map[*plan.Node]int
	Warnings annotations.Annotations
	// Work is what the request took and Costs what the operators did, if Request.Measure
	// asks for it: then the request is answered too. Prometheus's engine has no
	// Costs.
	Work  *Work
	Costs map[*plan.Node]exec.Cost
}

// Explain plans r and looks its selectors up in the index; no sample is read unless
// r.Measure says so. Its errors are those of Run.
func (e *Engine) Explain(ctx context.Context, from storage.Queryable, r Request) (*Explanation, error) {
	x := &Explanation{}
	if r.Measure {
		result, err := e.Run(ctx, from, r)
		if err != nil {
			return nil, err
		}
		defer result.Close()
		x.Plan, x.Costs, x.Work, x.Warnings = result.Plan, result.Costs, &result.Work, result.Warnings
	}
	return x, e.explain(ctx, from, r, x)
}

// explain adds the plan to x, if it has none, and what the index says.
func (e *Engine) explain(ctx context.Context, from storage.Queryable, r Request, x *Explanation) error {
	budget := NewBudget(e.options.BytesMax, e.options.SeriesMax)
	query, err := e.build(ctx, Limited(from, budget), r)
	if err != nil {
		return err
	}
	defer query.Close()
	ctx, leave, err := e.admit(ctx, r.Timeout, budget)
	if err != nil {
		return err
	}
	defer leave()
	statement := query.Statement().(*parser.EvalStmt)
	columns, ok := from.(Columnar)
	v := &evaluation{engine: e, from: columns, request: r, statement: statement, budget: budget, grid: gridOf(statement)}
	if ok {
		if err := v.open(); err != nil {
			return err
		}
		defer v.view.Close()
	}
	q := v.unwatched()
	if x.Plan == nil {
		x.Plan = v.plan(q, e.unplanned(ok, r, statement.Expr))
		annotateResolutions(&x.Warnings, x.Plan)
	}
	if !ok {
		return nil
	}
	if err := x.lookUp(ctx, q); err != nil {
		return atPhase(err, "expression evaluation")
	}
	return nil
}

// unplanned returns why a whole query is left to Prometheus's engine, nothing if
// it is not.
func (e *Engine) unplanned(columns bool, r Request, expr parser.Expr) string {
	switch {
	case r.Reference:
		return "the request asks for it"
	case e.options.ReferenceOnly:
		return "the engine's options ask for it"
	case !columns:
		return "the storage has no columns"
	case expr.Type() == parser.ValueTypeMatrix || expr.Type() == parser.ValueTypeString:
		return "the columnar executor has no " + parser.DocumentedType(expr.Type()) + " as a result"
	}
	return ""
}

// lookUp counts the series of all selectors.
func (x *Explanation) lookUp(ctx context.Context, q *exec.Query) (err error) {
	x.Series = map[*plan.Node]int{}
	x.Plan.Root.Walk(func(n *plan.Node) bool {
		if n.Selector == nil || n.Grid.Count() == 0 || err != nil {
			return err == nil
		}
		x.Series[n], err = q.CountSeries(ctx, n.Selector)
		return err == nil
	})
	x.Warnings.Merge(q.From.Warnings())
	return err
}

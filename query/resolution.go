package query

import (
	"context"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
)

// open makes the view that the evaluation reads. Where storage keeps windows, steps
// may look back by two of them more.
func (v *evaluation) open() (err error) {
	mint, maxt := promql.FindMinMaxTime(v.statement)
	if v.view, err = v.from.Columns(mint, maxt); err != nil {
		return err
	}
	windows, ok := v.view.(exec.Windowed)
	if !ok {
		return nil
	}
	v.windows, v.coverage = windows, windows.Coverage()
	v.margin = 2 * widest(v.coverage)
	if v.margin == 0 || mint < math.MinInt64+v.margin {
		return nil
	}
	_ = v.view.Close() // it has read nothing
	if v.view, err = v.from.Columns(mint-v.margin, maxt); err != nil {
		return err
	}
	v.windows = v.view.(exec.Windowed)
	v.coverage = v.windows.Coverage()
	return nil
}

// widest returns the width of the widest windows, milliseconds.
func widest(parts []plan.Coverage) (width int64) {
	for _, c := range parts {
		for _, w := range c.Widths {
			width = max(width, w)
		}
	}
	return width
}

// coarsest bounds the windows that r may read.
func (e *Engine) coarsest(r Request) plan.Coarsest {
	switch {
	case r.Coarsest != 0:
		return r.Coarsest
	case e.options.Coarsest != 0:
		return e.options.Coarsest
	}
	return plan.Auto
}

// plan returns the plan of the whole statement. whole says why all of it is left to
// Prometheus's engine, if it is.
func (v *evaluation) plan(q *exec.Query, whole string) *plan.Tree {
	if whole == "" {
		return exec.Plan(q, v.statement.Expr, v.grid, v.engine.options.Claims)
	}
	return plan.Build(v.statement.Expr, plan.Grid(v.grid), plan.Options{
		Lookback: q.Lookback, SubqueryStep: q.SubqueryStep, Coverage: q.Windows.Coverage, Coarsest: q.Windows.Coarsest, Whole: whole,
	})
}

// annotateResolutions adds what a plan says of resolutions.
func annotateResolutions(notes *annotations.Annotations, tree *plan.Tree) {
	for _, text := range tree.Infos {
		notes.Add(fmt.Errorf("%w: %s", annotations.PromQLInfo, text))
	}
	for _, text := range tree.Warnings {
		notes.Add(fmt.Errorf("%w: %s", annotations.PromQLWarning, text))
	}
}

// annotateReference adds to an answer of Prometheus's engine what it lacks: the
// engine reads samples alone.
func (e *Engine) annotateReference(columns Columnar, r Request, query promql.Query, notes *annotations.Annotations) error {
	statement, ok := query.Statement().(*parser.EvalStmt)
	if !ok {
		return nil
	}
	v := &evaluation{engine: e, from: columns, request: r, statement: statement, grid: gridOf(statement)}
	if err := v.open(); err != nil {
		return err
	}
	defer v.view.Close()
	if len(v.coverage) > 0 {
		annotateResolutions(notes, v.plan(v.unwatched(), "it reads samples"))
	}
	return nil
}

// resolutions names the widths that the selectors of a plan read, in their order.
func resolutions(tree *plan.Tree) (text string) {
	tree.Root.Walk(func(n *plan.Node) bool {
		if n.Selector != nil {
			text += string(n.Selector.Resolution) + " "
		}
		return true
	})
	return text
}

// watchedWindows is watched for windows.
type watchedWindows struct {
	exec.Windowed
	watched *watched
}

// SelectWindows implements exec.Windowed.
func (w watchedWindows) SelectWindows(ctx context.Context, read exec.WindowRead, ms []*labels.Matcher) (exec.WindowSelection, error) {
	s, err := w.Windowed.SelectWindows(ctx, read, ms)
	if err == nil {
		w.watched.look(s)
	}
	return s, err
}

package query

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
)

// columnar evaluates the statement of query, which Prometheus's engine has parsed
// and prepared, on the columnar executor. It returns exec.ErrUnclaimed if that
// leaves it to the engine.
func (e *Engine) columnar(ctx context.Context, from Columnar, r Request, query promql.Query, budget *Budget) (*Result, error) {
	statement := query.Statement().(*parser.EvalStmt)
	switch statement.Expr.Type() {
	case parser.ValueTypeMatrix, parser.ValueTypeString:
		return nil, exec.ErrUnclaimed
	}
	whole := query.Stats().Timers.GetTimer(stats.ExecTotalTime).Start()
	defer whole.Stop()
	timer := query.Stats().Timers.GetTimer(stats.EvalTotalTime).Start()
	defer timer.Stop()

	v := &evaluation{
		engine: e, from: from, request: r, statement: statement, budget: budget,
		timers: query.Stats().Timers, samples: query.Stats().Samples, grid: gridOf(statement),
	}
	kept := e.results.of(v) // before there is a view
	preparing := v.timers.GetTimer(stats.QueryPreparationTime).Start()
	err := v.open()
	preparing.Stop()
	if err != nil {
		return nil, err
	}
	view := v.view
	defer view.Close()
	var tree *plan.Tree // of the whole query, for what it says of resolutions
	if len(v.coverage) > 0 {
		tree = v.plan(v.unwatched(), "")
		v.resolved = resolutions(tree)
	}
	if r.PerStepStats {
		v.perStep = make([]int64, v.grid.Count())
	}
	var value parser.Value
	var notes annotations.Annotations
	if kept != nil {
		value, notes, err = kept.answer(ctx)
	} else {
		value, notes, err = v.run(ctx, v.grid)
	}
	v.finish()
	if err != nil {
		return nil, err
	}
	notes.Merge(view.Warnings())
	if tree != nil {
		annotateResolutions(&notes, tree)
	}
	return &Result{Value: value, Warnings: notes, Stats: query.Stats(), Budget: budget, query: query}, nil
}

// evaluation is a query on its way through the columnar executor.
type evaluation struct {
	engine    *Engine
	from      Columnar
	view      exec.Querier
	windows   exec.Windowed // of view; nil if it has none
	coverage  []plan.Coverage
	margin    int64  // by which view begins before the query, milliseconds
	resolved  string // the widths of the windows that are read
	request   Request
	statement *parser.EvalStmt
	grid      exec.Grid
	budget    *Budget
	timers    *stats.QueryTimers
	samples   *stats.QuerySamples
	perStep   []int64
	referred  atomic.Bool // parts were left to Prometheus's engine
}

// run evaluates the statement at the steps of grid, which may be a part of its own.
func (v *evaluation) run(ctx context.Context, grid exec.Grid) (parser.Value, annotations.Annotations, error) {
	preparing := v.timers.GetTimer(stats.QueryPreparationTime).Start()
	q := v.newExecution()
	q.PerStep = v.perStep
	op, err := exec.Build(q, v.statement.Expr, grid, v.engine.options.Claims)
	preparing.Stop()
	if err != nil {
		return nil, nil, err
	}
	inner := v.timers.GetTimer(stats.InnerEvalTime).Start()
	value, err := q.Eval(ctx, op, v.statement.Interval == 0, v.statement.Expr.Type())
	inner.Stop()
	v.samples.TotalSamples += q.Samples()
	v.samples.PeakSamples = max(v.samples.PeakSamples, int(q.Peak()))
	return value, q.Notes(), err
}

// finish writes down what was done.
func (v *evaluation) finish() {
	s := v.samples
	s.TotalSamplesPerStep = v.perStep
	s.SamplesRead, s.TotalSeries = v.request.running.work().Decoded, v.budget.Series()
	s.StartTimestamp, s.Interval = v.grid.Start, v.grid.Step
	s.EnablePerStepStats = v.perStep != nil
}

// gridOf returns the steps of a statement.
func gridOf(s *parser.EvalStmt) exec.Grid {
	grid := exec.Grid{Start: s.Start.UnixMilli(), End: s.End.UnixMilli(), Step: s.Interval.Milliseconds()}
	if s.Interval == 0 {
		grid.End, grid.Step = grid.Start, 1
	}
	return grid
}

// newExecution returns the evaluation of a part, which counts for the query.
func (v *evaluation) newExecution() *exec.Query {
	q := v.unwatched()
	v.request.running.watch(q)
	return q
}

// unwatched returns an evaluation that counts for nothing.
func (v *evaluation) unwatched() *exec.Query {
	e, r, s, budget := v.engine, v.request, v.statement, v.budget
	q := &exec.Query{
		From:            v.view,
		Windows:         exec.Windows{From: v.windows, Coverage: v.coverage, Coarsest: e.coarsest(r)},
		Lookback:        s.LookbackDelta.Milliseconds(),
		DelayedNames:    e.options.DelayedNameRemoval,
		StartTimestamps: e.options.UseStartTimestamps,
		SubqueryStep:    func(int64) int64 { return e.options.SubqueryStep.Milliseconds() },
		SamplesMax:      int64(max(e.options.SamplesMax, 0)),
		Extra:           e.slots,
		Charge: func(ctx context.Context, vs *parser.VectorSelector) context.Context {
			return series.WithBudget(ctx, &selectorBudget{whole: budget, matchers: vs.LabelMatchers})
		},
	}
	if r.UseStartTimestamps != nil {
		q.StartTimestamps = *r.UseStartTimestamps
	}
	q.Reference = func(ctx context.Context, expr parser.Expr, grid exec.Grid) (promql.Matrix, annotations.Annotations, error) {
		r := r
		r.Lookback, r.Query = s.LookbackDelta, partOf(r.Query, expr)
		v.referred.Store(true)
		return e.reference(ctx, Limited(v.from, budget), r, grid)
	}
	return q
}

// reference evaluates r, a part of a query, on Prometheus's engine.
func (e *Engine) reference(ctx context.Context, from storage.Queryable, r Request, grid exec.Grid) (promql.Matrix, annotations.Annotations, error) {
	options := promql.NewPrometheusQueryOpts(false, r.Lookback, r.UseStartTimestamps)
	var query promql.Query
	var err error
	if grid.Instant() {
		query, err = e.promql.NewInstantQuery(ctx, from, options, r.Query, time.UnixMilli(grid.Start))
	} else {
		query, err = e.promql.NewRangeQuery(ctx, from, options, r.Query, time.UnixMilli(grid.Start), time.UnixMilli(grid.End), time.Duration(grid.Step)*time.Millisecond)
	}
	if err != nil {
		return nil, nil, err
	}
	// The query is not closed: its points become rows, and go with them.
	answer := query.Exec(ctx)
	switch v := answer.Value.(type) {
	case promql.Matrix:
		return v, answer.Warnings, answer.Err
	case promql.Vector:
		return vectorMatrix(v), answer.Warnings, answer.Err
	case promql.Scalar:
		return promql.Matrix{{Metric: labels.EmptyLabels(), Floats: []promql.FPoint{{T: v.T, F: v.V}}}}, answer.Warnings, answer.Err
	case nil:
		return nil, answer.Warnings, answer.Err
	}
	return nil, nil, errors.New("reference engine: unexpected type of result")
}

// partOf returns the text of a part of a query, at the place at which the query
// has it, if it stands there as it is printed: then annotations point there.
func partOf(query string, part parser.Expr) string {
	text, at := part.String(), int(part.PositionRange().Start)
	if at > 0 && at < len(query) && strings.HasPrefix(query[at:], text) {
		return strings.Repeat(" ", at) + text
	}
	return text
}

func vectorMatrix(v promql.Vector) promql.Matrix {
	m := make(promql.Matrix, len(v))
	for i, s := range v {
		m[i] = promql.Series{Metric: s.Metric, DropName: s.DropName}
		if s.H != nil {
			m[i].Histograms = []promql.HPoint{{T: s.T, H: s.H}}
		} else {
			m[i].Floats = []promql.FPoint{{T: s.T, F: s.F}}
		}
	}
	return m
}

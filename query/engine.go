package query

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/ledger"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
)

// Engine runs queries within limits.
type Engine struct {
	options  Options
	parser   parser.Parser
	promql   *promql.Engine
	gate     *gate
	slots    *exec.Slots
	active   active
	ledger   *ledger.Ledger
	metrics  *metrics
	results  *results // nil if none are kept
	features features.Collector
}

// New returns an engine.
func New(options Options) *Engine {
	o := options.withDefaults()
	e := &Engine{options: o, parser: o.parser(), features: features.NewRegistry(), slots: exec.NewSlots(0)}
	e.gate = newGate(max(o.ConcurrentMax, 1), max(o.QueueMax, 0), o.QueueWait)
	e.metrics = newMetrics(o.Registerer, e.gate)
	e.ledger = ledger.New(e.parser, ledger.Options{EntriesMax: o.LedgerMax, Now: o.Now})
	if o.CacheBytes > 0 {
		e.results = newResults(o.CacheBytes, max(o.CacheCostMin, 0), o.Registerer)
	}
	e.promql = promql.NewEngine(promql.EngineOpts{
		Logger:                   o.Logger,
		MaxSamples:               unlimited(o.SamplesMax),
		Timeout:                  o.Timeout,
		LookbackDelta:            o.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return o.SubqueryStep.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       !o.NoPerStepStats,
		EnableDelayedNameRemoval: o.DelayedNameRemoval,
		UseStartTimestamps:       o.UseStartTimestamps,
		FeatureRegistry:          e.features,
		Parser:                   e.parser,
	})
	return e
}

func unlimited(n int) int {
	if n < 0 {
		return math.MaxInt
	}
	return n
}

// Request is one question.
type Request struct {
	Query string
	// Start and End bound a range; an instant query is asked at Start.
	Start, End time.Time
	// Step is the distance between a range's points; zero asks an instant query.
	Step time.Duration
	// Timeout shortens the engine's; Lookback replaces it. Zero leaves it alone.
	Timeout  time.Duration
	Lookback time.Duration
	// Reference asks for Prometheus's engine in place of the columnar executor.
	Reference bool
	// Coarsest bounds the windows that are read in place of samples; the zero value
	// leaves that to the engine.
	Coarsest plan.Coarsest
	// NoCache neither uses nor keeps results for the next time.
	NoCache bool
	// PerStepStats asks for statistics of each step, Measure for the costs of each
	// operator; both do without kept results.
	PerStepStats bool
	Measure      bool
	// UseStartTimestamps overrides the engine's option.
	UseStartTimestamps *bool
	// Client is the address from which is asked, User who Grafana says it is for,
	// and Origin what is known of the reason.
	Client, User string
	Origin       ledger.Origin

	running *running
}

// Result is the answer to a Request. Close gives its memory back.
type Result struct {
	Value    parser.Value
	Warnings annotations.Annotations
	Stats    *stats.Statistics
	// Budget tells what storage charged.
	Budget *Budget
	// Work is what was done for it.
	Work Work
	// Plan and Costs are those of the columnar executor, if Request.Measure asked
	// for them.
	Plan  *plan.Tree
	Costs map[*plan.Node]exec.Cost
	query promql.Query
}

// Close gives the result's memory back to the engine; Value is void after it.
func (r *Result) Close() { r.query.Close() }

// Run answers r from storage. A query that cannot be run is an *InvalidError, one
// that is over a limit wraps a *LimitError; promql.ErrQueryTimeout and
// promql.ErrQueryCanceled say how ctx ended.
func (e *Engine) Run(ctx context.Context, from storage.Queryable, r Request) (*Result, error) {
	budget := NewBudget(e.options.BytesMax, e.options.SeriesMax)
	query, err := e.build(ctx, Limited(from, budget), r)
	if err != nil {
		return nil, err
	}
	r.NoCache = r.NoCache || r.Measure
	ctx, r.running = e.active.begin(ctx, r, budget)
	defer e.active.end(r.running)
	result, err := e.execute(ctx, from, r, query, budget)
	err = budget.samples(e.options.SamplesMax, err)
	if err = e.account(ctx, r.running, err); err != nil {
		query.Close()
		return nil, err
	}
	result.Work = r.running.work()
	result.Plan, result.Costs = r.running.costs()
	return result, nil
}

// execute evaluates query, which is r's, when it has a slot.
func (e *Engine) execute(ctx context.Context, from storage.Queryable, r Request, query promql.Query, budget *Budget) (*Result, error) {
	queued := query.Stats().Timers.GetTimer(stats.ExecQueueTime).Start()
	ctx, leave, err := e.admit(ctx, r.Timeout, budget)
	queued.Stop()
	if err != nil {
		return nil, err
	}
	defer leave()
	r.running.admit()
	columns, ok := from.(Columnar)
	if ok && !e.options.ReferenceOnly && !r.Reference {
		r.running.on(executorColumnar)
		result, err := e.columnar(ctx, columns, r, query, budget)
		if !errors.Is(err, exec.ErrUnclaimed) {
			e.metrics.ran(query.Stats().Samples, budget, err)
			return result, atPhase(err, "expression evaluation")
		}
	}
	r.running.on(executorReference)
	answer := query.Exec(ctx)
	r.running.reference(query.Stats())
	e.metrics.ran(query.Stats().Samples, budget, answer.Err)
	if answer.Err != nil {
		return nil, atPhase(answer.Err, "expression evaluation")
	}
	if ok {
		if err := e.annotateReference(columns, r, query, &answer.Warnings); err != nil {
			return nil, err
		}
	}
	return &Result{Value: answer.Value, Warnings: answer.Warnings, Stats: query.Stats(), Budget: budget, query: query}, nil
}

// build parses r and checks it against what needs no storage.
func (e *Engine) build(ctx context.Context, from storage.Queryable, r Request) (promql.Query, error) {
	if err := e.checkText(r.Query); err != nil {
		return nil, err
	}
	options := promql.NewPrometheusQueryOpts(r.PerStepStats, r.Lookback, r.UseStartTimestamps)
	var query promql.Query
	var err error
	if r.Step == 0 {
		query, err = e.promql.NewInstantQuery(ctx, from, options, r.Query, r.Start)
	} else {
		query, err = e.promql.NewRangeQuery(ctx, from, options, r.Query, r.Start, r.End, r.Step)
	}
	if err != nil {
		return nil, &InvalidError{Err: err}
	}
	if statement, ok := query.Statement().(*parser.EvalStmt); ok {
		if err := e.checkDepth(statement.Expr); err != nil {
			query.Close()
			return nil, err
		}
	}
	return query, nil
}

// Admit lets work other than a query take part in the engine's limits: it waits
// for a slot and returns a context with the deadline (timeout shortens the
// engine's) and a budget. The function returned gives both back.
func (e *Engine) Admit(ctx context.Context, timeout time.Duration) (context.Context, *Budget, func(), error) {
	budget := NewBudget(e.options.BytesMax, e.options.SeriesMax)
	ctx, leave, err := e.admit(ctx, timeout, budget)
	return ctx, budget, leave, err
}

func (e *Engine) admit(ctx context.Context, timeout time.Duration, budget *Budget) (context.Context, func(), error) {
	if timeout <= 0 || timeout > e.options.Timeout {
		timeout = e.options.Timeout
	}
	ctx, cancel := context.WithTimeout(series.WithBudget(ctx, budget), timeout)
	began := time.Now()
	err := e.gate.enter(ctx)
	e.metrics.queued(time.Since(began), err)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return ctx, func() { cancel(); e.gate.leave() }, nil
}

// Parse parses a query within the limits on its text.
func (e *Engine) Parse(query string) (parser.Expr, error) {
	if err := e.checkText(query); err != nil {
		return nil, err
	}
	expr, err := e.parser.ParseExpr(query)
	if err != nil {
		return nil, &InvalidError{Err: err}
	}
	return expr, e.checkDepth(expr)
}

// ParseSelectors parses each text as a series selector.
func (e *Engine) ParseSelectors(texts []string) ([][]*labels.Matcher, error) {
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	if err := e.checkSize(size); err != nil {
		return nil, err
	}
	sets, err := e.parser.ParseMetricSelectors(texts)
	if err != nil {
		return nil, &InvalidError{Err: err}
	}
	return sets, nil
}

// PointsMax returns how many steps a range query may have.
func (e *Engine) PointsMax() int { return unlimited(e.options.PointsMax) }

// Lookback returns how long a sample stands for its series.
func (e *Engine) Lookback() time.Duration { return e.options.Lookback }

// Features returns what the query language offers, by category and name.
func (e *Engine) Features() map[string]map[string]bool { return e.features.Get() }

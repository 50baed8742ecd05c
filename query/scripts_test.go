package query

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/tsdbtest"
)

// scriptEngine runs Prometheus's scripts on an Engine.
type scriptEngine struct{ *Engine }

func newScriptEngine(claims func(parser.Expr) bool) *scriptEngine {
	return &scriptEngine{New(Options{
		Timeout: 100 * time.Second, SamplesMax: promqltest.DefaultMaxSamplesPerQuery,
		DelayedNameRemoval: true, UseStartTimestamps: true, FillModifiers: true,
		UnquotedUTF8Names: true, NoPerStepStats: true, Claims: claims,
	})}
}

func (e *scriptEngine) NewInstantQuery(ctx context.Context, from storage.Queryable, o promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	return e.prepare(ctx, from, Request{Query: text, Start: at, Lookback: lookbackOf(o)})
}

func (e *scriptEngine) NewRangeQuery(ctx context.Context, from storage.Queryable, o promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	return e.prepare(ctx, from, Request{Query: text, Start: start, End: end, Step: step, Lookback: lookbackOf(o)})
}

func (e *scriptEngine) prepare(ctx context.Context, from storage.Queryable, r Request) (promql.Query, error) {
	query, err := e.build(ctx, from, r)
	if err != nil {
		return nil, err
	}
	return &scriptQuery{Query: query, engine: e.Engine, from: from, request: r}, nil
}

// scriptQuery is a prepared query. Those that the columnar executor leaves alone
// as a whole run on Prometheus's engine.
type scriptQuery struct {
	promql.Query
	engine  *Engine
	from    storage.Queryable
	request Request
}

func (q *scriptQuery) Exec(ctx context.Context) *promql.Result {
	s := q.from.(*tsdbtest.Storage)
	result, err := q.engine.Run(ctx, Local(s.DB(), series.DefaultTenant), q.request)
	if err != nil {
		return &promql.Result{Err: err}
	}
	return &promql.Result{Value: result.Value, Warnings: result.Warnings}
}

func (q *scriptQuery) Stats() *stats.Statistics { return q.Query.Stats() }

// TestPrometheusScripts runs all of Prometheus's own test scripts on the columnar
// executor, and on mixes in which it may take only a part of each expression. Under
// the race detector a pass takes half a minute: there each script runs in one of the
// states of storage, and without it in all.
func TestPrometheusScripts(t *testing.T) {
	t.Run("columnar", func(t *testing.T) {
		if raceEnabled {
			runScripts(t, dealt(0), nil)
			return
		}
		for _, mode := range tsdbtest.Modes {
			t.Run(mode, func(t *testing.T) { runScripts(t, always(mode), nil) })
		}
	})
	t.Run("mixed", func(t *testing.T) {
		mode := always("sealed")
		if raceEnabled {
			mode = dealt(2)
		}
		r := rand.New(rand.NewPCG(1, 2))
		runScripts(t, mode, func(expr parser.Expr) bool { return !separable(expr) || r.IntN(2) == 0 })
	})
}

// always is one mode for all scripts.
func always(mode string) func(string) string { return func(string) string { return mode } }

// dealt returns a mode for each script, by its name; another one with another turn.
func dealt(turn uint32) func(string) string {
	return func(script string) string {
		h := fnv.New32a()
		_, _ = h.Write([]byte(path.Base(script)))
		return tsdbtest.Modes[(h.Sum32()+turn)%uint32(len(tsdbtest.Modes))]
	}
}

// separable reports whether an expression means the same by itself: whether it has
// no names that are to be dropped later, and nobody above it wants histograms
// without their buckets.
func separable(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.AggregateExpr:
	case *parser.BinaryExpr:
		if e.Op.IsSetOperator() || e.Op.IsComparisonOperator() {
			return false
		}
	default:
		return false
	}
	separable := true
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if vs, ok := node.(*parser.VectorSelector); ok && vs.SkipHistogramBuckets {
			separable = false
		}
		return nil
	})
	return separable && !strings.Contains(expr.String(), "__name__")
}

// runScripts runs the scripts, each in the mode for its name.
func runScripts(t *testing.T, mode func(script string) string, claims func(parser.Expr) bool) {
	promqltest.RunBuiltinTestsWithStorage(t, newScriptEngine(claims), func(t testing.TB) storage.Storage { return tsdbtest.New(t, mode(t.Name())) })
}

func lookbackOf(o promql.QueryOpts) time.Duration {
	if o == nil {
		return 0
	}
	return o.LookbackDelta()
}

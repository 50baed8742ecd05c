package exec

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// Query is one evaluation: what its operators share.
type Query struct {
	// From is where selectors read; a Querier over the times of all selectors.
	From Querier
	// Windows are what selectors may read in place of samples.
	Windows Windows
	// Lookback is how long a sample stands for its series, milliseconds.
	Lookback int64
	// DelayedNames removes metric names at the end; StartTimestamps lets counters
	// use them. Both as in Prometheus's engine.
	DelayedNames    bool
	StartTimestamps bool
	// SubqueryStep is the step of subqueries of a range (milliseconds) that name none.
	SubqueryStep func(rangeMillis int64) int64
	// Reference evaluates an expression with Prometheus's engine.
	Reference func(ctx context.Context, expr parser.Expr, grid Grid) (promql.Matrix, annotations.Annotations, error)
	// Charge bounds the selectors' reads: it returns the context for those of one.
	Charge func(ctx context.Context, vs *parser.VectorSelector) context.Context
	// SamplesMax bounds the points that are held in memory; 0 means no bound.
	SamplesMax int64
	// Extra lends the worker slots of the process; nil means one worker.
	Extra *Slots
	// PerStep, if it is not nil, counts the samples that each step of the query's
	// own grid looks at.
	PerStep []int64
	// Measure asks for the Costs of the operators.
	Measure bool

	progress progress
	meter    *meter // nil if nothing is measured

	held    atomic.Int64
	peak    atomic.Int64
	samples atomic.Int64

	mu    sync.Mutex
	notes annotations.Annotations
}

// Samples returns how many samples the steps looked at, windows that overlap
// counted each time, and Peak how many points were held at most.
func (q *Query) Samples() int64 { return q.samples.Load() }

// Peak returns how many points were held in memory at most.
func (q *Query) Peak() int64 { return q.peak.Load() }

// note adds annotations to the answer.
func (q *Query) note(notes annotations.Annotations) {
	if len(notes) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notes.Merge(notes)
}

// noteError adds one.
func (q *Query) noteError(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notes.Add(err)
}

// Notes returns what the answer is annotated with.
func (q *Query) Notes() annotations.Annotations {
	q.mu.Lock()
	defer q.mu.Unlock()
	return annotations.New().Merge(q.notes)
}

// hold charges the points of a row that is kept in memory.
func (q *Query) hold(row *Row) error { return q.holdPoints(row.points()) }

// holdPoints charges n points.
func (q *Query) holdPoints(n int64) error {
	held := q.held.Add(n)
	for peak := q.peak.Load(); held > peak && !q.peak.CompareAndSwap(peak, held); peak = q.peak.Load() {
	}
	if q.SamplesMax > 0 && held > q.SamplesMax {
		return promql.ErrTooManySamples("query execution")
	}
	return nil
}

// release gives back n points.
func (q *Query) release(n int64) { q.held.Add(-n) }

// points counts a row's points; a histogram counts for its size.
func (r *Row) points() int64 {
	n := int64(0)
	for i, v := range r.Floats {
		if !IsAbsent(v) {
			n++
		} else if h := r.Histogram(i); h != nil {
			n += histogramPoints(h.Size())
		}
	}
	return n
}

// histogramPoints is what a histogram of so many bytes counts for, with its
// timestamp, as in Prometheus's limit.
func histogramPoints(bytes int) int64 { return int64(bytes+8) / 16 }

// count counts samples that a step looks at.
func (q *Query) count(step int, n int64) {
	q.samples.Add(n)
	if q.PerStep != nil && step < len(q.PerStep) {
		atomic.AddInt64(&q.PerStep[step], n)
	}
}

// guard turns a panic of a function of Prometheus's into the error that its
// engine would return.
func guard(err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		buf := make([]byte, 8<<10)
		*err = fmt.Errorf("unexpected error: %w\n%s", p, buf[:runtime.Stack(buf, false)])
	case error:
		*err = p
	default:
		*err = fmt.Errorf("%v", p)
	}
}

// errSameLabels is the engine's for a result with two points of one label set.
var errSameLabels = errors.New("vector cannot contain metrics with the same labelset")

// ended returns the error of a context that has ended, as the engine words it.
func ended(ctx context.Context) error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return promql.ErrQueryCanceled("expression evaluation")
	case errors.Is(err, context.DeadlineExceeded):
		return promql.ErrQueryTimeout("expression evaluation")
	default:
		return err
	}
}

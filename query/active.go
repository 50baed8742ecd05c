package query

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/ledger"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
)

// ErrKilled ends a query that was killed.
var ErrKilled = errors.New("the query was ended by an operator")

// The executors, as statistics and metrics name them.
const (
	executorColumnar  = "columnar"
	executorReference = "reference"
)

// Active is a query that waits or runs.
type Active struct {
	// ID names it until it ends; it is never used again.
	ID uint64
	// Request is what was asked.
	Request Request
	Since   time.Time
	// Running is false while the query waits for a slot.
	Running bool
	Work    Work
}

// Work is what a query has done.
type Work struct {
	// Executor is empty while it is not chosen.
	Executor string
	// Rows of RowsAll are computed: one for each series of each operator that has
	// begun. Prometheus's engine does not tell, nor what is in memory while it runs.
	Rows, RowsAll int64
	// Samples is how many the steps looked at, windows that overlap counted each
	// time; Decoded is how many were read.
	Samples, Decoded int64
	// Windows is how many were read in place of samples.
	Windows int64
	// Held points are in memory, Peak were at most. A point counts for 16 bytes.
	Held, Peak int64
	// Bytes and Series are what storage charged.
	Bytes, Series int64
	// Busy is the time in which cores computed.
	Busy time.Duration
}

// PointBytes is what a point in memory counts for.
const PointBytes = 16

// active is the list of queries that wait or run.
type active struct {
	mu      sync.Mutex
	last    uint64 // id
	queries map[uint64]*running
}

// running is one of them. A nil one counts nothing.
type running struct {
	id      uint64
	request Request
	since   time.Time
	budget  *Budget
	ended   func() error // whether it was canceled already
	cancel  context.CancelCauseFunc

	mu       sync.Mutex
	admitted bool
	executor string
	parts    []*exec.Query // evaluations of the columnar executor
	done     Work          // of Prometheus's engine, once it is known
}

// begin lists a query. The context returned ends when it is killed.
func (a *active) begin(ctx context.Context, r Request, budget *Budget) (context.Context, *running) {
	ctx, cancel := context.WithCancelCause(ctx)
	q := &running{request: r, since: time.Now(), budget: budget, ended: ctx.Err, cancel: cancel}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.queries == nil {
		a.queries = map[uint64]*running{}
	}
	a.last++
	q.id = a.last
	a.queries[q.id] = q
	return ctx, q
}

// end takes it off the list.
func (a *active) end(q *running) {
	q.cancel(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.queries, q.id)
}

func (q *running) admit() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.admitted = true
}

func (q *running) on(executor string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.executor = executor
}

// watch adds an evaluation to what the query does.
func (q *running) watch(part *exec.Query) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parts = append(q.parts, part)
	part.Measure = q.request.Measure
}

// costs returns those of the operators, if they were measured.
func (q *running) costs() (*plan.Tree, map[*plan.Node]exec.Cost) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.parts) == 0 {
		return nil, nil
	}
	return q.parts[0].Costs()
}

// reference notes what Prometheus's engine says that it did.
func (q *running) reference(s *stats.Statistics) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done = Work{
		Samples: s.Samples.TotalSamples, Decoded: s.Samples.SamplesRead, Peak: int64(s.Samples.PeakSamples),
		Busy: time.Duration(s.Timers.GetTimer(stats.EvalTotalTime).Duration() * float64(time.Second)),
	}
}

// work sums up what was done so far.
func (q *running) work() Work {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.done
	w.Executor, w.Bytes, w.Series = q.executor, q.budget.Bytes(), q.budget.Series()
	for _, part := range q.parts {
		p := part.Progress()
		w.Rows += p.Rows
		w.RowsAll += p.RowsAll
		w.Samples += p.Samples
		w.Decoded += p.Decoded
		w.Windows += p.Windows
		w.Held += p.Held
		w.Peak = max(w.Peak, p.Peak)
		w.Busy += p.Busy
	}
	return w
}

// Active lists the queries that wait or run, the oldest first.
func (e *Engine) Active() []Active {
	e.active.mu.Lock()
	queries := make([]*running, 0, len(e.active.queries))
	for _, q := range e.active.queries {
		queries = append(queries, q)
	}
	e.active.mu.Unlock()
	slices.SortFunc(queries, func(a, b *running) int { return cmp.Compare(a.id, b.id) })
	list := make([]Active, len(queries))
	for i, q := range queries {
		q.mu.Lock()
		admitted := q.admitted
		q.mu.Unlock()
		list[i] = Active{ID: q.id, Request: q.request, Since: q.since, Running: admitted, Work: q.work()}
	}
	return list
}

// Kill ends a query of a tenant with ErrKilled; it returns false if the tenant has
// none with this id.
func (e *Engine) Kill(tenant series.TenantID, id uint64) bool {
	e.active.mu.Lock()
	defer e.active.mu.Unlock()
	q := e.active.queries[id]
	if q == nil || q.request.Origin.Tenant != tenant {
		return false
	}
	if q.ended() == nil {
		q.cancel(ErrKilled)
		e.metrics.killed.Inc()
	}
	return true
}

// account notes how a query went, and returns its error as its client sees it.
func (e *Engine) account(ctx context.Context, q *running, err error) error {
	if _, canceled := errors.AsType[promql.ErrQueryCanceled](err); canceled && errors.Is(context.Cause(ctx), ErrKilled) {
		err = ErrKilled
	}
	took, work := time.Since(q.since), q.work()
	e.metrics.ended(q.request, work, took, err)
	e.ledger.Record(q.request.Query, q.request.Origin, ledger.Cost{
		Seconds: took.Seconds(), CPUSeconds: work.Busy.Seconds(), Samples: work.Samples, Bytes: work.Bytes, Series: work.Series, Failed: err != nil,
	})
	return err
}

// Ledger returns what queries cost so far.
func (e *Engine) Ledger() *ledger.Ledger { return e.ledger }

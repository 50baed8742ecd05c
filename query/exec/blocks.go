package exec

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
)

// Slots are the cores that queries share: each query has one goroutine of its
// own, and borrows more while they are free.
type Slots struct{ free chan struct{} }

// NewSlots returns n slots to borrow; with 0 it takes one less than there are
// processors.
func NewSlots(n int) *Slots {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0) - 1
	}
	s := &Slots{free: make(chan struct{}, n)}
	for range n {
		s.free <- struct{}{}
	}
	return s
}

// borrow takes up to n slots that are free now.
func (s *Slots) borrow(n int) (got int) {
	for s != nil && got < n {
		select {
		case <-s.free:
			got++
		default:
			return got
		}
	}
	return got
}

func (s *Slots) giveBack(n int) {
	for range n {
		s.free <- struct{}{}
	}
}

// Worker is the memory of a goroutine that computes rows.
type Worker struct {
	// ID numbers the workers of a run from 0; it is below workersMax.
	ID    int
	rows  []Row
	arena []float64
	used  int
}

// workersMax bounds the workers of one run.
const workersMax = 64

// workers are the memory that runs leave to the next.
var workers = sync.Pool{New: func() any { return &Worker{} }}

// arenaMax bounds the floats that one worker leaves to the next.
const arenaMax = 4 * blockPoints

// newWorker returns a worker for blocks of so many rows.
func newWorker(id, rows int) *Worker {
	w := workers.Get().(*Worker)
	w.ID, w.used, w.rows = id, 0, slices.Grow(w.rows[:0], rows)[:rows]
	return w
}

// release leaves the worker's memory to others: nothing refers to it any more.
func (w *Worker) release() {
	clear(w.rows)
	if len(w.arena) <= arenaMax {
		workers.Put(w)
	}
}

// Floats returns n floats with undefined contents that live until the rows of the
// block have gone to the sink.
func (w *Worker) Floats(n int) []float64 {
	if w.used+n > len(w.arena) {
		// Rows handed out before keep the old arena alive.
		w.arena, w.used = make([]float64, max(2*len(w.arena), n, 512)), 0
	}
	out := w.arena[w.used : w.used+n : w.used+n]
	w.used += n
	return out
}

// Row returns an empty row of n steps.
func (w *Worker) Row(n int) Row {
	r := Row{Floats: w.Floats(n)}
	fillAbsent(r.Floats)
	return r
}

// compute fills the row of series i.
type compute func(w *Worker, i int, row *Row) error

// blockPoints is about how many points the rows of a block have: they should fit
// the second-level cache.
const blockPoints = 64 << 10

// blockRows returns how many rows of so many steps make a block: neighbours are
// read together, so blocks follow the reader's.
func blockRows(n, steps int) int {
	rows := blockPoints / max(steps, 1)
	switch {
	case rows >= readRows:
		rows = readRows
	case rows < 1:
		rows = 1
	}
	// Few series are spread over the cores.
	for rows > 16 && n < 2*rows {
		rows /= 2
	}
	return rows
}

// readRows is how many neighbouring series a Reader loads at a time.
const readRows = 128

// rowsOf says what runRows computes: fill makes each of n rows of so many steps.
type rowsOf struct {
	n, steps int
	fill     compute
}

// runRows computes rows in blocks on several workers, and gives them to sink in
// order.
func (q *Query) runRows(ctx context.Context, of rowsOf, each Each, sink Sink) error {
	n := of.n
	rows := blockRows(n, of.steps)
	blocks := (n + rows - 1) / rows
	extra := q.Extra.borrow(min(blocks, workersMax) - 1)
	defer q.Extra.giveBack(extra)
	q.progress.rowsAll.Add(int64(n))
	defer q.progress.ran(time.Now())
	r := &run{ctx: ctx, progress: &q.progress, n: n, rows: rows, blocks: blocks, fill: of.fill, each: each, sink: sink}
	r.turn.L = &r.mu
	var group sync.WaitGroup
	for id := 1; id <= extra; id++ {
		group.Go(func() { r.work(id) })
	}
	r.work(0)
	group.Wait()
	return r.err
}

// run is the progress of runRows.
type run struct {
	ctx             context.Context
	progress        *progress
	n, rows, blocks int
	fill            compute
	each            Each
	sink            Sink

	next atomic.Int64 // the block to take

	mu    sync.Mutex
	turn  sync.Cond
	due   int // the block whose rows go to sink
	err   error
	ended bool
}

func (r *run) fail(err error) {
	r.mu.Lock()
	if !r.ended {
		r.ended, r.err = true, err
	}
	r.mu.Unlock()
	r.turn.Broadcast()
}

// work computes blocks until there are no more.
func (r *run) work(id int) {
	var err error
	defer func() {
		if err != nil {
			r.fail(err)
		}
	}()
	defer guard(&err)
	defer r.progress.work(time.Now())
	w := newWorker(id, r.rows)
	defer w.release()
	for {
		block := int(r.next.Add(1)) - 1
		if block >= r.blocks {
			return
		}
		from := block * r.rows
		rows := w.rows[:min(r.rows, r.n-from)]
		w.used = 0
		for k := range rows {
			rows[k] = Row{}
			if err = ended(r.ctx); err != nil {
				return
			}
			if err = r.fill(w, from+k, &rows[k]); err != nil {
				return
			}
			if r.each != nil && rows[k].Floats != nil {
				if err = r.each(w, from+k, &rows[k]); err != nil {
					return
				}
			}
		}
		if !r.deliver(block, from, rows, &err) || err != nil {
			return
		}
	}
}

// deliver gives rows to the sink when it is their turn; it returns false when the
// run has ended.
func (r *run) deliver(block, from int, rows []Row, failed *error) bool {
	r.mu.Lock()
	if r.due != block && !r.ended {
		began := time.Now()
		for r.due != block && !r.ended {
			r.turn.Wait()
		}
		r.progress.busy.Add(-int64(time.Since(began)))
	}
	over := r.ended
	r.mu.Unlock()
	if over {
		return false
	}
	if *failed = ended(r.ctx); *failed != nil {
		return false
	}
	for k := range rows {
		if rows[k].Floats == nil {
			continue // no samples
		}
		if *failed = r.sink(from+k, &rows[k]); *failed != nil {
			return false
		}
	}
	r.progress.rows.Add(int64(len(rows)))
	r.mu.Lock()
	r.due++
	r.mu.Unlock()
	r.turn.Broadcast()
	return true
}

// perWorker is scratch of each worker, by Worker.ID.
type perWorker[T any] [workersMax]T

// emptyHistograms returns a row of histograms for n steps.
func emptyHistograms(n int) []*histogram.FloatHistogram { return make([]*histogram.FloatHistogram, n) }

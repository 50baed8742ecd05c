package exec

import (
	"sync/atomic"
	"time"
)

// progress counts what the operators of a query have done so far.
type progress struct {
	rows    atomic.Int64
	rowsAll atomic.Int64
	decoded atomic.Int64
	windows atomic.Int64
	busy    atomic.Int64 // nanoseconds
	inRuns  atomic.Int64 // nanoseconds of the query's own goroutine that busy knows of, waits included
}

// work counts the time of a worker that began at began.
func (p *progress) work(began time.Time) { p.busy.Add(int64(time.Since(began))) }

// ran counts the time of a run that began at began, on the query's own goroutine.
func (p *progress) ran(began time.Time) { p.inRuns.Add(int64(time.Since(began))) }

// outside counts as busy what the query's own goroutine did between runs, since
// began, when it had spent inRuns on runs.
func (p *progress) outside(began time.Time, inRuns int64) {
	p.busy.Add(int64(time.Since(began)) - (p.inRuns.Load() - inRuns))
}

// Progress is how far a query is.
type Progress struct {
	// Rows of RowsAll are computed: one for each series of each operator that
	// has begun.
	Rows, RowsAll int64
	// Decoded is how many samples were read, each once per selector; Samples how
	// many the steps looked at.
	Decoded, Samples int64
	// Windows is how many were read in place of samples.
	Windows int64
	// Held points are in memory, Peak were at most.
	Held, Peak int64
	// Busy is the time of the workers that have ended, without that in which they
	// waited for each other, and at the end that between their runs.
	Busy time.Duration
}

// Progress tells how far q is. It may be called while q runs.
func (q *Query) Progress() Progress {
	p := &q.progress
	return Progress{
		Rows: p.rows.Load(), RowsAll: p.rowsAll.Load(), Decoded: p.decoded.Load(), Samples: q.samples.Load(), Windows: p.windows.Load(),
		Held: q.held.Load(), Peak: q.peak.Load(), Busy: time.Duration(max(p.busy.Load(), 0)),
	}
}

package tsdb

import (
	"context"
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// ColumnSet is the series that a selection found, in label order, to be read as
// whole columns. It may be used by several goroutines, until its querier is closed.
type ColumnSet struct {
	q          *Querier
	entries    []entry
	mint, maxt int64
	budget     series.Budget
	epochs     []*heldEpoch
	lists      []int   // a reader's first list number; then that of the epochs
	latest     []int64 // a reader's last time
}

// SelectColumns returns the series that satisfy ms and may have samples in
// [mint, maxt], as far as that lies in the querier's range. The budget in ctx is
// charged for what is read later.
func (q *Querier) SelectColumns(ctx context.Context, mint, maxt int64, ms ...*labels.Matcher) (*ColumnSet, error) {
	mint, maxt = max(mint, q.mint), min(maxt, q.maxt)
	selected, err := q.selectSeries(ctx, mint, maxt, ms)
	if err != nil {
		return nil, err
	}
	s := q.columnSet(ctx, mint, maxt)
	s.entries = selected.entries
	return s, nil
}

// columnSet returns a set without series.
func (q *Querier) columnSet(ctx context.Context, mint, maxt int64) *ColumnSet {
	s := &ColumnSet{q: q, mint: mint, maxt: maxt, budget: series.BudgetFrom(ctx), epochs: q.memory(mint, maxt)}
	list := 0
	for i := range q.readers {
		s.lists = append(s.lists, list)
		latest := int64(math.MinInt64)
		for _, f := range q.readers[i].flushes {
			latest = max(latest, f.MaxTime)
		}
		s.latest = append(s.latest, latest)
		if r := &q.readers[i]; r.Sealed() {
			list += 2
		} else {
			list += len(r.flushes)
		}
	}
	s.lists = append(s.lists, list)
	return s
}

// Len returns the number of series.
func (s *ColumnSet) Len() int { return len(s.entries) }

// Labels returns the labels of series i.
func (s *ColumnSet) Labels(i int) labels.Labels { return s.entries[i].labels }

// Reader returns a reader for one goroutine, which must be closed before the
// querier.
func (s *ColumnSet) Reader() *ColumnReader {
	r := &ColumnReader{
		set: s, cursors: make([]*block.SealedCursor, len(s.q.readers)),
		columnMemory: columnMemories.Get().(*columnMemory),
	}
	r.scratch.Shared = s.q.db.times
	return r
}

// ColumnReader reads the series of a ColumnSet.
type ColumnReader struct {
	set     *ColumnSet
	cursors []*block.SealedCursor // by reader of the querier, made when needed
	reads   uint
	mint    int64 // from when on the series being read is read
	times   sharedTimes
	out     chunks.Columns
	*columnMemory
}

// columnMemory is what one reader leaves to the next.
type columnMemory struct {
	rowBlock
	scratch block.SealedScratch

	// What the series being read has.
	sources  []source
	entries  []block.SealedEntry
	chunks   []chunks.Chunk
	head     head.Scratch
	gatherer chunks.Gatherer
	runs     []*block.SealedEntry

	values     []float64
	starts     []int64
	histograms []chunks.Sample
}

var columnMemories = sync.Pool{New: func() any {
	m := new(columnMemory) // too large to be copied
	m.loaded = -1
	return m
}}

// columnMemoryMax bounds the values that one reader leaves to the next.
const columnMemoryMax = 1 << 20

// source is a chunk of the series being read, and where it comes from.
type source struct {
	chunks.Chunk
	reader int // of the querier; -1 for memory
	flush  int64
	sealed int // index into entries, -1 for none
}

// ctxReads is after how many series the context is looked at.
const ctxReads = 32

// Read returns all samples of series i in the set's range, joined. They are valid
// until the next Read. Reading in ascending order is fast.
//
// Nobody may write to Times. Where the timestamps of floats are those of the
// series with floats read before, Times is the very same slice; a slice that was
// handed out never changes. The values are the caller's alone.
func (r *ColumnReader) Read(ctx context.Context, i int) (*chunks.Columns, error) {
	if err := r.tick(ctx); err != nil {
		return nil, err
	}
	r.mint = r.set.q.oldestOf(&r.set.entries[i], r.set.mint)
	if err := r.collect(ctx, i); err != nil {
		return nil, err
	}
	r.gatherer.Begin()
	for {
		bad, err := r.decode()
		if err == nil {
			return &r.out, nil
		}
		if bad, err = r.blame(bad, err); err != nil {
			return nil, err
		}
		r.sources = append(r.sources[:bad], r.sources[bad+1:]...)
		r.gatherer.Begin()
	}
}

// tick looks at the context once in a while.
func (r *ColumnReader) tick(ctx context.Context) error {
	if r.reads == 0 {
		r.out.Histograms = r.histograms
	}
	r.reads++
	if r.reads%ctxReads != 1 {
		return nil
	}
	return ctx.Err()
}

// Close gives back what the reader holds. What it has read is no longer valid.
func (r *ColumnReader) Close() {
	if r.columnMemory == nil {
		return
	}
	for i, c := range r.cursors {
		if c != nil {
			c.Close()
			r.cursors[i] = nil
		}
	}
	m := r.columnMemory
	r.columnMemory = nil
	if cap(m.values) > columnMemoryMax || cap(m.arena) > 8*columnMemoryMax {
		return
	}
	m.loaded, m.sealed = -1, block.SealedReader{}
	m.scratch.Reset()
	m.histograms = r.out.Histograms[:0]
	columnMemories.Put(m)
}

// blame turns an error about sources from number from on, which overlap, into a
// warning about the first of them that does not decode, and returns its number.
// Without damage it returns the error.
func (r *ColumnReader) blame(from int, err error) (int, error) {
	bad := from
	for end := from + r.overlapping(from); bad < end-1; bad++ {
		if s := &r.sources[bad]; s.sealed < 0 && s.Check() != nil {
			break
		} else if s.sealed >= 0 && r.materialize(s) != nil {
			break
		}
	}
	s := &r.sources[bad]
	if s.reader < 0 {
		return bad, err // memory is not damaged
	}
	return bad, r.set.q.tolerate(err, r.set.q.readers[s.reader].held.ID, s.flush)
}

// cursor returns the cursor over a sealed generation.
func (r *ColumnReader) cursor(reader int) (*block.SealedCursor, error) {
	if c := r.cursors[reader]; c != nil {
		return c, nil
	}
	c, err := r.set.q.readers[reader].NewSealedCursor(r.set.mint, r.set.maxt, &r.scratch)
	if err != nil {
		return nil, err
	}
	r.cursors[reader] = c
	return c, nil
}

package tsdb

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// blockSeries is how many neighbouring series of a selection are loaded at a
// time: rows of a flush lie side by side, so one pass serves them all, and a
// query holds the chunks of one block only.
const blockSeries = 128

// loader loads the chunks of a selection block by block.
type loader struct {
	ctx        context.Context
	q          *Querier
	selection  *selection
	mint, maxt int64
	budget     series.Budget

	mu     sync.Mutex
	sealed block.SealedReader
	number int // of the loaded block, -1 for none
	lists  [][]chunks.Chunk
	err    error
}

func newLoader(ctx context.Context, q *Querier, s *selection, mint, maxt int64) *loader {
	return &loader{
		ctx: ctx, q: q, selection: s, number: -1, budget: series.BudgetFrom(ctx),
		mint: max(mint, q.mint), maxt: min(maxt, q.maxt),
	}
}

// chunks returns the chunks of series i, in no order. The slice belongs to the
// caller.
func (l *loader) chunks(i int) ([]chunks.Chunk, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number := i / blockSeries; number != l.number {
		if err := l.load(number); err != nil {
			l.number = -1
			return nil, err
		}
		l.number = number
	}
	return slices.Clone(l.lists[i%blockSeries]), nil
}

// load reads the chunks of a block of series.
func (l *loader) load(number int) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	from := number * blockSeries
	entries := l.selection.entries[from:min(from+blockSeries, len(l.selection.entries))]
	l.lists = make([][]chunks.Chunk, len(entries))
	list := 0 // numbers the rows that may hold chunks of a series
	for r := range l.q.readers {
		if err := l.loadReader(r, entries, &list); err != nil {
			return err
		}
	}
	for _, e := range l.q.memory(l.mint, l.maxt) {
		var size int64
		for i := range entries {
			if entries[i].ref == 0 {
				continue
			}
			before := len(l.lists[i])
			var err error
			if l.lists[i], err = e.Chunks(entries[i].ref, l.mint, l.maxt, list, l.lists[i]); err != nil {
				return err
			}
			for _, c := range l.lists[i][before:] {
				size += int64(len(c.Data))
			}
		}
		list += head.ListsPerEpoch
		if err := l.charge(size); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) charge(n int64) error {
	if l.budget == nil || n == 0 {
		return nil
	}
	return l.budget.ChargeBytes(n)
}

// place is a series of the block with its ordinal in a reader.
type place struct {
	ordinal uint32
	entry   int
}

func (l *loader) loadReader(reader int, entries []entry, list *int) error {
	var places []place
	for i := range entries {
		for _, row := range entries[i].rows {
			if row.reader == reader {
				places = append(places, place{row.ordinal, i})
			}
		}
	}
	if len(places) == 0 {
		return nil
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.ordinal, b.ordinal) })
	ordinals := make([]uint32, len(places))
	for i, p := range places {
		ordinals[i] = p.ordinal
	}
	r := &l.q.readers[reader]
	if r.Sealed() {
		*list += 2
		err := l.loadSealed(r, places, ordinals, *list-2)
		return l.q.tolerate(err, r.held.ID, 0)
	}
	for _, f := range r.flushes {
		if f.MinTime > l.maxt || f.MaxTime < l.mint {
			continue
		}
		number := *list
		*list++
		var size int64
		err := r.Chunks(f.Flush, ordinals, func(i int, row []byte) (err error) {
			size += int64(len(row))
			at := &l.lists[places[i].entry]
			*at, err = chunks.DecodeList(*at, slices.Clone(row), r.held.ID.Start, number)
			return err
		})
		if err := l.q.tolerate(err, r.held.ID, int64(f.Flush)); err != nil {
			return err
		}
		if err := l.charge(size); err != nil {
			return err
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// loadSealed decodes what the block's series have in a sealed generation.
func (l *loader) loadSealed(r *generationReader, places []place, ordinals []uint32, list int) error {
	positions := make([]int, len(places))
	wanted := block.Range{Min: l.mint, Max: l.maxt, Charge: l.charge}
	err := l.sealed.Floats(r.Reader, ordinals, wanted, func(i int, c chunks.Chunk) {
		at := &l.lists[places[i].entry]
		*at = append(*at, c.WithList(list, positions[i]))
		positions[i]++
	})
	if err != nil {
		return err
	}
	return l.sealed.Histograms(r.Reader, ordinals, wanted, func(i int, row []byte) (err error) {
		at := &l.lists[places[i].entry]
		*at, err = chunks.DecodeList(*at, slices.Clone(row), r.held.ID.Start, list+1)
		return err
	})
}

// iterator returns an iterator over series i, reusing old if it can.
func (l *loader) iterator(i int, old chunkenc.Iterator) chunkenc.Iterator {
	list, err := l.chunks(i)
	if err != nil {
		return failedIterator{chunkenc.NewNopIterator(), err}
	}
	it, ok := old.(*chunks.Iterator)
	if !ok {
		it = new(chunks.Iterator)
	}
	it.Reset(list, l.q.oldestOf(&l.selection.entries[i], l.mint), l.maxt)
	return it
}

// failedIterator has no samples, and an error.
type failedIterator struct {
	chunkenc.Iterator
	err error
}

// Err returns why there are no samples.
func (f failedIterator) Err() error { return f.err }

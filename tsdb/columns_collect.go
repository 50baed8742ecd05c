package tsdb

import (
	"cmp"
	"context"
	"slices"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// rowBlock holds the chunk rows of a block of neighbouring series: the rows of a
// flush lie side by side, so one pass serves them all.
type rowBlock struct {
	loaded   int // number of the block, -1 for none
	rows     [blockSeries][]source
	arena    []byte // of the rows' bytes
	decoded  []chunks.Chunk
	places   []place
	ordinals []uint32
	sealed   block.SealedReader
}

// collect finds the chunks of series i, in the order in which they are walked,
// and charges for them.
func (r *ColumnReader) collect(ctx context.Context, i int) error {
	if err := r.collectRows(ctx, i); err != nil {
		return err
	}
	if err := r.collectMemory(&r.set.entries[i]); err != nil {
		return err
	}
	for k := 1; k < len(r.sources); k++ {
		if r.sources[k-1].MinTime >= r.sources[k].MinTime {
			slices.SortStableFunc(r.sources, func(a, b source) int { return a.Compare(b.Chunk) })
			break
		}
	}
	return r.charge()
}

// collectRows finds what is stored of series i.
func (r *ColumnReader) collectRows(ctx context.Context, i int) error {
	if err := r.ensureRows(ctx, i); err != nil {
		return err
	}
	r.sources = append(r.sources[:0], r.rows[i%blockSeries]...)
	return r.collectSealed(&r.set.entries[i])
}

// ensureRows loads the rows of the block of series i.
func (r *ColumnReader) ensureRows(ctx context.Context, i int) error {
	number := i / blockSeries
	if number == r.loaded {
		return nil
	}
	r.loaded = -1
	if err := r.loadRows(ctx, number); err != nil {
		return err
	}
	r.loaded = number
	return nil
}

// charge charges what is about to be decoded.
func (r *ColumnReader) charge() error {
	if r.set.budget == nil {
		return nil
	}
	var n int64
	for i := range r.sources {
		if s := &r.sources[i]; s.Data != nil {
			n += int64(len(s.Data))
		} else {
			n += int64(s.Count) * 8
		}
	}
	return r.chargeBytes(n)
}

func (r *ColumnReader) chargeBytes(n int64) error {
	if r.set.budget == nil || n == 0 {
		return nil
	}
	return r.set.budget.ChargeBytes(n)
}

// collectSealed adds the floats in sealed generations.
func (r *ColumnReader) collectSealed(e *entry) error {
	r.entries = r.entries[:0]
	for _, row := range e.rows {
		q := r.set.q
		if !q.readers[row.reader].Sealed() {
			continue
		}
		c, err := r.cursor(row.reader)
		before := len(r.entries)
		if err == nil {
			r.entries, err = c.Entries(r.entries, row.ordinal)
		}
		if err != nil {
			if err = q.tolerate(err, q.readers[row.reader].held.ID, 0); err != nil {
				return err
			}
		}
		position := 0
		for at := before; at < len(r.entries); at++ {
			first, last := r.entries[at].Span()
			if first > r.set.maxt || last < r.set.mint {
				continue
			}
			r.sources = append(r.sources, source{reader: row.reader, sealed: at})
			s := &r.sources[len(r.sources)-1]
			s.Chunk = chunks.Chunk{Encoding: chunks.EncColumns, Count: len(r.entries[at].All), MinTime: first, MaxTime: last}.WithList(r.set.lists[row.reader], position)
			position++
		}
	}
	return nil
}

// collectMemory adds what the epochs of the view hold.
func (r *ColumnReader) collectMemory(e *entry) error {
	if e.ref == 0 {
		return nil
	}
	r.head.Reset()
	number := r.set.lists[len(r.set.lists)-1]
	for _, epoch := range r.set.epochs {
		var err error
		r.chunks, err = epoch.AppendChunks(e.ref, head.Span{Min: r.set.mint, Max: r.set.maxt}, number, &r.head, r.chunks[:0])
		if err != nil {
			return err
		}
		for _, c := range r.chunks {
			r.sources = append(r.sources, source{Chunk: c, reader: -1, sealed: -1})
		}
		number += head.ListsPerEpoch
	}
	return nil
}

// loadRows reads the chunk rows of a block of series.
func (r *ColumnReader) loadRows(ctx context.Context, number int) error {
	from := number * blockSeries
	entries := r.set.entries[from:min(from+blockSeries, len(r.set.entries))]
	for i := range r.rows {
		r.rows[i] = r.rows[i][:0]
	}
	r.arena = r.arena[:0]
	for reader := range r.set.q.readers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.loadReader(reader, entries); err != nil {
			return err
		}
	}
	return nil
}

func (r *ColumnReader) loadReader(reader int, entries []entry) error {
	g := &r.set.q.readers[reader]
	if g.Sealed() {
		if c, err := r.cursor(reader); err != nil {
			return r.set.q.tolerate(err, g.held.ID, 0)
		} else if !c.HasHistograms() {
			return nil
		}
	}
	r.placesOf(reader, entries)
	if len(r.places) == 0 {
		return nil
	}
	if g.Sealed() {
		wanted := block.Range{Min: r.set.mint, Max: r.set.maxt, Charge: func(int64) error { return nil }}
		list := r.set.lists[reader] + 1
		err := r.sealed.Histograms(g.Reader, r.ordinals, wanted, func(i int, row []byte) error {
			return r.addRow(i, row, source{reader: reader, sealed: -1}, g.held.ID.Start, list)
		})
		return r.set.q.tolerate(err, g.held.ID, 0)
	}
	for k, f := range g.flushes {
		if f.MinTime > r.set.maxt || f.MaxTime < r.set.mint {
			continue
		}
		err := g.Chunks(f.Flush, r.ordinals, func(i int, row []byte) error {
			return r.addRow(i, row, source{reader: reader, flush: int64(f.Flush), sealed: -1}, g.held.ID.Start, r.set.lists[reader]+k)
		})
		if err := r.set.q.tolerate(err, g.held.ID, int64(f.Flush)); err != nil {
			return err
		}
	}
	return nil
}

// placesOf sets places and ordinals to what the block's series have in a reader.
func (r *ColumnReader) placesOf(reader int, entries []entry) {
	r.places, r.ordinals = r.places[:0], r.ordinals[:0]
	ascending := true
	for i := range entries {
		for _, row := range entries[i].rows {
			if row.reader == reader {
				ascending = ascending && (len(r.places) == 0 || r.places[len(r.places)-1].ordinal < row.ordinal)
				r.places = append(r.places, place{row.ordinal, i})
			}
		}
	}
	if !ascending {
		slices.SortFunc(r.places, func(a, b place) int { return cmp.Compare(a.ordinal, b.ordinal) })
	}
	for _, p := range r.places {
		r.ordinals = append(r.ordinals, p.ordinal)
	}
}

// addRow adds the chunks of a row to those of the series at places[i].
func (r *ColumnReader) addRow(i int, row []byte, from source, start int64, list int) (err error) {
	at := len(r.arena)
	r.arena = append(r.arena, row...)
	r.decoded, err = chunks.DecodeList(r.decoded[:0], r.arena[at:], start, list)
	to := &r.rows[r.places[i].entry]
	for _, c := range r.decoded {
		from.Chunk = c
		*to = append(*to, from)
	}
	return err
}

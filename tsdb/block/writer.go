package block

import (
	"fmt"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/tsdb/head"
)

// tableBytesMax is where a table is ended and the next one begun.
const tableBytesMax = 64 << 20

// chunkTableBytesMin is from where on the chunks of a flush get a table of their
// own, and its summary as well. The chunks and summaries of different flushes
// never interleave, so such tables are never compacted; together with index rows,
// which do, every other flush would have all those before it written again. The
// tables of smaller flushes are better merged.
const chunkTableBytesMin = 16 << 10

// Writer builds the tables of one flush of an epoch: AddFlush for each
// partition in key order, then Tables.
type Writer struct {
	ingester kv.Ingester
	tables   []kv.Table
	open     kv.Table
	key      []byte
	value    []byte
}

// NewWriter returns a writer of tables for ingester.
func NewWriter(ingester kv.Ingester) *Writer { return &Writer{ingester: ingester} }

// Tables finishes the tables and hands them over.
func (w *Writer) Tables() ([]kv.Table, error) {
	if err := w.Cut(); err != nil {
		return nil, err
	}
	return w.tables, nil
}

// Abandon drops all tables. After a successful Ingest it does nothing.
func (w *Writer) Abandon() {
	if w.open != nil {
		w.open.Abandon()
	}
	for _, t := range w.tables {
		t.Abandon()
	}
}

// Set adds a row. Keys must ascend over the writer's whole life.
func (w *Writer) Set(key, value []byte) error {
	if w.open != nil && w.open.Size() > tableBytesMax {
		if err := w.Cut(); err != nil {
			return err
		}
	}
	if w.open == nil {
		table, err := w.ingester.NewTable()
		if err != nil {
			return err
		}
		w.open = table
	}
	return w.open.Set(key, value)
}

// Cut ends the table that is being built; the next row begins another.
func (w *Writer) Cut() error {
	if w.open == nil {
		return nil
	}
	table := w.open
	w.open = nil
	w.tables = append(w.tables, table)
	return table.Finish()
}

// Member is a series of a flush.
type Member struct {
	Ordinal uint32
	Ref     index.Ref
}

// Flush is what AddFlush writes: the part of an epoch that lies in one window.
type Flush struct {
	ID      ID
	Number  uint32
	Width   int64
	Epoch   *head.Epoch
	Table   *index.Table
	Members []Member    // ascending by ordinal; series with samples in the window
	New     []index.Ref // the members that have no labels in the generation yet, in ordinal order
	First   uint32      // ordinal of New[0]
	// Counters are the origins' batches that the epoch holds.
	Counters []CounterRange
}

// AddFlush adds the rows of f and returns its summary; conflicts counts the
// timestamps at which different versions of a sample met.
func (w *Writer) AddFlush(f *Flush) (s Summary, conflicts int, err error) {
	s = Summary{
		Flush: f.Number, Epoch: f.Epoch.ID, Width: f.Width, Shards: 1,
		FirstOrdinal: f.First, NewSeries: uint32(len(f.New)), Counters: f.Counters, MinTime: f.ID.Start + f.Width, MaxTime: f.ID.Start,
	}
	prefix := f.ID.Prefix()
	exemplars, conflicts, err := w.addChunks(f, prefix, &s)
	if err != nil {
		return s, conflicts, fmt.Errorf("write chunks of %s: %w", f.ID, err)
	}
	apart := w.open != nil && w.open.Size() > chunkTableBytesMin
	if apart {
		if err := w.Cut(); err != nil {
			return s, conflicts, err
		}
	}
	if s.MinTime > s.MaxTime { // nothing lies in the window
		s.MinTime, s.MaxTime = f.ID.Start, f.ID.Start
	}
	w.key = keyspace.AppendUint32(append(append(w.key[:0], prefix...), familySummary), f.Number)
	w.value = s.append(w.value[:0], f.ID.Start)
	if err := w.Set(w.key, w.value); err != nil {
		return s, conflicts, err
	}
	if apart {
		if err := w.Cut(); err != nil {
			return s, conflicts, err
		}
	}
	if err := w.addIndex(f, prefix); err != nil {
		return s, conflicts, fmt.Errorf("write index of %s: %w", f.ID, err)
	}
	for _, x := range exemplars {
		w.key = keyspace.AppendUint32(append(append(w.key[:0], prefix...), familyExemplars), f.Number)
		w.key = keyspace.AppendUint32(w.key, x.ordinal)
		if err := w.Set(w.key, x.row); err != nil {
			return s, conflicts, err
		}
	}
	return s, conflicts, nil
}

type exemplarRow struct {
	ordinal uint32
	row     []byte
}

// addChunks writes the chunk rows and returns the exemplar rows, whose keys
// come later.
func (w *Writer) addChunks(f *Flush, prefix []byte, s *Summary) (exemplars []exemplarRow, conflicts int, err error) {
	var one head.Series
	var buffer []byte
	var cut cutter
	end := f.ID.Start + f.Width
	for _, m := range f.Members {
		if !f.Epoch.One(m.Ref, &one, &buffer) {
			continue
		}
		list, n, err := cut.window(&one, f.ID.Start, end)
		if err != nil {
			return exemplars, conflicts, err
		}
		conflicts += n
		if len(list) > 0 {
			w.value = w.value[:0]
			for _, c := range list {
				w.value = chunks.AppendChunk(w.value, f.ID.Start, c)
				s.Samples += uint64(c.Count)
				s.MinTime, s.MaxTime = min(s.MinTime, c.MinTime), max(s.MaxTime, c.MaxTime)
			}
			w.key = keyspace.AppendUint32(append(append(w.key[:0], prefix...), familyChunks), f.Number)
			w.key = keyspace.AppendUint32(w.key, m.Ordinal)
			if err := w.Set(w.key, w.value); err != nil {
				return exemplars, conflicts, err
			}
			s.ChunkBytes += uint64(len(w.value))
		}
		var inside []head.Exemplar
		for _, x := range one.Exemplars {
			if x.Timestamp >= f.ID.Start && x.Timestamp < end {
				inside = append(inside, x)
				s.MinTime, s.MaxTime = min(s.MinTime, x.Timestamp), max(s.MaxTime, x.Timestamp)
			}
		}
		if len(inside) > 0 {
			exemplars = append(exemplars, exemplarRow{m.Ordinal, appendExemplars(nil, f.ID.Start, inside)})
			s.Exemplars += uint64(len(inside))
		}
	}
	return exemplars, conflicts, nil
}

// addIndex writes the postings and the labels of the new series.
func (w *Writer) addIndex(f *Flush, prefix []byte) (err error) {
	for _, pair := range f.Table.Pairs(f.New, f.First) {
		name, value, _, ok := pair.Segment.CutPair()
		if !ok {
			return fmt.Errorf("label pair %x: %w", pair.Segment, ErrCorrupt)
		}
		w.key = append(append(w.key[:0], prefix...), familyPostings)
		w.key = keyspace.AppendString(keyspace.AppendString(w.key, name), value)
		w.key = keyspace.AppendUint32(w.key, f.Number)
		var set runs
		for _, ordinal := range pair.Positions {
			set.add(ordinal)
		}
		if w.value, err = set.append(w.value[:0]); err != nil {
			return err
		}
		if err := w.Set(w.key, w.value); err != nil {
			return err
		}
	}
	for i, ref := range f.New {
		w.key = keyspace.AppendUint32(append(append(w.key[:0], prefix...), familyLabels), f.First+uint32(i))
		w.value = f.Table.AppendLabels(w.value[:0], ref)
		if err := w.Set(w.key, w.value); err != nil {
			return err
		}
	}
	return nil
}

// cutter takes the part of a series that lies in a window.
type cutter struct {
	list    []chunks.Chunk
	samples []chunks.Sample
	times   []int64
	values  []float64
}

// window returns the chunks of s in [start, end). The open chunk is passed on as
// it is when it lies inside and nothing else does between its ends.
func (c *cutter) window(s *head.Series, start, end int64) (list []chunks.Chunk, conflicts int, err error) {
	inside := s.Extra
	for len(inside) > 0 && inside[0].Time < start {
		inside = inside[1:]
	}
	for len(inside) > 0 && inside[len(inside)-1].Time >= end {
		inside = inside[:len(inside)-1]
	}
	open := s.Open
	if open.Count > 0 && (open.MaxTime < start || open.MinTime >= end) {
		open.Count = 0
	}
	whole := open.MinTime >= start && open.MaxTime < end
	apart := len(inside) == 0 || inside[len(inside)-1].Time < open.MinTime || inside[0].Time > open.MaxTime
	c.list = c.list[:0]
	if open.Count == 0 || whole && apart {
		if open.Count > 0 {
			c.list = append(c.list, open)
		}
		c.list, err = chunks.Encode(c.list, inside)
		return c.list, 0, err
	}
	c.times, c.values, err = chunks.DecodeFloats(c.times[:0], c.values[:0], open.Data, open.Count)
	if err != nil {
		return nil, 0, err
	}
	c.samples = c.samples[:0]
	for i, t := range c.times {
		if t >= start && t < end {
			c.samples = append(c.samples, chunks.FloatSample(t, c.values[i]))
		}
	}
	c.samples = append(c.samples, inside...)
	c.samples, conflicts = chunks.SortAndJoin(c.samples)
	c.list, err = chunks.Encode(c.list, c.samples)
	return c.list, conflicts, err
}

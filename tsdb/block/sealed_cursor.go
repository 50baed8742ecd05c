package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
)

// SealedScratch is what the cursors of one goroutine share: the memory that
// decoding needs, and the timestamps decoded last. Its zero value is ready.
type SealedScratch struct {
	// Shared, if it is not nil, lends timestamps that others have decoded.
	Shared *TimesCache

	in        *sealedCell // the one that cell reads now
	cell      column.CellReader
	decoder   column.Decoder
	times     map[timesKey][]int64
	held      int
	cursors   int
	forgotten int // how often the timestamps were dropped
}

// Reset forgets the timestamps. The cursors must be closed before.
func (s *SealedScratch) Reset() {
	s.enter(nil)
	clear(s.times)
	s.held, s.cursors = 0, 0
	s.forgotten++
}

// enter makes cell read the cell of s; none if that is nil.
func (s *SealedScratch) enter(cell *sealedCell) *column.CellReader {
	if s.in != cell {
		if s.in != nil {
			s.cell.Swap(&s.in.head)
		}
		if cell != nil {
			s.cell.Swap(&cell.head)
		}
		s.in = cell
	}
	return &s.cell
}

// timesKey names a timestamp column among the cursors of a scratch.
type timesKey struct {
	cursor int
	column uint32
}

// SealedCursor reads the floats of a sealed generation series by series, fastest
// in ascending order: it holds the cells of a few neighbours open. One goroutine
// uses it at a time, and it must be closed.
type SealedCursor struct {
	reader      *Reader
	scratch     *SealedScratch
	id          int // in scratch
	it          kv.Iterator
	first, last uint16 // slices wanted
	key         []byte
	prefix      int

	opened       bool   // [from, to] are the series whose cells are open
	from, to     uint32 // from is the first one that they may have
	cells        []*sealedCell
	recent       uint32 // the timestamp column used last
	recentTimes  []int64
	forgotten    int
	noHistograms bool
}

// sealedCell is the cell of a slice, with its row.
type sealedCell struct {
	head column.CellHead
	row  []byte
	next int // entry where the next series is likely to begin
}

// SealedEntry is a run of floats of one series.
type SealedEntry struct {
	// Times are shared by all series that have them; they must not be changed.
	Times       []int64
	HasStarts   bool
	cell, entry int
}

// NewSealedCursor returns a cursor over the slices that overlap [mint, maxt] of
// a sealed generation.
func (r *Reader) NewSealedCursor(mint, maxt int64, scratch *SealedScratch) (*SealedCursor, error) {
	plan := r.generation.Flushes[0].Sealed.Slices
	c := &SealedCursor{
		reader: r, scratch: scratch, id: scratch.cursors,
		first: uint16(plan.of(mint)), last: uint16(plan.of(maxt)),
		key: r.key(familyValues, 0), prefix: len(r.prefix) + 1,
	}
	scratch.cursors++
	histograms, err := r.store.Scan(r.key(familyHistograms), r.key(familyHistograms+1))
	if err != nil {
		return nil, err
	}
	c.noHistograms = !histograms.SeekGE(r.key(familyHistograms)) && histograms.Err() == nil
	if err := histograms.Close(); err != nil {
		return nil, err
	}
	c.it, err = r.store.Scan(r.key(familyValues), r.key(familyValues+1))
	return c, err
}

// Close ends the use of the cursor.
func (c *SealedCursor) Close() error { return c.it.Close() }

// HasHistograms reports whether the generation has any.
func (c *SealedCursor) HasHistograms() bool { return !c.noHistograms }

// Entries appends to dst the runs of floats that a series has in the slices of
// the range, in order of time. They are valid until Entries is called for
// another series.
func (c *SealedCursor) Entries(dst []SealedEntry, ordinal uint32) ([]SealedEntry, error) {
	if !c.opened || ordinal < c.from || ordinal > c.to {
		if err := c.open(ordinal); err != nil {
			c.opened = false
			return dst, err
		}
	}
	for i, s := range c.cells {
		cell := c.scratch.enter(s)
		first, end := cell.FindFrom(s.next, ordinal)
		s.next = end
		for entry := first; entry < end; entry++ {
			times, err := c.timesOf(cell.Times(entry))
			if err != nil {
				return dst, err
			}
			dst = append(dst, SealedEntry{Times: times, HasStarts: cell.HasStarts(entry), cell: i, entry: entry})
		}
	}
	return dst, nil
}

// open opens the cells that hold a series.
func (c *SealedCursor) open(ordinal uint32) error {
	walking := c.opened && ordinal > c.to && c.it.Key() != nil
	c.cells = c.cells[:0]
	c.opened, c.from = true, ordinal
	if walking {
		// The iterator stands behind the cells that were open, mostly on the
		// next ones.
		for walking = c.lastOfKey() == c.to; walking; walking = c.lastOfKey() == c.to {
			if !c.it.Next() {
				c.to = math.MaxUint32
				return c.it.Err()
			}
		}
		walking = c.lastOfKey() >= ordinal
		c.from = min(c.from, c.to+1)
	}
	if !walking {
		c.from = ordinal
		if !c.it.SeekGE(c.seekKey(ordinal, 0)) {
			c.to = math.MaxUint32
			return c.it.Err()
		}
	}
	c.to = c.lastOfKey()
	if c.sliceOfKey() < c.first && !c.it.SeekGE(c.seekKey(c.to, c.first)) {
		return c.it.Err()
	}
	for c.lastOfKey() == c.to && c.sliceOfKey() <= c.last {
		if err := c.addCell(); err != nil {
			return err
		}
		if !c.it.Next() {
			return c.it.Err()
		}
	}
	return nil
}

func (c *SealedCursor) seekKey(ordinal uint32, slice uint16) []byte {
	return keyspace.AppendUint16(keyspace.AppendUint32(c.key[:c.prefix], ordinal), slice)
}

func (c *SealedCursor) lastOfKey() uint32  { return binary.BigEndian.Uint32(c.it.Key()[c.prefix:]) }
func (c *SealedCursor) sliceOfKey() uint16 { return binary.BigEndian.Uint16(c.it.Key()[c.prefix+4:]) }

// addCell opens the cell on which the iterator stands.
func (c *SealedCursor) addCell() error {
	value := c.it.Value()
	if value == nil {
		if err := c.it.Err(); err != nil {
			return err
		}
		return fmt.Errorf("%w: empty cell", ErrCorrupt)
	}
	n := len(c.cells)
	c.cells = slices.Grow(c.cells, 1)[:n+1]
	if c.cells[n] == nil { // else the memory of one used before
		c.cells[n] = &sealedCell{}
	}
	s := c.cells[n]
	s.row, s.next = append(s.row[:0], value...), 0
	err := c.scratch.enter(s).Open(s.row, column.Limits{})
	if err != nil {
		c.cells = c.cells[:n]
	}
	return err
}

// Values decodes the floats of an entry into dst, which is as long.
func (c *SealedCursor) Values(dst []float64, e *SealedEntry) error {
	return c.scratch.enter(c.cells[e.cell]).Values(dst, e.entry)
}

// Starts decodes the start timestamps of an entry into dst, which is as long.
func (c *SealedCursor) Starts(dst []int64, e *SealedEntry) error {
	return c.scratch.enter(c.cells[e.cell]).Starts(dst, e.Times, e.entry)
}

// Info returns what the column of an entry says about itself.
func (c *SealedCursor) Info(e *SealedEntry) (column.Info, error) {
	return c.scratch.enter(c.cells[e.cell]).Info(e.entry)
}

// timesOf returns the timestamps of a slice, which is not empty.
func (c *SealedCursor) timesOf(at column.Slice) ([]int64, error) {
	if c.recentTimes == nil || c.recent != at.Column || c.forgotten != c.scratch.forgotten {
		times, err := c.timesColumn(at.Column)
		if err != nil {
			return nil, err
		}
		c.recent, c.recentTimes, c.forgotten = at.Column, times, c.scratch.forgotten
	}
	from, length := uint64(at.Offset), uint64(at.Length)
	if length == 0 || from+length > uint64(len(c.recentTimes)) {
		return nil, fmt.Errorf("%w: slice [%d, %d) of %d timestamps", ErrCorrupt, from, from+length, len(c.recentTimes))
	}
	return c.recentTimes[from : from+length : from+length], nil
}

// timesColumn returns a timestamp column.
func (c *SealedCursor) timesColumn(number uint32) ([]int64, error) {
	s := c.scratch
	key := timesKey{c.id, number}
	if times, ok := s.times[key]; ok {
		return times, nil
	}
	shared := columnKey{c.reader.generation.ID, number}
	times := s.Shared.column(shared)
	if times == nil {
		var err error
		if times, err = c.decodeTimes(number); err != nil {
			return nil, err
		}
		s.Shared.putColumn(shared, times)
	}
	n := len(times)
	if s.held += n; s.held > timesHeld || s.times == nil {
		if s.times != nil {
			s.forgotten++
		}
		s.times, s.held = map[timesKey][]int64{}, n
	}
	s.times[key] = times
	return times, nil
}

// decodeTimes reads a timestamp column from the store.
func (c *SealedCursor) decodeTimes(number uint32) ([]int64, error) {
	row, err := c.reader.store.Get(c.reader.key(familyTimes, number))
	if err != nil {
		return nil, fmt.Errorf("read timestamp column %d: %w", number, missing(err))
	}
	n, err := column.TimesLen(row, column.SamplesMax)
	if err != nil {
		return nil, err
	}
	times := make([]int64, n)
	return times, c.scratch.decoder.Times(times, row, 0)
}

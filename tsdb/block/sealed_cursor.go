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

	in      *sealedCell // the one that cell reads now
	cell    column.CellReader
	decoder column.Decoder
	times   map[timesKey]*timesColumn // those for which Shared has no room
	held    int
	cursors int
}

// Reset forgets the timestamps. The cursors must be closed before.
func (s *SealedScratch) Reset() {
	s.enter(nil)
	clear(s.times)
	s.held, s.cursors = 0, 0
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

	opened   bool   // [from, to] are the series whose cells are open
	from, to uint32 // from is the first one that they may have
	cells    []*sealedCell
	table    *timesTable
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
	Times
	HasStarts   bool
	cell, entry int32
	column      *timesColumn
	table       *timesTable
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
	c.table = scratch.Shared.table(r.generation.ID, int(min(r.generation.Flushes[0].Sealed.Columns, math.MaxInt32)))
	var err error
	if c.table.histograms.Load() == 0 {
		if err = c.findHistograms(); err != nil {
			return nil, err
		}
	}
	c.it, err = r.store.Scan(r.key(familyValues), r.key(familyValues+1))
	return c, err
}

const (
	noHistograms   = 1
	someHistograms = 2
)

// findHistograms finds out whether the generation has any.
func (c *SealedCursor) findHistograms() error {
	r := c.reader
	it, err := r.store.Scan(r.key(familyHistograms), r.key(familyHistograms+1))
	if err != nil {
		return err
	}
	found := int32(someHistograms)
	if !it.SeekGE(r.key(familyHistograms)) && it.Err() == nil {
		found = noHistograms
	}
	c.table.histograms.Store(found)
	return it.Close()
}

// Close ends the use of the cursor.
func (c *SealedCursor) Close() error { return c.it.Close() }

// HasHistograms reports whether the generation has any.
func (c *SealedCursor) HasHistograms() bool { return c.table.histograms.Load() == someHistograms }

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
			at := cell.Times(entry)
			times, err := c.timesColumn(at.Column)
			if err != nil {
				return dst, err
			}
			from, length, n := uint64(at.Offset), uint64(at.Length), uint64(len(times.All))
			if length == 0 || from+length > n {
				return dst, fmt.Errorf("%w: slice [%d, %d) of %d timestamps", ErrCorrupt, from, from+length, n)
			}
			dst = append(dst, SealedEntry{
				Times:     times.slice(int(from), int(from+length)),
				HasStarts: cell.HasStarts(entry), cell: int32(i), entry: int32(entry), column: times, table: c.table,
			})
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
func (c *SealedCursor) Values(dst []float64, e *SealedEntry) error { return c.ValuesFrom(dst, e, 0) }

// ValuesFrom is Values where those before number from are not wanted, and get any
// contents.
func (c *SealedCursor) ValuesFrom(dst []float64, e *SealedEntry, from int) error {
	return c.scratch.enter(c.cells[e.cell]).ValuesFrom(dst, int(e.entry), from)
}

// Facts returns what is known of the values decoded last.
func (c *SealedCursor) Facts() column.Facts { return c.scratch.cell.Facts() }

// Starts decodes the start timestamps of an entry into dst, which is as long.
func (c *SealedCursor) Starts(dst []int64, e *SealedEntry) error {
	return c.scratch.enter(c.cells[e.cell]).Starts(dst, e.All, int(e.entry))
}

// Info returns what the column of an entry says about itself.
func (c *SealedCursor) Info(e *SealedEntry) (column.Info, error) {
	return c.scratch.enter(c.cells[e.cell]).Info(int(e.entry))
}

// timesColumn returns a timestamp column.
func (c *SealedCursor) timesColumn(number uint32) (*timesColumn, error) {
	if known := c.table.column(number); known != nil {
		return known, nil
	}
	s := c.scratch
	key := timesKey{c.id, number}
	if known := s.times[key]; known != nil {
		return known, nil
	}
	times, err := c.decodeTimes(number)
	if err != nil {
		return nil, err
	}
	made := newTimesColumn(times)
	if c.table.put(number, made) {
		return made, nil
	}
	n := len(times)
	if s.held += n; s.held > timesHeld || s.times == nil {
		s.times, s.held = map[timesKey]*timesColumn{}, n
	}
	s.times[key] = made
	return made, nil
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

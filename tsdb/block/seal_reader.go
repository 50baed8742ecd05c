package block

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// errEnough ends a walk through a row of labels.
var errEnough = errors.New("enough")

// sealedLabels is Labels for rows of several sets.
func (r *Reader) sealedLabels(ordinals []uint32, visit func(i int, ls series.Labels) error) error {
	if len(ordinals) == 0 {
		return nil
	}
	prefix := r.key(familyLabels)
	it, err := r.store.Scan(prefix, r.key(familyLabels+1))
	if err != nil {
		return err
	}
	defer it.Close()
	var buffer, seek []byte
	next := 0 // index into ordinals
	valid := false
	last := uint32(0) // ordinal of the row before
	for next < len(ordinals) {
		// The next row is mostly near; one seek beats a few steps.
		near := valid && ordinals[next]-last <= 2*labelsPerRow
		if near {
			valid = it.Next()
		}
		if !near || valid && binary.BigEndian.Uint32(it.Key()[len(prefix):]) < ordinals[next] {
			seek = keyspace.AppendUint32(append(seek[:0], prefix...), ordinals[next])
			valid = it.SeekGE(seek)
		}
		if !valid {
			break
		}
		row := it.Value()
		last = binary.BigEndian.Uint32(it.Key()[len(prefix):])
		first := last + 1 - uint32(countLabels(row))
		buffer, err = eachLabels(row, buffer[:0], func(i int, ls series.Labels) error {
			for next < len(ordinals) && ordinals[next] == first+uint32(i) {
				if err := visit(next, ls); err != nil {
					return err
				}
				next++
			}
			if next == len(ordinals) || ordinals[next] > last {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			return err
		}
		if next < len(ordinals) && ordinals[next] <= last {
			return fmt.Errorf("%w: labels of series %d are missing", ErrCorrupt, ordinals[next])
		}
	}
	return it.Err()
}

// SealedReader reads the samples of sealed generations; it keeps its scratch,
// and the timestamps that it decoded last. One goroutine uses it at a time.
type SealedReader struct {
	cell    column.CellReader
	decoder column.Decoder
	times   map[uint32][]int64 // decoded columns of reader
	held    int
	reader  *Reader
	floats  []float64 // unused end of the last allocation
	row     []byte    // of histograms, with timestamps
}

// timesHeld bounds the timestamps that a SealedReader keeps.
const timesHeld = 4 << 20

// Range is what is wanted of a series: the samples with times in [Min, Max].
type Range struct {
	Min, Max int64
	// Charge is called with the bytes that are about to be read or decoded.
	Charge func(bytes int64) error
}

// Floats calls visit with decoded chunks of the floats in the range of each
// ordinal, in order of ordinal and time; ordinals must ascend. The chunks' memory
// is the caller's, but shared with others: it must not be changed.
func (s *SealedReader) Floats(r *Reader, ordinals []uint32, wanted Range, visit func(i int, c chunks.Chunk)) error {
	if len(ordinals) == 0 {
		return nil
	}
	s.use(r)
	it, err := r.store.Scan(r.key(familyValues), r.key(familyValues+1))
	if err != nil {
		return err
	}
	defer it.Close()
	plan := r.generation.Flushes[0].Sealed.Slices
	firstSlice, lastSlice := uint16(plan.of(wanted.Min)), uint16(plan.of(wanted.Max))
	prefix := len(r.prefix) + 1
	seek := append(make([]byte, 0, prefix+6), r.key(familyValues)...)
	for next := 0; next < len(ordinals); {
		if !it.SeekGE(keyspace.AppendUint16(keyspace.AppendUint32(seek[:prefix], ordinals[next]), 0)) {
			break
		}
		last := binary.BigEndian.Uint32(it.Key()[prefix:])
		end := next
		for end < len(ordinals) && ordinals[end] <= last {
			end++
		}
		valid := true
		if binary.BigEndian.Uint16(it.Key()[prefix+4:]) < firstSlice {
			valid = it.SeekGE(keyspace.AppendUint16(keyspace.AppendUint32(seek[:prefix], last), firstSlice))
		}
		for ; valid && binary.BigEndian.Uint32(it.Key()[prefix:]) == last && binary.BigEndian.Uint16(it.Key()[prefix+4:]) <= lastSlice; valid = it.Next() {
			if err := s.cellFloats(it, ordinals[next:end], wanted, func(i int, c chunks.Chunk) { visit(next+i, c) }); err != nil {
				return err
			}
		}
		if err := it.Err(); !valid && err != nil {
			return err // the next seek would forget it
		}
		next = end
	}
	return it.Err()
}

// use forgets what belongs to another reader.
func (s *SealedReader) use(r *Reader) {
	if s.reader != r {
		s.reader, s.times, s.held = r, map[uint32][]int64{}, 0
	}
}

// cellFloats decodes what is wanted of the cell at it.
func (s *SealedReader) cellFloats(it kv.Iterator, ordinals []uint32, wanted Range, visit func(i int, c chunks.Chunk)) error {
	row := it.Value()
	if row == nil {
		return it.Err()
	}
	if err := s.cell.Open(row, column.Limits{}); err != nil {
		return err
	}
	for i, ordinal := range ordinals {
		first, end := s.cell.Find(ordinal)
		for entry := first; entry < end; entry++ {
			at := s.cell.Times(entry)
			times, err := s.timesOf(at)
			if err != nil {
				return err
			}
			if times[0] > wanted.Max || times[len(times)-1] < wanted.Min {
				continue
			}
			n := len(times)
			if err := wanted.Charge(int64(n) * 8); err != nil {
				return err
			}
			values := s.alloc(n)
			if err := s.cell.Values(values, entry); err != nil {
				return err
			}
			var starts []int64
			if s.cell.HasStarts(entry) {
				starts = make([]int64, n)
				if err := s.cell.Starts(starts, times, entry); err != nil {
					return err
				}
			}
			visit(i, chunks.FromColumns(times, values, starts))
		}
	}
	return nil
}

// alloc returns room for n floats out of larger allocations.
func (s *SealedReader) alloc(n int) []float64 {
	if len(s.floats) < n {
		s.floats = make([]float64, max(n, 32<<10))
	}
	out := s.floats[:n:n]
	s.floats = s.floats[n:]
	return out
}

// timesOf returns the timestamps of a slice, which is not empty.
func (s *SealedReader) timesOf(at column.Slice) ([]int64, error) {
	times, ok := s.times[at.Column]
	if !ok {
		row, err := s.reader.store.Get(s.reader.key(familyTimes, at.Column))
		if err != nil {
			return nil, fmt.Errorf("read timestamp column %d: %w", at.Column, missing(err))
		}
		n, err := column.TimesLen(row, column.SamplesMax)
		if err != nil {
			return nil, err
		}
		times = make([]int64, n)
		if err := s.decoder.Times(times, row, 0); err != nil {
			return nil, err
		}
		if s.held += n; s.held > timesHeld {
			s.times, s.held = map[uint32][]int64{}, n
		}
		s.times[at.Column] = times
	}
	from, length := uint64(at.Offset), uint64(at.Length)
	if length == 0 || from+length > uint64(len(times)) {
		return nil, fmt.Errorf("%w: slice [%d, %d) of %d timestamps", ErrCorrupt, from, from+length, len(times))
	}
	return times[from : from+length : from+length], nil
}

// missing turns the absence of a row that others refer to into damage.
func missing(err error) error {
	if err == kv.ErrNotFound {
		return fmt.Errorf("%w: the row is missing", ErrCorrupt)
	}
	return err
}

// Histograms calls visit with the chunk rows of each ordinal that has histograms
// in the slices of the range, as chunks.DecodeList reads them: timestamps that are
// stored elsewhere are in the rows. Ordinals must ascend; a row is valid until
// visit returns.
func (s *SealedReader) Histograms(r *Reader, ordinals []uint32, wanted Range, visit func(i int, row []byte) error) error {
	s.use(r)
	prefix := r.key(familyHistograms)
	it, err := r.store.Scan(prefix, r.key(familyHistograms+1))
	if err != nil {
		return err
	}
	defer it.Close()
	plan := r.generation.Flushes[0].Sealed.Slices
	first, last := uint16(plan.of(wanted.Min)), uint16(plan.of(wanted.Max))
	valid := it.SeekGE(prefix)
	for i, ordinal := range ordinals {
		if !valid {
			break
		}
		from := keyspace.AppendUint16(keyspace.AppendUint32(prefix[:len(prefix):len(prefix)], ordinal), first)
		if string(it.Key()) < string(from) {
			valid = it.SeekGE(from)
		}
		for ; valid && binary.BigEndian.Uint32(it.Key()[len(prefix):]) == ordinal; valid = it.Next() {
			if binary.BigEndian.Uint16(it.Key()[len(prefix)+4:]) > last {
				break
			}
			row := it.Value()
			if row == nil {
				return it.Err()
			}
			inline, err := chunks.InlineTimes(s.row[:0], row, r.generation.ID.Start, s.timesOf)
			if err != nil {
				return err
			}
			if len(inline) > len(row) {
				s.row = inline // its own memory
			}
			if err := wanted.Charge(int64(len(inline))); err != nil {
				return err
			}
			if err := visit(i, inline); err != nil {
				return err
			}
		}
	}
	return it.Err()
}

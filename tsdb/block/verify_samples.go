package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
)

// sealedVerifier is what verifying a sealed generation needs besides.
type sealedVerifier struct {
	scratch []byte
	last    []byte // labels of the series before

	decoder column.Decoder
	cell    column.CellReader
	times   map[uint32][]int64 // a few decoded columns
	held    int
	columns uint32 // found so far

	groupFirst, groupLast uint32 // ordinals of the present group of cells
	groups                bool   // there was one
	values                []float64
	starts                []int64
	iterator              chunks.Iterator
}

// seriesOf returns the tally of a series, which must be known to the flush.
func (v *verifier) seriesOf(f *flushTally, ordinal uint32) (*seriesTally, error) {
	if f == nil {
		return nil, fmt.Errorf("%w: a row of a flush without a summary", ErrCorrupt)
	}
	if ordinal >= f.FirstOrdinal+f.NewSeries {
		return nil, fmt.Errorf("%w: series %d of %d", ErrCorrupt, ordinal, f.FirstOrdinal+f.NewSeries)
	}
	if int(ordinal) >= len(v.series) {
		return &seriesTally{}, nil // its labels are missing, as was said
	}
	return &v.series[ordinal], nil
}

// count adds samples at [first, last] to a flush.
func (f *flushTally) count(n int, first, last int64) {
	f.found.Samples += uint64(n)
	f.found.MinTime, f.found.MaxTime = min(f.found.MinTime, first), max(f.found.MaxTime, last)
}

// chunkRow reads a row of flushed chunks.
func (v *verifier) chunkRow(_, rest, value []byte) error {
	if len(rest) != 8 || v.sealed != nil {
		return fmt.Errorf("%w: key of flushed chunks", ErrCorrupt)
	}
	f := v.flushes[binary.BigEndian.Uint32(rest)]
	if _, err := v.seriesOf(f, binary.BigEndian.Uint32(rest[4:])); err != nil {
		return err
	}
	f.found.ChunkBytes += uint64(len(value))
	start := v.out.ID.Start
	return v.chunkList(f, value, bounds{start, start + f.Width}, nil)
}

// bounds is a stretch of time; end is exclusive.
type bounds struct{ start, end int64 }

// holds reports whether [first, last] lies within.
func (b bounds) holds(first, last int64) bool { return first >= b.start && last < b.end }

// chunkList decodes the chunks of a row. visit, if set, gets every sample.
func (v *verifier) chunkList(f *flushTally, row []byte, within bounds, visit func(chunkenc.Iterator, chunkenc.ValueType) error) error {
	list, err := chunks.DecodeList(nil, row, v.out.ID.Start, 0)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: no chunks", ErrCorrupt)
	}
	if err != nil {
		return err
	}
	for i := range list {
		c := list[i]
		v.iterator.Reset(list[i:i+1:i+1], math.MinInt64, math.MaxInt64)
		n, first, last := 0, int64(0), int64(math.MinInt64)
		for kind := v.iterator.Next(); kind != chunkenc.ValNone; kind = v.iterator.Next() {
			t := v.iterator.AtT()
			if n == 0 {
				first = t
			} else if t <= last {
				return fmt.Errorf("%w: chunk %d has time %d after %d", ErrCorrupt, i, t, last)
			}
			last = t
			n++
			if visit != nil {
				if err := visit(&v.iterator, kind); err != nil {
					return err
				}
			}
		}
		if err := v.iterator.Err(); err != nil {
			return err
		}
		if n != c.Count || first != c.MinTime || last != c.MaxTime || !within.holds(first, last) {
			return fmt.Errorf("%w: chunk %d has %d samples in [%d, %d], its head says %d in [%d, %d], its row is for [%d, %d)",
				ErrCorrupt, i, n, first, last, c.Count, c.MinTime, c.MaxTime, within.start, within.end)
		}
		f.count(n, first, last)
	}
	return nil
}

// sealedFlush returns the flush of a sealed generation.
func (v *verifier) sealedFlush() *flushTally {
	if v.sealed == nil || len(v.order) == 0 {
		return nil
	}
	return v.flushes[v.order[0]]
}

// slice returns the stretch of time of a slice.
func (v *verifier) slice(number uint16) (bounds, error) {
	s := v.sealed.Slices
	if int(number) >= s.Count {
		return bounds{}, fmt.Errorf("%w: slice %d of %d", ErrCorrupt, number, s.Count)
	}
	b := bounds{s.end(int(number)) - s.Width, s.end(int(number))}
	if number == 0 {
		b.start = math.MinInt64
	}
	if int(number) == s.Count-1 {
		b.end = math.MaxInt64
	}
	return b, nil
}

// cutSealed takes the ordinal and the slice from the end of a key.
func (v *verifier) cutSealed(rest []byte) (ordinal uint32, slice bounds, err error) {
	if len(rest) != 6 || v.sealed == nil {
		return 0, bounds{}, fmt.Errorf("%w: key of a sealed row", ErrCorrupt)
	}
	slice, err = v.slice(binary.BigEndian.Uint16(rest[4:]))
	return binary.BigEndian.Uint32(rest), slice, err
}

// histogramRow reads a row of sealed histograms.
func (v *verifier) histogramRow(_, rest, value []byte) error {
	ordinal, within, err := v.cutSealed(rest)
	if err != nil {
		return err
	}
	f := v.sealedFlush()
	one, err := v.seriesOf(f, ordinal)
	if err != nil {
		return err
	}
	f.found.ChunkBytes += uint64(len(value))
	row, err := chunks.InlineTimes(nil, value, v.out.ID.Start, v.timesAt)
	if err != nil {
		return err
	}
	return v.chunkList(f, row, within, func(it chunkenc.Iterator, kind chunkenc.ValueType) error {
		var record []byte
		switch kind {
		case chunkenc.ValHistogram:
			_, h := it.AtHistogram(nil)
			record = chunks.AppendHistogram(nil, h)
		case chunkenc.ValFloatHistogram:
			_, h := it.AtFloatHistogram(nil)
			record = chunks.AppendFloatHistogram(nil, h)
		default:
			return fmt.Errorf("%w: a float among histograms", ErrCorrupt)
		}
		v.digest.sample(one.hash, it.AtT(), it.AtST(), xxh3.Hash(chunks.CanonicalHistogram(record)))
		return nil
	})
}

// timeRow reads a column of timestamps.
func (v *verifier) timeRow(_, rest, value []byte) error {
	f := v.sealedFlush()
	if len(rest) != 4 || f == nil {
		return fmt.Errorf("%w: key of timestamps", ErrCorrupt)
	}
	id := binary.BigEndian.Uint32(rest)
	if v.derived {
		return v.shapeRow(id, value)
	}
	next := v.columns
	v.columns = id + 1
	f.found.ChunkBytes += uint64(len(value))
	times, err := v.decodeTimes(value)
	switch {
	case err != nil:
		return err
	case id != next || id >= v.sealed.Columns:
		return fmt.Errorf("%w: column %d of %d comes after %d", ErrCorrupt, id, v.sealed.Columns, int64(next)-1)
	}
	v.keep(id, times)
	return nil
}

func (v *verifier) decodeTimes(row []byte) ([]int64, error) {
	if err := column.VerifyTimes(row); err != nil {
		return nil, err
	}
	n, err := column.TimesLen(row, column.SamplesMax)
	if err != nil {
		return nil, err
	}
	times := make([]int64, n)
	if err := v.decoder.Times(times, row, 0); err != nil {
		return nil, err
	}
	for i := 1; i < n; i++ {
		if times[i] <= times[i-1] {
			return nil, fmt.Errorf("%w: time %d after %d", ErrCorrupt, times[i], times[i-1])
		}
	}
	return times, nil
}

// keep holds a few decoded columns.
func (v *verifier) keep(id uint32, times []int64) {
	if v.held += len(times); v.times == nil || v.held > timesHeld {
		v.times, v.held = map[uint32][]int64{}, len(times)
	}
	v.times[id] = times
}

// timesAt returns the timestamps of a slice of a column.
func (v *verifier) timesAt(at column.Slice) ([]int64, error) {
	times, ok := v.times[at.Column]
	if !ok {
		row, err := v.rows.Reader.Get(v.keyOf(familyTimes, at.Column))
		if err != nil {
			return nil, fmt.Errorf("read timestamp column %d: %w", at.Column, missing(err))
		}
		if times, err = v.decodeTimes(row); err != nil {
			return nil, fmt.Errorf("timestamp column %d: %w", at.Column, err)
		}
		v.keep(at.Column, times)
	}
	if end := uint64(at.Offset) + uint64(at.Length); at.Length == 0 || end > uint64(len(times)) {
		return nil, fmt.Errorf("%w: slice [%d, %d) of %d timestamps", ErrCorrupt, at.Offset, end, len(times))
	}
	return times[at.Offset : at.Offset+at.Length], nil
}

// valueRow reads a cell.
func (v *verifier) valueRow(_, rest, value []byte) error {
	last, within, err := v.cutSealed(rest)
	if err != nil {
		return err
	}
	f := v.sealedFlush()
	if last >= f.FirstOrdinal+f.NewSeries {
		return fmt.Errorf("%w: cell up to series %d of %d", ErrCorrupt, last, f.NewSeries)
	}
	f.found.ChunkBytes += uint64(len(value))
	if !v.groups || last != v.groupLast {
		if v.groups {
			v.groupFirst = v.groupLast + 1
		}
		v.groups, v.groupLast = true, last
	}
	if err := v.cell.Open(value, column.Limits{}); err != nil {
		return err
	}
	if err := v.cell.Verify(); err != nil {
		return err
	}
	previous, before := uint32(0), int64(math.MinInt64)
	for i := range v.cell.Len() {
		ordinal := v.cell.Series(i)
		if ordinal < v.groupFirst || ordinal > last {
			return fmt.Errorf("%w: series %d in a cell for %d to %d", ErrCorrupt, ordinal, v.groupFirst, last)
		}
		if i == 0 || ordinal != previous {
			previous, before = ordinal, math.MinInt64
		}
		if before, err = v.entry(f, i, within, before); err != nil {
			return fmt.Errorf("entry %d of the cell, series %d: %w", i, ordinal, err)
		}
	}
	return nil
}

// entry decodes an entry of the cell, whose samples come after before.
func (v *verifier) entry(f *flushTally, i int, within bounds, before int64) (last int64, err error) {
	one, err := v.seriesOf(f, v.cell.Series(i))
	if err != nil {
		return before, err
	}
	times, err := v.timesAt(v.cell.Times(i))
	if err != nil {
		return before, err
	}
	n := len(times)
	first, last := times[0], times[n-1]
	if first <= before || !within.holds(first, last) {
		return last, fmt.Errorf("%w: times %d to %d in a slice [%d, %d) after %d", ErrCorrupt, first, last, within.start, within.end, before)
	}
	v.values, v.starts = grow(v.values, n), grow(v.starts, n)
	if err := v.cell.Values(v.values, i); err != nil {
		return last, err
	}
	if err := v.cell.Starts(v.starts, times, i); err != nil {
		return last, err
	}
	for k, t := range times {
		v.digest.sample(one.hash, t, v.starts[k], floatBits(v.values[k]))
	}
	f.count(n, first, last)
	return last, nil
}

// grow returns a slice of n elements, s if it is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// exemplarRow reads the exemplars of a series.
func (v *verifier) exemplarRow(_, rest, value []byte) error {
	if len(rest) != 8 {
		return fmt.Errorf("%w: key of exemplars", ErrCorrupt)
	}
	f := v.flushes[binary.BigEndian.Uint32(rest)]
	if _, err := v.seriesOf(f, binary.BigEndian.Uint32(rest[4:])); err != nil {
		return err
	}
	list, err := decodeExemplars(nil, value, v.out.ID.Start, math.MinInt64, math.MaxInt64)
	if err != nil {
		return err
	}
	f.found.Exemplars += uint64(len(list))
	within := bounds{v.out.ID.Start, v.out.ID.Start + f.Width}
	for _, x := range list {
		if !within.holds(x.Timestamp, x.Timestamp) {
			return fmt.Errorf("%w: an exemplar at %d, outside of the window", ErrCorrupt, x.Timestamp)
		}
		f.count(0, x.Timestamp, x.Timestamp)
	}
	return nil
}

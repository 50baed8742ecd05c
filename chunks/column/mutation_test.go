package column

import (
	"slices"
	"testing"
)

// TestFlippedBits flips every bit of cells and timestamp columns. With the
// checksum each is found; without it nothing may go wrong but the values.
func TestFlippedBits(t *testing.T) {
	for _, level := range levels {
		e := NewEncoder(level)
		r := newRand(24, 25)
		cell := writeCell(t, NewCellWriter(e), cellEntries(r, 16))
		var reader CellReader
		flipEach(cell, func(src []byte) {
			if err := reader.Open(src, Limits{}); err == nil {
				checkReadable(t, &reader, len(src))
			}
			if reader.Verify() == nil {
				t.Fatal("a flipped bit was not found")
			}
		})
	}
	var d Decoder
	times := NewEncoder(Fast).AppendTimes(nil, []int64{5, 15, 25, 36, 45, 1e6})
	flipEach(times, func(src []byte) {
		n, err := TimesLen(src, 1e6)
		checkCorrupt(t, err, len(src))
		checkCorrupt(t, d.Times(make([]int64, n), src, 0), len(src))
		if VerifyTimes(src) == nil {
			t.Fatal("a flipped bit was not found")
		}
	})
}

// checkReadable reads all of a cell that may be damaged.
func checkReadable(t *testing.T, r *CellReader, size int) {
	t.Helper()
	values, times := make([]float64, SamplesMax), make([]int64, SamplesMax)
	for i := range r.Len() {
		n := r.Times(i).Length
		checkCorrupt(t, r.Values(values, i), size)
		checkCorrupt(t, r.Starts(times, times[:n], i), size)
		_, err := r.Info(i)
		checkCorrupt(t, err, size)
		_, _, err = r.Runs(nil, i)
		checkCorrupt(t, err, size)
	}
}

// flipEach calls f with src with each of its first 12,000 bits flipped in turn.
func flipEach(src []byte, f func([]byte)) {
	src = slices.Clone(src)
	for bit := range min(8*len(src), 12_000) {
		src[bit/8] ^= 1 << (bit % 8)
		f(src)
		src[bit/8] ^= 1 << (bit % 8)
	}
}

// TestTruncated cuts columns of every kind everywhere: always an error, and
// nothing is read behind the end.
func TestTruncated(t *testing.T) {
	var d Decoder
	for _, g := range goldenColumns() {
		src := NewEncoder(g.level).AppendValues(nil, g.values())
		dst := make([]float64, g.n)
		for end := range len(src) {
			// A copy, so that a read behind the end would be out of range.
			err := d.Values(dst, slices.Clip(slices.Clone(src[:end])))
			if err == nil {
				t.Fatalf("%s: %d of %d bytes decode", g.name, end, len(src))
			}
			checkCorrupt(t, err, end)
		}
	}
}

// TestNoAllocations decodes everything there is without allocating.
func TestNoAllocations(t *testing.T) {
	var d Decoder
	for _, g := range goldenColumns() {
		src := NewEncoder(g.level).AppendValues(nil, g.values())
		dst := make([]float64, g.n)
		var err error
		if n := testing.AllocsPerRun(20, func() { err = d.Values(dst, src) }); n > 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", g.name, n, err)
		}
	}
	var r CellReader
	cell := writeCell(t, NewCellWriter(NewEncoder(Balanced)), cellEntries(newRand(26, 27), 20))
	values, starts := make([]float64, SamplesMax), make([]int64, SamplesMax)
	n := testing.AllocsPerRun(20, func() {
		err := r.Open(cell, Limits{})
		for i := range r.Len() {
			if err == nil {
				err = r.Values(values, i)
			}
			if err == nil {
				err = r.Starts(starts, starts[:r.Times(i).Length], i)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations a cell", n)
	}
}

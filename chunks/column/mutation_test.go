package column

import (
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
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
	if raceDetector {
		t.Skip("the entropy coders' pools do not hold under the race detector")
	}
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

// TestBombs decodes columns that would expand without end: an error, and
// nothing of their size is allocated.
func TestBombs(t *testing.T) {
	zeros := make([]byte, 4<<20)
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	frame := z.EncodeAll(zeros, nil)[len(zstdMagic):]
	head := func(form byte) []byte { return []byte{kindDecimal, 0, form<<intsStream | intsZigzag} }
	bombs := map[string][]byte{
		"zstd": append(binary.AppendUvarint(head(streamZstd), uint64(len(frame))), frame...),
		"zstd that claims 2^60 bytes": append(binary.AppendUvarint(head(streamZstd), 13),
			0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x03, 0, 0x10, 0),
		"sparse stream of 2^40 values": append(head(streamSparse), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1),
		"2^40 exceptions":              {kindDecimal, decimalExcept, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1},
		"tokens of 2^40 bytes":         append(head(streamHuff4), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1),
	}
	var d Decoder
	dst := make([]float64, SamplesMax)
	checkCorrupt(t, d.Values(dst, bombs["zstd"]), 1<<20) // makes the zstd decoder
	for name, src := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := d.Values(dst, src)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		checkCorrupt(t, err, len(src))
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<10 {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
	cell := []byte{cellVersion, 0xff, 0xff, 3, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0}
	var r CellReader
	if err := r.Open(cell, Limits{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a cell of 65,535 entries in 14 bytes: %v", err)
	}
}

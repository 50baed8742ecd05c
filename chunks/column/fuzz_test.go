package column

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
)

// floatsOf makes 1 to SamplesMax floats of data. The first byte says how: as
// bits, or as small steps in some unit, so that every kind of column comes up.
func floatsOf(data []byte) []float64 {
	if len(data) < 2 {
		return []float64{1}
	}
	mode, data := data[0], data[1:]
	var v []float64
	if mode < 64 {
		for ; len(data) >= 8 && len(v) < SamplesMax; data = data[8:] {
			v = append(v, math.Float64frombits(binary.LittleEndian.Uint64(data)))
		}
	} else {
		x := 0.0
		repeat := 1 + int(mode&3)*100
		for _, b := range data {
			switch {
			case b >= 250:
				v = append(v, special[int(b-250)*7%len(special)])
				continue
			case mode&4 == 0:
				x += float64(int8(b))
			default:
				x = float64(b)
			}
			for range repeat {
				v = append(v, x/powers[mode>>3&7])
			}
			if len(v) >= SamplesMax {
				break
			}
		}
	}
	if len(v) == 0 {
		return []float64{1}
	}
	return v[:min(len(v), SamplesMax)]
}

func FuzzValuesRoundTrip(f *testing.F) {
	r := newRand(20, 21)
	for mode := 0; mode < 256; mode += 9 {
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(r.Uint32() >> (8 + mode%17))
		}
		data[0] = byte(mode)
		f.Add(data)
	}
	encoders := []*Encoder{NewEncoder(Fast), NewEncoder(Balanced), NewEncoder(Small)}
	var d Decoder
	f.Fuzz(func(t *testing.T, data []byte) {
		v := floatsOf(data)
		for _, e := range encoders {
			checkColumn(t, &d, e.AppendValues(nil, v), v)
		}
	})
}

func FuzzIntsRoundTrip(f *testing.F) {
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 64), 1<<63))
	f.Add(make([]byte, 9000))
	e := NewEncoder(Small)
	var d Decoder
	f.Fuzz(func(t *testing.T, data []byte) {
		var x []int64
		for ; len(data) >= 8; data = data[8:] {
			x = append(x, int64(binary.LittleEndian.Uint64(data)))
		}
		src := e.AppendTimes(nil, x)
		got := make([]int64, len(x))
		if err := d.Times(got, src, 0); err != nil || !slices.Equal(got, x) {
			t.Fatalf("%v: %v, want %v", err, got, x)
		}
		if err := VerifyTimes(src); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecodeValues decodes arbitrary bytes: no panic, and the same result twice.
func FuzzDecodeValues(f *testing.F) {
	for _, c := range formatExamples {
		f.Add(unhex(f, c.hex), uint16(len(c.values)))
	}
	for _, g := range goldenColumns() {
		f.Add(NewEncoder(g.level).AppendValues(nil, g.values()), uint16(g.n))
	}
	var d, other Decoder
	first, second := make([]float64, SamplesMax), make([]float64, SamplesMax)
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		if n < 1 || n > SamplesMax {
			return
		}
		err := d.Values(first[:n], src)
		checkCorrupt(t, err, len(src))
		if again := other.Values(second[:n], src); (err == nil) != (again == nil) || err == nil && !sameBits(first[:n], second[:n]) {
			t.Fatalf("%v, then %v", err, again)
		}
		runs, ok, runsErr := d.Runs(nil, src, int(n))
		checkCorrupt(t, runsErr, len(src))
		if ok && err != nil {
			t.Fatalf("runs of a column that does not decode: %v", err)
		}
		if ok {
			checkRuns(t, runs, first[:n])
		}
		_, err = Describe(src, int(n))
		checkCorrupt(t, err, len(src))
	})
}

func checkCorrupt(t testing.TB, err error, size int) {
	t.Helper()
	if err == nil {
		return
	}
	var corrupt *CorruptError
	if !errors.Is(err, ErrCorrupt) || !errors.As(err, &corrupt) || corrupt.Offset < 0 || corrupt.Offset > size {
		t.Fatalf("%#v is not a CorruptError inside of %d bytes", err, size)
	}
}

func FuzzDecodeTimes(f *testing.F) {
	e := NewEncoder(Small)
	f.Add(e.AppendTimes(nil, nil), uint32(0))
	f.Add(e.AppendTimes(nil, []int64{1, 2, 3}), uint32(1))
	f.Add(e.AppendTimes(nil, make([]int64, 3000)), uint32(1500))
	var d Decoder
	f.Fuzz(func(t *testing.T, src []byte, offset uint32) {
		const most = 1 << 20
		n, err := TimesLen(src, most)
		checkCorrupt(t, err, len(src))
		if err == nil && n > most {
			t.Fatalf("%d timestamps", n)
		}
		dst := make([]int64, max(0, min(n-int(offset), 5000)))
		checkCorrupt(t, d.Times(dst, src, int(offset)), len(src))
		checkCorrupt(t, VerifyTimes(src), len(src))
	})
}

func FuzzReadCell(f *testing.F) {
	f.Add(unhex(f, cellExample))
	f.Add(writeCell(f, NewCellWriter(NewEncoder(Fast)), goldenEntries()))
	for seed := range 4 {
		f.Add(writeCell(f, NewCellWriter(NewEncoder(Small)), cellEntries(newRand(seed, 22), 2+seed)))
	}
	var r CellReader
	values, times, starts := make([]float64, SamplesMax), make([]int64, SamplesMax), make([]int64, SamplesMax)
	f.Fuzz(func(t *testing.T, src []byte) {
		err := r.Open(src, Limits{Entries: 1000})
		checkCorrupt(t, err, len(src))
		checkCorrupt(t, r.Verify(), len(src))
		if err != nil {
			return
		}
		if r.Len() > 1000 {
			t.Fatalf("%d entries", r.Len())
		}
		for i := range r.Len() {
			n := r.Times(i).Length
			checkCorrupt(t, r.Values(values, i), len(src))
			checkCorrupt(t, r.Starts(starts[:n], times[:n], i), len(src))
			_, err := r.Info(i)
			checkCorrupt(t, err, len(src))
			runs, ok, err := r.Runs(nil, i)
			checkCorrupt(t, err, len(src))
			if ok && runs[len(runs)-1].End != int(n) {
				t.Fatalf("runs end at %d of %d", runs[len(runs)-1].End, n)
			}
			if first, end := r.Find(r.Series(i)); i < first || i >= end {
				t.Fatalf("entry %d is not found", i)
			}
		}
	})
}

// FuzzCellRoundTrip builds cells of columns that repeat and build on each other.
func FuzzCellRoundTrip(f *testing.F) {
	for seed := range 8 {
		f.Add([]byte{byte(seed * 31), 200, 3, 4, 5, byte(seed), 250, 7}, uint8(seed*5), uint64(seed))
	}
	w := NewCellWriter(NewEncoder(Balanced))
	var reader CellReader
	f.Fuzz(func(t *testing.T, data []byte, count uint8, seed uint64) {
		r := newRand(int(seed), 23)
		entries := cellEntries(r, 1+int(count%40))
		v := floatsOf(data)
		for i := range entries {
			if r.IntN(3) == 0 {
				entries[i].Values, entries[i].Bucket = v, true
				entries[i].Times = Slice{Length: uint32(len(v))}
				entries[i].Timestamps, entries[i].Starts = nil, nil
			}
		}
		if err := reader.Open(writeCell(t, w, entries), Limits{}); err != nil {
			t.Fatal(err)
		}
		if err := reader.Verify(); err != nil {
			t.Fatal(err)
		}
		got := make([]float64, SamplesMax)
		for i, entry := range entries {
			if err := reader.Values(got, i); err != nil || firstDifference(entry.Values, got) >= 0 {
				t.Fatalf("entry %d: %v", i, err)
			}
		}
	})
}

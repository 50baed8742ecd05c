package column

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sequenceOf appends random columns of n samples, one behind the other: the sorts
// say which.
func sequenceOf(e *Encoder, r *rand.Rand, n int, sorts []byte) (src []byte, x [][]int64, v [][]float64, times []int64) {
	for i := range n {
		times = append(times, int64(i)*15000+r.Int64N(9))
	}
	for _, sort := range sorts {
		ints, values := make([]int64, n), make([]float64, n)
		shift := r.IntN(64)
		for i := range n {
			ints[i] = int64(r.Uint64() >> shift)
			values[i] = math.Float64frombits(r.Uint64() >> r.IntN(64))
			if sort%2 == 0 {
				values[i] = float64(ints[i]) / 8
			}
		}
		x, v = append(x, ints), append(v, values)
		switch sort % 3 {
		case 0:
			src = e.AppendIntegers(src, ints)
		case 1:
			src = e.AppendValues(src, values)
		default:
			src = e.AppendStarts(src, times, ints)
		}
	}
	return src, x, v, times
}

func TestSequenceRoundTrip(t *testing.T) {
	var s Sequence
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		n := 1 + r.IntN(SamplesMax)
		sorts := make([]byte, 1+r.IntN(6))
		for i := range sorts {
			sorts[i] = byte(r.Uint32())
		}
		src, x, v, times := sequenceOf(NewEncoder(Level(seed%3)), r, n, sorts)
		s.Open(src)
		ints, values := make([]int64, n), make([]float64, n)
		for i, sort := range sorts {
			var err error
			ok := false
			switch sort % 3 {
			case 0:
				err = s.Integers(ints)
				ok = slices.Equal(ints, x[i])
			case 1:
				err = s.Values(values)
				ok = sameBits(values, v[i])
			default:
				err = s.Starts(ints, times)
				ok = slices.Equal(ints, x[i])
			}
			if err != nil || !ok {
				t.Fatalf("seed %d, column %d of sort %d: %v", seed, i, sort%3, err)
			}
		}
		if err := s.End(); err != nil || s.Len() != 0 {
			t.Fatalf("seed %d: %v, %d bytes left", seed, err, s.Len())
		}
		s.Open(append(src, 0))
		for range sorts[1:] {
			_ = s.Integers(ints) // of whatever sort: the first error stays
		}
		if err := s.End(); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("seed %d: a byte more gave %v", seed, err)
		}
	}
	s.Open(make([]byte, 100))
	if err := s.Integers(make([]int64, SamplesMax+1)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("too many samples gave %v", err)
	}
}

func TestChecksum(t *testing.T) {
	row := AppendChecksum([]byte("xxrow"), 2)
	if body, err := CutChecksum(row[2:]); err != nil || string(body) != "row" {
		t.Errorf("%q %v", body, err)
	}
	for i := range row[2:] {
		bad := slices.Clone(row[2:])
		bad[i] ^= 0x40
		if _, err := CutChecksum(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if _, err := CutChecksum([]byte{1, 2, 3}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("three bytes: %v", err)
	}
}

// FuzzSequence reads arbitrary bytes as columns of the sorts and the length that
// it is told.
func FuzzSequence(f *testing.F) {
	e := NewEncoder(Small)
	for n, sorts := range map[int]string{3: "\x00\x01\x02", 300: "\x03\x04\x05\x00", 1024: "\x02\x01\x00"} {
		src, _, _, _ := sequenceOf(e, rand.New(rand.NewPCG(uint64(n), 1)), n, []byte(sorts))
		f.Add(src, []byte(sorts), n)
	}
	f.Fuzz(func(t *testing.T, src, sorts []byte, n int) {
		if n < 0 || n > 2*SamplesMax || len(sorts) > 100 {
			return
		}
		var s Sequence
		s.Open(src)
		x, v, times := make([]int64, n), make([]float64, n), make([]int64, n)
		var failed error
		for _, sort := range sorts {
			var err error
			switch sort % 3 {
			case 0:
				err = s.Integers(x)
			case 1:
				err = s.Values(v)
			default:
				err = s.Starts(x, times)
			}
			if failed != nil && err == nil || err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%v after %v", err, failed)
			}
			failed = err
		}
		if err := s.End(); failed != nil && err == nil {
			t.Fatalf("no error in the end, after %v", failed)
		}
	})
}

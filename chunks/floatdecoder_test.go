package chunks

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestFloatDecoderPieces decodes a chunk that is cut at random samples, with other
// bytes behind each piece.
func TestFloatDecoderPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 500 {
		n := 1 + r.IntN(200)
		var state FloatState
		var pieces [][]byte
		var piece []byte
		var times, gotTimes []int64
		var values, gotValues []float64
		at := r.Int64() - math.MaxInt64/2
		for i := range n {
			at += []int64{15_000, 15_001, r.Int64N(1 << 40), math.MinInt64 / 2}[r.IntN(4)]
			v := []float64{float64(r.IntN(1000)), r.Float64(), math.Float64frombits(r.Uint64())}[r.IntN(3)]
			times, values = append(times, at), append(values, v)
			piece = AppendFloat(piece, &state, i == 0, at, math.Float64bits(v))
			if r.IntN(4) == 0 {
				pieces, piece = append(pieces, piece), nil
			}
		}
		pieces = append(pieces, piece)
		gotTimes, gotValues = make([]int64, n), make([]float64, n)
		var d FloatDecoder
		done := 0
		for _, p := range pieces {
			src := slices.Clone(p)
			for range r.IntN(40) {
				src = append(src, byte(r.Uint32()))
			}
			more, err := d.Decode(gotTimes[done:], gotValues[done:], src, len(p))
			if err != nil {
				t.Fatal(err)
			}
			done += more
		}
		same := func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
		if done != n || !slices.Equal(times, gotTimes) || !slices.EqualFunc(values, gotValues, same) {
			t.Fatalf("%d of %d samples, or others than were encoded", done, n)
		}
		// A piece that ends within a sample is damaged.
		whole := slices.Concat(pieces...)
		d = FloatDecoder{}
		if _, err := d.Decode(gotTimes, gotValues, whole, len(whole)-1); err == nil || !errors.Is(err, ErrCorrupt) {
			// unless its last byte is a sample of its own
			if _, _, err := DecodeFloats(nil, nil, whole[:len(whole)-1], n-1); err != nil {
				t.Fatalf("a sample is cut off, and the decoder says %v", err)
			}
		}
	}
}

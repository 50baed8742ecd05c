package chunks

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomFloats encodes n samples of every shape. states[i] is the encoder's before
// sample i, which begins at starts[i].
func randomFloats(r *rand.Rand, n int) (data []byte, states []FloatState, starts []int) {
	var state FloatState
	at := r.Int64() - math.MaxInt64/2
	for i := range n {
		at += []int64{15_000, 15_001, r.Int64N(1 << 40), math.MinInt64 / 2}[r.IntN(4)]
		v := []float64{float64(r.IntN(1000)), r.Float64(), math.Float64frombits(r.Uint64())}[r.IntN(3)]
		states, starts = append(states, state), append(starts, len(data))
		data = AppendFloat(data, &state, i == 0, at, math.Float64bits(v))
	}
	return data, states, starts
}

// TestAppendTail cuts chunks at every sample: what lies behind is a chunk of its
// own with the same samples, whatever the bytes around it are.
func TestAppendTail(t *testing.T) {
	sameValue := func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 8))
		n := 2 + r.IntN(60)
		data, states, starts := randomFloats(r, n)
		times, values, err := DecodeFloats(nil, nil, data, n)
		if err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < n; cut++ {
			before := []byte("before")
			tail, first, err := AppendTail(before, states[cut], data[starts[cut]:])
			if err != nil || first != times[cut] || string(tail[:len(before)]) != "before" {
				t.Fatalf("seed %d, cut at %d: %d, %v", seed, cut, first, err)
			}
			tail = tail[len(before):]
			gotTimes, gotValues, err := DecodeFloats(nil, nil, tail, n-cut)
			if err != nil || !slices.Equal(gotTimes, times[cut:]) || !slices.EqualFunc(gotValues, values[cut:], sameValue) {
				t.Fatalf("seed %d, cut at %d of %d: %v", seed, cut, n, err)
			}
		}
		if _, _, err := AppendTail(nil, states[n-1], data[starts[n-1]:len(data)-1]); len(data)-starts[n-1] > 1 && !errors.Is(err, ErrCorrupt) {
			t.Errorf("seed %d: of a sample that is cut off it says %v", seed, err)
		}
	}
}

// TestDecodeFloatsLooksBehind decodes chunks with room and other bytes behind them,
// and chunks that end within a sample.
func TestDecodeFloatsLooksBehind(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		n := 1 + r.IntN(100)
		data, _, starts := randomFloats(r, n)
		want, wantValues, err := DecodeFloats(nil, nil, slices.Clip(data), n)
		if err != nil {
			t.Fatal(err)
		}
		long := slices.Clone(data)
		for range r.IntN(40) {
			long = append(long, byte(r.Uint32()))
		}
		got, gotValues, err := DecodeFloats(nil, nil, long[:len(data)], n)
		if err != nil || !slices.Equal(got, want) || !slices.EqualFunc(gotValues, wantValues, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			t.Fatalf("seed %d: other samples with bytes behind them, %v", seed, err)
		}
		if cut := starts[n-1] + 1; cut < len(data) && cut >= n {
			if _, _, err := DecodeFloats(nil, nil, long[:cut], n); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("seed %d: a sample is cut off, and the decoder says %v", seed, err)
			}
		}
	}
}

// FuzzAppendTail cuts any bytes behind any state: what it takes decodes to what the
// bytes say.
func FuzzAppendTail(f *testing.F) {
	data, states, starts := randomFloats(rand.New(rand.NewPCG(1, 10)), 20)
	for _, i := range []int{1, 2, 10, 18, 19} {
		f.Add(states[i].Time, states[i].Delta, states[i].Bits, data[starts[i]:])
	}
	f.Add(int64(0), int64(0), uint64(0), []byte{0x07})
	f.Fuzz(func(t *testing.T, at, delta int64, bits uint64, src []byte) {
		s := FloatState{at, delta, bits}
		tail, minTime, err := AppendTail(nil, s, src)
		var want []int64
		for at := 0; at < len(src); {
			u, x, end, bad := decodeNear(src, at)
			if bad != nil {
				if len(want) < 2 && err == nil {
					t.Fatalf("sample %d is damaged, and nobody noticed", len(want))
				}
				return
			}
			s.Delta += int64(u>>1) ^ -int64(u&1)
			s.Time += s.Delta
			s.Bits ^= x
			want, at = append(want, s.Time), end
		}
		if err != nil {
			t.Fatal(err)
		}
		got, values, err := DecodeFloats(nil, nil, tail, len(want))
		if err != nil || !slices.Equal(got, want) || len(want) > 0 && (want[0] != minTime || bitsOf(values[len(values)-1]) != s.Bits) {
			t.Fatalf("%d, then %v, want %v: %v", minTime, got, want, err)
		}
	})
}

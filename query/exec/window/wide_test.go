package window

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestWideRoundsToNearest compares with big.Float, at and near ties.
func TestWideRoundsToNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200_000 {
		length := 1 + r.IntN(120)
		n := new(big.Int).SetUint64(r.Uint64())
		n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(r.Uint64()))
		n.Rsh(n, uint(128-length))
		if cut := length - 54; cut > 0 && r.IntN(2) == 0 { // a tie, or nearly
			n.Rsh(n, uint(cut)).SetBit(n, 0, 1).Lsh(n, uint(cut)).Add(n, big.NewInt(int64(r.IntN(3)-1)))
		}
		w := wide{new(big.Int).Rsh(n, 64).Uint64(), new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64)).Uint64()}
		if r.IntN(2) == 0 {
			n.Neg(n)
			w = wide{}.minus(w)
		}
		scale := r.IntN(900) - 700
		exact := new(big.Float).SetPrec(200).SetInt(n)
		want, _ := exact.SetMantExp(exact, scale).Float64()
		if got := w.rounded(scale); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%v * 2^%d = %v, want %v", n, scale, got, want)
		}
	}
}

// TestSumsTakeTheFastWay says which series are not added up window by window.
func TestSumsTakeTheFastWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		values func(r *rand.Rand) float64
		want   sumKind
	}{
		{"whole", func(r *rand.Rand) float64 { return float64(r.IntN(1000)) }, sumWhole},
		{"decimals", func(r *rand.Rand) float64 { return float64(r.IntN(1000)+1) / 10 }, sumFixed},
		{"gauge", func(r *rand.Rand) float64 { return r.NormFloat64() }, sumFixed},
		{"magnitudes", func(r *rand.Rand) float64 { return math.Ldexp(1.1, r.IntN(60)) }, sumScan},
		{"too large", func(r *rand.Rand) float64 { return float64(1<<50 + r.IntN(100)) }, sumFixed},
		{"near overflow", func(r *rand.Rand) float64 { return 1e307 * r.Float64() }, sumScan},
		{"subnormal", func(r *rand.Rand) float64 { return 5e-324 * float64(r.IntN(3)) }, sumScan},
		{"infinite", func(r *rand.Rand) float64 { return math.Inf(1) }, sumScan},
		{"NaN", func(r *rand.Rand) float64 { return math.NaN() }, sumScan},
	} {
		r := rand.New(rand.NewPCG(5, 6))
		s := Samples{Times: make([]int64, 400), Values: make([]float64, 400)}
		for k := range s.Times {
			s.Times[k], s.Values[k] = int64(k)*1000, c.values(r)
		}
		var b Bounds
		b.Set(s, 0, 1000, 20000, 400)
		if got := b.summing(s.Values, 1).kind; got != c.want {
			t.Errorf("%s: kind %d, want %d", c.name, got, c.want)
		}
	}
}

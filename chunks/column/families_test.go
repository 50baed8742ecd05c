package column

import (
	"math"
	"math/rand/v2"
)

var (
	levels = []Level{Fast, Balanced, Small}
	sizes  = []int{1, 2, 3, 4, 23, 24, 25, 63, 64, 65, 96, 127, 128, 129, 255, 256, 257, 320, 399, 400, 511, 513, 800, 1000, 1023, 1024}
)

// special are values that have gone wrong somewhere before.
var special = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.1, -0.3, 1e15, 1e16, 1e-7, 1e300, 5e-324, -5e-324,
	math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 2.2250738585072014e-308,
	1<<53 - 1, 1 << 53, 1<<53 + 2, -(1 << 53), -(1<<53 + 2), 1 << 40, 1<<40 - 1, -(1 << 40),
	1 << 62, 1 << 63, -(1 << 63), 9e18, -9e18, 8.999999999999999e18, 4e18, 4.1e18,
	math.Inf(1), math.Inf(-1), math.NaN(),
	math.Float64frombits(staleBits), math.Float64frombits(nanBits),
	math.Float64frombits(0x7ff8000000000000), math.Float64frombits(0x7ff4deadbeef0001),
	math.Float64frombits(0xfff8000000000001), math.Float64frombits(0xffffffffffffffff),
}

var stale = math.Float64frombits(staleBits)

// family is a way to make columns of n values.
type family struct {
	name string
	make func(r *rand.Rand, n int) []float64
}

// each makes a family of independent values.
func each(name string, f func(r *rand.Rand, i int) float64) family {
	return family{name, func(r *rand.Rand, n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = f(r, i)
		}
		return v
	}}
}

// walk makes a family of values that step from one to the next.
func walk(name string, start float64, step func(r *rand.Rand, v float64) float64) family {
	return family{name, func(r *rand.Rand, n int) []float64 {
		v := make([]float64, n)
		x := start
		for i := range v {
			v[i] = x
			x = step(r, x)
		}
		return v
	}}
}

// sprinkle replaces about one of every values of a family.
func sprinkle(f family, name string, every int, with func(r *rand.Rand) float64) family {
	return family{f.name + "+" + name, func(r *rand.Rand, n int) []float64 {
		v := f.make(r, n)
		for i := range v {
			if r.IntN(every) == 0 {
				v[i] = with(r)
			}
		}
		return v
	}}
}

func pickSpecial(r *rand.Rand) float64 { return special[r.IntN(len(special))] }
func pickStale(*rand.Rand) float64     { return stale }

func families() []family {
	counter := walk("counter", 1e6, func(r *rand.Rand, v float64) float64 { return v + float64(r.IntN(100)) })
	gauge := each("gauge2", func(r *rand.Rand, _ int) float64 { return float64(r.IntN(10000)) / 100 })
	out := []family{
		counter, gauge,
		each("bits", func(r *rand.Rand, _ int) float64 { return math.Float64frombits(r.Uint64()) }),
		each("special", func(r *rand.Rand, _ int) float64 { return pickSpecial(r) }),
		each("uniform", func(r *rand.Rand, _ int) float64 { return r.Float64() }),
		each("zero", func(*rand.Rand, int) float64 { return 0 }),
		each("line", func(_ *rand.Rand, i int) float64 { return float64(1000 + 15*i) }),
		each("square", func(_ *rand.Rand, i int) float64 { return float64(i * i) }),
		each("milli", func(r *rand.Rand, _ int) float64 { return float64(float64(r.IntN(1e6)) * 0.001) }),
		each("micro twice", func(r *rand.Rand, _ int) float64 { return float64(r.IntN(1e9)) / 1000 / 1000 }),
		each("pages", func(r *rand.Rand, _ int) float64 { return float64(4096 * r.IntN(1e6)) }),
		each("huge steps", func(r *rand.Rand, _ int) float64 { return float64(int64(r.IntN(2))<<62 - 1<<61) }),
		each("few", func(r *rand.Rand, _ int) float64 { return special[r.IntN(5)*7%len(special)] + 0.123456789 }),
		each("wide", func(r *rand.Rand, _ int) float64 { return float64(r.Uint64() >> (11 + r.IntN(53))) }),
		each("denormal", func(r *rand.Rand, _ int) float64 { return math.Float64frombits(r.Uint64() >> 13) }),
		walk("sum of decimals", 0, func(r *rand.Rand, v float64) float64 { return v + float64(r.IntN(1000))/1000 }),
		walk("float walk", 20, func(r *rand.Rand, v float64) float64 { return v + r.NormFloat64() }),
		walk("resets", 0, func(r *rand.Rand, v float64) float64 {
			if r.IntN(50) == 0 {
				return 0
			}
			return v + float64(r.IntN(1000))
		}),
		walk("seldom", 7, func(r *rand.Rand, v float64) float64 {
			if r.IntN(40) == 0 {
				return v + float64(r.IntN(9)) - 4
			}
			return v
		}),
		walk("seldom decimal", 7.5, func(r *rand.Rand, v float64) float64 {
			if r.IntN(40) == 0 {
				return float64(r.IntN(900)) / 10
			}
			return v
		}),
		sprinkle(counter, "stale", 30, pickStale),
		sprinkle(gauge, "stale", 30, pickStale),
		sprinkle(counter, "special", 20, pickSpecial),
		sprinkle(gauge, "special", 20, pickSpecial),
		sprinkle(counter, "special often", 4, pickSpecial),
	}
	for e := range exponentMax + 1 {
		out = append(out, each("decimal", func(r *rand.Rand, _ int) float64 {
			return float64(r.IntN(1<<30)-1<<29) / powers[e]
		}), each("product", func(r *rand.Rand, _ int) float64 {
			return float64(float64(r.IntN(1<<30)) * inverses[e])
		}))
	}
	for _, every := range []int{2, 5, 100} {
		out = append(out, sprinkle(each("const", func(*rand.Rand, int) float64 { return 3 }), "spikes", every, func(r *rand.Rand) float64 {
			return float64(r.IntN(1 << r.IntN(50)))
		}))
	}
	return append(out, edges()...)
}

// edges are columns in which only the first or the last samples differ.
func edges() []family {
	at := func(name string, place func(n int) int) family {
		return family{name, func(r *rand.Rand, n int) []float64 {
			v := make([]float64, n)
			v[place(n)] = float64(1 + r.IntN(1e9))
			return v
		}}
	}
	staleTail := family{"stale tail", func(r *rand.Rand, n int) []float64 {
		v := make([]float64, n)
		for i := n / 2; i < n; i++ {
			v[i] = stale
		}
		return v
	}}
	staleHead := family{"stale head", func(r *rand.Rand, n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			if v[i] = float64(i); i < 3 {
				v[i] = stale
			}
		}
		return v
	}}
	return []family{
		at("only first", func(int) int { return 0 }),
		at("only last", func(n int) int { return n - 1 }),
		at("only middle", func(n int) int { return n / 2 }),
		staleTail, staleHead,
	}
}

func newRand(a, b int) *rand.Rand { return rand.New(rand.NewPCG(uint64(a), uint64(b))) }

package window

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/chunks/column"
)

// reference asks Prometheus's function for one window.
type reference struct {
	call promql.FunctionCall
	args parser.Expressions
	vals []promql.Vector
	out  promql.Vector
}

func newReference(name string, span int64, params int) *reference {
	r := &reference{call: promql.FunctionCalls[name]}
	r.args = append(r.args, &parser.MatrixSelector{
		VectorSelector: &parser.VectorSelector{},
		Range:          time.Duration(span) * time.Millisecond,
	})
	for range params {
		r.args = append(r.args, &parser.NumberLiteral{})
		r.vals = append(r.vals, promql.Vector{{}})
	}
	return r
}

// at returns what the function gives for points, evaluated at eval, with an offset.
func (r *reference) at(points []promql.FPoint, eval, offset int64, params [][]float64, step int) float64 {
	if len(points) == 0 {
		return Absent
	}
	vs := r.args[0].(*parser.MatrixSelector).VectorSelector.(*parser.VectorSelector)
	vs.Offset = time.Duration(offset) * time.Millisecond
	for k := range r.vals {
		r.vals[k][0].F = params[k][step]
	}
	out, _ := r.call(r.vals, promql.Matrix{{Floats: points}}, r.args, &promql.EvalNodeHelper{Ts: eval, Out: r.out[:0]})
	r.out = out
	if len(out) == 0 {
		return Absent
	}
	return out[0].F
}

// passes names the functions that hand on samples as they are, NaN's bits included.
var passes = map[string]bool{"first_over_time": true, "last_over_time": true, "min_over_time": true, "max_over_time": true}

// same compares bits; the NaN of an arithmetic operation has those of either side.
func same(name string, a, b float64) bool {
	if math.Float64bits(a) == math.Float64bits(b) {
		return true
	}
	absent := math.Float64bits(Absent)
	if math.Float64bits(a) == absent || math.Float64bits(b) == absent || passes[name] {
		return false
	}
	if mayFuse[name] && fused(1+0x1p-52, 1-0x1p-52, -1) != 0 {
		return a != a && b != b || math.Abs(a-b) <= 5e-324
	}
	return a != a && b != b
}

// mayFuse names the functions for which compilers differ, from one place to another,
// in what product they fuse with a sum, on processors where they do.
var mayFuse = map[string]bool{"mad_over_time": true}

// fused returns what differs from 0, for x*y just below -z, if compilers fuse.
//
//go:noinline
func fused(x, y, z float64) float64 { return x*y + z }

// paramsOf returns how many scalar parameters a function takes at least and at most.
func paramsOf(name string) (least, most int) {
	switch name {
	case "predict_linear", "quantile_over_time":
		return 1, 1
	case "integral":
		return 0, 1
	case "double_exponential_smoothing":
		return 2, 2
	}
	return 0, 0
}

// compare checks a function on one series and grid; steps are evaluated ahead of
// their references by offset, or all refer to one time if b.Step is 0.
func compare(t testing.TB, name string, s Samples, b *Bounds, evalStep, offset int64, params [][]float64, scratch *Scratch) {
	t.Helper()
	dst := make([]float64, b.Steps())
	for i := range dst {
		dst[i] = -12345
	}
	b.EvaluatedAt(b.Start+offset, evalStep)
	if !Find(name)(dst, s, b, params, scratch) {
		t.Fatalf("%s: left to Prometheus", name)
	}
	ref := newReference(name, b.Range, len(params))
	points := make([]promql.FPoint, len(s.Times))
	for k, ts := range s.Times {
		points[k] = promql.FPoint{T: ts, F: s.Values[k]}
	}
	for i, got := range dst {
		window := points[b.From[i]:b.To[i]]
		eval := b.Start + offset + int64(i)*evalStep
		want := ref.at(window, eval, eval-b.Ref(i), params, i)
		if !same(name, got, want) {
			t.Fatalf("%s, step %d at %d, range %d: got %v (%x), want %v (%x)\nwindow %s", name, i, b.Ref(i), b.Range,
				got, math.Float64bits(got), want, math.Float64bits(want), describe(window))
		}
	}
}

func describe(points []promql.FPoint) string {
	if len(points) > 40 {
		return fmt.Sprintf("%v... (%d)", points[:40], len(points))
	}
	return fmt.Sprint(points)
}

// randomTimes returns n times, regular or jittered, with gaps.
func randomTimes(r *rand.Rand, n int) []int64 {
	times := make([]int64, n)
	interval := []int64{1000, 10000, 15000, 15000, 60000, 7}[r.IntN(6)]
	jitter := int64(0)
	if r.IntN(2) == 0 {
		jitter = interval / 3
	}
	gaps := r.IntN(3) == 0
	t := 1_700_000_000_000 + r.Int64N(100000)
	if r.IntN(5) == 0 {
		t = -r.Int64N(1_000_000)
	}
	for k := range times {
		times[k] = t
		t += interval
		if jitter > 0 {
			times[k] += r.Int64N(jitter)
		}
		if gaps && r.IntN(10) == 0 {
			t += interval * r.Int64N(40)
		}
	}
	return times
}

// distance returns the distance of neighbours in times if all have the same, and the
// first of them; else 0.
func distance(times []int64) (every, first int64) {
	for k := 1; k < len(times); k++ {
		if every = times[k] - times[k-1]; every != times[1]-times[0] {
			return 0, 0
		}
	}
	if every > 0 {
		first = times[0]
	}
	return every, first
}

// shapes are the kinds of series that are compared.
var shapes = map[string]func(r *rand.Rand, k int, before float64) float64{
	"counter":   func(r *rand.Rand, _ int, v float64) float64 { return resetting(r, v, float64(r.IntN(100))) },
	"floats up": func(r *rand.Rand, _ int, v float64) float64 { return resetting(r, v, r.Float64()) },
	"gauge":     func(r *rand.Rand, _ int, _ float64) float64 { return r.NormFloat64() * 100 },
	"decimals":  func(r *rand.Rand, _ int, _ float64) float64 { return float64(r.IntN(100000)) / 100 },
	"noise":     func(r *rand.Rand, _ int, _ float64) float64 { return 42 + r.NormFloat64() },
	"whole":     func(r *rand.Rand, _ int, _ float64) float64 { return float64(r.IntN(200) - 100) },
	"large":     func(r *rand.Rand, _ int, _ float64) float64 { return float64(r.Int64N(1<<54) - 1<<53) },
	"constant":  func(_ *rand.Rand, k int, v float64) float64 { return max(v, 3.7) },
	"zeros":     func(r *rand.Rand, _ int, _ float64) float64 { return math.Copysign(0, float64(r.IntN(2))-.5) },
	"few": func(r *rand.Rand, _ int, _ float64) float64 {
		return []float64{math.Copysign(0, -1), 0, 1, -1, .1, math.NaN()}[r.IntN(6)]
	},
	"sparse infinities": func(r *rand.Rand, _ int, _ float64) float64 {
		if r.IntN(12) == 0 {
			return math.Inf(r.IntN(2)*2 - 1)
		}
		return r.NormFloat64()
	},
	"sparse NaN": func(r *rand.Rand, _ int, _ float64) float64 {
		if r.IntN(12) == 0 {
			return math.Float64frombits(0x7ff8000000000000 | r.Uint64N(1000))
		}
		return r.Float64()
	},
	"near zero":  func(r *rand.Rand, _ int, _ float64) float64 { return float64(r.IntN(9)-4) * 5e-324 },
	"overflow":   func(r *rand.Rand, _ int, _ float64) float64 { return (r.Float64() - .3) * math.MaxFloat64 },
	"magnitudes": func(r *rand.Rand, _ int, _ float64) float64 { return math.Ldexp(r.NormFloat64(), r.IntN(120)-60) },
	"cancelling": func(r *rand.Rand, k int, v float64) float64 {
		if k%2 == 1 {
			return -v * (1 + float64(r.IntN(3)-1)*0x1p-52)
		}
		return math.Ldexp(r.Float64(), r.IntN(40))
	},
	"ties": func(r *rand.Rand, _ int, _ float64) float64 {
		high := r.IntN(44)
		return math.Copysign(math.Ldexp(1, high), r.Float64()-.2) + math.Copysign(math.Ldexp(1, high-r.IntN(53)), r.Float64()-.5)
	},
	"bits": func(r *rand.Rand, _ int, _ float64) float64 {
		v := math.Float64frombits(r.Uint64())
		if v != v {
			return 1
		}
		return v
	},
	"all NaN": func(r *rand.Rand, _ int, _ float64) float64 {
		return math.Float64frombits(0x7ff8000000000000 | r.Uint64N(8))
	},
}

func resetting(r *rand.Rand, v, more float64) float64 {
	if r.IntN(15) == 0 {
		return more / 10
	}
	return v + more
}

func randomSamples(r *rand.Rand, shape string, n int) Samples {
	s := Samples{Times: randomTimes(r, n), Values: make([]float64, n)}
	if r.IntN(2) == 0 {
		s.Every, s.First = distance(s.Times)
	}
	v := 0.0
	for k := range s.Values {
		v = shapes[shape](r, k, v)
		s.Values[k] = v
	}
	if r.IntN(2) == 0 {
		s.Known = factsOf(s.Values)
	}
	return s
}

// factsOf returns what is true of values.
func factsOf(values []float64) column.Facts {
	f := column.Facts{Plain: true, Rising: true, Whole: true}
	for k, v := range values {
		negativeZero := v == 0 && math.Signbit(v)
		f.Plain = f.Plain && v-v == 0 && !negativeZero
		f.Rising = f.Rising && (k == 0 || v >= values[k-1])
		f.Whole = f.Whole && float64(int64(v)) == v && math.Abs(v) <= 1<<53
	}
	return column.Facts{Plain: f.Plain, Rising: f.Plain && f.Rising, Whole: f.Plain && f.Whole}
}

// randomBounds sets b to a grid around the times.
func randomBounds(r *rand.Rand, b *Bounds, s Samples) {
	times := s.Times
	first, last := int64(0), int64(1000)
	if len(times) > 0 {
		first, last = times[0], times[len(times)-1]
	}
	typical := (last-first)/int64(max(len(times), 1)) + 1
	span := []int64{typical, 2 * typical, 5 * typical, 20 * typical, 240 * typical, 1, 300000, 3600000}[r.IntN(8)]
	steps := 1 + r.IntN(40)
	step := (last-first)/int64(steps) + 1
	start := first - r.Int64N(2*step+1)
	switch r.IntN(6) {
	case 0:
		steps = 1
	case 1:
		step, start = 0, first+r.Int64N(last-first+1)
	case 2:
		step = typical/4 + 1
	case 3:
		start, step = times0(times, r, start), 5*typical
	}
	if s.Every > 0 && r.IntN(3) > 0 { // to and fro over both ends, at the samples' rhythm
		span, step = max(s.Every*r.Int64N(30)+r.Int64N(2), 1), s.Every*(1+r.Int64N(6))
		start = first + s.Every*(r.Int64N(int64(len(times))+20)-10) + r.Int64N(2)*r.Int64N(s.Every)
	}
	b.Set(s, start, step, span, steps)
}

// times0 returns one of times: windows then begin and end at samples.
func times0(times []int64, r *rand.Rand, otherwise int64) int64 {
	if len(times) == 0 {
		return otherwise
	}
	return times[r.IntN(len(times))]
}

// randomParams returns valid parameters for the steps, mostly constant.
func randomParams(r *rand.Rand, name string, steps int) [][]float64 {
	least, most := paramsOf(name)
	var params [][]float64
	for range least + r.IntN(most-least+1) {
		p := make([]float64, steps)
		constant := r.IntN(3) > 0
		for i := range p {
			if i > 0 && constant {
				p[i] = p[0]
				continue
			}
			switch name {
			case "integral":
				p[i] = float64(r.IntN(3))
			case "predict_linear":
				p[i] = r.NormFloat64() * 3600
			case "quantile_over_time":
				p[i] = []float64{0, 1, .5, .9, .99, r.Float64(), math.Copysign(0, -1)}[r.IntN(7)]
			default:
				p[i] = []float64{.5, r.Float64()*.98 + .01, math.NaN()}[r.IntN(3)]
			}
		}
		params = append(params, p)
	}
	return params
}

// TestFunctionsEqualPrometheus compares every function with Prometheus's, bit for
// bit, on random series and grids.
func TestFunctionsEqualPrometheus(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 30
	}
	for name := range functions {
		t.Run(name, func(t *testing.T) {
			for shape := range shapes {
				seed := rand.Uint64()
				defer func() {
					if t.Failed() {
						t.Logf("shape %s, seed %d", shape, seed)
					}
				}()
				compareRounds(t, name, shape, seed, rounds)
				if t.Failed() {
					return
				}
			}
		})
	}
}

func compareRounds(t *testing.T, name, shape string, seed uint64, rounds int) {
	r := rand.New(rand.NewPCG(seed, 1))
	var b Bounds
	var scratch Scratch
	for range rounds {
		n := r.IntN(60)
		if r.IntN(5) == 0 {
			n = r.IntN(600)
		}
		s := randomSamples(r, shape, n)
		randomBounds(r, &b, s)
		evalStep, offset := b.Step, int64(r.IntN(2))*r.Int64N(100000)
		if evalStep == 0 {
			evalStep = 15000
		}
		for range 2 { // the second series finds what the first has left
			compare(t, name, s, &b, evalStep, offset, randomParams(r, name, b.Steps()), &scratch)
			again := randomSamples(r, shape, n)
			s.Values, s.Known = again.Values, again.Known
		}
	}
}

// TestFunctionsDoNotAllocate runs every function again with the memory that it has.
func TestFunctionsDoNotAllocate(t *testing.T) {
	for name := range functions {
		for _, shape := range []string{"counter", "gauge", "whole", "few", "magnitudes"} {
			r := rand.New(rand.NewPCG(7, 8))
			s := randomSamples(r, shape, 500)
			var b Bounds
			b.Set(s, s.Times[0], (s.Times[499]-s.Times[0])/50, (s.Times[499]-s.Times[0])/5, 50)
			params, dst, scratch := randomParams(r, name, 50), make([]float64, 50), &Scratch{}
			function := Find(name)
			if n := testing.AllocsPerRun(3, func() { function(dst, s, &b, params, scratch) }); n > 0 {
				t.Errorf("%s of %s allocates %v times", name, shape, n)
			}
		}
	}
}

// TestInvalidParameters leaves a series to Prometheus's function, which annotates or
// fails.
func TestInvalidParameters(t *testing.T) {
	for _, c := range []struct {
		name   string
		params []float64
	}{
		{"quantile_over_time", []float64{-.1}},
		{"quantile_over_time", []float64{1.1}},
		{"quantile_over_time", []float64{math.NaN()}},
		{"integral", []float64{3}},
		{"integral", []float64{.5}},
		{"integral", []float64{math.NaN()}},
		{"integral", []float64{math.Inf(1)}},
		{"double_exponential_smoothing", []float64{0, .5}},
		{"double_exponential_smoothing", []float64{.5, 1}},
		{"double_exponential_smoothing", []float64{.5, -1}},
		{"double_exponential_smoothing", []float64{2, .5}},
	} {
		s := Samples{Times: []int64{1000, 2000, 3000}, Values: []float64{1, 2, 3}}
		var b Bounds
		b.Set(s, 2500, 1000, 3000, 2)
		var params [][]float64
		for _, p := range c.params {
			params = append(params, []float64{.5, p})
		}
		if c.name == "integral" {
			params[0][0] = 1
		}
		if Find(c.name)(make([]float64, 2), s, &b, params, &Scratch{}) {
			t.Errorf("%s with %v: not left to Prometheus", c.name, c.params)
		}
	}
	if Find("abs") != nil {
		t.Error("abs is no range function")
	}
}

// TestBounds compares bounds with a search for each.
func TestBounds(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	var b Bounds
	for range 2000 {
		s := randomSamples(r, "gauge", r.IntN(80))
		times := s.Times
		randomBounds(r, &b, s)
		looked := int64(0)
		for i := range b.Steps() {
			var from, to int32
			for _, ts := range times {
				if ts <= b.Ref(i)-b.Range {
					from++
				}
				if ts <= b.Ref(i) {
					to++
				}
			}
			looked += int64(to - from)
			if b.From[i] != from || b.To[i] != to {
				t.Fatalf("seed %d: step %d looks at [%d, %d), want [%d, %d)", seed, i, b.From[i], b.To[i], from, to)
			}
		}
		if b.Looked != looked {
			t.Fatalf("seed %d: looked at %d, want %d", seed, b.Looked, looked)
		}
	}
}

package column

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// integerFamilies make columns of integers that overflow, repeat and jump.
func integerFamilies() map[string]func(r *rand.Rand, i int) int64 {
	const day = 86_400_000
	jump := int64(0)
	return map[string]func(r *rand.Rand, i int) int64{
		"grid":          func(_ *rand.Rand, i int) int64 { return 1_700_000_000_000 + int64(i)*15000 },
		"jittered grid": func(r *rand.Rand, i int) int64 { return 1_700_000_000_000 + int64(i)*15000 + int64(r.IntN(9)) },
		"equal":         func(*rand.Rand, int) int64 { return -5 },
		"decreasing":    func(_ *rand.Rand, i int) int64 { return -int64(i) * day },
		"gaps": func(r *rand.Rand, _ int) int64 {
			if jump += 1000; r.IntN(10) == 0 {
				jump += int64(r.IntN(1 << 40))
			}
			return jump
		},
		"any":         func(r *rand.Rand, _ int) int64 { return int64(r.Uint64()) },
		"ends":        func(r *rand.Rand, i int) int64 { return []int64{math.MinInt64, math.MaxInt64, 0, -1, 1}[r.IntN(5)] },
		"alternating": func(_ *rand.Rand, i int) int64 { return []int64{math.MinInt64, math.MaxInt64}[i%2] },
		"quarters":    func(r *rand.Rand, _ int) int64 { return int64(r.IntN(4)) << 62 },
		"halves":      func(r *rand.Rand, _ int) int64 { return int64(r.IntN(2)) << 63 },
		"wide gcd":    func(r *rand.Rand, _ int) int64 { return int64(r.IntN(3)-1) * (1<<62 + 12345) },
		"steep line":  func(_ *rand.Rand, i int) int64 { return int64(uint64(i) * (1<<63 + 12345)) },
		"parabola":    func(_ *rand.Rand, i int) int64 { return int64(i) * int64(i) * (1 << 45) },
		"powers of 10": func(r *rand.Rand, i int) int64 {
			return int64(r.IntN(1000)-500) * 1_000_000_000
		},
	}
}

func TestIntsRoundTrip(t *testing.T) {
	for _, level := range levels {
		e := NewEncoder(level)
		var d Decoder
		for name, f := range integerFamilies() {
			for _, n := range sizes {
				r := newRand(n, 11)
				x := make([]int64, n)
				for i := range x {
					x[i] = f(r, i)
				}
				p := e.planInts(x)
				src := e.appendInts(nil, x, &p)
				got := make([]int64, n)
				c := cursor{src: src}
				d.readSegment(&c, got)
				c.end()
				if c.err != nil || !slices.Equal(got, x) {
					t.Fatalf("%v, %q, %d integers: %v", level, name, n, c.err)
				}
			}
		}
	}
}

// TestEveryPredictor encodes with each predictor and form of residual whether
// or not it is the best, so that none is right by luck.
func TestEveryPredictor(t *testing.T) {
	e := NewEncoder(Fast)
	var d Decoder
	for name, f := range integerFamilies() {
		for _, n := range []int{1, 2, 3, 64, 257, 1000} {
			r := newRand(n, 12)
			x := make([]int64, n)
			for i := range x {
				x[i] = f(r, i)
			}
			for predictor := range 4 {
				for _, zigzag := range []bool{false, true} {
					p := forcePlan(e, x, predictor, zigzag)
					c := cursor{src: e.appendInts(nil, x, &p)}
					got := make([]int64, n)
					d.readSegment(&c, got)
					c.end()
					if c.err != nil || !slices.Equal(got, x) {
						t.Fatalf("%q, %d integers, predictor %d, zigzag %v: %v", name, n, predictor, zigzag, c.err)
					}
				}
			}
		}
	}
}

func forcePlan(e *Encoder, x []int64, predictor int, isZigzag bool) intsPlan {
	r, slope := e.residuals(x, predictor)
	low, _ := extremes(r)
	offset, signed := divisors(r)
	p := intsPlan{predictor: predictor, second: slope, zigzag: isZigzag, divisor: signed}
	if !isZigzag {
		p.base, p.divisor = low, offset
	}
	p.settle(x)
	return p
}

func TestTimesRoundTrip(t *testing.T) {
	e := NewEncoder(Balanced)
	var d Decoder
	for name, f := range integerFamilies() {
		for _, n := range []int{0, 1, 2, 255, 1023, 1024, 1025, 2048, 2049, 5000} {
			r := newRand(n, 13)
			x := make([]int64, n)
			for i := range x {
				x[i] = f(r, i)
			}
			src := e.AppendTimes([]byte("before"), x)[len("before"):]
			checkTimes(t, &d, src, x)
			if t.Failed() {
				t.Fatalf("%q, %d timestamps", name, n)
			}
		}
	}
}

func checkTimes(t *testing.T, d *Decoder, src []byte, x []int64) {
	t.Helper()
	if n, err := TimesLen(src, len(x)); err != nil || n != len(x) {
		t.Errorf("length %d: %v", n, err)
		return
	}
	if err := VerifyTimes(src); err != nil {
		t.Error(err)
	}
	got := make([]int64, len(x))
	if err := d.Times(got, src, 0); err != nil || !slices.Equal(got, x) {
		t.Errorf("other timestamps came back: %v", err)
	}
	r := newRand(len(x), 14)
	for range 30 {
		from := r.IntN(len(x) + 1)
		part := got[:r.IntN(len(x)-from+1)]
		if err := d.Times(part, src, from); err != nil || !slices.Equal(part, x[from:from+len(part)]) {
			t.Errorf("slice of %d from %d: %v", len(part), from, err)
		}
	}
	if err := d.Times(make([]int64, 2), src, max(len(x)-1, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("slice beyond the end: %v", err)
	}
	if len(x) > 0 {
		if _, err := TimesLen(src, len(x)-1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("more timestamps than allowed: %v", err)
		}
	}
}

func TestTimesAreCheap(t *testing.T) {
	e := NewEncoder(Fast)
	x := make([]int64, 86_400)
	for i := range x {
		x[i] = 1_700_000_000_000 + 1000*int64(i)
	}
	if src := e.AppendTimes(nil, x); len(src) > len(x)/60 {
		t.Errorf("a day of seconds takes %d bytes", len(src))
	}
}

func TestHashTimes(t *testing.T) {
	seen := make(map[[16]byte]string)
	for name, x := range map[string][]int64{
		"none": nil, "zero": {0}, "two zeros": {0, 0}, "one": {1}, "long": make([]int64, 300), "longer": make([]int64, 301),
	} {
		h := HashTimes(x)
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[h] = name
		if HashTimes(slices.Clone(x)) != h {
			t.Errorf("%s: two hashes", name)
		}
	}
}

func TestFindSlice(t *testing.T) {
	column := []int64{10, 20, 30, 40, 50}
	for _, c := range []struct {
		t  []int64
		at int
		ok bool
	}{
		{nil, 0, true}, {[]int64{10}, 0, true}, {[]int64{30, 40}, 2, true}, {column, 0, true},
		{[]int64{40, 50, 60}, 0, false}, {[]int64{30, 50}, 0, false}, {[]int64{25}, 0, false},
	} {
		at, ok := FindSlice(column, c.t)
		if ok != c.ok || ok && at != c.at {
			t.Errorf("%v: %d %v", c.t, at, ok)
		}
	}
}

func TestStartsRoundTrip(t *testing.T) {
	e := NewEncoder(Balanced)
	var d Decoder
	for timesName, f := range integerFamilies() {
		for startsName, g := range integerFamilies() {
			for _, n := range []int{1, 2, 300} {
				r := newRand(n, 28)
				times, starts := make([]int64, n), make([]int64, n)
				for i := range times {
					times[i], starts[i] = f(r, i), g(r, i)
				}
				got := make([]int64, n)
				src := e.AppendStarts(nil, times, starts)
				if err := d.Starts(got, times, src); err != nil || !slices.Equal(got, starts) {
					t.Fatalf("%q at %q, %d: %v", startsName, timesName, n, err)
				}
			}
		}
	}
}

// TestStartsAreCheap holds the two forms to the data they are for: one moment,
// and the timestamp before.
func TestStartsAreCheap(t *testing.T) {
	e := NewEncoder(Fast)
	r := newRand(29, 30)
	times, moment, before := make([]int64, 1000), make([]int64, 1000), make([]int64, 1000)
	for i := range times {
		times[i] = 1_700_000_000_000 + int64(i)*15000 + int64(r.IntN(50))
		moment[i] = 1_600_000_000_123
		before[i] = times[max(0, i-1)]
	}
	for name, starts := range map[string][]int64{"moment": moment, "before": before} {
		if src := e.AppendStarts(nil, times, starts); len(src) > 12 {
			t.Errorf("%s: %d bytes", name, len(src))
		}
	}
}

// TestGCD compares with Euclid's algorithm.
func TestGCD(t *testing.T) {
	r := newRand(3, 4)
	for range 10_000 {
		a, b := r.Uint64()>>r.IntN(64)<<r.IntN(40), r.Uint64()>>r.IntN(64)<<r.IntN(40)
		switch r.IntN(8) {
		case 0:
			a = 1 << r.IntN(64)
		case 1:
			a = 0
		case 2:
			b = 0
		case 3:
			b = a * uint64(r.IntN(9))
		}
		x, y := a, b
		for y != 0 {
			x, y = y, x%y
		}
		if got := gcd(a, b); got != x {
			t.Fatalf("of %d and %d: %d, want %d", a, b, got, x)
		}
	}
}

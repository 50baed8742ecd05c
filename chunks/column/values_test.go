package column

import (
	"errors"
	"math"
	"testing"
)

func TestValuesRoundTrip(t *testing.T) {
	for _, level := range levels {
		e := NewEncoder(level)
		var d Decoder
		for k, f := range families() {
			for _, n := range sizes {
				v := f.make(newRand(k, n), n)
				src := e.AppendValues([]byte("before"), v)[len("before"):]
				checkColumn(t, &d, src, v)
				if t.Failed() {
					t.Fatalf("%v, family %q, %d samples: %x", level, f.name, n, src)
				}
			}
		}
	}
}

// checkColumn holds all that can be asked of src against v.
func checkColumn(t testing.TB, d *Decoder, src []byte, v []float64) {
	t.Helper()
	got := make([]float64, len(v))
	if err := d.Values(got, src); err != nil {
		t.Errorf("decode: %v", err)
		return
	}
	if i := firstDifference(got, v); i >= 0 {
		t.Errorf("sample %d is %x, want %x", i, math.Float64bits(got[i]), math.Float64bits(v[i]))
	}
	if len(src) > 8*len(v)+64 {
		t.Errorf("%d samples take %d bytes", len(v), len(src))
	}
	info, err := Describe(src, len(v))
	if err != nil {
		t.Errorf("describe: %v", err)
	}
	checkInfo(t, info, v)
	runs, ok, err := d.Runs(nil, src, len(v))
	if err != nil {
		t.Errorf("runs: %v", err)
	}
	if ok {
		checkRuns(t, runs, v)
	}
	if err := d.Values(got, append(src[:len(src):len(src)], 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with a byte more: %v", err)
	}
}

func firstDifference(a, b []float64) int {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return i
		}
	}
	return -1
}

// checkInfo computes the description of v in the plainest way.
func checkInfo(t testing.TB, info Info, v []float64) {
	t.Helper()
	var kept []float64
	constant := true
	for _, f := range v {
		if math.Float64bits(f) != staleBits {
			kept = append(kept, f)
		}
		constant = constant && math.Float64bits(f) == math.Float64bits(v[0])
	}
	resets, integers, numbers := 0, true, true
	for i, f := range kept {
		if i > 0 && f < kept[i-1] {
			resets++
		}
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 || f == 0 && math.Signbit(f) {
			integers = false
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			numbers = false
		}
	}
	if info.Resets != resets || info.Integers != integers || info.Constant != constant {
		t.Errorf("info %+v, want %d resets, integers %v, constant %v", info, resets, integers, constant)
	}
	if info.HasSummary && len(kept) > 0 {
		if !numbers {
			t.Errorf("summary of a column with infinities or NaN: %+v", info)
			return
		}
		checkSummary(t, info.Summary, kept, integers)
	}
}

func checkSummary(t testing.TB, s Summary, kept []float64, integers bool) {
	t.Helper()
	low, high, sum, magnitude := kept[0], kept[0], 0.0, 0.0
	for _, f := range kept {
		low, high = math.Min(low, f), math.Max(high, f)
		sum += f
		magnitude += math.Abs(f)
	}
	if s.Count != len(kept) || !sameBits([]float64{s.First, s.Last}, []float64{kept[0], kept[len(kept)-1]}) || s.Min != low || s.Max != high {
		t.Errorf("summary %+v, want %d samples from %v to %v in %v to %v", s, len(kept), kept[0], kept[len(kept)-1], low, high)
	}
	if s.SumExact && (!integers || s.Sum != sum || magnitude > 1<<53+1) {
		t.Errorf("sum %v said to be exact, want %v", s.Sum, sum)
	}
}

func checkRuns(t testing.TB, runs []Run, v []float64) {
	t.Helper()
	var got []float64
	for i, r := range runs {
		if r.End <= len(got) || r.End > len(v) {
			t.Fatalf("run %d ends at %d of %d, behind %d", i, r.End, len(v), len(got))
		}
		for len(got) < r.End {
			got = append(got, r.Value)
		}
	}
	if len(got) != len(v) || firstDifference(got, v) >= 0 {
		t.Errorf("runs stand for other values: %v", runs)
	}
}

func TestRunsOfSparseColumns(t *testing.T) {
	e := NewEncoder(Balanced)
	var d Decoder
	v := make([]float64, 1000)
	for i := range v {
		v[i] = float64(i/100) / 4
	}
	v[550], v[0], v[999] = stale, stale, math.Inf(1)
	runs, ok, err := d.Runs([]Run{{0.25, 1}}, e.AppendValues(nil, v), len(v))
	if err != nil || !ok {
		t.Fatalf("a column of steps is not had as runs: %v %v", ok, err)
	}
	if runs[0] != (Run{0.25, 1}) {
		t.Fatalf("the runs before were changed: %v", runs[0])
	}
	checkRuns(t, runs[1:], v)
	if len(runs) != 1+10+1+1+2 { // 10 steps, the first stale, one in between, the last
		t.Errorf("%d runs: %v", len(runs), runs)
	}
}

func TestSummaryIsWrittenWhereItPays(t *testing.T) {
	e := NewEncoder(Fast)
	r := newRand(1, 2)
	v := make([]float64, 1024)
	for i := range v {
		v[i] = float64(r.IntN(1e6)) / 100
	}
	src := e.AppendValues(nil, v)
	info, err := Describe(src, len(v))
	if err != nil || !info.HasSummary {
		t.Fatalf("no summary of 1,024 decimals: %+v, %v", info, err)
	}
	if small, err := Describe(e.AppendValues(nil, v[:100]), 100); err != nil || small.HasSummary {
		t.Errorf("summary of 100 samples: %+v, %v", small, err)
	}
}

func TestWrongNumbersOfValues(t *testing.T) {
	var d Decoder
	src := NewEncoder(Fast).AppendValues(nil, []float64{1, 2, 3})
	for _, n := range []int{0, SamplesMax + 1, 1 << 20} {
		if err := d.Values(make([]float64, n), src); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d values: %v", n, err)
		}
		if _, err := Describe(src, n); !errors.Is(err, ErrCorrupt) {
			t.Errorf("describe %d values: %v", n, err)
		}
	}
}

// TestQuotientIsCorrectlyRounded holds the computation by reciprocal and fused
// operations against the processor's division.
func TestQuotientIsCorrectlyRounded(t *testing.T) {
	r := newRand(3, 4)
	for e := range uint8(exponentMax + 1) {
		s := scaling{exponent: e}
		for i := range 200_000 {
			x := int64(r.Uint64() >> r.IntN(64))
			switch {
			case i < 1000:
				x = int64(i)
			case i%3 == 0:
				x = -x
			}
			if got, want := s.scaled(x), float64(x)/powers[e]; math.Float64bits(got) != math.Float64bits(want) {
				t.Fatalf("%d / 10^%d = %x, want %x", x, e, math.Float64bits(got), math.Float64bits(want))
			}
		}
	}
}

func TestInversesAreNearest(t *testing.T) {
	for e := range powers {
		if inverses[e] != 1/powers[e] || powers[e] != math.Pow10(e) {
			t.Errorf("10^%d: %v and %v", e, powers[e], inverses[e])
		}
	}
}

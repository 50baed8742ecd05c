package window

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/util/kahansum"
)

var stale = math.Float64frombits(value.StaleNaN)

// naive computes the row of the samples of one window.
func naive(end int64, times []int64, values []float64) *Windows {
	w := &Windows{End: []int64{end}, FirstTime: []int64{0}, LastTime: []int64{0}, Stale: []int64{0}}
	for _, c := range w.values() {
		*c = []float64{0}
	}
	var kept []float64
	for i, v := range values {
		if value.IsStaleNaN(v) {
			if w.Stale[0] == 0 {
				w.Stale[0] = times[i]
			}
			continue
		}
		if len(kept) == 0 {
			w.FirstTime[0] = times[i]
		}
		w.LastTime[0], w.Stale[0] = times[i], 0
		kept = append(kept, v)
	}
	if len(kept) == 0 {
		return w
	}
	sum, c := 0.0, 0.0
	least, greatest := kept[0], kept[0]
	for i, v := range kept {
		sum, c = kahansum.Inc(v, sum, c)
		if v < least || math.IsNaN(least) {
			least = v
		}
		if v > greatest || math.IsNaN(greatest) {
			greatest = v
		}
		if i > 0 && v < kept[i-1] {
			w.Correction[0] += kept[i-1]
		}
	}
	if math.IsNaN(sum) {
		sum = math.NaN()
	} else if !math.IsInf(sum, 0) {
		sum += c
	}
	w.Count[0], w.Sum[0], w.Min[0], w.Max[0], w.First[0], w.Last[0] = float64(len(kept)), sum, least, greatest, kept[0], kept[len(kept)-1]
	return w
}

func naiveAll(times []int64, values []float64, width int64) *Windows {
	w := &Windows{}
	for from := 0; from < len(times); {
		end := int64(math.Ceil(float64(times[from])/float64(width))) * width
		to := from
		for to < len(times) && times[to] <= end {
			to++
		}
		w.appendRows(naive(end, times[from:to], values[from:to]), 0, 1)
		from = to
	}
	return w
}

// text is all of w, NaNs with their bits.
func text(w *Windows) (rows []string) {
	for i := range w.End {
		s := fmt.Sprint(w.End[i], w.FirstTime[i], w.LastTime[i], w.Stale[i])
		for _, c := range w.values() {
			s += fmt.Sprintf(" %v/%x", (*c)[i], math.Float64bits((*c)[i]))
		}
		rows = append(rows, s)
	}
	return rows
}

func randomSamples(r *rand.Rand, n int) (times []int64, values []float64) {
	t := r.Int64N(200_000) - 100_000
	v := 0.0
	for range n {
		t += 1 + r.Int64N(1+int64(r.IntN(40_000)))
		switch r.IntN(12) {
		case 0:
			values = append(values, stale)
		case 1:
			values = append(values, math.NaN())
		case 2:
			v = r.NormFloat64() * math.Pow(10, float64(r.IntN(30)))
			values = append(values, v)
		case 3:
			values = append(values, math.Inf(1-2*r.IntN(2)))
		default:
			v += float64(r.IntN(100)) / 10
			values = append(values, v)
		}
		times = append(times, t)
	}
	return times, values
}

func TestAppendIsTheNaiveComputation(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		times, values := randomSamples(r, 1+r.IntN(400))
		width := []int64{1000, 60_000, 300_000, 3_600_000}[r.IntN(4)]
		want := text(naiveAll(times, values, width))
		w := &Windows{}
		for rest, restValues := times, values; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			w.Append(rest[:n], restValues[:n], width)
			rest, restValues = rest[n:], restValues[n:]
		}
		if got := text(w); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got\n%v\nwant\n%v", seed, got, want)
		}
		w.Reset()
		w.Append(times, values, width)
		if got := text(w); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d, again: got\n%v\nwant\n%v", seed, got, want)
		}
	}
}

// TestJoinIsAppend splits samples at any place, also within a window: sums are
// integers here, so that they do not depend on the order.
func TestJoinIsAppend(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		times, values := randomSamples(r, 2+r.IntN(200))
		for i, v := range values {
			if v == v {
				values[i] = math.Trunc(math.Mod(v, 1000))
				if math.IsInf(v, 0) {
					values[i] = 7
				}
			}
		}
		const width = 300_000
		want := &Windows{}
		want.Append(times, values, width)
		at := 1 + r.IntN(len(times)-1)
		before, after := &Windows{}, &Windows{}
		before.Append(times[:at], values[:at], width)
		after.Append(times[at:], values[at:], width)
		if r.IntN(2) == 0 {
			before.Join(after)
		} else { // the order of the two does not matter
			after.Join(before)
			before = after
		}
		if got := text(before); !reflect.DeepEqual(got, text(want)) {
			t.Fatalf("seed %d, split at %d: got\n%v\nwant\n%v", seed, at, got, text(want))
		}
	}
}

func TestJoinOfLateSamples(t *testing.T) {
	w, late := &Windows{}, &Windows{}
	w.Append([]int64{1000, 3000, 11_000}, []float64{1, 3, 4}, 10_000)
	late.Append([]int64{2000, 25_000}, []float64{9, 5}, 10_000)
	w.Join(late)
	want := &Windows{
		End: []int64{10_000, 20_000, 30_000}, FirstTime: []int64{1000, 11_000, 25_000}, LastTime: []int64{3000, 11_000, 25_000},
		Count: []float64{3, 1, 1}, Sum: []float64{13, 4, 5}, Min: []float64{1, 4, 5}, Max: []float64{9, 4, 5},
		First: []float64{1, 4, 5}, Last: []float64{3, 4, 5}, Correction: []float64{0, 0, 0}, Stale: []int64{0, 0, 0},
	}
	if got := text(w); !reflect.DeepEqual(got, text(want)) {
		t.Fatalf("got\n%v\nwant\n%v", got, text(want))
	}
}

func TestEndOf(t *testing.T) {
	for _, c := range [][3]int64{{0, 10, 0}, {1, 10, 10}, {10, 10, 10}, {11, 10, 20}, {-1, 10, 0}, {-10, 10, -10}, {-11, 10, -10}} {
		if got := EndOf(c[0], c[1]); got != c[2] {
			t.Errorf("EndOf(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

// BenchmarkAppendNanosecondsPerSample aggregates a day of 15 s samples.
func BenchmarkAppendNanosecondsPerSample(b *testing.B) {
	times, values := make([]int64, 5760), make([]float64, 5760)
	for i := range times {
		times[i], values[i] = int64(i)*15_000+7, float64(i*i%977)/8
	}
	w := &Windows{}
	for b.Loop() {
		w.Reset()
		w.Append(times, values, 300_000)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(times)), "ns/sample")
}

package window

import (
	"math"
	"slices"
	"sort"
)

// ordered is the values of a window in order, moved from step to step.
type ordered struct {
	values   []float64
	from, to int32 // the samples
}

// byValue orders values as Prometheus does. NaN comes first, but does not order
// among others, nor do zeros of both signs: then the result depends on the sorting
// algorithm, which is sort.Sort's. It is a pointer to spare sort.Sort an allocation.
type byValue struct{ values *[]float64 }

func (v byValue) Len() int      { return len(*v.values) }
func (v byValue) Swap(i, j int) { (*v.values)[i], (*v.values)[j] = (*v.values)[j], (*v.values)[i] }
func (v byValue) Less(i, j int) bool {
	a, b := (*v.values)[i], (*v.values)[j]
	return a != a || a < b
}

// orders reports whether values have only one order, and are finite.
func orders(values []float64) bool {
	for _, v := range values {
		if !finite(v) || v == 0 && math.Signbit(v) {
			return false
		}
	}
	return true
}

// quantiles is quantile_over_time; its parameter is the quantile. Those outside
// [0, 1] are left to Prometheus's, which warns.
func quantiles(dst []float64, s Samples, b *Bounds, params [][]float64, scratch *Scratch) bool {
	if len(params) < 1 {
		return false
	}
	for _, q := range params[0] {
		if !(q >= 0 && q <= 1) {
			return false
		}
	}
	from, to := b.span()
	moves := orders(s.Values[from:to])
	o := &scratch.ordered
	o.reset()
	for i, to := range b.To {
		from := b.From[i]
		if from >= to {
			dst[i] = Absent
			continue
		}
		if moves {
			o.move(s.Values, from, to)
		} else {
			o.sort(s.Values[from:to])
		}
		dst[i] = quantile(o.values, params[0][i])
	}
	return true
}

// quantile interpolates between values, which are in order.
func quantile(values []float64, q float64) float64 {
	n := float64(len(values))
	rank := q * (n - 1)
	below := math.Floor(rank)
	weight := rank - below
	lower := max(0, int(below))
	if weight == 0 {
		return values[lower]
	}
	upper := min(len(values)-1, lower+1)
	return values[lower]*(1-weight) + values[upper]*weight
}

func (o *ordered) reset() { o.values, o.from, o.to = o.values[:0], 0, 0 }

// sort takes values, whatever they are.
func (o *ordered) sort(values []float64) {
	o.values = append(o.values[:0], values...)
	sort.Sort(byValue{&o.values})
}

// move goes on to samples [from, to) of values; neither end moves back.
func (o *ordered) move(values []float64, from, to int32) {
	if leave := from - o.from; from >= o.to || 2*(leave+to-o.to) > to-from {
		o.values = append(o.values[:0], values[from:to]...)
		slices.Sort(o.values)
	} else {
		o.exchange(values[o.from:from], values[o.to:to])
	}
	o.from, o.to = from, to
}

// exchange takes out some values and puts in others.
func (o *ordered) exchange(out, in []float64) {
	both := min(len(out), len(in))
	for k, v := range in[:both] {
		from, to := place(o.values, out[k]), place(o.values, v)
		if to > from {
			to-- // what is taken out lies before it
			copy(o.values[from:to], o.values[from+1:to+1])
		} else {
			copy(o.values[to+1:from+1], o.values[to:from])
		}
		o.values[to] = v
	}
	for _, v := range out[both:] {
		at := place(o.values, v)
		o.values = slices.Delete(o.values, at, at+1)
	}
	for _, v := range in[both:] {
		o.values = slices.Insert(o.values, place(o.values, v), v)
	}
}

// place returns the index of the first of values that is not below v. No branch
// depends on values: it would be guessed wrong half of the time.
func place(values []float64, v float64) int {
	low, n := 0, len(values)
	for n > 0 {
		half := (n + 1) / 2
		below := 0
		if values[low+half-1] < v {
			below = 1
		}
		low += half & -below
		n -= half
	}
	return low
}

// deviation is mad_over_time: the median of the distances from the median.
func deviation(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	from, to := b.span()
	moves := orders(s.Values[from:to])
	o := &scratch.ordered
	o.reset()
	for i, to := range b.To {
		from := b.From[i]
		switch {
		case from >= to:
			dst[i] = Absent
		case moves:
			o.move(s.Values, from, to)
			dst[i] = medianDistance(o.values, quantile(o.values, 0.5))
		case hasNaN(s.Values[from:to]):
			dst[i] = math.NaN()
		default:
			o.sort(s.Values[from:to])
			median := quantile(o.values, 0.5)
			for k, v := range o.values {
				o.values[k] = math.Abs(v - median)
			}
			sort.Sort(byValue{&o.values})
			dst[i] = quantile(o.values, 0.5)
		}
	}
	return true
}

func hasNaN(values []float64) bool {
	for _, v := range values {
		if v != v {
			return true
		}
	}
	return false
}

// medianDistance returns the median of the distances of values, which are in order,
// from median: they grow towards both ends, so it merges the two halves.
func medianDistance(values []float64, median float64) float64 {
	right := place(values, median)
	left := right - 1
	half := (len(values) - 1) / 2 // of an even number, the lower of the two
	var lower, upper float64
	for k := 0; k <= half+1; k++ {
		lower = upper
		switch {
		case left < 0 && right >= len(values):
			// There is one value only: it is both.
		case right >= len(values) || left >= 0 && math.Abs(values[left]-median) <= math.Abs(values[right]-median):
			upper = math.Abs(values[left] - median)
			left--
		default:
			upper = math.Abs(values[right] - median)
			right++
		}
	}
	if len(values)%2 == 1 {
		return lower
	}
	pair := [...]float64{lower, upper}
	return quantile(pair[:], 0.5)
}

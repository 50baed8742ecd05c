package exec

import (
	"math"
	"slices"
	"sort"
)

// quantiles keeps all floats of its groups.
type quantiles struct {
	in      *intake
	values  [][]float64 // of each group, rows one after the other
	last    []int       // the last step with a point
	scratch perWorker[[]float64]
}

func newQuantiles(in *intake) *quantiles { return &quantiles{in: in} }

// roomValues is for how many values a group gets room beforehand, at most.
const roomValues = 64 << 10

func (q *quantiles) add(group, i int, row *Row, s shape) error {
	if group == len(q.values) {
		room := min(int(q.in.sizes[q.in.groupOf(i)])*q.in.steps, roomValues)
		q.values, q.last = append(q.values, make([]float64, 0, room)), append(q.last, -1)
	}
	if s.kind == shapeMixed {
		q.in.ignored()
	}
	last := lastPoint(row.Floats)
	if last < 0 {
		return nil
	}
	q.last[group] = max(q.last[group], last)
	q.values[group] = append(q.values[group], row.Floats...)
	return q.in.hold(q.in.steps)
}

func (q *quantiles) finish(group int) (last int, err error) { return q.last[group], nil }

func (q *quantiles) fill(w *Worker, group int, row *Row) error {
	row.Floats = w.Floats(q.in.steps)
	all, values := q.values[group], q.scratch[w.ID]
	for step := range row.Floats {
		values = values[:0]
		for at := step; at < len(all); at += q.in.steps {
			if v := all[at]; !IsAbsent(v) {
				values = append(values, v)
			}
		}
		row.Floats[step] = Absent
		if len(values) > 0 {
			row.Floats[step] = quantileOf(q.in.parameter.values[step], values)
		}
	}
	q.scratch[w.ID] = values
	q.values[group] = nil
	return nil
}

// quantileOf returns a quantile of values, whose order it changes.
func quantileOf(q float64, values []float64) float64 {
	switch {
	case math.IsNaN(q):
		return math.NaN()
	case q < 0:
		return math.Inf(-1)
	case q > 1:
		return math.Inf(+1)
	}
	rank := q * float64(len(values)-1)
	lower := math.Floor(rank)
	weight := rank - lower
	at := max(0, int(lower))
	if ordered(values) {
		place(values, at)
		if weight > 0 && at+1 < len(values) {
			rest := values[at+1:]
			values[at+1] = slices.Min(rest)
		}
	} else {
		sort.Sort(nanFirst(values))
	}
	if weight == 0 {
		return values[at]
	}
	above := min(len(values)-1, at+1)
	return values[at]*(1-weight) + values[above]*weight
}

// place puts at its place in the order the value that belongs at an index, with
// no larger ones before it and no smaller ones after it.
func place(values []float64, at int) {
	for tries := 0; len(values) > 24 && tries < 64; tries++ {
		// The middle one of three splits the values.
		a, b, c := values[0], values[len(values)/2], values[len(values)-1]
		split := max(min(a, b), min(max(a, b), c))
		i, j := 0, len(values)-1
		for i <= j {
			for values[i] < split {
				i++
			}
			for values[j] > split {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i++
				j--
			}
		}
		// values[:j+1] <= split <= values[i:], and what is between is split.
		switch {
		case at <= j:
			values = values[:j+1]
		case at >= i:
			values, at = values[i:], at-i
		default:
			return
		}
	}
	slices.Sort(values)
}

// ordered reports whether values have one order only: no NaN, and not both zeros.
func ordered(values []float64) bool {
	positive, negative := false, false
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			return false
		case v == 0 && math.Signbit(v):
			negative = true
		case v == 0:
			positive = true
		}
	}
	return !(positive && negative)
}

// nanFirst sorts as Prometheus's engine does: with the same algorithm and the same
// order, which has every NaN before every other value and itself, equal values
// come out in the same places.
type nanFirst []float64

func (s nanFirst) Len() int           { return len(s) }
func (s nanFirst) Less(i, j int) bool { return math.IsNaN(s[i]) || s[i] < s[j] }
func (s nanFirst) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

package window

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"
)

// Windows are the aggregates of one float series, a row for each window that has
// samples, by rising End. Stale markers are no samples: a window that has nothing
// else is a row with Count 0, of which only End and Stale mean something.
type Windows struct {
	End                 []int64   // milliseconds, multiples of the width
	FirstTime, LastTime []int64   // of the first and the last sample
	Count               []float64 // of samples, an integer
	// What sum_over_time, min_over_time, max_over_time, first_over_time and
	// last_over_time give for the window.
	Sum, Min, Max, First, Last []float64
	// Correction is what resets of a counter inside the window add: the increase
	// inside is Last - First + Correction.
	Correction []float64
	// Stale is the time of the first stale marker behind the last sample; 0 if there
	// is none.
	Stale []int64

	// The sum of the last row, not rounded yet, if Append made it.
	sum, lost float64
	open      bool
}

// Len returns the number of rows.
func (w *Windows) Len() int { return len(w.End) }

// Reset takes all rows out and keeps the memory.
func (w *Windows) Reset() { w.Truncate(0) }

// Truncate keeps the first n rows.
func (w *Windows) Truncate(n int) {
	w.open = w.open && n == w.Len()
	w.End, w.FirstTime, w.LastTime, w.Stale = w.End[:n], w.FirstTime[:n], w.LastTime[:n], w.Stale[:n]
	for _, c := range w.values() {
		*c = (*c)[:n]
	}
}

// Keep keeps the rows with ends in [first, last].
func (w *Windows) Keep(first, last int64) {
	from, _ := slices.BinarySearch(w.End, first)
	to, found := slices.BinarySearch(w.End, last)
	if found {
		to++
	}
	w.Truncate(max(from, to))
	if from == 0 {
		return
	}
	for _, c := range []*[]int64{&w.End, &w.FirstTime, &w.LastTime, &w.Stale} {
		*c = slices.Delete(*c, 0, from)
	}
	for _, c := range w.values() {
		*c = slices.Delete(*c, 0, from)
	}
}

// Cut takes out the rows for whose ends gone returns true.
func (w *Windows) Cut(gone func(end int64) bool) {
	kept := &Windows{}
	for i, end := range w.End {
		if !gone(end) {
			kept.appendRows(w, i, i+1)
		}
	}
	*w = *kept
}

// values are the columns of floats, in the order in which they are declared.
func (w *Windows) values() [7]*[]float64 {
	return [7]*[]float64{&w.Count, &w.Sum, &w.Min, &w.Max, &w.First, &w.Last, &w.Correction}
}

// EndOf returns the end of the window of a width that t lies in.
func EndOf(t, width int64) int64 {
	rest := t % width
	if rest > 0 {
		rest -= width
	}
	return t - rest
}

// Append adds samples, in order of time and not before those added last. Those of
// the last row's window go on in that row. The times of the width's multiples must
// not overflow.
func (w *Windows) Append(times []int64, values []float64, width int64) {
	for len(times) > 0 {
		end := EndOf(times[0], width)
		n := len(times)
		if times[n-1] > end {
			n = upTo(times, end)
		}
		if last := w.Len() - 1; last < 0 || w.End[last] != end {
			w.begin(end)
		}
		w.add(times[:n], values[:n])
		times, values = times[n:], values[n:]
	}
}

// upTo returns how many of times are not after end; the first one is not. Windows
// mostly have few samples, and mostly the same number.
func upTo(times []int64, end int64) int {
	n := 1
	for n < len(times) && times[n] <= end {
		if n&63 == 0 {
			at, _ := slices.BinarySearch(times[n:], end+1)
			return n + at
		}
		n++
	}
	return n
}

// begin adds a row without samples.
func (w *Windows) begin(end int64) {
	w.End, w.FirstTime, w.LastTime, w.Stale = append(w.End, end), append(w.FirstTime, 0), append(w.LastTime, 0), append(w.Stale, 0)
	for _, c := range w.values() {
		*c = append(*c, 0)
	}
	w.sum, w.lost, w.open = 0, 0, true
}

// add adds samples to the last row.
func (w *Windows) add(times []int64, values []float64) {
	i := w.Len() - 1
	if !w.open {
		w.sum, w.lost, w.open = w.Sum[i], 0, true
	}
	count, last := w.Count[i], w.Last[i]
	least, greatest, correction := w.Min[i], w.Max[i], w.Correction[i]
	lastTime, stale := w.LastTime[i], w.Stale[i]
	for k, v := range values {
		if v != v && value.IsStaleNaN(v) {
			if stale == 0 {
				stale = times[k]
			}
			continue
		}
		if count == 0 {
			w.FirstTime[i], w.First[i] = times[k], v
			last, least, greatest = v, v, v
		}
		if v < last {
			correction += last
		}
		if v < least || least != least {
			least = v
		}
		if v > greatest || greatest != greatest {
			greatest = v
		}
		w.sum, w.lost = compensated(v, w.sum, w.lost)
		last, lastTime, stale = v, times[k], 0
		count++
	}
	w.Count[i], w.Last[i], w.LastTime[i], w.Stale[i] = count, last, lastTime, stale
	w.Min[i], w.Max[i], w.Correction[i] = least, greatest, correction
	switch w.Sum[i] = w.sum; {
	case w.sum != w.sum:
		w.Sum[i] = math.NaN() // not the bits of one of several
	case !math.IsInf(w.sum, 0):
		w.Sum[i] += w.lost
	}
}

// compensated adds v to a sum whose rounding errors are gathered in lost (A.
// Neumaier, 1974), as sum_over_time does. Every sum is rounded by itself.
func compensated(v, sum, lost float64) (newSum, newLost float64) {
	t := float64(sum + v)
	switch {
	case t > math.MaxFloat64 || t < -math.MaxFloat64:
		lost = 0
	case math.Abs(sum) >= math.Abs(v):
		lost += float64(float64(sum-t) + v)
	default:
		lost += float64(float64(v-t) + sum)
	}
	return t, lost
}

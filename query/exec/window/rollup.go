package window

import (
	aggregates "github.com/varve-db/varve/chunks/window"
)

// Rollup computes dst[i] for every step i of b out of aggregates of windows, Absent
// where there is no result. b is that of SetWindows, and every row of w has samples.
type Rollup func(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch)

var rollups = map[string]Rollup{
	"absent_over_time":      endOf(present),
	"avg_over_time":         rolledAverage,
	"count_over_time":       rolledCount,
	"delta":                 rolledDelta,
	"first_over_time":       rolledFirst,
	"increase":              rolledIncrease,
	"last_over_time":        rolledLast,
	"max_over_time":         rolledHighest,
	"min_over_time":         rolledLowest,
	"present_over_time":     endOf(present),
	"rate":                  rolledRate,
	"sum_over_time":         rolledSum,
	"ts_of_first_over_time": rolledTimeOfFirst,
	"ts_of_last_over_time":  rolledTimeOfLast,
}

// FindRollup returns the rollup for the function with PromQL's name, nil if there is
// none.
func FindRollup(name string) Rollup { return rollups[name] }

// SetWindows computes the bounds of n steps over windows that end at ends. A step is
// answered as of the last multiple of b.Width at or before it; Start, Step and Range,
// which is a multiple too, are the caller's to set.
func (b *Bounds) SetWindows(ends []int64, n int) {
	b.edges, b.steady = b.edges[:0], steady{}
	b.room(n)
	from, to := 0, 0
	for i := range n {
		ref := b.AsOf(i)
		for to < len(ends) && ends[to] <= ref {
			to++
		}
		for from < to && ends[from] <= ref-b.Range {
			from++
		}
		b.From[i], b.To[i] = int32(from), int32(to)
	}
	b.looks()
}

// AsOf returns the time as of which step i is answered.
func (b *Bounds) AsOf(i int) int64 {
	ref := b.Ref(i)
	rest := ref % b.Width
	if rest < 0 {
		rest += b.Width
	}
	return ref - rest
}

// Counted returns the rows of w that have samples, in dst if there are others.
func Counted(dst, w *aggregates.Windows) *aggregates.Windows {
	whole := true
	for _, n := range w.Count {
		whole = whole && n > 0
	}
	if whole {
		return w
	}
	dst.Reset()
	for i, n := range w.Count {
		if n == 0 {
			continue
		}
		dst.End = append(dst.End, w.End[i])
		dst.FirstTime, dst.LastTime = append(dst.FirstTime, w.FirstTime[i]), append(dst.LastTime, w.LastTime[i])
		dst.Count, dst.Sum = append(dst.Count, n), append(dst.Sum, w.Sum[i])
		dst.Min, dst.Max = append(dst.Min, w.Min[i]), append(dst.Max, w.Max[i])
		dst.First, dst.Last = append(dst.First, w.First[i]), append(dst.Last, w.Last[i])
		dst.Correction, dst.Stale = append(dst.Correction, w.Correction[i]), append(dst.Stale, w.Stale[i])
	}
	return dst
}

// endOf is a function that looks at which rows there are alone.
func endOf(f Function) Rollup {
	return func(dst []float64, _ *aggregates.Windows, b *Bounds, scratch *Scratch) {
		f(dst, Samples{}, b, nil, scratch)
	}
}

func rolledSum(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	sum(dst, Samples{Times: w.End, Values: w.Sum}, b, nil, scratch)
}

func rolledCount(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	sum(dst, Samples{Times: w.End, Values: w.Count}, b, nil, scratch)
}

func rolledAverage(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	rolledSum(dst, w, b, scratch)
	for i, to := range b.To {
		n := 0.0
		for _, count := range w.Count[b.From[i]:to] {
			n += count
		}
		if n > 0 {
			dst[i] /= n
		}
	}
}

func rolledLowest(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	lowest(dst, Samples{Times: w.End, Values: w.Min}, b, nil, scratch)
}

func rolledHighest(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	highest(dst, Samples{Times: w.End, Values: w.Max}, b, nil, scratch)
}

func rolledFirst(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	first(dst, Samples{Times: w.End, Values: w.First}, b, nil, scratch)
}

func rolledLast(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	last(dst, Samples{Times: w.End, Values: w.Last}, b, nil, scratch)
}

func rolledTimeOfFirst(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	timeOfFirst(dst, Samples{Times: w.FirstTime}, b, nil, scratch)
}

func rolledTimeOfLast(dst []float64, w *aggregates.Windows, b *Bounds, scratch *Scratch) {
	timeOfLast(dst, Samples{Times: w.LastTime}, b, nil, scratch)
}

func rolledRate(dst []float64, w *aggregates.Windows, b *Bounds, _ *Scratch) {
	rolledIncreases(dst, w, b, &counter{perSecond: true, seconds: b.rangeSeconds()})
}

func rolledIncrease(dst []float64, w *aggregates.Windows, b *Bounds, _ *Scratch) {
	rolledIncreases(dst, w, b, &counter{seconds: b.rangeSeconds()})
}

// rolledIncreases is counter.increases, where what the resets within a window add is
// known, and those between two windows show in the values at their ends.
func rolledIncreases(dst []float64, w *aggregates.Windows, b *Bounds, c *counter) {
	for i, to := range b.To {
		from := b.From[i]
		e, ok := b.rolledEdge(w, i)
		if !ok {
			dst[i] = Absent
			continue
		}
		e.perSecond = e.factor / c.seconds
		v := w.First[from]
		grew := w.Last[to-1] - v + w.Correction[from]
		for k := from + 1; k < to; k++ {
			if before := w.Last[k-1]; w.First[k] < before {
				grew += before
			}
			grew += w.Correction[k]
		}
		dst[i] = grew * c.factor(&e, v, grew)
	}
}

func rolledDelta(dst []float64, w *aggregates.Windows, b *Bounds, _ *Scratch) {
	for i, to := range b.To {
		dst[i] = Absent
		if e, ok := b.rolledEdge(w, i); ok {
			dst[i] = (w.Last[to-1] - w.First[b.From[i]]) * e.factor
		}
	}
}

// rolledEdge returns the edge of step i; ok is false if it has fewer than two
// samples.
func (b *Bounds) rolledEdge(w *aggregates.Windows, i int) (e edge, ok bool) {
	from, to := b.From[i], b.To[i]
	n := 0.0
	for _, count := range w.Count[from:to] {
		n += count
	}
	if n < 2 {
		return edge{}, false
	}
	closes := b.AsOf(i)
	return newEdge(w.FirstTime[from], w.LastTime[to-1], int(n)-1, closes-b.Range, closes), true
}

package window

import "time"

// edge is how the change between the first and the last sample of a window is
// extended to the window's ends, as far as times alone decide it.
type edge struct {
	start, end float64 // seconds added before the first sample, after the last
	interval   float64 // seconds between the two; 0 if there are fewer than two
	factor     float64 // by which the change grows
	perSecond  float64 // factor divided by the seconds of the range
}

// rangeSeconds returns the length of the windows.
func (b *Bounds) rangeSeconds() float64 {
	return (time.Duration(b.Range) * time.Millisecond).Seconds()
}

// edgesOf returns the edges of all steps.
func (b *Bounds) edgesOf(times []int64) []edge {
	if len(b.edges) == len(b.From) {
		return b.edges
	}
	seconds := b.rangeSeconds()
	edges := grown(&b.edges, len(b.From))
	var e edge // of the window before: where samples keep a rhythm it is the next one's too
	var before [3]int64
	closes := b.Ref(0)
	for i, from := range b.From {
		to := b.To[i]
		if to-from < 2 {
			edges[i] = edge{}
		} else {
			first, last := times[from], times[to-1]
			open := closes - b.Range
			if shape := [3]int64{first - open, closes - last, int64(to - from)}; shape != before {
				before = shape
				e = newEdge(first, last, int(to-from)-1, open, closes)
				e.perSecond = e.factor / seconds
			}
			edges[i] = e
		}
		closes += b.Step
	}
	return edges
}

// newEdge computes the edge of a window (open, close] whose first and last samples
// lie at first and last, that many samples apart.
func newEdge(first, last int64, apart int, open, close int64) edge {
	e := edge{
		start:    float64(first-open) / 1000,
		end:      float64(close-last) / 1000,
		interval: float64(last-first) / 1000,
	}
	// An end that is much farther away than samples are from each other is where
	// the series itself starts or stops: about half way to the sample it lacks.
	typical := e.interval / float64(apart)
	limit := typical * 1.1
	if e.start >= limit {
		e.start = typical / 2
	}
	if e.end >= limit {
		e.end = typical / 2
	}
	e.factor = e.grown(e.start)
	return e
}

// grown returns the factor for a window extended by start before its first sample.
func (e *edge) grown(start float64) float64 {
	return (e.interval + start + e.end) / e.interval
}

func delta(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, e := range b.edgesOf(s.Times) {
		dst[i] = Absent
		if e.interval != 0 {
			dst[i] = (s.Values[b.To[i]-1] - s.Values[b.From[i]]) * e.factor
		}
	}
	return true
}

func rate(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	counterIncrease(dst, s, b, scratch, true)
	return true
}

func increase(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	counterIncrease(dst, s, b, scratch, false)
	return true
}

// counterIncrease computes rate and increase.
func counterIncrease(dst []float64, s Samples, b *Bounds, scratch *Scratch, perSecond bool) {
	edges := b.edgesOf(s.Times)
	at := resetsAt(s, b, scratch) // the position of each, ascending
	seconds := b.rangeSeconds()
	passed := 0 // resets before the window
	for i := range edges {
		e := &edges[i]
		if e.interval == 0 {
			dst[i] = Absent
			continue
		}
		from, to := b.From[i], b.To[i]
		v := s.Values[from]
		grew := s.Values[to-1] - v
		for passed < len(at) && at[passed] <= from {
			passed++
		}
		for k := passed; k < len(at) && at[k] < to; k++ {
			grew += s.Values[at[k]-1]
		}
		factor := e.factor
		if perSecond {
			factor = e.perSecond
		}
		// A counter is not extended to before it was 0.
		if grew > 0 && v >= 0 {
			if zero := float64(e.interval * (v / grew)); zero < e.start { // not to be fused with a sum
				factor = e.grown(zero)
				if perSecond {
					factor /= seconds
				}
			}
		}
		dst[i] = grew * factor
	}
}

// resetsAt returns the positions of the samples below the one before them, in and
// between the windows.
func resetsAt(s Samples, b *Bounds, scratch *Scratch) []int32 {
	from, to := b.span()
	at := scratch.ints[:0]
	if from < to {
		before := s.Values[from]
		for k, v := range s.Values[from:to] {
			if v < before {
				at = append(at, int32(from+k))
			}
			before = v
		}
	}
	scratch.ints = at
	return at
}

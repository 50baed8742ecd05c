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

// edgesOf returns the edges of all steps, or if windows are alike of those that are
// not, and of one of those that are: all of them have that.
func (b *Bounds) edgesOf(s *Samples) []edge {
	if len(b.edges) == len(b.From) {
		return b.edges
	}
	edges := grown(&b.edges, len(b.From))
	if alike := b.steady; alike.from < alike.to {
		b.fillEdges(edges, s, 0, alike.from+1)
		b.fillEdges(edges, s, alike.to, len(edges))
		return edges
	}
	b.fillEdges(edges, s, 0, len(edges))
	return edges
}

// fillEdges computes the edges of steps [from, to).
func (b *Bounds) fillEdges(edges []edge, s *Samples, from, to int) {
	seconds := b.rangeSeconds()
	var e edge // of the window before: where samples keep a rhythm it is the next one's too
	var before [3]int64
	closes := b.Ref(from)
	for i := from; i < to; i++ {
		from, to := b.From[i], b.To[i]
		if to-from < 2 {
			edges[i] = edge{}
		} else {
			first, last := s.Time(int(from)), s.Time(int(to)-1)
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
	edges := b.edgesOf(&s)
	alike := b.steady
	for i := range dst {
		e := &edges[i]
		if i > alike.from && i < alike.to {
			e = &edges[alike.from]
		}
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
	c := counter{values: s.Values, resets: resetsAt(s, b, scratch), perSecond: perSecond, seconds: b.rangeSeconds()}
	edges := b.edgesOf(&s)
	from, to := b.steady.from, b.steady.to
	c.increases(dst, b, edges, 0, from)
	if from < to {
		c.steadyIncreases(dst[from:to], b, &edges[from])
	}
	c.increases(dst, b, edges, to, len(dst))
}

// counter is a series whose increases are computed.
type counter struct {
	values    []float64
	resets    []int32 // the position of each, ascending
	perSecond bool
	seconds   float64 // of a window
}

// increases computes steps [from, to).
func (c *counter) increases(dst []float64, b *Bounds, edges []edge, from, to int) {
	passed := 0 // resets before the window
	for i := from; i < to; i++ {
		e := &edges[i]
		if e.interval == 0 {
			dst[i] = Absent
			continue
		}
		from, to := b.From[i], b.To[i]
		v := c.values[from]
		grew := c.values[to-1] - v
		for passed < len(c.resets) && c.resets[passed] <= from {
			passed++
		}
		for k := passed; k < len(c.resets) && c.resets[k] < to; k++ {
			grew += c.values[c.resets[k]-1]
		}
		dst[i] = grew * c.factor(e, v, grew)
	}
}

// factor returns what an increase from v on is multiplied by. A counter is not
// extended to before it was 0.
func (c *counter) factor(e *edge, v, grew float64) float64 {
	if grew > 0 && v >= 0 {
		if zero := float64(e.interval * (v / grew)); zero < e.start { // not to be fused with a sum
			if c.perSecond {
				return e.grown(zero) / c.seconds
			}
			return e.grown(zero)
		}
	}
	if c.perSecond {
		return e.perSecond
	}
	return e.factor
}

// steadyIncreases computes the steps whose windows are alike, with the edge that all
// of them have.
func (c *counter) steadyIncreases(dst []float64, b *Bounds, e *edge) {
	first := b.steady.from
	from, last, stride := int(b.From[first]), int(b.To[first])-1, int(b.steady.shape.stride)
	if e.interval == 0 {
		for i := range dst {
			dst[i] = Absent
		}
		return
	}
	factor := e.factor
	if c.perSecond {
		factor = e.perSecond
	}
	// A counter above this many times its growth was 0 before the window began, if
	// ever: that is seen without a division. The margin is more than rounding takes.
	near := e.start / e.interval * (1 + 1e-9)
	passed := 0
	for i := range dst {
		v := c.values[from]
		grew := c.values[last] - v
		if passed < len(c.resets) {
			for passed < len(c.resets) && int(c.resets[passed]) <= from {
				passed++
			}
			for k := passed; k < len(c.resets) && int(c.resets[k]) <= last; k++ {
				grew += c.values[c.resets[k]-1]
			}
		}
		if v > grew*near {
			dst[i] = grew * factor
		} else {
			dst[i] = grew * c.factor(e, v, grew)
		}
		from, last = from+stride, last+stride
	}
}

// resetsAt returns the positions of the samples below the one before them, in and
// between the windows.
func resetsAt(s Samples, b *Bounds, scratch *Scratch) []int32 {
	from, to := b.span()
	at := scratch.ints[:0]
	if from < to && !s.Known.Rising {
		values := s.Values[from:to]
		k := 1
		for ; k+4 <= len(values); k += 4 {
			v := values[k-1 : k+4 : k+4]
			if v[1] < v[0] || v[2] < v[1] || v[3] < v[2] || v[4] < v[3] {
				at = appendResets(at, v, from+k)
			}
		}
		at = appendResets(at, values[k-1:], from+k)
	}
	scratch.ints = at
	return at
}

// appendResets appends the positions of resets among values but the first, of which
// the second is at.
func appendResets(dst []int32, values []float64, at int) []int32 {
	for k := 1; k < len(values); k++ {
		if values[k] < values[k-1] {
			dst = append(dst, int32(at+k-1))
		}
	}
	return dst
}

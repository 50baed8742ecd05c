package column

import (
	"math"
	"math/bits"
)

// The search for a scaling looks at windows of windowSize neighbouring samples.
const (
	windowSize = 24
	windows    = 4
	// peekSize is how much of each window is looked at where no scaling fits.
	peekSize = 6
	// smallUlps is how far off a value may be for another rule to be tried.
	smallUlps = 4
)

// search finds the scaling with which the windows of a column take the fewest
// bits.
type search struct {
	v       []float64
	starts  []int // of the windows
	size    int   // of the windows
	best    scaling
	cost    int // of best, in bits
	x, ulps [windowSize]int64
}

func windowStarts(n int) []int {
	if n <= windowSize {
		return []int{0}
	}
	starts := make([]int, 0, windows+2*searchesMax)
	for i := range windows {
		starts = append(starts, i*(n-windowSize)/(windows-1))
	}
	return starts
}

// centred returns the start of a window about position i of n.
func centred(i, n int) int { return max(0, min(i-windowSize/2, n-windowSize)) }

// bestScaling returns the scaling with the least cost over the windows, and that
// cost in bits.
func bestScaling(v []float64, starts []int) (best scaling, bestCost int) {
	s := search{v: v, starts: starts, size: windowSize, cost: math.MaxInt}
	from := s.firstNear()
	if from > exponentMax {
		return s.leastBad()
	}
	for e := from; e <= exponentMax && !s.tryRules(e); e++ {
	}
	// With a lower exponent some samples need large corrections. That pays where
	// most samples are coarser than the finest ones.
	for e := range from {
		s.try(scaling{exponent: e})
	}
	return s.best, s.cost
}

// tryRules tries the rules that the exponent e makes sense with, and returns
// true if no correction is needed with one.
func (s *search) tryRules(e uint8) bool {
	exact, near := s.try(scaling{exponent: e})
	if exact || !near {
		return exact
	}
	if e > 0 {
		if exact, _ = s.try(scaling{exponent: e, rule: ruleProduct}); exact {
			return true
		}
	}
	if e == twiceExponent {
		exact, _ = s.try(scaling{exponent: e, rule: ruleTwice})
	}
	return exact
}

// firstNear returns the least exponent with which a few samples of the windows
// need small corrections at most; exponentMax + 1 if there is none.
func (s *search) firstNear() (e uint8) {
	next := 0 // probe
	probes := 2 * len(s.starts)
	for ; e <= exponentMax; e++ {
		by := scaling{exponent: e}
		passed := 0
		for ; passed < probes; passed++ {
			// The probe that ruled out the last exponent mostly rules out more.
			at := s.starts[next/2] + next%2*(s.size/2)
			if at < len(s.v) {
				if _, ulps, ok := by.split(s.v[at]); ok && !isNear(ulps) {
					break
				}
			}
			next = (next + 1) % probes
		}
		if passed == probes {
			break
		}
	}
	return e
}

func isNear(ulps int64) bool { return ulps >= -smallUlps && ulps <= smallUlps }

// leastBad returns the exponent with the least cost where all need large
// corrections, and the cost.
func (s *search) leastBad() (scaling, int) {
	if len(s.starts) > 1 {
		s.size = peekSize
	}
	for e := range uint8(exponentMax + 1) {
		s.try(scaling{exponent: e})
	}
	best := s.best
	s.size, s.cost = windowSize, math.MaxInt
	s.try(best)
	return s.best, s.cost
}

// try makes by the best if it is. It returns whether no correction is needed,
// and whether all are small; it may give up when neither holds.
func (s *search) try(by scaling) (exact, near bool) {
	exact, near = true, true
	cost := 0
	for _, start := range s.starts {
		window := s.v[start:min(start+s.size, len(s.v))]
		if by.splitPlain(s.x[:len(window)], s.ulps[:len(window)], window) {
			cost += s.plainCost(len(window), &exact, &near)
		} else {
			cost += by.mixedCost(window, &exact, &near)
		}
		if cost >= s.cost && !near {
			return false, false
		}
	}
	if cost < s.cost {
		s.best, s.cost = by, cost
	}
	return exact, near
}

// plainCost returns the bits of the first n of s.x and s.ulps.
func (s *search) plainCost(n int, exact, near *bool) (cost int) {
	before := s.x[0]
	for _, x := range s.x[:n] {
		cost += bits.Len64(zigzag(x - before))
		before = x
	}
	for _, ulps := range s.ulps[:n] {
		if ulps != 0 {
			cost += bits.Len64(zigzag(ulps))
			*exact = false
			*near = *near && isNear(ulps)
		}
	}
	return cost
}

// mixedCost is plainCost for a window of which some samples may be exceptions.
func (by scaling) mixedCost(window []float64, exact, near *bool) (cost int) {
	var before int64
	for i, f := range window {
		x, ulps, ok := by.split(f)
		if !ok {
			continue
		}
		if i > 0 {
			cost += bits.Len64(zigzag(x - before))
		}
		before = x
		if ulps != 0 {
			cost += bits.Len64(zigzag(ulps))
			*exact = false
			*near = *near && isNear(ulps)
		}
	}
	return cost
}

// wholeShift is of the magnitude at which floats are integers: what is added to
// it, up to 2^51, is rounded to the nearest one, and of two to the even one.
const wholeShift = 3 << 51

// splitPlain is split for all of v at once. It returns false if one of them may
// be an exception or is large; then x and ulps hold nothing of use.
func (by scaling) splitPlain(x, ulps []int64, v []float64) bool {
	power, inverse := powers[by.exponent], inverses[by.exponent]
	x, ulps = x[:len(v)], ulps[:len(v)]
	for i, f := range v {
		b := math.Float64bits(f)
		units := float64(f * power)
		if !(math.Abs(units) < 1<<51) || b == negZeroBits {
			return false
		}
		whole := units + wholeShift - wholeShift
		x[i] = int64(whole)
		var q float64
		switch {
		case by.rule == ruleQuotient && by.exponent > 0:
			q = float64(whole * inverse)
			q = math.FMA(math.FMA(-q, power, whole), inverse, q)
		case by.rule == ruleQuotient:
			q = whole
		case by.rule == ruleProduct:
			q = float64(whole * inverse)
		default:
			q = whole / 1000 / 1000
		}
		ulps[i] = int64(b - math.Float64bits(q))
	}
	return true
}

// split returns the integer and the correction that stand for f under by, or
// false if f has to be an exception.
func (by scaling) split(f float64) (x, ulps int64, ok bool) {
	b := math.Float64bits(f)
	if !(math.Abs(f) < hugeValue) || b == negZeroBits {
		return 0, 0, false
	}
	units := float64(f * powers[by.exponent])
	if math.Abs(units) > unitsMax {
		return 0, 0, false
	}
	x = nearest(units)
	return x, int64(b - math.Float64bits(by.scaled(x))), true
}

// nearest returns the integer nearest to f, |f| < 2^63, and of two the even one.
func nearest(f float64) int64 {
	if math.Abs(f) < 1<<51 {
		return int64(f + wholeShift - wholeShift)
	}
	return int64(math.RoundToEven(f))
}

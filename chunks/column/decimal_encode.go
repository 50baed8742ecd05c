package column

import (
	"math"
	"math/bits"
)

// The search for a scaling looks at windows of windowSize neighbouring samples.
const (
	windowSize = 24
	windows    = 4
	// smallUlps is how far off a value may be for another rule to be tried.
	smallUlps = 4
	// searchesMax bounds how often the search is repeated with windows about
	// values that the scaling found before does not fit.
	searchesMax = 3
	// decimalBitsMax is how many bits a value may take as a decimal; with more
	// its ordered bits are as short.
	decimalBitsMax = 46
)

// Values of at least hugeValue, and those with larger units than unitsMax, are
// exceptions.
const (
	hugeValue = 9e18
	unitsMax  = 4e18
)

// planDecimal makes p kindDecimal if v can be written so.
func (e *Encoder) planDecimal(v []float64, p *plan) {
	var by scaling
	if p.integers {
		e.scale(v, by)
	} else {
		starts := windowStarts(len(v))
		for search := 1; ; search++ {
			var cost int
			if by, cost = bestScaling(v, starts); cost > decimalBitsMax*windowSize*len(starts) {
				return
			}
			misfits, firstMisfit, lastMisfit := e.scale(v, by)
			if misfits <= len(v)/64 || search == searchesMax {
				break
			}
			starts = append(starts, centred(firstMisfit, len(v)), centred(lastMisfit, len(v)))
		}
	}
	if len(e.except) > len(v)/5+4 {
		return
	}
	p.scaling = by
	p.kind = kindDecimal
	p.ints = e.planInts(e.x[:len(v)])
	p.bits = p.ints.bits + 8 + 24*len(e.except)
	p.hasUlps = false
	for _, u := range e.ulps[:len(v)] {
		if u != 0 {
			p.hasUlps = true
			break
		}
	}
	if p.hasUlps {
		p.ulps = e.planInts(e.ulps[:len(v)])
		p.bits += p.ulps.bits
	}
	if p.bits >= 64*len(v) {
		p.kind, p.bits = kindRaw, 64*len(v)
	}
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
	bestCost = math.MaxInt
	try := func(s scaling) (exact, near bool) {
		cost, exact, near := scalingCost(v, starts, s, bestCost)
		if cost < bestCost {
			best, bestCost = s, cost
		}
		return exact, near
	}
	for e := range uint8(exponentMax + 1) {
		exact, near := try(scaling{exponent: e})
		if exact {
			break
		}
		if !near {
			continue
		}
		if e > 0 {
			if exact, _ := try(scaling{exponent: e, rule: ruleProduct}); exact {
				break
			}
		}
		if e == twiceExponent {
			if exact, _ := try(scaling{exponent: e, rule: ruleTwice}); exact {
				break
			}
		}
	}
	return best, bestCost
}

// scalingCost returns the bits that integers and corrections of the windows
// take, whether no correction is needed, and whether all are small. It gives up
// when the cost is above most.
func scalingCost(v []float64, starts []int, s scaling, most int) (cost int, exact, near bool) {
	exact, near = true, true
	for _, start := range starts {
		window := v[start:min(start+windowSize, len(v))]
		var before int64
		for i, f := range window {
			x, ulps, ok := s.split(f)
			if !ok {
				continue
			}
			if i > 0 {
				cost += bits.Len64(zigzag(x - before))
			}
			before = x
			if ulps != 0 {
				cost += bits.Len64(zigzag(ulps))
				exact = false
				near = near && ulps >= -smallUlps && ulps <= smallUlps
			}
		}
		if cost >= most && !near {
			return math.MaxInt, false, false
		}
	}
	return cost, exact, near
}

// split returns the integer and the correction that stand for f under s, or
// false if f has to be an exception.
func (s scaling) split(f float64) (x, ulps int64, ok bool) {
	b := math.Float64bits(f)
	if !(math.Abs(f) < hugeValue) || b == negZeroBits {
		return 0, 0, false
	}
	units := float64(f * powers[s.exponent])
	if math.Abs(units) > unitsMax {
		return 0, 0, false
	}
	x = nearest(units)
	return x, int64(b - math.Float64bits(s.scaled(x))), true
}

// nearest returns the integer nearest to f, |f| < 2^63, and of two the even one.
func nearest(f float64) int64 {
	const shift = 3 << 51 // at this magnitude floats are integers
	if math.Abs(f) < 1<<51 {
		return int64(f + shift - shift)
	}
	return int64(math.RoundToEven(f))
}

// scale fills e.x, e.ulps and e.except for v and returns how many samples need
// a correction, and the first and last of them.
func (e *Encoder) scale(v []float64, s scaling) (misfits, first, last int) {
	e.except = e.except[:0]
	valid := -1
	for i, f := range v {
		x, ulps, ok := s.split(f)
		if !ok {
			e.except = append(e.except, i)
			if valid >= 0 {
				x, ulps = e.x[valid], e.ulps[valid]
			}
		} else {
			if valid < 0 {
				e.backfill(i, x, ulps)
			}
			valid = i
			if ulps != 0 {
				if misfits == 0 {
					first = i
				}
				misfits++
				last = i
			}
		}
		e.x[i], e.ulps[i] = x, ulps
	}
	return misfits, first, last
}

// backfill gives the exceptions before the first other sample its integers.
func (e *Encoder) backfill(end int, x, ulps int64) {
	for i := range end {
		e.x[i], e.ulps[i] = x, ulps
	}
}

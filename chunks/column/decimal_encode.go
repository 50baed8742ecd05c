package column

const (
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
	misfits := 0
	if p.integers {
		misfits, _, _ = e.scale(v, by)
	} else {
		starts := windowStarts(len(v))
		for search := 1; ; search++ {
			var cost int
			if by, cost = bestScaling(v, starts); cost > decimalBitsMax*windowSize*len(starts) {
				return
			}
			var first, last int
			if misfits, first, last = e.scale(v, by); misfits <= len(v)/64 || search == searchesMax {
				break
			}
			starts = append(starts, centred(first, len(v)), centred(last, len(v)))
		}
	}
	if len(e.except) > len(v)/5+4 {
		return
	}
	p.scaling = by
	p.kind = kindDecimal
	p.ints = e.planInts(e.x[:len(v)])
	p.bits = p.ints.bits + 8 + 24*len(e.except)
	if p.hasUlps = misfits > 0; p.hasUlps {
		p.ulps = e.planInts(e.ulps[:len(v)])
		p.bits += p.ulps.bits
	}
	if p.bits >= 64*len(v) {
		p.kind, p.bits = kindRaw, 64*len(v)
	}
}

// scale fills e.x, e.ulps and e.except for v and returns how many samples need
// a correction, and the first and last of them.
func (e *Encoder) scale(v []float64, by scaling) (misfits, first, last int) {
	e.except = e.except[:0]
	if !by.splitPlain(e.x[:], e.ulps[:], v) {
		e.scaleMixed(v, by)
	}
	for i, ulps := range e.ulps[:len(v)] {
		if ulps != 0 {
			if misfits == 0 {
				first = i
			}
			misfits++
			last = i
		}
	}
	return misfits, first, last
}

// scaleMixed scales values of which some may be exceptions: they repeat what
// stands for the sample before.
func (e *Encoder) scaleMixed(v []float64, by scaling) {
	valid := -1
	for i, f := range v {
		x, ulps, ok := by.split(f)
		switch {
		case ok && valid < 0:
			e.backfill(i, x, ulps)
			valid = i
		case ok:
			valid = i
		default:
			e.except = append(e.except, i)
			if valid >= 0 {
				x, ulps = e.x[valid], e.ulps[valid]
			}
		}
		e.x[i], e.ulps[i] = x, ulps
	}
}

// backfill gives the exceptions before the first other sample its integers.
func (e *Encoder) backfill(end int, x, ulps int64) {
	for i := range end {
		e.x[i], e.ulps[i] = x, ulps
	}
}

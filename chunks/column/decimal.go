package column

import "math"

// A decimal column writes a value v as an integer x and a correction ulp:
//
//	v = frombits(bits(q) + ulp)    q = scaled(x)
//
// where ulp is added modulo 2^64, so any v can be written with any x. How x is
// scaled is the column's rule:
//
//	quotient  float64(x) / 10^e, correctly rounded; float64(x) if e is 0
//	product   float64(x) * inverse(10^e), for exporters that multiply by 0.001
//	twice     float64(x) / 1000 / 1000 (e is 6), for exporters that divide twice
//
// The quotient is computed from the reciprocal by two fused operations:
//
//	q = f*inverse;  q = FMA(FMA(-q, 10^e, f), inverse, q)
//
// For every integer x and e up to 15 that is the correctly rounded quotient: the
// inner remainder is exact, as 10^e = 5^e*2^e has at most 35 significant bits,
// and no quotient is so near to the middle between two floats (they keep a
// distance of 2^-36 of their spacing, and are never the middle itself, as the
// middle has 54 significant bits) that the reciprocal's error could matter.
const (
	ruleQuotient = 0
	ruleProduct  = 1
	ruleTwice    = 2

	decimalExponent = 0x0f
	decimalRule     = 4 // shift of the rule, 2 bits
	decimalExcept   = 0x40
	decimalUlps     = 0x80

	exponentMax   = 15
	twiceExponent = 6
)

// powers are 10^0 to 10^15, all exact.
var powers = [exponentMax + 1]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
}

// inverses are the floats nearest to 10^0 to 10^-15; constants of the format.
var inverses = [exponentMax + 1]float64{
	1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15,
}

// scaling is a rule with its exponent.
type scaling struct {
	exponent uint8
	rule     uint8
}

// scaled returns the float that x stands for without correction.
func (s scaling) scaled(x int64) float64 {
	f := float64(x)
	switch {
	case s.rule == ruleTwice:
		return f / 1000 / 1000
	case s.rule == ruleProduct:
		return float64(f * inverses[s.exponent])
	case s.exponent == 0:
		return f
	default:
		inverse := inverses[s.exponent]
		q := float64(f * inverse)
		return math.FMA(math.FMA(-q, powers[s.exponent], f), inverse, q)
	}
}

// valid reports whether the format knows s.
func (s scaling) valid() bool {
	switch s.rule {
	case ruleQuotient:
		return true
	case ruleProduct:
		return s.exponent > 0
	default:
		return s.rule == ruleTwice && s.exponent == twiceExponent
	}
}

// decimal is the head of a decimal column.
type decimal struct {
	scaling
	ulps       bool
	exceptions int // where the exceptions start, or 0 if there are none
}

func readDecimal(c *cursor, n int) decimal {
	head := c.u8()
	d := decimal{scaling: scaling{exponent: head & decimalExponent, rule: head >> decimalRule & 3}}
	d.ulps = head&decimalUlps != 0
	if !d.valid() {
		c.fail("unknown scaling of a decimal column")
	}
	if head&decimalExcept != 0 {
		d.exceptions = c.off
		c.skipExceptions(n)
	}
	return d
}

// decimal decodes the integers (and corrections) that c is at into dst.
func (d *Decoder) decimal(c *cursor, head decimal, dst []float64) {
	p := d.readInts(c, len(dst))
	if c.err != nil {
		return
	}
	switch {
	case p.steps():
		d.decimalSteps(p, head.scaling, dst)
	case head.rule == ruleTwice:
		x := d.x[:len(dst)]
		d.ints(x, p)
		for i, v := range x {
			dst[i] = head.scaled(v)
		}
	default:
		d.dense(p, len(dst))
		p.divisor, p.inverse = powers[head.exponent], inverses[head.exponent]
		loops := &predictQuotient
		switch {
		case head.rule == ruleProduct:
			loops = &predictProduct
		case head.exponent == 0:
			loops = &predictWhole
		}
		from := p.skip(d.u[:d.skip])
		loops[p.predictor][p.zigzag](dst[from:], d.u[from:len(dst)], &p.prediction)
	}
	if head.ulps {
		d.correct(c, dst)
	}
}

// decimalSteps fills dst with the runs of a column that changes seldom.
func (d *Decoder) decimalSteps(p *ints, s scaling, dst []float64) {
	x, at := p.first, 0
	for i := range p.entries {
		end := int(d.at[i])
		fillRun(dst, at, end, s.scaled(x))
		x += p.residual(d.u[i])
		at = end
	}
	fill(dst[at:], s.scaled(x))
}

// correct adds the corrections that c is at to dst.
func (d *Decoder) correct(c *cursor, dst []float64) {
	p := d.readInts(c, len(dst))
	if c.err != nil {
		return
	}
	if p.sparse && p.predictor == predictNone && p.base == 0 {
		for i, at := range d.at[:p.entries] {
			dst[at] = addUlps(dst[at], p.residual(d.u[i]))
		}
		return
	}
	d.ints(d.x[:len(dst)], p)
	for i, ulps := range d.x[:len(dst)] {
		dst[i] = addUlps(dst[i], ulps)
	}
}

func addUlps(q float64, ulps int64) float64 {
	return math.Float64frombits(math.Float64bits(q) + uint64(ulps))
}

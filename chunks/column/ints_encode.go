package column

import (
	"encoding/binary"
	"math/bits"
)

// predictors is how many there are.
const predictors = predictLinear + 1

// intsPlan is how a column of integers will be written.
type intsPlan struct {
	predictor     int
	zigzag        bool
	divisor       uint64 // 1 for none
	base          int64
	first, second int64
	bits          int  // about the size
	coprime       bool // the residuals' differences have no divisor but 1
}

// planInts decides how x is written: the predictor and the form of residuals
// that give the smallest stream, as estimated from the lengths of its values.
func (e *Encoder) planInts(x []int64) intsPlan {
	best := e.planPredictor(x, predictDelta, false)
	if best.bits == intsHeaderBits(&best) {
		return best // nothing but zeros
	}
	// Differences that have no common divisor but 1 exclude any with the others.
	plain := best.coprime
	var sizes [predictors]int
	if plain && len(x) >= glanceMin {
		sizes = glances(x)
	}
	for _, predictor := range [predictors - 1]int{predictNone, predictLinear, predictDelta2} {
		if len(x) < freeResiduals(predictor)+1 || sizes[predictor] > sizes[best.predictor]+glanceSlack {
			continue
		}
		p := e.planPredictor(x, predictor, plain)
		// A later predictor costs more to decode, or is as good by chance: it
		// has to win by 1 %.
		if p.bits*100 < best.bits*99 {
			best = p
		}
		if best.bits == intsHeaderBits(&best) {
			break
		}
	}
	return best
}

// Glances look at the residuals of glanceSize samples in each of glanceWindows
// windows, if there are at least glanceMin samples. A predictor that takes
// glanceSlack bits more there than the best is not looked at closer.
const (
	glanceWindows = 4
	glanceSize    = 8
	glanceMin     = 2 * glanceWindows * glanceSize
	glanceSlack   = glanceWindows * glanceSize * 3 / 4
)

// glances returns about how many bits some residuals of each predictor have
// together.
func glances(x []int64) (sizes [predictors]int) {
	var r [predictors][glanceWindows * glanceSize]int64
	slope := averageStep(x)
	n := 0
	for w := range glanceWindows {
		from := 2 + w*(len(x)-2-glanceSize)/(glanceWindows-1)
		for i := from; i < from+glanceSize; i++ {
			r[predictNone][n] = x[i]
			r[predictDelta][n] = x[i] - x[i-1]
			r[predictDelta2][n] = x[i] - 2*x[i-1] + x[i-2]
			r[predictLinear][n] = x[i] - x[0] - int64(i)*slope
			n++
		}
	}
	for p := range r {
		low, _ := extremes(r[p][:])
		offsets, signed := 0, 0
		for _, v := range r[p] {
			offsets += bits.Len64(uint64(v - low))
			signed += bits.Len64(zigzag(v))
		}
		sizes[p] = min(offsets, signed)
	}
	return sizes
}

// freeResiduals returns how many leading residuals the predictor's first and
// second parameter make whatever is convenient.
func freeResiduals(predictor int) int {
	switch predictor {
	case predictDelta:
		return 1
	case predictDelta2:
		return 2
	default:
		return 0
	}
}

// residuals fills e.r and returns it without the free ones, and the slope of
// predictLinear.
func (e *Encoder) residuals(x []int64, predictor int) (r []int64, slope int64) {
	n := len(x)
	switch predictor {
	case predictDelta:
		for i := 1; i < n; i++ {
			e.r[i] = x[i] - x[i-1]
		}
		return e.r[1:max(n, 1)], 0
	case predictDelta2:
		for i := 2; i < n; i++ {
			e.r[i] = x[i] - 2*x[i-1] + x[i-2]
		}
		return e.r[min(2, n):n], 0
	case predictLinear:
		slope = averageStep(x)
		line := x[0]
		for i, v := range x {
			e.r[i] = v - line
			line += slope
		}
		return e.r[:n], slope
	default:
		copy(e.r[:n], x)
		return e.r[:n], 0
	}
}

// averageStep returns the step from x[0] to the last of x in equal steps.
func averageStep(x []int64) int64 {
	n := int64(len(x) - 1)
	if n < 1 {
		return 0
	}
	span := x[n] - x[0]
	half := n / 2
	if span < 0 {
		half = -half
	}
	return (span + half) / n
}

// planPredictor returns how x is written with predictor. plain says that there is
// no common divisor.
func (e *Encoder) planPredictor(x []int64, predictor int, plain bool) intsPlan {
	r, slope := e.residuals(x, predictor)
	p := intsPlan{predictor: predictor, divisor: 1, second: slope}
	free := len(x) - len(r)
	low, high := extremes(r)
	offset, signed := uint64(1), uint64(1)
	if !plain {
		offset, signed = divisors(r)
	}
	u := e.u[:len(r)]
	offsets(u, r, low, offset)
	h := lengths{0: int32(free)}
	h.addAll(u)
	p.base, p.divisor, p.coprime = low, offset, offset == 1 && low != high
	p.settle(x)
	p.bits = e.estimate(&h, len(x)) + intsHeaderBits(&p)
	if low >= 0 || low == high {
		return p // a sign could only add a bit to each
	}
	z := p
	z.zigzag, z.base, z.divisor = true, 0, signed
	z.settle(x)
	zigzags(u, r, signed)
	h = lengths{0: int32(free)}
	h.addAll(u)
	z.bits = e.estimate(&h, len(x)) + intsHeaderBits(&z)
	if z.bits < p.bits {
		return z
	}
	return p
}

// settle computes first and second so that the free residuals are those that
// the stream's value 0 stands for.
func (p *intsPlan) settle(x []int64) {
	switch p.predictor {
	case predictDelta:
		p.first = x[0] - p.base
	case predictDelta2:
		d1 := int64(0)
		if len(x) > 1 {
			d1 = x[1] - x[0]
		}
		p.second = d1 - 2*p.base
		p.first = x[0] - (p.second + p.base)
	case predictLinear:
		p.first = x[0]
	}
}

func intsHeaderBits(p *intsPlan) int {
	size := 1
	if p.predictor != predictNone {
		size += uvarintLen(zigzag(p.first))
	}
	if p.predictor >= predictDelta2 {
		size += uvarintLen(zigzag(p.second))
	}
	if p.divisor > 1 {
		size += uvarintLen(p.divisor)
	}
	if !p.zigzag {
		size += uvarintLen(zigzag(p.base))
	}
	return 8 * size
}

func extremes(r []int64) (low, high int64) {
	if len(r) == 0 {
		return 0, 0
	}
	low, high = r[0], r[0]
	for _, v := range r {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// divisors returns the greatest common divisor of the differences between the
// residuals, and that of their magnitudes; 1 if all are 0. Differences are
// taken as unsigned numbers, which hold all of them.
func divisors(r []int64) (offset, signed uint64) {
	for _, v := range r {
		if offset != 1 {
			offset = gcd(offset, difference(v, r[0]))
		}
		if signed != 1 {
			signed = gcd(signed, difference(v, 0))
		} else if offset == 1 {
			break
		}
	}
	return max(offset, 1), max(signed, 1)
}

func difference(a, b int64) uint64 {
	if a < b {
		a, b = b, a
	}
	return uint64(a) - uint64(b)
}

// gcd is quick where a, what divided all before, is a power of two or divides b.
func gcd(a, b uint64) uint64 {
	if a != 0 && a&(a-1) == 0 {
		return (a | b) & -(a | b)
	}
	for a, b = b, a; b != 0; {
		a, b = b, a%b
	}
	return a
}

// offsets fills u with what the residuals are above base, divided. Most divisors
// are powers of two, and 1 most of all.
func offsets(u []uint64, r []int64, base int64, divisor uint64) {
	u = u[:len(r)]
	if divisor&(divisor-1) != 0 {
		for i, v := range r {
			u[i] = uint64(v-base) / divisor
		}
		return
	}
	shift := bits.TrailingZeros64(divisor) & 63
	for i, v := range r {
		u[i] = uint64(v-base) >> shift
	}
}

// zigzags fills u with zigzag(v/divisor) for each residual v, of whose magnitude
// it is a divisor.
func zigzags(u []uint64, r []int64, divisor uint64) {
	u = u[:len(r)]
	if divisor&(divisor-1) != 0 {
		for i, v := range r {
			q := int64(difference(v, 0) / divisor)
			if v < 0 {
				q = -q
			}
			u[i] = zigzag(q)
		}
		return
	}
	shift := bits.TrailingZeros64(divisor) & 63
	for i, v := range r {
		u[i] = zigzag(v >> shift)
	}
}

// appendInts appends x as planned.
func (e *Encoder) appendInts(dst []byte, x []int64, p *intsPlan) []byte {
	u := e.u[:len(x)]
	r, _ := e.residuals(x, p.predictor)
	free := len(x) - len(r)
	clear(u[:free])
	if p.zigzag {
		zigzags(u[free:], r, p.divisor)
	} else {
		offsets(u[free:], r, p.base, p.divisor)
	}
	at := len(dst)
	head := byte(p.predictor)
	dst = append(dst, head)
	if p.predictor != predictNone {
		dst = binary.AppendVarint(dst, p.first)
	}
	if p.predictor >= predictDelta2 {
		dst = binary.AppendVarint(dst, p.second)
	}
	if p.divisor > 1 {
		head |= intsDivisor
		dst = binary.AppendUvarint(dst, p.divisor)
	}
	if p.zigzag {
		head |= intsZigzag
	} else {
		dst = binary.AppendVarint(dst, p.base)
	}
	dst, form := e.appendStream(dst, u)
	dst[at] = head | form<<intsStream
	return dst
}

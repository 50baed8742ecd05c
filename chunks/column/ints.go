package column

import "math/bits"

// A column of n integers:
//
//	u8         bits 0-1 predictor, bit 2 zigzag, bit 3 divisor, bits 4-7 form of stream
//	[varint]   first: all predictors but predictNone
//	[varint]   second: predictDelta2, predictLinear
//	[uvarint]  divisor g, if bit 3 is set
//	[varint]   base, if bit 2 is not set
//	stream     of n values u, see stream.go
//
// The residuals are r = base + u*g, or unzigzag(u)*g, modulo 2^64. From them
//
//	none    x[i] = r[i]
//	delta   x[i] = x[i-1] + r[i]                    x[-1] = first
//	delta2  d[i] = d[i-1] + r[i], x[i] = x[i-1] + d[i]   x[-1] = first, d[-1] = second
//	linear  x[i] = first + i*second + r[i]
const (
	predictNone   = 0
	predictDelta  = 1
	predictDelta2 = 2
	predictLinear = 3

	intsPredictor = 0x03
	intsZigzag    = 0x04
	intsDivisor   = 0x08
	intsStream    = 4 // shift of the form of stream
)

// prediction is how the loops of predict_gen.go turn residuals into values.
type prediction struct {
	predictor     int
	zigzag        int // 1 if residuals are zigzag, else 0
	first, second int64
	base          int64
	// divisor and its reciprocal are those of the value column.
	divisor, inverse float64
}

// ints is a column of integers with its stream decoded, ahead of prediction.
type ints struct {
	prediction
	sparse  bool // u and at hold the entries of a sparse stream
	entries int  // how many
}

// readInts decodes the header and the stream of a column of n integers. The
// result is valid until the next call.
func (s *streams) readInts(c *cursor, n int) *ints {
	head := c.u8()
	p := &s.column // not a local variable: the loops would move it to the heap
	*p = ints{prediction: prediction{predictor: int(head & intsPredictor)}}
	if head&intsZigzag != 0 {
		p.zigzag = 1
	}
	if p.predictor != predictNone {
		p.first = c.varint()
	}
	if p.predictor >= predictDelta2 {
		p.second = c.varint()
	}
	divisor := uint64(1)
	if head&intsDivisor != 0 {
		divisor = c.uvarint()
	}
	if p.zigzag == 0 {
		p.base = c.varint()
	}
	if c.err != nil {
		return p
	}
	count := n
	switch form := head >> intsStream; form {
	case streamZero:
		p.sparse, count = true, 0
	case streamSparse:
		p.sparse, p.entries = true, s.sparse(c, n)
		count = p.entries
	default:
		s.decode(c, form, n)
	}
	if divisor != 1 && c.err == nil {
		p.divide(s.u[:count], divisor)
	}
	return p
}

// divide multiplies the residuals by the divisor, after which they are offsets.
func (p *ints) divide(u []uint64, divisor uint64) {
	if p.zigzag == 1 {
		for i, v := range u {
			u[i] = uint64(unzigzag(v)) * divisor
		}
		p.zigzag, p.base = 0, 0
		return
	}
	if bits.OnesCount64(divisor) == 1 {
		shift := bits.TrailingZeros64(divisor)
		for i := range u {
			u[i] <<= shift
		}
		return
	}
	for i := range u {
		u[i] *= divisor
	}
}

// steps reports whether the column keeps its value wherever the sparse stream
// has no entry.
func (p *ints) steps() bool {
	return p.sparse && p.predictor == predictDelta && p.base == 0
}

// residual returns the residual that u stands for.
func (p *ints) residual(u uint64) int64 {
	if p.zigzag == 1 {
		return unzigzag(u)
	}
	return p.base + int64(u)
}

// skip makes the integers begin behind the residuals u, where that takes no more
// than to add these up, and returns how many it has left out.
func (p *ints) skip(u []uint64) int {
	switch p.predictor {
	case predictNone:
		return len(u)
	case predictDelta:
		if p.zigzag == 1 {
			p.first += sumZigzag(u)
		} else {
			p.first += int64(sumOf(u)) + int64(len(u))*p.base
		}
		return len(u)
	default:
		return 0
	}
}

// sumOf adds up u modulo 2^64, four at a time: a single sum would wait for itself.
func sumOf(u []uint64) uint64 {
	var a, b, c, d uint64
	for ; len(u) >= 4; u = u[4:] {
		a, b, c, d = a+u[0], b+u[1], c+u[2], d+u[3]
	}
	for _, v := range u {
		a += v
	}
	return a + b + c + d
}

// sumZigzag is sumOf for zigzag numbers.
func sumZigzag(u []uint64) int64 {
	var a, b int64
	for ; len(u) >= 2; u = u[2:] {
		a, b = a+unzigzag(u[0]), b+unzigzag(u[1])
	}
	for _, v := range u {
		a += unzigzag(v)
	}
	return a + b
}

// ints decodes the integers of p into dst.
func (s *streams) ints(dst []int64, p *ints) {
	if p.steps() {
		x, at := p.first, 0
		for i := range p.entries {
			end := int(s.at[i])
			fillRun(dst, at, end, x)
			at = end
			x += p.residual(s.u[i])
		}
		fill(dst[at:], x)
		return
	}
	s.dense(p, len(dst))
	predictInts[p.predictor][p.zigzag](dst, s.u[:len(dst)], &p.prediction)
}

// dense makes u hold all n residuals.
func (s *streams) dense(p *ints, n int) {
	if p.sparse {
		s.scatter(p.entries, n)
		p.sparse = false
	}
}

// fill sets all of dst to v.
func fill[T int64 | float64](dst []T, v T) {
	if len(dst) > 64 {
		fillLong(dst, v)
		return
	}
	for i := range dst {
		dst[i] = v
	}
}

func fillLong[T int64 | float64](dst []T, v T) {
	for i := range dst[:32] {
		dst[i] = v
	}
	for n := 32; n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}

// fillRun sets dst[at:end] to v. It may set up to 7 values behind end, which
// the caller sets afterwards: so short runs, the most frequent, take no loop
// whose length the processor would have to guess.
func fillRun[T int64 | float64](dst []T, at, end int, v T) {
	if end-at > 64 {
		fillLong(dst[at:end], v)
		return
	}
	for at < end {
		if at+8 > len(dst) {
			fill(dst[at:end], v)
			return
		}
		d := dst[at : at+8 : at+8]
		d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7] = v, v, v, v, v, v, v, v
		at += 8
	}
}

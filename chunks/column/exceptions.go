package column

import (
	"encoding/binary"
	"math"
)

// Exceptions are the samples that no integer stands for: uvarint number, then
// for each the uvarint gap to the one before and its sort, a byte, which for
// exceptRaw is followed by the bits. At an exception x and ulp repeat the value
// before, so that the residuals are 0.
const (
	exceptRaw     = 0
	exceptStale   = 1
	exceptInf     = 2
	exceptNegInf  = 3
	exceptNaN     = 4
	exceptNegZero = 5
)

var exceptBits = [...]uint64{
	exceptStale:   staleBits,
	exceptInf:     infBits,
	exceptNegInf:  negInfBits,
	exceptNaN:     nanBits,
	exceptNegZero: negZeroBits,
}

// exception reads one exception and returns its position, given the position
// behind the one before, and its bits.
func (c *cursor) exception(next, n int) (at int, bits uint64) {
	at = next + c.count(n-1-next, "exception outside of the column")
	sort := c.u8()
	switch {
	case c.err != nil:
	case sort == exceptRaw:
		bits = c.u64()
	case int(sort) < len(exceptBits):
		bits = exceptBits[sort]
	default:
		c.fail("unknown sort of exception")
	}
	return at, bits
}

// skipExceptions checks and skips the exceptions of a column of n values.
func (c *cursor) skipExceptions(n int) {
	count := c.count(n, "too many exceptions")
	next := 0
	for range count {
		if next >= n {
			c.fail("exception outside of the column")
		}
		if c.err != nil {
			return
		}
		at, _ := c.exception(next, n)
		next = at + 1
	}
}

// overlay puts the exceptions that start at offset start, and were checked
// before, over dst.
func overlay(src []byte, start int, dst []float64) {
	c := cursor{src: src, off: start}
	next := 0
	for range c.count(len(dst), "") {
		at, bits := c.exception(next, len(dst))
		dst[at] = math.Float64frombits(bits)
		next = at + 1
	}
}

// exceptSort returns the sort of exception that bits are.
func exceptSort(bits uint64) byte {
	for sort := exceptStale; sort < len(exceptBits); sort++ {
		if exceptBits[sort] == bits {
			return byte(sort)
		}
	}
	return exceptRaw
}

// appendExceptions appends the exceptions of v at the given positions.
func appendExceptions(dst []byte, v []float64, at []int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(at)))
	next := 0
	for _, i := range at {
		dst = binary.AppendUvarint(dst, uint64(i-next))
		bits := math.Float64bits(v[i])
		sort := exceptSort(bits)
		dst = append(dst, sort)
		if sort == exceptRaw {
			dst = binary.LittleEndian.AppendUint64(dst, bits)
		}
		next = i + 1
	}
	return dst
}

package column

import (
	"encoding/binary"
	"math"
)

// A summary:
//
//	u8       form: summaryDecimal, summaryFloat; bit 7: a sum follows
//	uvarint  number of stale markers
//	decimal, in units of the body's scaling (which has no corrections):
//	  varint   first
//	  varint   last - first
//	  uvarint  min(first, last) - min
//	  uvarint  max - max(first, last)
//	float:
//	  4 u64    bits of first, last, min, max
//	[varint] the exact sum
//
// It describes a column of which at least one sample is a number and all others
// are numbers or stale markers.
const (
	summaryDecimal = 0
	summaryFloat   = 1
	summaryForm    = 0x7f
	summarySum     = 0x80
)

// skipSummary checks the form of a summary and skips it.
func (c *cursor) skipSummary() {
	form := c.u8()
	c.uvarint()
	switch form & summaryForm {
	case summaryDecimal:
		for range 4 {
			c.uvarint()
		}
	case summaryFloat:
		c.take(32)
	default:
		c.fail("unknown form of summary")
	}
	if form&summarySum != 0 {
		c.uvarint()
	}
}

// summary reads a summary for a column of n values; units are applied by
// settle when the scaling is known.
type storedSummary struct {
	form  byte
	stale int
	units [4]int64 // first, last, min, max of summaryDecimal
	Summary
}

func (c *cursor) summary(n int) storedSummary {
	s := storedSummary{form: c.u8()}
	s.stale = c.count(n-1, "more stale markers than values")
	s.Count = n - s.stale
	switch s.form & summaryForm {
	case summaryDecimal:
		first := c.varint()
		last := first + c.varint()
		least := min(first, last) - int64(c.uvarint())
		most := max(first, last) + int64(c.uvarint())
		s.units = [4]int64{first, last, least, most}
	case summaryFloat:
		s.First, s.Last = math.Float64frombits(c.u64()), math.Float64frombits(c.u64())
		s.Min, s.Max = math.Float64frombits(c.u64()), math.Float64frombits(c.u64())
	default:
		c.fail("unknown form of summary")
	}
	if s.form&summarySum != 0 {
		s.Sum, s.SumExact = float64(c.varint()), true
	}
	return s
}

// settle computes the floats of a decimal summary.
func (s *storedSummary) settle(by scaling) {
	if s.form&summaryForm == summaryDecimal {
		s.First, s.Last = by.scaled(s.units[0]), by.scaled(s.units[1])
		s.Min, s.Max = by.scaled(s.units[2]), by.scaled(s.units[3])
	}
}

// Describe returns what src, a column of n values, says about itself. For the
// columns of a cell use CellReader.Info, which follows references.
func Describe(src []byte, n int) (Info, error) {
	c := cursor{src: src}
	info := c.info(n)
	return info, c.result()
}

func (c *cursor) info(n int) Info {
	start := c.off
	kind := c.head(n)
	if c.err != nil {
		return Info{}
	}
	body := c.off
	c.off = start
	flags := c.u8()
	info := Info{Integers: flags&flagIntegers != 0}
	if flags&flagResets != 0 {
		info.Resets = c.count(n-1, "more resets than values")
	}
	var stored storedSummary
	if flags&flagSummary != 0 {
		stored = c.summary(n)
	}
	c.off = body
	switch kind {
	case kindConst:
		info.constant(math.Float64frombits(c.u64()), n)
		return info
	case kindConstInt:
		info.constant(float64(c.constInt()), n)
		return info
	}
	if flags&flagSummary != 0 && c.err == nil {
		stored.settle(c.bodyScaling(kind))
		info.HasSummary, info.Summary = true, stored.Summary
	}
	return info
}

// bodyScaling returns the scaling of the integers of the body that c is at.
func (c *cursor) bodyScaling(kind byte) scaling {
	if kind != kindDecimal {
		return scaling{}
	}
	head := c.u8()
	s := scaling{exponent: head & decimalExponent, rule: head >> decimalRule & 3}
	if !s.valid() {
		c.fail("unknown scaling of a decimal column")
	}
	return s
}

// constant fills info for n times v.
func (info *Info) constant(v float64, n int) {
	info.Constant, info.Summary.First = true, v
	bits := math.Float64bits(v)
	switch {
	case bits == staleBits:
		info.HasSummary, info.Summary = true, Summary{First: v, Last: v, Min: v, Max: v, SumExact: true}
	case bits&math.MaxInt64 < infBits:
		info.HasSummary = true
		info.Summary = Summary{Count: n, First: v, Last: v, Min: v, Max: v}
		// The product is exact when it is an integer of at most 53 bits.
		if sum := float64(v * float64(n)); isInteger(bits) && math.Abs(sum) <= exactIntMax {
			info.Summary.Sum, info.Summary.SumExact = sum, true
		}
	}
}

// isInteger reports whether bits are those of an integer of at most 2^53 in
// magnitude other than -0.
func isInteger(bits uint64) bool {
	v := math.Float64frombits(bits)
	if !(math.Abs(v) <= exactIntMax) || bits == negZeroBits {
		return false
	}
	return float64(int64(v)) == v
}

// survey is what one pass over a column's values finds out about them.
type survey struct {
	same     bool // all bits are equal
	integers bool // all but stale markers are integers
	numbers  bool // all but stale markers are finite, and one is
	resets   int
	stale    int
	sum      int64 // of the integers, modulo 2^64
	sumExact bool
	Summary
}

func examine(v []float64) survey {
	first := math.Float64bits(v[0])
	numbers, integers := true, true
	var differ uint64
	var stale, resets int
	var sum int64
	var magnitude float64
	var begin float64
	for _, f := range v {
		if math.Float64bits(f) != staleBits {
			begin = f
			break
		}
	}
	last, least, most := begin, begin, begin
	for _, f := range v {
		b := math.Float64bits(f)
		differ |= b ^ first
		if b == staleBits {
			stale++
			continue
		}
		if b&math.MaxInt64 >= infBits {
			numbers = false
		}
		if f < last {
			resets++
		}
		last = f
		if f < least {
			least = f
		}
		if f > most {
			most = f
		}
		if integers {
			if integers = isInteger(b); integers {
				sum += int64(f)
				magnitude += math.Abs(f)
			}
		}
	}
	s := survey{same: differ == 0, integers: integers, numbers: numbers && stale < len(v), resets: resets, stale: stale, sum: sum}
	s.Count, s.First, s.Last, s.Min, s.Max = len(v)-stale, begin, last, least, most
	// With the magnitudes' sum below 2^53 every partial sum is exact.
	s.sumExact = s.integers && s.numbers && magnitude <= exactIntMax
	return s
}

// appendSummary appends the summary, in integers if units is not nil: they are
// x of the first, last, least and greatest sample.
func (s *survey) appendSummary(dst []byte, units *[4]int64) []byte {
	form := byte(summaryFloat)
	if units != nil {
		form = summaryDecimal
	}
	if s.sumExact {
		form |= summarySum
	}
	dst = append(dst, form)
	dst = binary.AppendUvarint(dst, uint64(s.stale))
	if units != nil {
		first, last := units[0], units[1]
		dst = binary.AppendVarint(dst, first)
		dst = binary.AppendVarint(dst, last-first)
		dst = binary.AppendUvarint(dst, uint64(min(first, last)-units[2]))
		dst = binary.AppendUvarint(dst, uint64(units[3]-max(first, last)))
	} else {
		for _, f := range [4]float64{s.First, s.Last, s.Min, s.Max} {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
		}
	}
	if s.sumExact {
		dst = binary.AppendVarint(dst, s.sum)
	}
	return dst
}

package window

import (
	"math"
	"math/bits"
)

// wide is an integer of 128 bits; it wraps.
type wide struct{ high, low uint64 }

// plus adds v / 2^scale; v must have no digits below that.
func (w wide) plus(v float64, scale int) wide {
	u := math.Float64bits(v)
	exponent := int(u>>52) & 0x7ff
	if exponent == 0 {
		return w // 0: the scale is above that of subnormal numbers
	}
	m, shift := u&fraction|(fraction+1), exponent-1023-52-scale
	var high uint64
	if shift >= 0 { // and below 64: see summing
		m, high = m<<uint(shift), m>>(64-uint(shift))
	} else {
		m >>= uint(-shift) // zeros
	}
	minus := uint64(int64(u) >> 63) // all ones if v is negative
	var carry uint64
	w.low, carry = bits.Add64(w.low, m^minus, minus&1)
	w.high, _ = bits.Add64(w.high, high^minus, carry)
	return w
}

// wideOf returns v / 2^scale.
func wideOf(v float64, scale int) wide { return wide{}.plus(v, scale) }

func (w wide) minus(o wide) wide {
	var borrow uint64
	w.low, borrow = bits.Sub64(w.low, o.low, 0)
	w.high, _ = bits.Sub64(w.high, o.high, borrow)
	return w
}

// rounded returns w * 2^scale as the nearest float.
func (w wide) rounded(scale int) float64 {
	minus := w.high & signBit
	if minus != 0 {
		w = wide{}.minus(w)
	}
	top := w.low
	if w.high != 0 {
		shift := uint(bits.Len64(w.high))
		top = w.high<<(64-shift) | w.low>>shift
		if w.low<<(64-shift) != 0 {
			top |= 1 // the lower bits only matter by not being 0
		}
		scale += int(shift)
	}
	v := float64(top) * math.Float64frombits(uint64(scale+1023)<<52)
	return math.Float64frombits(math.Float64bits(v) | minus)
}

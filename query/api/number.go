package api

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// appendValue appends a sample's value as a JSON string, with the shortest digits
// that give the value back: an exponent below 1e-6 and from 1e21.
func appendValue(dst []byte, v float64) []byte {
	return append(appendFloat(append(dst, '"'), v), '"')
}

// appendFloat appends what strconv.AppendFloat does with the fewest digits.
// Integers and short decimals, which most samples are, need no search for them.
func appendFloat(dst []byte, v float64) []byte {
	dst = slices.Grow(dst, numberRoom)
	abs := math.Abs(v)
	if n, places, ok := asDecimal(abs); ok && (n != 0 || !math.Signbit(v)) {
		return appendSigned(dst, v, n, places)
	}
	const mantissa = 1<<52 - 1
	format := byte('f')
	switch x := math.Float64bits(abs); {
	case abs == 0:
	case !(abs >= 1e-6 && abs < 1e21): // NaN is one
		format = 'e'
	case x&mantissa != 0:
		n, exponent := shortest(x)
		if exponent <= 0 {
			return appendSigned(dst, v, n, -exponent)
		}
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}

// asDecimal returns v, which is not negative, as n divided by ten to the power of
// places, if v is an integer below 2^53 or a decimal of at most 15 digits with at
// most six places. Two decimals of 15 digits are never the same float, so the one
// that divides back to v is the shortest once its last zeros are cut off.
func asDecimal(v float64) (n uint64, places int, ok bool) {
	const exactMax = 1 << 53
	if v < exactMax {
		if n := uint64(int64(v)); float64(int64(n)) == v {
			return n, 0, true
		}
	}
	if n, ok := scaled(v, 1e4); ok {
		return n, 4, true
	}
	n, ok = scaled(v, 1e6)
	return n, 6, ok
}

// scaled returns n if v is n/factor.
func scaled(v, factor float64) (n uint64, ok bool) {
	const (
		digitsMax = 1e15
		// near is more than what rounding v and the product, by half a unit in
		// the last place each, can move an integer by.
		near = 1.0 / (1 << 51)
	)
	product := v * factor
	if !(product < digitsMax) {
		return 0, false
	}
	integer := int64(product + 0.5)
	if f := float64(integer); math.Abs(product-f) > product*near || f/factor != v {
		return 0, false
	}
	return uint64(integer), true
}

// numberRoom is how much room beyond its text a number is written in.
const numberRoom = 64

// appendSigned appends n, divided by ten to the power of places, with v's sign and
// without zeros at the end of its places. There must be numberRoom bytes in dst.
func appendSigned(dst []byte, v float64, n uint64, places int) []byte {
	at := len(dst)
	b := dst[at : at+numberRoom]
	size := 0
	if math.Signbit(v) {
		b[0] = '-'
		size = 1
	}
	first := size
	size += putDigits(b[size:], n)
	if places == 0 {
		return dst[:at+size]
	}
	if missing := places + 1 - (size - first); missing > 0 {
		// At least one digit stands before the point.
		copy(b[first+missing:size+missing], b[first:size])
		for i := range missing {
			b[first+i] = '0'
		}
		size += missing
	}
	point := size - places
	shiftUp(b[point:])
	b[point] = '.'
	size++
	for b[size-1] == '0' {
		size--
	}
	return dst[:at+size]
}

// shiftUp moves the first 32 bytes of b up by one. They are at least all decimal
// places that a number has.
func shiftUp(b []byte) {
	b = b[:33]
	first, second := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	third, fourth := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	binary.LittleEndian.PutUint64(b[1:], first)
	binary.LittleEndian.PutUint64(b[9:], second)
	binary.LittleEndian.PutUint64(b[17:], third)
	binary.LittleEndian.PutUint64(b[25:], fourth)
}

const (
	tenTo8  = 100_000_000
	tenTo16 = tenTo8 * tenTo8
)

// putDigits writes n and returns how many digits it has. It may write up to 8
// bytes beyond them.
func putDigits(b []byte, n uint64) int {
	switch {
	case n < 10:
		b[0] = byte('0' + n)
		return 1
	case n < tenTo8:
		return putLeading(b, uint32(n))
	case n < tenTo16:
		size := putLeading(b, uint32(n/tenTo8))
		put8(b[size:], uint32(n%tenTo8))
		return size + 8
	default:
		size := putDigits(b, n/tenTo16)
		rest := n % tenTo16
		put8(b[size:], uint32(rest/tenTo8))
		put8(b[size+8:], uint32(rest%tenTo8))
		return size + 16
	}
}

const asciiZeros = 0x3030303030303030

// putLeading writes n, which is above 0 and below 10^8, without leading zeros.
func putLeading(b []byte, n uint32) int {
	digits := digits8(n)
	zeros := bits.TrailingZeros64(digits) / 8
	binary.LittleEndian.PutUint64(b, digits>>(8*zeros)|asciiZeros)
	return 8 - zeros
}

// put8 writes eight digits.
func put8(b []byte, n uint32) { binary.LittleEndian.PutUint64(b, digits8(n)|asciiZeros) }

// digits8 returns the eight digits of n, the first in the lowest byte. It halves
// the number in each step: in all lanes at once, the quotient stays and the rest
// moves one lane up; quotients are multiplications with a rounded inverse.
func digits8(n uint32) uint64 {
	x := uint64(n/10000) | uint64(n%10000)<<32
	q := x * 10486 >> 20 & 0x0000007f_0000007f // x/100
	x = q | (x-100*q)<<16
	q = x * 103 >> 10 & 0x000f_000f_000f_000f // x/10
	return q | (x-10*q)<<8
}

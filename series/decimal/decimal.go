// Package decimal reads the numbers of text formats: decimal digits to the
// nearest float, as strconv does and, for numbers as people and programs mostly
// write them, several times faster.
//
// Above: the text formats of ingest, series/jsonl. Below: nothing.
// Concurrency: the functions are pure.
// Read this file; there is no other.
package decimal

import (
	"math"
	"strconv"
	"unsafe"
)

// Powers of ten that a float holds exactly.
var powers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// digitsMax is how many decimal digits always fit 64 bits.
const digitsMax = 19

// Float reads all of b as a decimal number, or as one of the words for infinity
// and NaN that strconv knows. It reports false where b is something else, a
// number in another base, or too large for a float. NaN has the bits that
// Prometheus calls normal.
func Float(b []byte) (float64, bool) {
	digits, exponent, negative, ok := simple(b)
	const whole = 1 << 53 // integers up to here are floats
	if !ok || digits > whole || exponent < -(len(powers)-1) || exponent >= len(powers) {
		return slow(b)
	}
	// Both operands are exact, so that the one operation rounds correctly.
	v := float64(digits)
	if exponent < 0 {
		v /= powers[-exponent]
	} else {
		v *= powers[exponent]
	}
	if negative {
		v = -v
	}
	return v, true
}

// simple splits a number of the form -12.34e5 into digits and the power of ten
// that they are multiplied with. It reports false for any other and for those
// with too many digits.
func simple(b []byte) (digits uint64, exponent int, negative, ok bool) {
	i := 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		i++
	}
	start, point := i, -1
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c > 9 {
			if b[i] != '.' || point >= 0 {
				break
			}
			point = i
			continue
		}
		digits = digits*10 + uint64(c)
	}
	count := i - start
	if point >= 0 {
		count--
		exponent = point + 1 - i
	}
	if count == 0 || count > digitsMax {
		return 0, 0, false, false
	}
	if i == len(b) {
		return digits, exponent, negative, true
	}
	written, ok := exponentOf(b[i:])
	return digits, exponent + written, negative, ok
}

// exponentOf reads an exponent such as e-7.
func exponentOf(b []byte) (int, bool) {
	if b[0] != 'e' && b[0] != 'E' || len(b) < 2 {
		return 0, false
	}
	sign := 1
	b = b[1:]
	if b[0] == '-' || b[0] == '+' {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	const longest = 4
	if len(b) == 0 || len(b) > longest {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return sign * n, true
}

func slow(b []byte) (float64, bool) {
	for _, c := range b {
		switch c {
		case '_', 'x', 'X', 'p', 'P':
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(text(b), 64)
	return v, err == nil
}

// Int reads all of b as a decimal integer.
func Int(b []byte) (int64, bool) {
	i := 0
	if len(b) > 0 && b[0] == '-' {
		i++
	}
	if n := len(b) - i; n == 0 || n > digitsMax-1 {
		v, err := strconv.ParseInt(text(b), 10, 64)
		return v, err == nil
	}
	var v int64
	for _, c := range b[i:] {
		if c -= '0'; c > 9 {
			return 0, false
		}
		v = v*10 + int64(c)
	}
	if i > 0 {
		v = -v
	}
	return v, true
}

// Millis turns seconds into milliseconds, rounded down; 1.789 is 1789 although
// no float is exactly 1.789. It reports false for what is no number or beyond
// all clocks.
func Millis(seconds float64) (int64, bool) {
	const slack = 1e-3 // milliseconds that a float of seconds since 1970 may be short of
	ms := math.Floor(seconds*1000 + slack)
	return int64(ms), ms > math.MinInt64 && ms < math.MaxInt64
}

// text returns b as a string that shares its bytes, for functions that keep none.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

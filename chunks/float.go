package chunks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// ErrCorrupt reports bytes that are not what an encoder of this package wrote.
var ErrCorrupt = errors.New("corrupt chunk")

// The float encoding is byte-aligned so that appending costs a few nanoseconds:
// the timestamp as delta of delta, the value as XOR with the one before, both
// trimmed to whole bytes (after Pelkonen et al., "Gorilla", VLDB 2015, which
// trims to bits). A sample is
//
//	header  u8      time class (3 low bits), value class (5 high bits)
//	time    0..8 B  little-endian zigzag of the delta of delta; class 0..4: that
//	                many bytes, class 5: 8 bytes
//	value   0..8 B  little-endian XOR without its outer zero bytes; see valueClasses
//
// The first sample's delta of delta is its timestamp; its delta counts as 0.
// Arithmetic wraps around, so every timestamp and every bit pattern round-trips.

// FloatBytesMax is the size of the largest encoded sample.
const FloatBytesMax = 1 + 8 + 8

// valueClass describes a value of width bytes above shift zero bytes.
type valueClass struct{ width, shift uint8 }

// valueClasses lists the value classes 1 to 31. XORs of other shapes take the
// smallest class that covers them.
var valueClasses = [32]valueClass{
	{0, 0},
	{1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}, {1, 5}, {1, 6}, {1, 7},
	{2, 0}, {2, 1}, {2, 2}, {2, 3}, {2, 4}, {2, 5}, {2, 6},
	{3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}, {3, 5},
	{4, 0}, {4, 1}, {4, 2}, {4, 3}, {4, 4},
	{5, 2}, {5, 3}, {6, 1}, {6, 2}, {8, 0},
}

// classOf[leading][trailing] is the class for an XOR with that many leading and
// trailing zero bytes.
var classOf = func() (table [8][8]uint8) {
	for leading := range 8 {
		for trailing := range 8 - leading {
			best := len(valueClasses) - 1
			for c := 1; c < len(valueClasses); c++ {
				v := valueClasses[c]
				covers := int(v.shift) <= trailing && int(v.shift+v.width) >= 8-leading
				if covers && v.width < valueClasses[best].width {
					best = c
				}
			}
			table[leading][trailing] = uint8(best)
		}
	}
	return table
}()

// FloatState is what appending the next sample needs to know of the last one.
// The zero value precedes the first sample.
type FloatState struct {
	Time  int64  // timestamp of the last sample
	Delta int64  // last timestamp less the one before
	Bits  uint64 // bits of the last value
}

// AppendFloat appends a sample to dst. first says that it is the chunk's first.
func AppendFloat(dst []byte, s *FloatState, first bool, timestamp int64, value uint64) []byte {
	delta := timestamp - s.Time
	dod := delta - s.Delta
	if first {
		dod, delta = timestamp, 0
	}
	u := uint64(dod<<1) ^ uint64(dod>>63)
	class := uint8(bits.Len64(u)+7) >> 3
	width := class
	if class > 4 {
		class, width = 5, 8
	}
	x := value ^ s.Bits
	*s = FloatState{timestamp, delta, value}

	at := len(dst)
	dst = append(dst, make([]byte, FloatBytesMax)...)
	binary.LittleEndian.PutUint64(dst[at+1:], u)
	if x == 0 {
		dst[at] = class
		return dst[:at+1+int(width)]
	}
	vc := classOf[bits.LeadingZeros64(x)>>3][bits.TrailingZeros64(x)>>3]
	v := valueClasses[vc]
	binary.LittleEndian.PutUint64(dst[at+1+int(width):], x>>(8*v.shift))
	dst[at] = class | vc<<3
	return dst[:at+1+int(width)+int(v.width)]
}

// DecodeFloats appends the n samples encoded in src to times and values, and
// returns the extended slices.
func DecodeFloats(times []int64, values []float64, src []byte, n int) ([]int64, []float64, error) {
	if n > len(src) {
		return times, values, fmt.Errorf("%w: %d float samples in %d bytes", ErrCorrupt, n, len(src))
	}
	var s FloatState
	at := 0
	for i := range n {
		if at >= len(src) {
			return times, values, fmt.Errorf("%w: sample %d of %d is cut off", ErrCorrupt, i, n)
		}
		h := src[at]
		width := int(h & 7)
		if width >= 5 {
			if width > 5 {
				return times, values, fmt.Errorf("%w: time class %d at byte %d", ErrCorrupt, width, at)
			}
			width = 8
		}
		v := valueClasses[h>>3]
		end := at + 1 + width + int(v.width)
		if end > len(src) {
			return times, values, fmt.Errorf("%w: sample %d of %d is cut off", ErrCorrupt, i, n)
		}
		u := loadTrimmed(src, at+1, width)
		dod := int64(u>>1) ^ -int64(u&1)
		if i == 0 {
			s.Time = dod
		} else {
			s.Delta += dod
			s.Time += s.Delta
		}
		s.Bits ^= loadTrimmed(src, at+1+width, int(v.width)) << (8 * v.shift)
		times = append(times, s.Time)
		values = append(values, math.Float64frombits(s.Bits))
		at = end
	}
	if at != len(src) {
		return times, values, fmt.Errorf("%w: %d bytes after the last float sample", ErrCorrupt, len(src)-at)
	}
	return times, values, nil
}

// loadTrimmed reads width little-endian bytes at src[at:].
func loadTrimmed(src []byte, at, width int) uint64 {
	if at+8 <= len(src) {
		return binary.LittleEndian.Uint64(src[at:]) & (1<<(8*width) - 1)
	}
	var u uint64
	for i := range width {
		u |= uint64(src[at+i]) << (8 * i)
	}
	return u
}

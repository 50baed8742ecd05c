package chunks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
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

// floatHeader is what a sample's header byte says: how the bytes behind it are
// to be read with two loads of eight bytes. size is 0 for headers that no
// encoder writes.
type floatHeader struct {
	timeMask, valueMask uint64
	value               uint8 // offset of the value's bytes
	shift               uint8 // of the value, in bits
	size                uint8 // of the sample
}

var floatHeaders = func() (table [256]floatHeader) {
	for h := range table {
		width := h & 7
		if width > 5 {
			continue
		}
		if width == 5 {
			width = 8
		}
		v := valueClasses[h>>3]
		table[h] = floatHeader{
			timeMask: maskBytes(width), valueMask: maskBytes(int(v.width)),
			value: uint8(1 + width), shift: 8 * v.shift, size: uint8(1+width) + v.width,
		}
	}
	return table
}()

// floatSizes has the sizes of floatHeaders close together: where a sample begins is
// known only when the size of the one before is.
var floatSizes = func() (sizes [256]uint8) {
	for h := range sizes {
		sizes[h] = floatHeaders[h].size
	}
	return sizes
}()

// maskBytes returns a mask of the n low bytes.
func maskBytes(n int) uint64 {
	if n == 8 {
		return math.MaxUint64
	}
	return 1<<(8*n) - 1
}

// AppendTail appends to dst, as a chunk of its own, the samples in src, which were
// encoded behind the sample that s describes. It returns the time of the first one.
func AppendTail(dst []byte, s FloatState, src []byte) (_ []byte, minTime int64, err error) {
	var own FloatState
	at := 0
	for n := 0; n < 2 && at < len(src); n++ { // from the third on a sample depends on those two
		var u, x uint64
		if u, x, at, err = decodeNear(src, at); err != nil {
			return dst, 0, err
		}
		s.Delta += int64(u>>1) ^ -int64(u&1)
		s.Time += s.Delta
		s.Bits ^= x
		if n == 0 {
			minTime = s.Time
		}
		dst = AppendFloat(dst, &own, n == 0, s.Time, s.Bits)
	}
	return append(dst, src[at:]...), minTime, nil
}

// DecodeFloats appends the n samples encoded in src to times and values, and
// returns the extended slices. What src has room for behind its end does not
// matter, but makes decoding faster.
func DecodeFloats(times []int64, values []float64, src []byte, n int) ([]int64, []float64, error) {
	if n > len(src) {
		return times, values, fmt.Errorf("%w: %d float samples in %d bytes", ErrCorrupt, n, len(src))
	}
	times, values = slices.Grow(times, n), slices.Grow(values, n)
	done, at, err := decodeFloats(times[len(times):len(times)+n], values[len(values):len(values)+n], src)
	times, values = times[:len(times)+done], values[:len(values)+done]
	switch {
	case err != nil:
		err = fmt.Errorf("sample %d of %d: %w", done, n, err)
	case done < n:
		err = fmt.Errorf("%w: sample %d of %d is cut off", ErrCorrupt, done, n)
	case at != len(src):
		err = fmt.Errorf("%w: %d bytes after the last float sample", ErrCorrupt, len(src)-at)
	}
	return times, values, err
}

// decodeFloats fills times and values from src, which begins a chunk. It returns
// how many samples it decoded, and where it stopped.
func decodeFloats(times []int64, values []float64, src []byte) (n, at int, err error) {
	size := len(src)
	if len(times) == 0 || size == 0 {
		return 0, 0, nil
	}
	values = values[:len(times)]
	// The first delta of delta is the timestamp, and is not a delta.
	u, x, at, err := decodeNear(src, 0)
	if err != nil {
		return 0, 0, err
	}
	s := FloatState{Time: int64(u>>1) ^ -int64(u&1), Bits: x}
	times[0], values[0] = s.Time, math.Float64frombits(x)
	src = src[:min(cap(src), size+FloatBytesMax)]
	for n = 1; n < len(times) && at < size; n++ {
		if at+FloatBytesMax <= len(src) {
			header := src[at]
			h := &floatHeaders[header]
			u = binary.LittleEndian.Uint64(src[at+1:]) & h.timeMask
			x = binary.LittleEndian.Uint64(src[at+int(h.value):]) & h.valueMask << (h.shift & 63)
			end := at + int(floatSizes[header])
			if end == at || end > size {
				return n, at, badFloat(src, at)
			}
			at = end
		} else if u, x, at, err = decodeNear(src[:size], at); err != nil {
			return n, at, err
		}
		s.Delta += int64(u>>1) ^ -int64(u&1)
		s.Time += s.Delta
		s.Bits ^= x
		times[n] = s.Time
		values[n] = math.Float64frombits(s.Bits)
	}
	return n, at, nil
}

// badFloat says what is wrong with the sample at src[at:].
func badFloat(src []byte, at int) error {
	if floatHeaders[src[at]].size == 0 {
		return fmt.Errorf("%w: time class %d at byte %d", ErrCorrupt, src[at]&7, at)
	}
	return fmt.Errorf("%w: cut off at byte %d", ErrCorrupt, at)
}

// decodeNear reads the sample at src[at:], which may be near the end of src, where
// eight bytes cannot be loaded at once.
func decodeNear(src []byte, at int) (u, x uint64, end int, err error) {
	h := &floatHeaders[src[at]]
	end = at + int(h.size)
	if h.size == 0 || end > len(src) {
		return 0, 0, at, badFloat(src, at)
	}
	value := at + int(h.value)
	return loadTrimmed(src[at+1 : value]), loadTrimmed(src[value:end]) << (h.shift & 63), end, nil
}

// loadTrimmed reads a little-endian number of at most eight bytes.
func loadTrimmed(src []byte) (u uint64) {
	for i, b := range src {
		u |= uint64(b) << (8 * i)
	}
	return u
}

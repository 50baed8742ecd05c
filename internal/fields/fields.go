// Package fields reads the fields of a binary row one after the other, so that a
// decoder checks for damage once, at its end: the first failure sticks, and
// everything after it reads as zero.
//
// Above: chunks, tsdb and tsdb/block. Below: nothing.
// Concurrency: a Reader belongs to one goroutine.
package fields

import (
	"encoding/binary"
	"math"
)

// Reader reads a row from its start to its end.
type Reader struct {
	src []byte
	at  int
	bad bool
}

// New returns a reader of row. What it returns points into row.
func New(row []byte) Reader { return Reader{src: row} }

// Fail marks the row as damaged.
func (r *Reader) Fail() { r.bad, r.at = true, len(r.src) }

// Bad reports whether a field could not be read.
func (r *Reader) Bad() bool { return r.bad }

// At returns how many bytes have been read.
func (r *Reader) At() int { return r.at }

// Len returns how many bytes are left; none after a failure.
func (r *Reader) Len() int { return len(r.src) - r.at }

// Rest returns what is left.
func (r *Reader) Rest() []byte { return r.src[r.at:] }

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if r.at >= len(r.src) {
		r.Fail()
		return 0
	}
	r.at++
	return r.src[r.at-1]
}

// Uvarint reads an unsigned LEB128 number.
func (r *Reader) Uvarint() uint64 {
	if r.at < len(r.src) && r.src[r.at] < 0x80 {
		r.at++
		return uint64(r.src[r.at-1])
	}
	u, n := binary.Uvarint(r.src[r.at:])
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.at += n
	return u
}

// Varint reads a zigzag LEB128 number.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Float reads the 8 bytes of a float, little-endian.
func (r *Reader) Float() float64 {
	b := r.Take(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// Take reads n bytes; nil if there are fewer.
func (r *Reader) Take(n uint64) []byte {
	if n > uint64(len(r.src)-r.at) {
		r.Fail()
		return nil
	}
	r.at += int(n)
	return r.src[r.at-int(n) : r.at : r.at]
}

// Count reads a number of elements that take at least size bytes each, so that a
// damaged number cannot ask for more memory than the row warrants.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64((len(r.src)-r.at)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

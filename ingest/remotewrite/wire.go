package remotewrite

import (
	"encoding/binary"
	"math"
)

// Messages are walked in place. A message is the part of the body from an
// offset to the end of the slice, so that every offset, including those in
// errors, counts from the start of the body.

// The protobuf wire types.
const (
	wireVarint     = 0
	wireFixed64    = 1
	wireBytes      = 2
	wireStartGroup = 3
	wireEndGroup   = 4
	wireFixed32    = 5
)

// tag is a field's number and wire type as they stand in a message.
type tag uint64

func (t tag) field() int32 { return int32(uint64(t) >> 3) }
func (t tag) wire() int    { return int(t & 7) }

// of makes the tag of a field, for comparing.
func of(field, wire int) tag { return tag(field<<3 | wire) }

// uvarint reads the varint at b[i:]. It returns where the varint ends, or -1
// when it is cut short or longer than ten bytes. Bits beyond 64 are dropped, as
// protobuf implementations do.
func uvarint(b []byte, i int) (uint64, int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return longUvarint(b, i)
}

// readTag reads the tag at b[i:] and returns where it ends, or -1 when it is
// malformed. Of the field number 32 bits count, as in protobuf implementations.
func readTag(b []byte, i int) (tag, int) {
	if i < len(b) && b[i] < 0x80 {
		return tag(b[i]), i + 1
	}
	v, i := longUvarint(b, i)
	return tag(uint32(v>>3))<<3 | tag(v&7), i
}

func longUvarint(b []byte, i int) (uint64, int) {
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if i >= len(b) {
			return 0, -1
		}
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// span reads the length-prefixed bytes at b[i:] and returns where they start
// and end, or -1 when they are cut short.
func span(b []byte, i int) (start, end int) {
	n, i := uvarint(b, i)
	if i < 0 || n > uint64(len(b)-i) {
		return 0, -1
	}
	return i, i + int(n)
}

func fixed64(b []byte, i int) (uint64, int) {
	if i < 0 || len(b)-i < 8 {
		return 0, -1
	}
	return binary.LittleEndian.Uint64(b[i:]), i + 8
}

func float(b []byte, i int) (float64, int) {
	bits, i := fixed64(b, i)
	return math.Float64frombits(bits), i
}

func zigzag(v uint64) int64     { return int64(v>>1) ^ -int64(v&1) }
func zigzag32(v uint64) int32   { return int32(uint32(v)>>1) ^ -int32(v&1) }
func unzigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag32(v int32) uint64 { return uint64(uint32(v<<1) ^ uint32(v>>31)) }

// skip returns the offset after the value, at b[i:], of a field whose tag was
// just read, or -1 when it is malformed. Groups are skipped whole.
func skip(b []byte, i int, t tag) int {
	if t.field() <= 0 || t.wire() == wireEndGroup {
		return -1
	}
	for depth := 0; ; {
		switch t.wire() {
		case wireVarint:
			_, i = uvarint(b, i)
		case wireFixed64:
			i += 8
		case wireBytes:
			_, i = span(b, i)
		case wireStartGroup:
			depth++
		case wireEndGroup:
			depth--
		case wireFixed32:
			i += 4
		default:
			return -1
		}
		if i < 0 || i > len(b) || depth < 0 {
			return -1
		}
		if depth == 0 {
			return i
		}
		if t, i = readTag(b, i); i < 0 {
			return -1
		}
	}
}

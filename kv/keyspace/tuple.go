package keyspace

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/varve-db/varve/kv"
)

// A string in a key is its bytes, each 0x00 followed by 0xFF, and then the two
// bytes 0x00 0x01:
//
//	"ab"      61 62 00 01
//	"a\x00b"  61 00 FF 62 00 01
//
// The end sorts below every continuation (0x00 0xFF and any byte above 0x00), so
// a string sorts before the strings it is a prefix of.
const (
	escape     = 0x00
	escapedNul = 0xFF
	endMark    = 0x01
)

// AppendString appends s to the key dst.
func AppendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == escape {
			dst = append(dst, escapedNul)
		}
	}
	return append(dst, escape, endMark)
}

// AppendUint16 appends v to the key dst, big-endian.
func AppendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

// AppendUint32 appends v to the key dst, big-endian.
func AppendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// AppendUint64 appends v to the key dst, big-endian.
func AppendUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// AppendInt64 appends v to the key dst, big-endian with the sign flipped, so that
// negative numbers come first.
func AppendInt64(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^signBit)
}

const signBit = 1 << 63

// CutString takes a string off the front of the key b. The error wraps
// kv.ErrCorrupt when b does not begin with a whole encoded string.
func CutString(b []byte) (s string, rest []byte, err error) {
	var unescaped []byte
	start := 0
	for {
		i := bytes.IndexByte(b[start:], escape)
		if i < 0 || start+i+1 == len(b) {
			return "", nil, fmt.Errorf("cut string from key: no end in %d bytes: %w", len(b), kv.ErrCorrupt)
		}
		at := start + i
		switch b[at+1] {
		case endMark:
			if unescaped == nil {
				return string(b[:at]), b[at+2:], nil
			}
			return string(append(unescaped, b[start:at]...)), b[at+2:], nil
		case escapedNul:
			unescaped = append(unescaped, b[start:at+1]...)
			start = at + 2
		default:
			return "", nil, fmt.Errorf("cut string from key: byte 0x%02x after 0x00 at offset %d: %w", b[at+1], at+1, kv.ErrCorrupt)
		}
	}
}

// CutUint16 takes a number off the front of the key b.
func CutUint16(b []byte) (v uint16, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, short("uint16", b)
	}
	return binary.BigEndian.Uint16(b), b[2:], nil
}

// CutUint32 takes a number off the front of the key b.
func CutUint32(b []byte) (v uint32, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, short("uint32", b)
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}

// CutUint64 takes a number off the front of the key b.
func CutUint64(b []byte) (v uint64, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short("uint64", b)
	}
	return binary.BigEndian.Uint64(b), b[8:], nil
}

// CutInt64 takes a signed number off the front of the key b.
func CutInt64(b []byte) (v int64, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, short("int64", b)
	}
	return int64(binary.BigEndian.Uint64(b) ^ signBit), b[8:], nil
}

func short(what string, b []byte) error {
	return fmt.Errorf("cut %s from key: only %d bytes left: %w", what, len(b), kv.ErrCorrupt)
}

// PrefixEnd returns the first key above all keys that begin with prefix, in
// memory of its own, or nil when there is none: the empty prefix and those of
// 0xFF only reach to the end of the keyspace.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

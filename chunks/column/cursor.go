package column

import (
	"encoding/binary"
	"math"
)

// cursor reads src from off on. The first failure sticks: later reads return
// zeros, so that a sequence of reads needs one check of err.
type cursor struct {
	src   []byte
	off   int
	err   *CorruptError
	flags byte // of the head that was read last
}

//go:noinline
func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = &CorruptError{Offset: c.off, What: what}
	}
	c.off = len(c.src)
}

// result returns the error as an interface that is nil when there is none.
func (c *cursor) result() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

func (c *cursor) u8() byte {
	if c.off >= len(c.src) {
		c.fail("column ends early")
		return 0
	}
	b := c.src[c.off]
	c.off++
	return b
}

func (c *cursor) u64() uint64 {
	b := c.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// take returns the next n bytes, or nil.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.src)-c.off {
		c.fail("column ends early")
		return nil
	}
	b := c.src[c.off : c.off+n]
	c.off += n
	return b
}

func (c *cursor) uvarint() uint64 {
	if c.off < len(c.src) {
		if b := c.src[c.off]; b < 0x80 {
			c.off++
			return uint64(b)
		}
	}
	v, n := binary.Uvarint(c.src[c.off:])
	if n <= 0 {
		c.fail("bad varint")
		return 0
	}
	c.off += n
	return v
}

func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// u32 reads a uvarint of at most 32 bits.
func (c *cursor) u32() uint32 {
	at := c.off
	v := c.uvarint()
	if v > math.MaxUint32 {
		c.off = at
		c.fail("number of more than 32 bits")
		return 0
	}
	return uint32(v)
}

// count reads a uvarint that may not be above most.
func (c *cursor) count(most int, what string) int {
	at := c.off
	v := c.uvarint()
	if v > uint64(most) {
		c.off = at
		c.fail(what)
		return 0
	}
	return int(v)
}

// end fails unless everything was read.
func (c *cursor) end() {
	if c.err == nil && c.off != len(c.src) {
		c.fail("bytes after the end")
	}
}

func zigzag(x int64) uint64   { return uint64(x)<<1 ^ uint64(x>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// uvarintLen returns the number of bytes of v as a uvarint.
func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

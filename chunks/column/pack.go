package column

import "encoding/binary"

// A packed stream is a sequence of blocks of blockSize values, the last of which
// may be shorter:
//
//	u8          width in bits, 0 to 64; bit 7: the block has patches
//	[u8]        number of patches, at least 1
//	values      the low bits of each value, see below
//	[u8...]     position in the block of each patch
//	[uvarint..] the high bits of each patched value: value >> width
//
// The values of a full block are 4 lanes of 64: lane l holds the values 64l to
// 64l+63, packed from the least significant bit on into as many 64-bit words as
// the width; word k of the lanes 0 to 3 lie side by side. A shorter block is
// packed value after value from the least significant bit on.
const (
	blockSize  = 256
	laneSize   = 64
	widthPatch = 0x80
	patchesMax = 255
)

func unpackZeros(dst *[64]uint64, _ []byte) { *dst = [64]uint64{} }

// packed decodes a packed stream of len(u) values.
func (c *cursor) packed(u []uint64) {
	for len(u) > 0 {
		n := min(len(u), blockSize)
		c.block(u[:n])
		u = u[n:]
	}
}

func (c *cursor) block(u []uint64) {
	head := c.u8()
	width := int(head &^ widthPatch)
	if width > 64 {
		c.fail("bad width of packed values")
		return
	}
	patches := 0
	if head&widthPatch != 0 {
		patches = int(c.u8())
		if patches == 0 || patches > len(u) || width == 64 {
			c.fail("bad number of patches")
			return
		}
	}
	size := (len(u)*width + 7) / 8
	if size > len(c.src)-c.off {
		c.fail("packed values end early")
		return
	}
	src := c.src[c.off:]
	c.off += size
	if len(u) == blockSize {
		unpackBlock((*[blockSize]uint64)(u), src[:size], width)
	} else {
		unpackTail(u, src, width)
	}
	if patches > 0 {
		c.patch(u, patches, width)
	}
}

func unpackBlock(u *[blockSize]uint64, src []byte, width int) {
	if width == 0 {
		clear(u[:])
		return
	}
	unpack := unpackLane[width]
	unpack((*[laneSize]uint64)(u[0:]), src)
	unpack((*[laneSize]uint64)(u[64:]), src[8:])
	unpack((*[laneSize]uint64)(u[128:]), src[16:])
	unpack((*[laneSize]uint64)(u[192:]), src[24:])
}

// unpackTail unpacks a short block. src holds all its bytes and may go on
// behind them, which lets most values be read as whole words.
func unpackTail(u []uint64, src []byte, width int) {
	if width == 0 {
		clear(u)
		return
	}
	for len(u) >= laneSize {
		unpackRow[width]((*[laneSize]uint64)(u), src)
		u, src = u[laneSize:], src[8*width:]
	}
	if width > 56 {
		for i := range u {
			u[i] = bitsAt(src, i*width, width)
		}
		return
	}
	mask := uint64(1)<<width - 1
	bit := 0
	for i := range u {
		at := bit >> 3
		if at+8 > len(src) {
			unpackEnd(u[i:], src, bit, width)
			return
		}
		u[i] = binary.LittleEndian.Uint64(src[at:]) >> (bit & 7) & mask
		bit += width
	}
}

// unpackEnd unpacks values of at most 56 bits of which the first starts in the
// last 7 bytes of src.
func unpackEnd(u []uint64, src []byte, bit, width int) {
	var end [16]byte
	from := bit >> 3
	copy(end[:], src[from:])
	bit -= from << 3
	mask := uint64(1)<<width - 1
	for i := range u {
		u[i] = binary.LittleEndian.Uint64(end[bit>>3&7:]) >> (bit & 7) & mask
		bit += width
	}
}

// bitsAt returns width bits from bit on; what lies behind src is 0.
func bitsAt(src []byte, bit, width int) uint64 {
	var word [16]byte
	if at := bit >> 3; at < len(src) {
		copy(word[:9], src[at:])
	}
	shift := uint(bit & 7)
	v := binary.LittleEndian.Uint64(word[:]) >> shift
	v |= uint64(word[8]) << (64 - shift)
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

func (c *cursor) patch(u []uint64, patches, width int) {
	positions := c.take(patches)
	for _, p := range positions {
		high := c.uvarint()
		if int(p) >= len(u) || high>>(64-width) != 0 { // a shift by 64 gives 0
			c.fail("bad patch")
			return
		}
		u[p] |= high << width
	}
}

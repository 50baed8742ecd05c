package bench

import "encoding/binary"

// patch is a span of a plain body that is written over before each send.
type patch struct {
	at, size int
	// same is the place of an earlier patch that always has equal bytes, -1 when
	// there is none.
	same int
}

// compressor makes snappy blocks in which patches can be written over: their
// bytes stand in the block as they are, and nothing else is copied from them.
//
// A block is uvarint(plain length), then literals and copies. A literal is a
// tag (length-1)<<2 and the bytes; from 61 bytes on the tag is 60 to 63<<2
// and length-1 follows in one to four bytes. A copy is the tag
// (length-1)<<2|2 and the distance in two bytes.
type compressor struct {
	table [1 << 14]int32 // place+1 of four clean bytes with this hash
	dirty []bool         // whether a byte of the source belongs to a patch

	src     []byte
	dst     []byte
	from    int // the source before it is written
	patches []patch
	places  []int // of the patches so far
}

const (
	copyDistanceMax = 1<<16 - 1
	copyLengthMax   = 64
	matchLengthMin  = 4
)

// compress appends the block of src to dst. It also returns, for each patch,
// where its bytes are in the block, or -1 when a copy brings them. Patches are
// in order and do not touch.
func (c *compressor) compress(dst, src []byte, patches []patch) (block []byte, places []int) {
	c.reset(src, patches)
	c.dst = binary.AppendUvarint(dst, uint64(len(src)))
	next := 0
	for at := 0; at < len(src); {
		if next == len(patches) || at < patches[next].at {
			at = c.clean(at)
			continue
		}
		p := patches[next]
		next++
		if p.same >= 0 && at-p.same <= copyDistanceMax {
			c.literal(at)
			c.copy(at-p.same, p.size)
			c.places = append(c.places, -1)
		}
		at += p.size
	}
	c.literal(len(src))
	return c.dst, c.places
}

func (c *compressor) reset(src []byte, patches []patch) {
	clear(c.table[:])
	c.src, c.patches, c.from, c.places = src, patches, 0, nil
	if cap(c.dirty) < len(src) {
		c.dirty = make([]bool, len(src))
	}
	c.dirty = c.dirty[:len(src)]
	clear(c.dirty)
	for _, p := range patches {
		for i := range p.size {
			c.dirty[p.at+i] = true
		}
	}
}

// clean writes a copy if the bytes at a clean place occurred before, and
// returns where to go on.
func (c *compressor) clean(at int) int {
	if at+matchLengthMin > len(c.src) {
		return len(c.src)
	}
	for i := range matchLengthMin {
		if c.dirty[at+i] {
			return at + i
		}
	}
	four := binary.LittleEndian.Uint32(c.src[at:])
	slot := &c.table[four*0x9e3779b1>>18]
	earlier := int(*slot) - 1
	*slot = int32(at) + 1
	if earlier < 0 || at-earlier > copyDistanceMax || binary.LittleEndian.Uint32(c.src[earlier:]) != four {
		return at + 1
	}
	n := matchLengthMin
	for at+n < len(c.src) && !c.dirty[at+n] && !c.dirty[earlier+n] && c.src[at+n] == c.src[earlier+n] {
		n++
	}
	c.literal(at)
	c.copy(at-earlier, n)
	return at + n
}

// literal writes what precedes end, and notes where its patches went.
func (c *compressor) literal(end int) {
	if end > c.from {
		c.dst = appendLiteralTag(c.dst, end-c.from)
		for len(c.places) < len(c.patches) && c.patches[len(c.places)].at < end {
			c.places = append(c.places, len(c.dst)+c.patches[len(c.places)].at-c.from)
		}
		c.dst = append(c.dst, c.src[c.from:end]...)
	}
	c.from = end
}

func (c *compressor) copy(distance, length int) {
	c.from += length
	for length > 0 {
		n := min(length, copyLengthMax)
		c.dst = append(c.dst, byte(n-1)<<2|2, byte(distance), byte(distance>>8))
		length -= n
	}
}

func appendLiteralTag(dst []byte, length int) []byte {
	switch n := length - 1; {
	case n < 60:
		return append(dst, byte(n)<<2)
	case n < 1<<8:
		return append(dst, 60<<2, byte(n))
	case n < 1<<16:
		return append(dst, 61<<2, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(dst, 62<<2, byte(n), byte(n>>8), byte(n>>16))
	default:
		return append(dst, 63<<2, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
}

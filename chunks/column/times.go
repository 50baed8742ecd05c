package column

import (
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"
)

// A column of timestamps:
//
//	u8         version, 1
//	uvarint    number of timestamps n
//	[uvarint]  size in bytes of each segment but the last
//	segments   of SamplesMax timestamps each, the last of what remains: integers
//	u32        checksum: the low 32 bits of the XXH3-64 of all bytes before
//
// Each segment starts anew, so a slice is decoded without what lies before it.
const timesVersion = 1

const checksumSize = 4

// Slice is a stretch of a timestamp column.
type Slice struct {
	Column uint32 // the number by which the caller knows the column
	Offset uint32
	Length uint32
}

// AppendTimes appends a column of the timestamps t, of any number and in any
// order, to dst.
func (e *Encoder) AppendTimes(dst []byte, t []int64) []byte {
	at := len(dst)
	dst = append(dst, timesVersion)
	dst = binary.AppendUvarint(dst, uint64(len(t)))
	e.body = e.body[:0]
	for i := 0; i < len(t); i += SamplesMax {
		segment := t[i:min(i+SamplesMax, len(t))]
		before := len(e.body)
		e.body = e.appendSegment(e.body, segment)
		if i+SamplesMax < len(t) {
			dst = binary.AppendUvarint(dst, uint64(len(e.body)-before))
		}
	}
	dst = append(dst, e.body...)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[at:]))
}

// appendSegment appends t as planned, or, if that does not decode to t, which
// no input is known to cause, as plain words.
func (e *Encoder) appendSegment(dst []byte, t []int64) []byte {
	p := e.planInts(t)
	at := len(dst)
	dst = e.appendInts(dst, t, &p)
	check := e.decoder.x[:len(t)]
	c := cursor{src: dst, off: at}
	e.decoder.readSegment(&c, check)
	c.end()
	if c.err == nil && slices.Equal(check, t) {
		return dst
	}
	dst = append(dst[:at], predictNone|streamPacked<<intsStream, 0)
	return appendPacked(dst, e.plainWords(t))
}

func (e *Encoder) plainWords(t []int64) []uint64 {
	for i, v := range t {
		e.u[i] = uint64(v)
	}
	return e.u[:len(t)]
}

func (s *streams) readSegment(c *cursor, dst []int64) {
	p := s.readInts(c, len(dst))
	if c.err == nil {
		s.ints(dst, p)
	}
}

// TimesLen returns the number of timestamps of the column src. A column that
// claims more than most is corrupt.
func TimesLen(src []byte, most int) (int, error) {
	c := cursor{src: src}
	n := c.timesHead(most)
	return n, c.result()
}

// timesHead reads the version and the number of timestamps, and takes the
// checksum off the end.
func (c *cursor) timesHead(most int) int {
	if len(c.src) < checksumSize {
		c.fail("column ends early")
		return 0
	}
	c.src = c.src[:len(c.src)-checksumSize]
	if v := c.u8(); c.err == nil && v != timesVersion {
		c.off--
		c.fail("unknown version of a timestamp column")
	}
	n := c.count(most, "more timestamps than allowed")
	// A segment takes at least two bytes.
	if n > (len(c.src)-c.off)/2*SamplesMax {
		c.fail("more timestamps than the column can hold")
		return 0
	}
	return n
}

// Times decodes the timestamps from offset on of the column src into dst. The
// checksum is not looked at: see VerifyTimes.
func (d *Decoder) Times(dst []int64, src []byte, offset int) error {
	c := cursor{src: src}
	n := c.timesHead(len(src) * SamplesMax)
	if c.err == nil && (offset < 0 || offset > n || len(dst) > n-offset) {
		c.fail("slice outside of the timestamp column")
	}
	if c.err != nil || len(dst) == 0 {
		return c.result()
	}
	segments := (n + SamplesMax - 1) / SamplesMax
	first := offset / SamplesMax
	sizes := c
	skip := 0
	for i := range segments - 1 {
		size := c.count(len(c.src), "segment ends early")
		if i < first {
			skip += size
		}
	}
	for range first {
		sizes.uvarint()
	}
	if c.take(skip); c.err != nil {
		return c.result()
	}
	for i := first; len(dst) > 0; i++ {
		end := len(c.src)
		if i < segments-1 {
			end = c.off + int(sizes.uvarint())
		}
		dst = d.segment(&c, dst, end, offset-i*SamplesMax, min(SamplesMax, n-i*SamplesMax))
		if c.err != nil {
			return c.result()
		}
		offset = (i + 1) * SamplesMax
	}
	return nil
}

// segment decodes a segment of n timestamps that ends at end; those from skip
// on go to dst, the rest of which is returned.
func (d *Decoder) segment(c *cursor, dst []int64, end, skip, n int) []int64 {
	if end > len(c.src) {
		c.fail("segment ends early")
		return nil
	}
	part := cursor{src: c.src[:end], off: c.off}
	took := min(len(dst), n-skip)
	if took == n {
		d.readSegment(&part, dst[:n])
	} else {
		d.readSegment(&part, d.x[:n])
		copy(dst[:took], d.x[skip:n])
	}
	part.end()
	c.off, c.err = end, part.err
	return dst[took:]
}

// VerifyTimes returns an error if src is not a timestamp column as it was
// written.
func VerifyTimes(src []byte) error { return verify(src) }

func verify(src []byte) error {
	end := len(src) - checksumSize
	if end < 0 {
		return &CorruptError{Offset: len(src), What: "checksum ends early"}
	}
	if checksum(src[:end]) != binary.LittleEndian.Uint32(src[end:]) {
		return &CorruptError{Offset: end, What: "wrong checksum"}
	}
	return nil
}

func checksum(b []byte) uint32 { return uint32(xxh3.Hash(b)) }

// HashTimes returns a 128-bit hash of the timestamps t, by which equal columns
// are found.
func HashTimes(t []int64) [16]byte {
	var h xxh3.Hasher
	var words [1024]byte
	n := 0
	for _, v := range t {
		binary.LittleEndian.PutUint64(words[n:], uint64(v))
		if n += 8; n == len(words) {
			h.Write(words[:])
			n = 0
		}
	}
	h.Write(words[:n])
	return h.Sum128().Bytes()
}

// FindSlice returns where the timestamps t lie in column, whose timestamps
// ascend, and false if they are not neighbours there.
func FindSlice(column, t []int64) (offset int, ok bool) {
	if len(t) == 0 {
		return 0, true
	}
	at, found := slices.BinarySearch(column, t[0])
	if !found || len(t) > len(column)-at {
		return 0, false
	}
	return at, slices.Equal(column[at:at+len(t)], t)
}

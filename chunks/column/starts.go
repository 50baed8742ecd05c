package column

import (
	"encoding/binary"
	"slices"
)

// A column of start timestamps belongs to a column of values and is absent when
// all are 0 (unknown):
//
//	u8  form
//	startsAgo   integers: the previous timestamp - start; for the first sample
//	            its own timestamp counts as the previous one
//	startsPlain integers: start
//	startsRef   uvarint back: the bytes of the starts of the column that lies
//	            back columns before this one in the cell
const (
	startsAgo   = 0
	startsPlain = 1
	startsRef   = 2
)

// AppendStarts appends a column of the start timestamps of samples at times.
func (e *Encoder) AppendStarts(dst []byte, times, starts []int64) []byte {
	if len(starts) < 1 || len(starts) > SamplesMax || len(times) != len(starts) {
		panic("column: number of start timestamps")
	}
	ago := e.x[:len(starts)]
	previous := times[0]
	for i, start := range starts {
		ago[i] = previous - start
		previous = times[i]
	}
	form, ints, p := byte(startsAgo), ago, e.planInts(ago)
	if plain := e.planInts(starts); plain.bits < p.bits {
		form, ints, p = startsPlain, starts, plain
	}
	at := len(dst)
	dst = e.appendInts(append(dst, form), ints, &p)
	check := e.ordered[:len(starts)]
	if e.decoder.Starts(check, times, dst[at:]) == nil && slices.Equal(check, starts) {
		return dst
	}
	dst = append(dst[:at], startsPlain, predictNone|streamPacked<<intsStream, 0)
	return appendPacked(dst, e.plainWords(starts))
}

// Starts decodes src, the start timestamps of samples at times, into dst, which
// is as long as times.
func (d *Decoder) Starts(dst, times []int64, src []byte) error {
	c := cursor{src: src}
	d.starts(&c, dst, times)
	c.end()
	return c.result()
}

// starts reads the start timestamps that c is at, which bytes may follow.
func (d *Decoder) starts(c *cursor, dst, times []int64) {
	if len(dst) < 1 || len(dst) > SamplesMax || len(times) != len(dst) {
		c.fail("number of start timestamps outside of 1 to 1024")
		return
	}
	form := c.u8()
	if c.err == nil && form != startsAgo && form != startsPlain {
		c.fail("unknown form of start timestamps")
	}
	if c.err != nil {
		return
	}
	d.readSegment(c, dst)
	if form == startsPlain || c.err != nil {
		return
	}
	previous := times[0]
	for i, ago := range dst {
		dst[i] = previous - ago
		previous = times[i]
	}
}

// anyStart reports whether one of the start timestamps is known.
func anyStart(starts []int64) bool {
	for _, s := range starts {
		if s != 0 {
			return true
		}
	}
	return false
}

// startsKey returns the key by which equal start columns of n samples are found.
func startsKey(dst, encoded []byte, n int) []byte {
	return binary.AppendUvarint(append(dst, encoded...), uint64(n))
}

package column

import (
	"encoding/binary"
	"math"
)

// A column of values:
//
//	u8         bits 0-3 kind; bit 4 integers; bit 5 resets; bit 6 summary; bit 7 is 0
//	[uvarint]  number of resets, if bit 5 is set
//	[summary]  if bit 6 is set, see summary.go
//	body       by kind:
//	  const       u64 bits
//	  constInt    varint x, the value is float64(x)
//	  decimal     u8 scaling (decimal.go); [exceptions]; integers x; [integers ulp]
//	  bits        integers: the ordered bits of each value
//	  dict        u8 entries-1; entries*u64 bits; u8 form and stream of indices
//	  bucketDiff  uvarint back; u8 0 or decimalExcept; [exceptions]; integers:
//	              the difference to the integers of the column that lies back
//	              columns before this one in the cell
//	  raw         n*u64 bits
//	  ref         uvarint back; the column is equal to that one

// Decoder decodes columns. Its zero value is ready; it keeps about 20 KiB of
// scratch and allocates nothing more once the entropy coders have been used.
type Decoder struct {
	streams
	x     [SamplesMax]int64
	plain bool // the values decoded last are constant or decimals without exceptions or corrections
	flags byte // of their column
	skip  int  // how many values are not wanted at the beginning
}

// Facts is what is known of values without a look at them.
type Facts struct {
	Plain  bool // all are finite, none is a stale marker, no 0 has a sign
	Rising bool // Plain, and none is below the one before
	Whole  bool // Plain, and all are integers of at most 2^53 in magnitude
}

// Before returns what is known of values that f is about, last being the last of
// them, followed by those that next is about, of which first is the first.
func (f Facts) Before(next Facts, last, first float64) Facts {
	return Facts{f.Plain && next.Plain, f.Rising && next.Rising && first >= last, f.Whole && next.Whole}
}

// Facts returns what is known of the values decoded last.
func (d *Decoder) Facts() Facts {
	return Facts{d.plain, d.plain && d.flags&flagResets == 0, d.plain && d.flags&flagIntegers != 0}
}

// Values decodes src, a column of len(dst) values, into dst. Columns of a cell
// that refer to others are decoded by CellReader.
func (d *Decoder) Values(dst []float64, src []byte) error {
	c := cursor{src: src}
	kind := c.head(len(dst))
	d.body(&c, kind, dst)
	c.end()
	return c.result()
}

// head reads the head of a column of n values, which the body follows.
func (c *cursor) head(n int) (kind byte) {
	if n < 1 || n > SamplesMax {
		c.fail("number of values outside of 1 to 1024")
		return 0
	}
	flags := c.u8()
	c.flags = flags
	if flags&flagReserved != 0 {
		c.fail("reserved flag is set")
	}
	if flags&flagResets != 0 {
		c.count(n-1, "more resets than values")
	}
	if flags&flagSummary != 0 {
		c.skipSummary()
	}
	return flags & kindMask
}

func (d *Decoder) body(c *cursor, kind byte, dst []float64) {
	d.plain, d.flags = false, c.flags
	if c.err != nil {
		return
	}
	switch kind {
	case kindConst:
		bits := c.u64()
		d.plain = bits&math.MaxInt64 < infBits && bits != 1<<63
		fill(dst, math.Float64frombits(bits))
	case kindConstInt:
		fill(dst, float64(c.constInt()))
		d.plain = true
	case kindDecimal:
		head := readDecimal(c, len(dst))
		d.plain = head.exceptions == 0 && !head.ulps
		if c.err == nil {
			d.decimal(c, head, dst)
		}
		if c.err == nil && head.exceptions > 0 {
			overlay(c.src, head.exceptions, dst)
		}
	case kindBits:
		d.bits(c, dst)
	case kindDict:
		d.dict(c, dst)
	case kindRaw:
		src := c.take(8 * len(dst))
		for i := range len(src) / 8 {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		}
	case kindBucketDiff, kindRef:
		c.fail("column refers to another one outside of a cell")
	default:
		c.fail("unknown kind of column")
	}
}

func (c *cursor) constInt() int64 {
	x := c.varint()
	if x >= constIntMax || x <= -constIntMax {
		c.fail("constant integer too large")
	}
	return x
}

func (d *Decoder) bits(c *cursor, dst []float64) {
	p := d.readInts(c, len(dst))
	if c.err != nil {
		return
	}
	x := d.x[:len(dst)]
	d.ints(x, p)
	for i, o := range x {
		dst[i] = math.Float64frombits(orderedBits(uint64(o)))
	}
}

func (d *Decoder) dict(c *cursor, dst []float64) {
	entries := int(c.u8()) + 1
	table := c.take(8 * entries)
	if c.err != nil {
		return
	}
	var values [256]float64
	for i := range entries {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(table[8*i:]))
	}
	d.nested(c, len(dst))
	if c.err != nil {
		return
	}
	for i, index := range d.u[:len(dst)] {
		if index >= uint64(entries) {
			c.fail("index outside of the dictionary")
			return
		}
		dst[i] = values[uint8(index)]
	}
}

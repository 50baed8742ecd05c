package column

import (
	"math"
	"slices"
	"sort"
)

// CellReader decodes a cell. Its zero value is ready for Open and may be opened
// again. It keeps a Decoder and up to 32 KiB for buckets.
type CellReader struct {
	decoder Decoder
	src     []byte // without the checksum
	whole   []byte
	slices  []Slice
	entries []cellEntry

	// below are the integers of the last bucket decoded of a few slices, made
	// when they are needed first: a slice has the place of its number modulo
	// belowPlaces. Buckets read in order are so decoded once.
	below [belowPlaces]*integers
}

const belowPlaces = 4

// integers are those of an entry; of none if that is -1.
type integers struct {
	entry int
	x     [SamplesMax]int64
}

type cellEntry struct {
	series     uint32
	slice      uint32
	start, end uint32
	starts     bool
}

// Open makes r read the cell src, which must not change while r is used. The
// checksum is not looked at: see Verify.
func (r *CellReader) Open(src []byte, limits Limits) error {
	most := limits.Entries
	if most <= 0 || most > EntriesMax {
		most = EntriesMax
	}
	r.slices, r.entries = r.slices[:0], r.entries[:0]
	for _, below := range r.below {
		if below != nil {
			below.entry = -1
		}
	}
	r.whole, r.src = src, nil
	if len(src) < checksumSize || uint64(len(src)) > math.MaxUint32 {
		return &CorruptError{What: "size of a cell"}
	}
	c := cursor{src: src[:len(src)-checksumSize]}
	r.head(&c, most)
	if c.err != nil {
		r.slices, r.entries = r.slices[:0], r.entries[:0]
		return c.result()
	}
	r.src = c.src
	return nil
}

func (r *CellReader) head(c *cursor, most int) {
	if v := c.u8(); c.err == nil && v != cellVersion {
		c.off--
		c.fail("unknown version of a cell")
	}
	// An entry takes at least three bytes, a slice three.
	most = min(most, len(c.src)/3)
	entries := c.count(most, "too many entries in a cell")
	count := c.count(entries, "more slices than entries")
	for range count {
		column, offset := c.u32(), c.u32()
		length := c.count(SamplesMax, "too many samples in a slice")
		if length == 0 {
			c.fail("empty slice")
		}
		if c.err != nil {
			return
		}
		r.slices = append(r.slices, Slice{column, offset, uint32(length)})
	}
	before := cellEntry{series: c.u32()}
	size := 0
	for range entries {
		before = r.entryHead(c, before)
		if c.err != nil {
			return
		}
		before.start = uint32(size)
		size += int(before.end)
		before.end = uint32(size)
		if size > len(c.src) {
			c.fail("entries are longer than the cell")
			return
		}
		r.entries = append(r.entries, before)
	}
	bodies := c.off
	if c.take(size); c.err == nil {
		c.end()
	}
	for i := range r.entries {
		r.entries[i].start += uint32(bodies)
		r.entries[i].end += uint32(bodies)
	}
}

// entryHead reads the head of an entry; end is its size.
func (r *CellReader) entryHead(c *cursor, before cellEntry) cellEntry {
	entry := before
	tag := c.u8()
	switch tag & tagMask {
	case tagSame:
	case tagNext:
		entry.series++
	case tagOther:
		step := c.u32()
		if step > math.MaxUint32-2 {
			c.fail("series number overflows")
		}
		entry.series += step + 2
	default:
		c.fail("unknown tag of an entry")
	}
	switch tag >> tagSlice & tagMask {
	case tagSame:
	case tagNext:
		entry.slice++
	case tagOther:
		entry.slice = uint32(c.count(len(r.slices)-1, "number of a slice"))
	default:
		c.fail("unknown tag of an entry")
	}
	switch {
	case tag&tagReserved != 0:
		c.fail("reserved bit of an entry is set")
	case entry.series < before.series:
		c.fail("series number overflows")
	case int(entry.slice) >= len(r.slices):
		c.fail("number of a slice")
	}
	entry.starts = tag&tagStarts != 0
	entry.end = uint32(c.count(len(c.src), "size of an entry"))
	return entry
}

// Verify returns an error if the cell is not as it was written.
func (r *CellReader) Verify() error { return verify(r.whole) }

// Len returns the number of entries.
func (r *CellReader) Len() int { return len(r.entries) }

// Series returns the series of entry i.
func (r *CellReader) Series(i int) uint32 { return r.entries[i].series }

// Times returns which timestamps entry i has; its Length is the entry's number
// of samples.
func (r *CellReader) Times(i int) Slice { return r.slices[r.entries[i].slice] }

// HasStarts reports whether a start timestamp of entry i is known.
func (r *CellReader) HasStarts(i int) bool { return r.entries[i].starts }

// Find returns the range of the entries of a series; it is empty if there are
// none.
func (r *CellReader) Find(series uint32) (first, end int) {
	first = sort.Search(len(r.entries), func(i int) bool { return r.entries[i].series >= series })
	for end = first; end < len(r.entries) && r.entries[end].series == series; end++ {
	}
	return first, end
}

// length returns the number of samples of entry i.
func (r *CellReader) length(i int) int { return int(r.Times(i).Length) }

// cursorAt returns a cursor at the column of values of entry i.
func (r *CellReader) cursorAt(i int) cursor {
	entry := &r.entries[i]
	c := cursor{src: r.src[:entry.end], off: int(entry.start)}
	if entry.starts {
		c.take(c.count(len(c.src), "starts end early"))
	}
	return c
}

// back reads how far back the entry lies that entry i refers to, and returns
// its number. It must have as many samples.
func (r *CellReader) back(c *cursor, i int) int {
	back := c.count(i, "reference to before the cell")
	if c.err == nil && (back == 0 || r.length(i-back) != r.length(i)) {
		c.fail("reference to an entry that does not fit")
	}
	if c.err != nil {
		return 0
	}
	return i - back
}

// column returns the cursor behind the head of entry i, following a reference,
// its kind, and the entry whose column it is.
func (r *CellReader) column(i int) (c cursor, kind byte, at int) {
	c = r.cursorAt(i)
	kind = c.head(r.length(i))
	if kind != kindRef {
		return c, kind, i
	}
	at = r.back(&c, i)
	c.end()
	if c.err != nil {
		return c, kind, i
	}
	c = r.cursorAt(at)
	if kind = c.head(r.length(at)); kind == kindRef {
		c.fail("reference to a reference")
	}
	return c, kind, at
}

// Values decodes entry i into dst, which must have room for its samples.
func (r *CellReader) Values(dst []float64, i int) error { return r.ValuesFrom(dst, i, 0) }

// ValuesFrom is Values where those before number from are not wanted: they may get
// any contents, which takes less.
func (r *CellReader) ValuesFrom(dst []float64, i, from int) error {
	dst = dst[:r.length(i)]
	c, kind, at := r.column(i)
	if kind == kindBucketDiff && c.err == nil {
		return r.bucket(dst, at)
	}
	r.decoder.skip = min(from, len(dst))
	r.decoder.body(&c, kind, dst)
	r.decoder.skip = 0
	c.end()
	return c.result()
}

// Facts is the Decoder's of the entry decoded last.
func (r *CellReader) Facts() Facts { return r.decoder.Facts() }

// bucket decodes entry i, a bucket difference, from the entries below it.
func (r *CellReader) bucket(dst []float64, i int) error {
	below := r.integersOf(i)
	if below.entry == i { // as when a reference follows
		r.again(dst, i, below)
		return nil
	}
	var chain [chainMax]uint32
	n := 0
	for at := i; ; {
		c, kind := r.plain(at)
		if kind == kindDecimal {
			r.root(&c, at, below)
			if c.err != nil {
				return c.result()
			}
			break
		}
		if kind == kindBucketDiff && n == chainMax {
			c.fail("too many bucket differences on one another")
		}
		if c.err != nil {
			return c.result()
		}
		chain[n] = uint32(at)
		n++
		if at = r.back(&c, at); c.err != nil {
			return c.result()
		}
		if at == below.entry {
			break
		}
	}
	for n--; n >= 0; n-- {
		c, _ := r.plain(int(chain[n]))
		c.uvarint()
		below.entry = -1
		r.decoder.bucketDiff(&c, below.x[:len(dst)], dst)
		c.end()
		if c.err != nil {
			return c.result()
		}
		below.entry = int(chain[n])
	}
	return nil
}

// again gives the values of entry i, whose integers were decoded last.
func (r *CellReader) again(dst []float64, i int, below *integers) {
	for k, x := range below.x[:len(dst)] {
		dst[k] = float64(x)
	}
	c, _ := r.plain(i)
	c.uvarint()
	r.decoder.plain, r.decoder.flags = c.u8() != decimalExcept, c.flags
	if !r.decoder.plain {
		overlay(c.src, c.off, dst)
	}
}

// integersOf returns the place for the integers of the buckets of entry i's slice.
func (r *CellReader) integersOf(i int) *integers {
	place := &r.below[r.entries[i].slice%belowPlaces]
	if *place == nil {
		*place = &integers{entry: -1}
	}
	return *place
}

// plain returns the cursor behind the head of entry i, which must be a bucket
// difference or a decimal.
func (r *CellReader) plain(i int) (c cursor, kind byte) {
	c = r.cursorAt(i)
	kind = c.head(r.length(i))
	if c.err == nil && kind != kindBucketDiff && kind != kindDecimal {
		c.fail("bucket difference to a column without integers")
	}
	return c, kind
}

// root decodes the integers of entry i, a decimal, into below.
func (r *CellReader) root(c *cursor, i int, below *integers) {
	below.entry = -1
	n := r.length(i)
	head := readDecimal(c, n)
	if c.err == nil && (head.scaling != scaling{} || head.ulps) {
		c.fail("bucket difference to a column without integers")
	}
	if c.err != nil {
		return
	}
	r.decoder.readSegment(c, below.x[:n])
	if c.end(); c.err == nil {
		below.entry = i
	}
}

// bucketDiff adds the differences that c is at to the integers x of the bucket
// below, and gives the values of the sums with the column's exceptions.
func (d *Decoder) bucketDiff(c *cursor, x []int64, dst []float64) {
	flags := c.u8()
	d.plain, d.flags = flags == 0, c.flags
	exceptions := 0
	switch {
	case c.err != nil:
		return
	case flags == decimalExcept:
		exceptions = c.off
		c.skipExceptions(len(dst))
	case flags != 0:
		c.fail("unknown flag of a bucket difference")
	}
	if c.err != nil {
		return
	}
	p := d.readInts(c, len(dst))
	if c.err != nil {
		return
	}
	if p.steps() {
		d.addSteps(x[:len(dst)], p, dst)
	} else {
		differences := d.x[:len(dst)]
		d.ints(differences, p)
		x = x[:len(dst)]
		for i, difference := range differences {
			v := x[i] + difference
			x[i] = v
			dst[i] = float64(v)
		}
	}
	if exceptions > 0 {
		overlay(c.src, exceptions, dst)
	}
}

// addSteps adds to x differences that change where the sparse stream of p says so,
// and sets dst to the sums. Runs between changes are short: adding up the changes
// takes less than filling in the runs.
func (d *Decoder) addSteps(x []int64, p *ints, dst []float64) {
	changes := d.x[:len(x)]
	clear(changes)
	for i, at := range d.at[:p.entries] {
		changes[at] = p.residual(d.u[i])
	}
	difference := p.first
	dst = dst[:len(x)]
	for i, change := range changes {
		difference += change
		v := x[i] + difference
		x[i] = v
		dst[i] = float64(v)
	}
}

// Info returns what entry i says about itself.
func (r *CellReader) Info(i int) (Info, error) {
	c, _, at := r.column(i)
	if c.err != nil {
		return Info{}, c.result()
	}
	c = r.cursorAt(at)
	info := c.info(r.length(at))
	return info, c.result()
}

// Starts decodes the start timestamps of entry i, whose timestamps are times,
// into dst; both are as long as the entry. Without starts all are 0.
func (r *CellReader) Starts(dst, times []int64, i int) error {
	dst = dst[:r.length(i)]
	if !r.entries[i].starts {
		clear(dst)
		return nil
	}
	c := r.startsAt(i)
	if c.err == nil && c.off < len(c.src) && c.src[c.off] == startsRef {
		c.off++
		at := r.back(&c, i)
		c.end()
		if c.err == nil && !r.entries[at].starts {
			c.fail("reference to an entry without starts")
		}
		if c.err != nil {
			return c.result()
		}
		c = r.startsAt(at)
	}
	if c.err == nil {
		r.decoder.starts(&c, dst, times)
		c.end()
	}
	return c.result()
}

// startsAt returns a cursor over the starts of entry i.
func (r *CellReader) startsAt(i int) cursor {
	entry := &r.entries[i]
	c := cursor{src: r.src[:entry.end], off: int(entry.start)}
	size := c.count(len(c.src)-c.off, "starts end early")
	if size > len(c.src)-c.off {
		c.fail("starts end early")
	}
	if c.err == nil {
		c.src = c.src[:c.off+size]
	}
	return c
}

// Slices returns the slices of timestamp columns that the entries have. The
// result is the reader's.
func (r *CellReader) Slices() []Slice { return slices.Clip(r.slices) }

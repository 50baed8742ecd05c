package column

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// CellWriter builds a cell. Add entries, then AppendTo, then Reset. Identical
// columns are stored once; buckets of a histogram as differences where that is
// smaller.
type CellWriter struct {
	encoder *Encoder
	slices  []Slice
	slice   map[Slice]int
	heads   []byte // of the entries
	bodies  []byte
	entries int
	first   uint32 // series of the first entry
	series  uint32 // of the last entry
	current int    // slice of the last entry

	written []written // one for each entry
	kept    []float64 // values of the entries that later ones may refer to
	equal   map[uint64]int
	starts  map[string]int
	below   []bucket // the last bucket of each slice
	x       []int64  // integers of the buckets in below
	scratch []byte
}

// written is what the writer remembers of an entry.
type written struct {
	at, n  int  // values in kept
	bucket bool // its integers may serve a bucket difference
	depth  int  // bucket differences below it
}

// bucket is the entry that a bucket difference may be written against.
type bucket struct {
	entry int // -1 for none
	at    int // its integers in x
}

// NewCellWriter returns a writer that encodes columns with encoder, which it
// shares with the caller.
func NewCellWriter(encoder *Encoder) *CellWriter {
	return &CellWriter{
		encoder: encoder,
		slice:   make(map[Slice]int),
		equal:   make(map[uint64]int),
		starts:  make(map[string]int),
	}
}

// Reset makes w ready for the next cell.
func (w *CellWriter) Reset() {
	w.slices, w.heads, w.bodies, w.entries, w.current = w.slices[:0], w.heads[:0], w.bodies[:0], 0, 0
	w.written, w.kept, w.below, w.x = w.written[:0], w.kept[:0], w.below[:0], w.x[:0]
	clear(w.slice)
	clear(w.equal)
	clear(w.starts)
}

// Len returns the number of entries.
func (w *CellWriter) Len() int { return w.entries }

// Size returns about how many bytes AppendTo will append.
func (w *CellWriter) Size() int { return len(w.heads) + len(w.bodies) + 8*len(w.slices) + 16 }

// Add adds an entry. Series ascend; several entries of one series follow one
// another in the order of their samples.
func (w *CellWriter) Add(entry Entry) error {
	n := len(entry.Values)
	switch {
	case w.entries == EntriesMax:
		return ErrFull
	case w.entries > 0 && entry.Series < w.series:
		return ErrOrder
	case n < 1 || n > SamplesMax || n != int(entry.Times.Length):
		return ErrLength
	case len(entry.Starts) > 0 && (len(entry.Starts) != n || len(entry.Timestamps) != n):
		return ErrLength
	}
	slice := w.sliceNumber(entry.Times)
	tag := w.step(entry.Series, slice)
	before := len(w.bodies)
	if anyStart(entry.Starts) {
		w.heads[tag] |= tagStarts
		w.appendStarts(&entry)
	}
	w.appendValues(&entry, slice)
	w.heads = binary.AppendUvarint(w.heads, uint64(len(w.bodies)-before))
	w.series, w.current = entry.Series, slice
	w.entries++
	return nil
}

func (w *CellWriter) sliceNumber(s Slice) int {
	if w.entries > 0 && w.slices[w.current] == s {
		return w.current
	}
	k, ok := w.slice[s]
	if !ok {
		k = len(w.slices)
		w.slices = append(w.slices, s)
		w.slice[s] = k
		w.below = append(w.below, bucket{entry: -1})
	}
	return k
}

// step appends the tag of an entry, whose place it returns, with its step and
// slice.
func (w *CellWriter) step(series uint32, slice int) (tag int) {
	tag = len(w.heads)
	w.heads = append(w.heads, 0)
	if w.entries == 0 {
		w.first, w.series = series, series
	}
	switch step := series - w.series; step {
	case 0:
	case 1:
		w.heads[tag] |= tagNext
	default:
		w.heads[tag] |= tagOther
		w.heads = binary.AppendUvarint(w.heads, uint64(step-2))
	}
	switch slice {
	case w.current:
	case w.current + 1:
		w.heads[tag] |= tagNext << tagSlice
	default:
		w.heads[tag] |= tagOther << tagSlice
		w.heads = binary.AppendUvarint(w.heads, uint64(slice))
	}
	return tag
}

func (w *CellWriter) appendStarts(entry *Entry) {
	w.scratch = w.encoder.AppendStarts(w.scratch[:0], entry.Timestamps, entry.Starts)
	size := len(w.scratch)
	w.scratch = startsKey(w.scratch, w.scratch, len(entry.Starts))
	key, encoded := w.scratch[size:], w.scratch[:size]
	if earlier, ok := w.starts[string(key)]; ok {
		encoded = binary.AppendUvarint(append(w.scratch[:0], startsRef), uint64(w.entries-earlier))
	} else {
		w.starts[string(key)] = w.entries
	}
	w.bodies = binary.AppendUvarint(w.bodies, uint64(len(encoded)))
	w.bodies = append(w.bodies, encoded...)
}

func (w *CellWriter) appendValues(entry *Entry, slice int) {
	v := entry.Values
	hash, constant := hashValues(v)
	if constant {
		w.bodies = w.encoder.AppendValues(w.bodies, v)
		w.written = append(w.written, written{})
		return
	}
	if earlier, ok := w.equal[hash]; ok && sameColumn(w.values(earlier), v) {
		w.bodies = binary.AppendUvarint(append(w.bodies, kindRef), uint64(w.entries-earlier))
		if entry.Bucket && w.written[earlier].bucket {
			w.setBelow(slice, earlier, nil, v)
		}
		w.written = append(w.written, written{})
		return
	}
	w.equal[hash] = w.entries
	p := w.encoder.plan(v)
	depth := 0
	if entry.Bucket && p.bucket() {
		depth = w.planBucket(v, slice, &p)
	}
	at := len(w.bodies)
	w.bodies = w.encoder.appendPlanned(w.bodies, v, &p)
	if p.kind == kindBucketDiff && !w.diffDecodesTo(w.bodies[at:], v, slice) {
		p.kind = kindRaw
		w.bodies = w.encoder.appendPlanned(w.bodies[:at], v, &p)
	}
	isBucket := entry.Bucket && (p.bucket() || p.kind == kindBucketDiff)
	if isBucket {
		w.setBelow(slice, w.entries, w.encoder.x[:len(v)], v)
	}
	w.written = append(w.written, written{at: len(w.kept), n: len(v), bucket: isBucket, depth: depth})
	w.kept = append(w.kept, v...)
}

// bucket reports whether the integers of p can serve a bucket difference.
func (p *plan) bucket() bool {
	return p.kind == kindDecimal && p.scaling == scaling{} && !p.hasUlps
}

// planBucket makes p a bucket difference if that is smaller and returns how
// many bucket differences lie below it then.
func (w *CellWriter) planBucket(v []float64, slice int, p *plan) (depth int) {
	below := w.below[slice]
	if below.entry < 0 {
		return 0
	}
	depth = w.written[below.entry].depth + 1
	if depth > chainMax {
		return 0
	}
	e := w.encoder
	for i, x := range w.x[below.at : below.at+len(v)] {
		e.ordered[i] = e.x[i] - x
	}
	ints := e.planInts(e.ordered[:len(v)])
	if ints.bits+16 >= p.bits {
		return 0
	}
	p.kind, p.ints, p.bits, p.back = kindBucketDiff, ints, ints.bits+16, w.entries-below.entry
	return depth
}

// setBelow notes that entry is the last bucket of slice. x are its integers;
// nil stands for those of the values v.
func (w *CellWriter) setBelow(slice, entry int, x []int64, v []float64) {
	below := &w.below[slice]
	if below.entry < 0 {
		below.at = len(w.x)
		w.x = append(w.x, make([]int64, len(v))...)
	}
	below.entry = entry
	to := w.x[below.at : below.at+len(v)]
	if x == nil {
		w.encoder.scale(v, scaling{})
		x = w.encoder.x[:len(v)]
	}
	copy(to, x)
}

// diffDecodesTo reports whether the bucket difference src decodes to v.
func (w *CellWriter) diffDecodesTo(src []byte, v []float64, slice int) bool {
	e := w.encoder
	c := cursor{src: src}
	c.head(len(v))
	c.uvarint()
	below := w.below[slice]
	x := e.ordered[:len(v)]
	copy(x, w.x[below.at:])
	check := e.check[:len(v)]
	e.decoder.bucketDiff(&c, x, check)
	c.end()
	return c.err == nil && sameBits(check, v)
}

// AppendTo appends the cell to dst.
func (w *CellWriter) AppendTo(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, cellVersion)
	dst = binary.AppendUvarint(dst, uint64(w.entries))
	dst = binary.AppendUvarint(dst, uint64(len(w.slices)))
	for _, s := range w.slices {
		dst = binary.AppendUvarint(dst, uint64(s.Column))
		dst = binary.AppendUvarint(dst, uint64(s.Offset))
		dst = binary.AppendUvarint(dst, uint64(s.Length))
	}
	dst = binary.AppendUvarint(dst, uint64(w.first))
	dst = append(dst, w.heads...)
	dst = append(dst, w.bodies...)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[at:]))
}

func (w *CellWriter) values(entry int) []float64 {
	kept := w.written[entry]
	return w.kept[kept.at : kept.at+kept.n]
}

func sameColumn(a, b []float64) bool { return len(a) == len(b) && sameBits(a, b) }

// hashValues returns a hash of v, good enough to find equal columns by, and
// whether all values have the same bits. Every other value goes into a lane of
// its own, as a value has to wait for the one before it.
func hashValues(v []float64) (hash uint64, constant bool) {
	const prime = 0x9e3779b97f4a7c15
	first := math.Float64bits(v[0])
	even, odd := uint64(len(v)), uint64(prime)
	var differ uint64
	for ; len(v) >= 2; v = v[2:] {
		a, b := math.Float64bits(v[0]), math.Float64bits(v[1])
		differ |= a ^ first | b ^ first
		even = (bits.RotateLeft64(even, 23) ^ a) * prime
		odd = (bits.RotateLeft64(odd, 29) ^ b) * prime
	}
	if len(v) > 0 {
		a := math.Float64bits(v[0])
		differ |= a ^ first
		even = (bits.RotateLeft64(even, 23) ^ a) * prime
	}
	h := (bits.RotateLeft64(even, 31) ^ odd) * prime
	return h ^ h>>32, differ == 0
}

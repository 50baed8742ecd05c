package column

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// dictEntriesMax is the most values of a dictionary; a column has at most one
// for dictSamplesEach samples.
const (
	dictEntriesMax  = 256
	dictSamplesEach = 8
	dictSlots       = 512
)

// dictionary collects the distinct values of a column.
type dictionary struct {
	slots   [dictSlots]uint16 // index into bits, plus 1
	bits    []uint64
	counts  []int
	index   [SamplesMax]uint8  // of each sample, in order of appearance
	rank    [256]uint8         // index to index, most frequent first
	order   []uint8            // rank to index
	indices [SamplesMax]uint64 // the stream
}

// collect fills d and returns false if v has more than most distinct values.
func (d *dictionary) collect(v []float64, most int) bool {
	clear(d.slots[:])
	d.bits, d.counts = d.bits[:0], d.counts[:0]
	for i, f := range v {
		b := math.Float64bits(f)
		slot := b * 0x9e3779b97f4a7c15 >> 55
		for d.slots[slot] != 0 && d.bits[d.slots[slot]-1] != b {
			slot = (slot + 1) % dictSlots
		}
		if d.slots[slot] == 0 {
			if len(d.bits) == most {
				return false
			}
			d.bits, d.counts = append(d.bits, b), append(d.counts, 0)
			d.slots[slot] = uint16(len(d.bits))
		}
		k := d.slots[slot] - 1
		d.counts[k]++
		d.index[i] = uint8(k)
	}
	return true
}

// sort numbers the values by descending frequency.
func (d *dictionary) sort(n int) {
	d.order = d.order[:0]
	for i := range d.bits {
		d.order = append(d.order, uint8(i))
	}
	slices.SortStableFunc(d.order, func(a, b uint8) int { return cmp.Compare(d.counts[b], d.counts[a]) })
	for r, i := range d.order {
		d.rank[i] = uint8(r)
	}
	for i, k := range d.index[:n] {
		d.indices[i] = uint64(d.rank[k])
	}
}

// planDict makes p kindDict if that is smaller.
func (e *Encoder) planDict(v []float64, p *plan) {
	if !e.dict.collect(v, min(dictEntriesMax, len(v)/dictSamplesEach)) {
		return
	}
	e.dict.sort(len(v))
	var h lengths
	for _, index := range e.dict.indices[:len(v)] {
		h.add(index)
	}
	if bits := 64*len(e.dict.bits) + 16 + e.estimate(&h, len(v)); bits < p.bits {
		p.kind, p.bits = kindDict, bits
	}
}

func (e *Encoder) appendDict(dst []byte, n int) []byte {
	dst = append(dst, byte(len(e.dict.order)-1))
	for _, i := range e.dict.order {
		dst = binary.LittleEndian.AppendUint64(dst, e.dict.bits[i])
	}
	return e.appendNested(dst, e.dict.indices[:n])
}

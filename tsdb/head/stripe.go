package head

import (
	"sync"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
)

// stripe is the state of index.PageRefs neighbouring series under one lock.
type stripe struct {
	mu     sync.Mutex
	open   [index.PageRefs]openChunk
	extra  map[uint16]*extra
	unused uint32 // units taken from the epoch's and not used yet: [unused, end)
	end    uint32
}

// openChunk is the pointer-free state of a series's chunk of in-order floats.
type openChunk struct {
	state   chunks.FloatState
	minTime int64
	first   uint32 // page
	tail    uint32 // page
	count   uint32
	used    uint16 // bytes of data in the tail
	number  uint8  // of the tail, see pageUnits
}

// extra holds a series's other samples, in order of arrival.
type extra struct {
	samples []chunks.Sample
	// sorted is the number of leading samples that are joined already; the
	// rest came since.
	sorted    int
	exemplars []Exemplar
}

// overlaps reports whether the chunk has samples that may lie in [mint, maxt].
func (c *openChunk) overlaps(mint, maxt int64) bool {
	return c.count > 0 && c.minTime <= maxt && c.state.Time >= mint
}

// append adds a float to the open chunk of the series at position i. The caller
// holds mu and has seen that timestamp is above the chunk's last one.
func (s *stripe) append(p *pages, i uint32, timestamp int64, bits uint64) {
	c := &s.open[i]
	before := c.state
	var buffer [chunks.FloatBytesMax]byte
	sample := chunks.AppendFloat(buffer[:0], &c.state, c.count == 0, timestamp, bits)
	if c.count > 0 {
		shape := &pageShapes[c.number]
		if at := shape.header + int(c.used); at+len(sample) <= shape.size {
			copy(p.from(c.tail)[at:], sample)
			c.used += uint16(len(sample))
			c.count++
			return
		}
	}
	s.begin(p, c, before)
	copy(p.from(c.tail)[pageShapes[c.number].header:], sample)
	if c.count == 0 {
		c.minTime = timestamp
	}
	c.used = uint16(len(sample))
	c.count++
}

// begin gives a chunk its first or its next page; state is the encoder's.
func (s *stripe) begin(p *pages, c *openChunk, state chunks.FloatState) {
	number := uint8(0)
	if c.count > 0 {
		number = following(c.number)
	}
	id := s.take(p, pageUnits[number])
	page := p.from(id)
	setPageNext(page, 0)
	if isIndexed(number) {
		x := pageIndex{before: c.count, state: state}
		if isIndexed(c.number) {
			x.previous = c.tail
		}
		setPageIndex(page, x)
	}
	if c.count == 0 {
		c.first = id
	} else {
		tail := p.from(c.tail)
		setPageNext(tail, id)
		setPageUsed(tail, c.used)
	}
	c.tail, c.number = id, number
}

// take returns the first of neighbouring units.
func (s *stripe) take(p *pages, units uint32) uint32 {
	if s.unused+units > s.end {
		if units > 1 { // what is left of the run will do for small pages
			return p.take(units)
		}
		s.unused = p.take(runUnits)
		s.end = s.unused + runUnits
	}
	s.unused += units
	return s.unused - units
}

// extraOf returns the extra samples of the series at position i.
func (s *stripe) extraOf(i uint32) *extra {
	e := s.extra[uint16(i)]
	if e == nil {
		if s.extra == nil {
			s.extra = map[uint16]*extra{}
		}
		e = &extra{}
		s.extra[uint16(i)] = e
	}
	return e
}

// joined sorts and joins what came since the last call.
func (x *extra) joined(e *Epoch) []chunks.Sample {
	if x.sorted < len(x.samples) {
		var conflicts int
		x.samples, conflicts = chunks.SortAndJoin(x.samples)
		x.sorted = len(x.samples)
		e.conflicts.Add(int64(conflicts))
	}
	return x.samples
}

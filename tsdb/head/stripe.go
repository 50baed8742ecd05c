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
	unused uint32 // pages taken from the epoch's and not used yet: [unused, end)
	end    uint32
}

// openChunk is the pointer-free state of a series's chunk of in-order floats.
type openChunk struct {
	state   chunks.FloatState
	minTime int64
	first   uint32 // page
	tail    uint32 // page
	count   uint32
}

// extra holds a series's other samples, in order of arrival.
type extra struct {
	samples []chunks.Sample
	// sorted is the number of leading samples that are joined already; the
	// rest came since.
	sorted    int
	exemplars []Exemplar
}

// append adds a float to the open chunk of the series at position i. The caller
// holds mu and has seen that timestamp is above the chunk's last one.
func (s *stripe) append(p *pages, i uint32, timestamp int64, bits uint64) {
	c := &s.open[i]
	var buffer [chunks.FloatBytesMax]byte
	first := c.count == 0
	if first {
		c.minTime = timestamp
	}
	sample := chunks.AppendFloat(buffer[:0], &c.state, first, timestamp, bits)
	c.count++
	if !first {
		page := p.page(c.tail)
		if used := page[4]; int(used)+len(sample) <= pageData {
			copy(page[5+used:], sample)
			page[4] = used + uint8(len(sample))
			return
		}
	}
	if s.unused == s.end {
		s.unused = p.run()
		s.end = s.unused + runPages
	}
	id := s.unused
	s.unused++
	page := p.page(id)
	setPageNext(page, 0)
	page[4] = uint8(len(sample))
	copy(page[5:], sample)
	if first {
		c.first = id
	} else {
		setPageNext(p.page(c.tail), id)
	}
	c.tail = id
}

// chunk copies the open chunk of the series at position i behind dst.
func (s *stripe) chunk(p *pages, i uint32, dst []byte) (chunks.Chunk, []byte) {
	c := &s.open[i]
	start := len(dst)
	for id := c.first; id != 0; {
		page := p.page(id)
		dst = append(dst, page[5:5+page[4]]...)
		id = pageNext(page)
	}
	return chunks.Chunk{
		Encoding: chunks.EncFloat, Count: int(c.count),
		MinTime: c.minTime, MaxTime: c.state.Time, Data: dst[start:len(dst):len(dst)],
	}, dst
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

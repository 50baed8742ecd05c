package head

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// Open chunks live in pages of 64 bytes outside the Go heap, so that millions
// of them cost the garbage collector nothing. A page is
//
//	next  u32  the chunk's next page, 0 at its end
//	used  u8   bytes of data
//	data  59 B whole samples; none straddles two pages
const (
	pageBytes = 64
	pageData  = pageBytes - 5
	slabPages = 1 << 14 // pages of one mapping
	runPages  = 32      // pages that a stripe takes at a time
	slabBytes = slabPages * pageBytes
)

// Slabs recycles the mappings that epochs use. The zero value works.
type Slabs struct {
	mu   sync.Mutex
	free [][]byte
}

// Close gives the recycled mappings back to the system.
func (s *Slabs) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slab := range s.free {
		unmapSlab(slab)
	}
	s.free = nil
}

func (s *Slabs) get() []byte {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		slab := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		return slab
	}
	s.mu.Unlock()
	return mapSlab(slabBytes)
}

// keep bounds how much unused memory is held for the next epochs.
const slabsKept = 64

func (s *Slabs) put(slab []byte) {
	s.mu.Lock()
	keep := len(s.free) < slabsKept
	if keep {
		s.free = append(s.free, slab)
	}
	s.mu.Unlock()
	if !keep {
		unmapSlab(slab)
	}
}

// pages hands out the pages of one epoch.
type pages struct {
	source *Slabs
	mu     sync.Mutex
	slabs  atomic.Pointer[[][]byte]
	used   uint32 // pages handed out
}

// page returns the bytes of page id.
func (p *pages) page(id uint32) []byte {
	slab := (*p.slabs.Load())[id/slabPages]
	at := id % slabPages * pageBytes
	return slab[at : at+pageBytes : at+pageBytes]
}

// from returns the bytes of a slab from page id on. Those behind the page may be
// loaded but not looked at: they are others'.
func (p *pages) from(id uint32) []byte {
	return (*p.slabs.Load())[id/slabPages][id%slabPages*pageBytes:]
}

// run hands out runPages neighbouring pages and returns the first one's id.
// Id 0 is never handed out.
func (p *pages) run() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == 0 {
		p.used = runPages
	}
	first := p.used
	var slabs [][]byte
	if loaded := p.slabs.Load(); loaded != nil {
		slabs = *loaded
	}
	if int(first/slabPages) >= len(slabs) {
		// Readers go on with the old slice, which has all that they can name.
		slabs = append(slabs[:len(slabs):len(slabs)], p.source.get())
		p.slabs.Store(&slabs)
	}
	p.used += runPages
	return first
}

// release gives all pages back.
func (p *pages) release() {
	if slabs := p.slabs.Swap(nil); slabs != nil {
		for _, slab := range *slabs {
			p.source.put(slab)
		}
	}
}

// bytes returns the memory mapped for the pages.
func (p *pages) bytes() int64 {
	if slabs := p.slabs.Load(); slabs != nil {
		return int64(len(*slabs)) * slabBytes
	}
	return 0
}

func pageNext(page []byte) uint32       { return binary.LittleEndian.Uint32(page) }
func setPageNext(page []byte, n uint32) { binary.LittleEndian.PutUint32(page, n) }

package head

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/varve-db/varve/chunks"
)

// Open chunks live in pages outside the Go heap, so that millions of them cost
// the garbage collector nothing. A chunk begins with pages of 64 bytes, of which a
// short one wastes little, and goes on with larger ones: a walk misses the
// processor's caches at every page, but not within one. A page is
//
//	next    u32  the chunk's next page, 0 at its end
//	used    u16  bytes of data, set when the next page begins
//
// and from the size of indexedUnits on, so that a reader may begin there,
//
//	before  u32  samples in the pages before
//	previous u32 the chunk's page before this, if that is of this form too; else 0
//	state   24 B the encoder's before the page's first sample: time, delta, bits
//
// and then the data: whole samples, of which none straddles two pages.
const (
	unitBytes    = 64 // pages are numbered and handed out in units of so many bytes
	plainHeader  = 6
	indexHeader  = plainHeader + 8 + 24
	indexedUnits = 8
	slabUnits    = 1 << 15 // units of one mapping, which is as large as a large page of the system
	slabBytes    = slabUnits * unitBytes
	runUnits     = 32 // units that a stripe takes at a time
)

// pageUnits are the sizes of a chunk's pages in order. All that follow are as
// large as the last.
var pageUnits = [...]uint32{1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16}

// pageShape is how a page is laid out.
type pageShape struct{ header, size int }

// shapeOf returns the shape of page number n of a chunk.
func shapeOf(n uint8) pageShape {
	units := pageUnits[n]
	if units < indexedUnits {
		return pageShape{plainHeader, int(units) * unitBytes}
	}
	return pageShape{indexHeader, int(units) * unitBytes}
}

// pageShapes has shapeOf for every page number.
var pageShapes = func() (shapes [len(pageUnits)]pageShape) {
	for n := range shapes {
		shapes[n] = shapeOf(uint8(n))
	}
	return shapes
}()

// following returns the number of the page after page number n. Numbers stand
// still at the last size.
func following(n uint8) uint8 { return min(n+1, uint8(len(pageUnits)-1)) }

// isIndexed reports whether page number n has a state to begin with.
func isIndexed(n uint8) bool { return pageShapes[n].header == indexHeader }

func pageNext(page []byte) uint32       { return binary.LittleEndian.Uint32(page) }
func setPageNext(page []byte, n uint32) { binary.LittleEndian.PutUint32(page, n) }
func pageUsed(page []byte) int          { return int(binary.LittleEndian.Uint16(page[4:])) }
func setPageUsed(page []byte, n uint16) { binary.LittleEndian.PutUint16(page[4:], n) }

// pageIndex is what an indexed page says besides.
type pageIndex struct {
	before, previous uint32
	state            chunks.FloatState
}

func setPageIndex(page []byte, x pageIndex) {
	page = page[plainHeader:indexHeader]
	binary.LittleEndian.PutUint32(page, x.before)
	binary.LittleEndian.PutUint32(page[4:], x.previous)
	binary.LittleEndian.PutUint64(page[8:], uint64(x.state.Time))
	binary.LittleEndian.PutUint64(page[16:], uint64(x.state.Delta))
	binary.LittleEndian.PutUint64(page[24:], x.state.Bits)
}

func pageIndexOf(page []byte) pageIndex {
	page = page[plainHeader:indexHeader]
	return pageIndex{
		before: binary.LittleEndian.Uint32(page), previous: binary.LittleEndian.Uint32(page[4:]),
		state: chunks.FloatState{
			Time: int64(binary.LittleEndian.Uint64(page[8:])), Delta: int64(binary.LittleEndian.Uint64(page[16:])),
			Bits: binary.LittleEndian.Uint64(page[24:]),
		},
	}
}

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

// slabsKept bounds how much unused memory is held for the next epochs.
const slabsKept = 32

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
	used   uint32 // units handed out
}

// from returns the bytes of a slab from page id on. Those behind the page are
// others'.
func (p *pages) from(id uint32) []byte {
	return (*p.slabs.Load())[id/slabUnits][id%slabUnits*unitBytes:]
}

// take hands out neighbouring units, of which a slab has a multiple, and returns
// the first one's id. Id 0 is never handed out.
func (p *pages) take(units uint32) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == 0 {
		p.used = runUnits
	}
	if left := slabUnits - p.used%slabUnits; left < units {
		p.used += left
	}
	first := p.used
	if loaded := p.slabs.Load(); loaded == nil || int(first/slabUnits) >= len(*loaded) {
		p.growLocked(loaded)
	}
	p.used += units
	return first
}

// growLocked adds a slab. Readers go on with the old slice, which has all that they
// can name.
func (p *pages) growLocked(loaded *[][]byte) {
	var slabs [][]byte
	if loaded != nil {
		slabs = *loaded
	}
	slabs = append(slabs[:len(slabs):len(slabs)], p.source.get())
	p.slabs.Store(&slabs)
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

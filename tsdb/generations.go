package tsdb

import (
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/tsdb/block"
)

// openGenerationsMax bounds the generations that later flushes may add to; each
// takes four bytes a series. Beyond it the one used longest ago is closed, and
// later data for its window begins another.
const openGenerationsMax = 8

// openGenerations are the generations to which the flusher may still add.
type openGenerations struct {
	next uint32 // number of the next generation
	list []*openGeneration
}

// openGeneration is a generation with the ordinals of its series.
type openGeneration struct {
	block.Generation
	partition partition
	ordinals  map[int]*[index.PageRefs]uint32 // by ref; ordinal plus 1, 0 is none
	used      uint32                          // ordinals given out
}

// get returns the open generation of p, beginning one if there is none, and
// makes it the one used last.
func (o *openGenerations) get(p partition) *openGeneration {
	for i, g := range o.list {
		if g.partition == p {
			o.list = append(append(o.list[:i:i], o.list[i+1:]...), g)
			return g
		}
	}
	g := &openGeneration{
		partition:  p,
		Generation: block.Generation{ID: block.ID{Tenant: p.tenant, Resolution: block.Raw, Start: p.start, Generation: o.next}},
		ordinals:   map[int]*[index.PageRefs]uint32{},
	}
	o.next++
	o.list = append(o.list, g)
	return g
}

// trim closes generations beyond the limit.
func (o *openGenerations) trim() {
	if n := len(o.list) - openGenerationsMax; n > 0 {
		o.list = append(o.list[:0:0], o.list[n:]...)
	}
}

// close forgets the open generations for which gone returns true.
func (o *openGenerations) close(gone func(*openGeneration) bool) {
	kept := o.list[:0:0]
	for _, g := range o.list {
		if !gone(g) {
			kept = append(kept, g)
		}
	}
	o.list = kept
}

// forget drops the ordinals of references that will be handed out again.
func (o *openGenerations) forget(refs []index.Ref) {
	for _, g := range o.list {
		for _, ref := range refs {
			if page := g.ordinals[int(ref/index.PageRefs)]; page != nil {
				page[ref%index.PageRefs] = 0
			}
		}
	}
}

// ordinal returns the ordinal of ref, if it has one.
func (g *openGeneration) ordinal(ref index.Ref) (uint32, bool) {
	page := g.ordinals[int(ref/index.PageRefs)]
	if page == nil || page[ref%index.PageRefs] == 0 {
		return 0, false
	}
	return page[ref%index.PageRefs] - 1, true
}

// assign gives ref the next ordinal.
func (g *openGeneration) assign(ref index.Ref) uint32 {
	number := int(ref / index.PageRefs)
	page := g.ordinals[number]
	if page == nil {
		page = new([index.PageRefs]uint32)
		g.ordinals[number] = page
	}
	g.used++
	page[ref%index.PageRefs] = g.used
	return g.used - 1
}

// nextFlush returns the number of the generation's next flush.
func (g *openGeneration) nextFlush() uint32 {
	if n := len(g.Flushes); n > 0 {
		return g.Flushes[n-1].Flush + 1
	}
	return 0
}

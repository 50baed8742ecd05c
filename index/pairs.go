package index

import (
	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/series"
)

// pairID numbers a distinct (label name, value).
type pairID uint32

// pairTable holds the distinct label pairs, each with its postings.
type pairTable struct {
	seed    uint64
	entries []pairEntry
	free    []pairID
	slots   []pairID // open addressing; id+1, 0 is free
	live    int
	bytes   byteArena
	lists   [][]Ref // postings of pairs that more than one series has
	spare   []uint32
	names   map[string]*labelName
}

// pairEntry is pointer-free. Its bytes are the encoded name and value, as they
// stand in an encoded label set, so that comparing is one memory comparison.
type pairEntry struct {
	at       uint64
	length   uint32
	hash     uint32
	first    Ref    // the only series, if list is 0
	list     uint32 // index into lists plus 1
	position uint32 // in its name's pairs
	dirty    bool   // some of its series are dead
}

// labelName is a label name with the pairs that have it.
type labelName struct {
	name  string
	pairs []pairID
}

func (p *pairTable) init(seed uint64) {
	p.seed = seed
	p.slots = make([]pairID, 1024)
	p.names = map[string]*labelName{}
}

func (p *pairTable) segment(id pairID) []byte {
	e := &p.entries[id]
	return p.bytes.get(e.at, int(e.length))
}

// value returns the label value of id.
func (p *pairTable) value(id pairID) []byte {
	_, value, _, _ := series.Labels(p.segment(id)).CutPair()
	return value
}

// find returns the pair with the encoded bytes segment.
func (p *pairTable) find(segment []byte) (pairID, bool) {
	hash := uint32(xxh3.HashSeed(segment, p.seed))
	mask := uint32(len(p.slots) - 1)
	for i := hash & mask; p.slots[i] != 0; i = (i + 1) & mask {
		id := p.slots[i] - 1
		if e := &p.entries[id]; e.hash == hash && string(p.bytes.get(e.at, int(e.length))) == string(segment) {
			return id, true
		}
	}
	return 0, false
}

// intern returns the pair with the encoded bytes segment, whose label is name.
func (p *pairTable) intern(name, segment []byte) pairID {
	if id, ok := p.find(segment); ok {
		return id
	}
	if (p.live+1)*4 > len(p.slots)*3 {
		p.grow()
	}
	var id pairID
	if n := len(p.free); n > 0 {
		id, p.free = p.free[n-1], p.free[:n-1]
	} else {
		id = pairID(len(p.entries))
		p.entries = append(p.entries, pairEntry{})
	}
	owner := p.names[string(name)]
	if owner == nil {
		owner = &labelName{name: string(name)}
		p.names[owner.name] = owner
	}
	p.entries[id] = pairEntry{
		at: p.bytes.put(segment), length: uint32(len(segment)),
		hash:     uint32(xxh3.HashSeed(segment, p.seed)),
		position: uint32(len(owner.pairs)),
	}
	owner.pairs = append(owner.pairs, id)
	p.live++
	p.place(p.slots, id)
	return id
}

func (p *pairTable) place(slots []pairID, id pairID) {
	mask := uint32(len(slots) - 1)
	i := p.entries[id].hash & mask
	for slots[i] != 0 {
		i = (i + 1) & mask
	}
	slots[i] = id + 1
}

func (p *pairTable) grow() {
	grown := make([]pairID, 2*len(p.slots))
	for _, s := range p.slots {
		if s != 0 {
			p.place(grown, s-1)
		}
	}
	p.slots = grown
}

// post adds ref to the postings of id.
func (p *pairTable) post(id pairID, ref Ref) {
	e := &p.entries[id]
	switch {
	case e.list != 0:
		p.lists[e.list-1] = append(p.lists[e.list-1], ref)
	case e.first == 0:
		e.first = ref
	default:
		list := append(make([]Ref, 0, 4), e.first, ref)
		if n := len(p.spare); n > 0 {
			e.list, p.spare = p.spare[n-1]+1, p.spare[:n-1]
			p.lists[e.list-1] = list
		} else {
			p.lists = append(p.lists, list)
			e.list = uint32(len(p.lists))
		}
	}
}

// postings returns the series that have id, in no order; dead ones may be
// among them. The result is valid while the table's lock is held.
func (p *pairTable) postings(id pairID, one *[1]Ref) []Ref {
	e := &p.entries[id]
	switch {
	case e.list != 0:
		return p.lists[e.list-1]
	case e.first != 0:
		one[0] = e.first
		return one[:]
	default:
		return nil
	}
}

func (p *pairTable) postingsLen(id pairID) int {
	var one [1]Ref
	return len(p.postings(id, &one))
}

// filter drops from the postings of id the refs for which dead is true, and the
// pair itself when none is left.
func (p *pairTable) filter(id pairID, dead func(Ref) bool) {
	e := &p.entries[id]
	e.dirty = false
	if e.list == 0 {
		if dead(e.first) {
			p.remove(id)
		}
		return
	}
	list := p.lists[e.list-1]
	kept := list[:0]
	for _, ref := range list {
		if !dead(ref) {
			kept = append(kept, ref)
		}
	}
	switch {
	case len(kept) == 0:
		p.remove(id)
	case cap(kept) > 64 && len(kept) < cap(kept)/4:
		p.lists[e.list-1] = append(make([]Ref, 0, len(kept)), kept...)
	default:
		p.lists[e.list-1] = kept
	}
}

// remove forgets a pair that no series has.
func (p *pairTable) remove(id pairID) {
	e := &p.entries[id]
	name, _, _, _ := series.Labels(p.segment(id)).CutPair()
	owner := p.names[string(name)]
	moved := owner.pairs[len(owner.pairs)-1]
	owner.pairs[e.position] = moved
	p.entries[moved].position = e.position
	owner.pairs = owner.pairs[:len(owner.pairs)-1]
	if len(owner.pairs) == 0 {
		delete(p.names, owner.name)
	}
	p.removeSlot(id)
	p.bytes.release(e.at, int(e.length))
	if e.list != 0 {
		p.lists[e.list-1] = nil
		p.spare = append(p.spare, e.list-1)
	}
	*e = pairEntry{}
	p.free = append(p.free, id)
	p.live--
}

func (p *pairTable) removeSlot(id pairID) {
	mask := uint32(len(p.slots) - 1)
	i := p.entries[id].hash & mask
	for p.slots[i] != id+1 {
		i = (i + 1) & mask
	}
	for j := i; ; {
		p.slots[i] = 0
		for {
			j = (j + 1) & mask
			if p.slots[j] == 0 {
				return
			}
			home := p.entries[p.slots[j]-1].hash & mask
			if (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		p.slots[i] = p.slots[j]
		i = j
	}
}

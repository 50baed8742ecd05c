package index

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/varve-db/varve/series"
)

// sortKey is a series with the ranks of its first labels, packed so that
// comparing two numbers decides nearly every comparison.
type sortKey struct {
	high, low uint64
	ref       Ref
}

// SortByLabels sorts refs by the order of their label sets. The distinct labels
// are ranked first; then a label set is a sequence of ranks.
func (t *Table) SortByLabels(refs []Ref) {
	if len(refs) < 2 {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	ranks, width := t.rank(refs)
	perWord := 64 / width
	keys := make([]sortKey, len(refs))
	for i, ref := range refs {
		e := t.entry(ref)
		ids := t.lists.get(e.labels, int(e.count))
		keys[i] = sortKey{pack(ids, ranks, width, perWord), pack(ids[min(perWord, len(ids)):], ranks, width, perWord), ref}
	}
	slices.SortFunc(keys, func(a, b sortKey) int {
		if c := cmp.Compare(a.high, b.high); c != 0 {
			return c
		}
		if c := cmp.Compare(a.low, b.low); c != 0 {
			return c
		}
		return t.compareRest(a.ref, b.ref, 2*perWord, ranks)
	})
	for i, k := range keys {
		refs[i] = k.ref
	}
}

// rank numbers the labels of refs from 1 in their order, and returns how many
// bits a rank takes. Labels of other series have rank 0.
func (t *Table) rank(refs []Ref) (ranks []uint32, width int) {
	ranks = make([]uint32, len(t.pairs.entries))
	var used []pairID
	for _, ref := range refs {
		e := t.entry(ref)
		for _, id := range t.lists.get(e.labels, int(e.count)) {
			if ranks[id] == 0 {
				ranks[id] = 1
				used = append(used, id)
			}
		}
	}
	slices.SortFunc(used, func(a, b pairID) int {
		return series.Compare(series.Labels(t.pairs.segment(a)), series.Labels(t.pairs.segment(b)))
	})
	for i, id := range used {
		ranks[id] = uint32(i + 1)
	}
	return ranks, bits.Len(uint(len(used)))
}

// pack packs the ranks of the first labels into a number that sorts as they do;
// absent labels, of rank 0, come first.
func pack(ids []pairID, ranks []uint32, width, perWord int) (key uint64) {
	for i := range perWord {
		key <<= width
		if i < len(ids) {
			key |= uint64(ranks[ids[i]])
		}
	}
	return key
}

// compareRest compares the labels from the from-th on.
func (t *Table) compareRest(a, b Ref, from int, ranks []uint32) int {
	ea, eb := t.entry(a), t.entry(b)
	la, lb := t.lists.get(ea.labels, int(ea.count)), t.lists.get(eb.labels, int(eb.count))
	for i := from; i < len(la) && i < len(lb); i++ {
		if la[i] != lb[i] {
			return cmp.Compare(ranks[la[i]], ranks[lb[i]])
		}
	}
	return cmp.Compare(len(la), len(lb))
}

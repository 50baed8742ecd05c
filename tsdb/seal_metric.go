package tsdb

import (
	"cmp"
	"slices"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// sealMetric holds the label sets of one metric, or of a few small ones, in all
// inputs, as numbers of label pairs: the series of a fleet repeat their pairs, and
// one metric may have most of the series there are. A set takes four bytes a label
// and 24 more, however many inputs have it that often.
type sealMetric struct {
	pairs  []string // encoded, by number; by rank once sorted
	number map[string]uint32
	ids    []uint32 // of all members, one after the other; of a set the name comes first
	all    []sealMember
	bounds uint32 // ranks below, but that of the absent name, are of label le
}

// sealMember is a series of one input.
type sealMember struct {
	at      int // its pairs in ids
	pairs   uint32
	input   uint32
	ordinal uint32
}

// reset empties m and makes room for n series. It keeps its memory, as most
// metrics of a fleet are as large as others.
func (m *sealMetric) reset(n int) {
	if m.number == nil {
		m.number = map[string]uint32{}
	}
	clear(m.number)
	clear(m.pairs)
	m.pairs, m.ids, m.all = m.pairs[:0], m.ids[:0], slices.Grow(m.all[:0], n)
	m.bounds = 0
}

// add adds a series of an input; inputs come one after the other.
func (m *sealMetric) add(input int, ordinal uint32, ls series.Labels) {
	at := len(m.ids)
	var previous []uint32
	if n := len(m.all); n > 0 {
		previous = m.ids[m.all[n-1].at:]
	}
	m.ids = append(m.ids, 0) // for the name
	var metric series.Labels
	for i := 1; len(ls) > 0; i++ {
		name, _, rest, ok := ls.CutPair()
		if !ok {
			break // Reader.Labels has checked the set
		}
		pair := ls[:len(ls)-len(rest)]
		ls = rest
		if string(name) == series.MetricName {
			metric = pair
			i--
			continue
		}
		// Neighbours have most of their pairs in common.
		if i < len(previous) && m.pairs[previous[i]] == string(pair) {
			m.ids = append(m.ids, previous[i])
		} else {
			m.ids = append(m.ids, m.numberOf(pair))
		}
	}
	if len(previous) > 0 && m.pairs[previous[0]] == string(metric) {
		m.ids[at] = previous[0]
	} else {
		m.ids[at] = m.numberOf(metric)
	}
	m.all = append(m.all, sealMember{at: at, pairs: uint32(len(m.ids) - at), input: uint32(input), ordinal: ordinal})
}

func (m *sealMetric) numberOf(pair series.Labels) uint32 {
	n, known := m.number[string(pair)]
	if !known {
		n = uint32(len(m.pairs))
		text := string(pair)
		m.pairs = append(m.pairs, text)
		m.number[text] = n
	}
	return n
}

// sort puts the members into the order of block.CompareSealed, members with
// equal sets in the order of the inputs. Pairs are ranked first, le below all
// others and moved to the end of each set, so that sets compare as their ranks do.
func (m *sealMetric) sort() {
	order := make([]uint32, len(m.pairs))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return block.CompareSealed(series.Labels(m.pairs[a]), series.Labels(m.pairs[b]))
	})
	ranks := make([]uint32, len(order))
	sorted := make([]string, len(order))
	for rank, id := range order {
		ranks[id], sorted[rank] = uint32(rank), m.pairs[id]
		if name, _, _, _ := series.Labels(m.pairs[id]).CutPair(); string(name) == labelBound {
			m.bounds = uint32(rank) + 1
		}
	}
	m.pairs = sorted
	for i := range m.all {
		set := m.set(&m.all[i])
		for j, id := range set {
			set[j] = ranks[id]
		}
		others := set[1:]
		for j, rank := range others {
			if rank < m.bounds {
				copy(others[j:], others[j+1:])
				others[len(others)-1] = rank
				break
			}
		}
	}
	slices.SortFunc(m.all, func(a, b sealMember) int {
		return cmp.Or(slices.Compare(m.set(&a), m.set(&b)), cmp.Compare(a.input, b.input))
	})
}

// labelBound is the label that tells the buckets of a histogram apart.
const labelBound = "le"

func (m *sealMetric) set(s *sealMember) []uint32 { return m.ids[s.at : s.at+int(s.pairs)] }

// same returns how many members from the first of list on have its label set.
func (m *sealMetric) same(list []sealMember) int {
	n := 1
	for n < len(list) && slices.Equal(m.set(&list[0]), m.set(&list[n])) {
		n++
	}
	return n
}

// appendLabels appends the encoded label set of a sorted member to dst.
func (m *sealMetric) appendLabels(dst []byte, s *sealMember) series.Labels {
	set := m.set(s)
	// The two pairs that are not in their places, in order of name.
	moved := [2]string{m.pairs[set[0]], ""}
	set = set[1:]
	if n := len(set); n > 0 && set[n-1] < m.bounds {
		moved[1] = m.pairs[set[n-1]]
		set = set[:n-1]
	}
	names := [2]string{series.MetricName, labelBound}
	next := 0
	for _, rank := range set {
		pair := m.pairs[rank]
		name, _, _, _ := series.Labels(pair).CutPair()
		for next < len(moved) && names[next] < string(name) {
			dst = append(dst, moved[next]...)
			next++
		}
		dst = append(dst, pair...)
	}
	for ; next < len(moved); next++ {
		dst = append(dst, moved[next]...)
	}
	return dst
}

package index

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// Census says what to count.
type Census struct {
	Tenant   series.TenantID
	Matchers []*labels.Matcher
	// Names are the labels whose values make the groups.
	Names []string
	// Present sets present[i] if refs[i] counts; refs ascend mostly. It is called
	// by each worker for its part, while the table is locked for reading.
	Present func(worker int, refs []Ref, present []bool) error
	// Run calls work with 0, 1, 2 and so on, on so many goroutines as it likes, at
	// most parts, and returns when all have ended.
	Run func(parts int, work func(worker int)) error
}

// CensusGroup is the series with equal values of a census's labels.
type CensusGroup struct {
	Labels series.Labels // those of the census that the series have
	First  series.Labels // of the first series in label order; nil without names
	Count  int64
}

// Census counts the live series that satisfy the matchers and are present, by the
// values of labels. The groups come in no order. No label set is put together but
// those of the result.
func (t *Table) Census(c Census) ([]CensusGroup, error) {
	prepared := Prepare(c.Matchers)
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := &counting{Census: c, table: t}
	base := -1
	for _, m := range prepared {
		condition, possible := t.evaluate(m)
		if !possible {
			return nil, nil
		}
		n.conditions = append(n.conditions, condition)
		if !condition.exclude && (base < 0 || condition.total < n.conditions[base].total) {
			base = len(n.conditions) - 1
		}
	}
	n.number()
	n.choose(base)
	if err := c.Run(n.parts, n.work); err != nil {
		return nil, err
	}
	if n.err != nil {
		return nil, n.err
	}
	return n.groups(), nil
}

// counting is a census being taken.
type counting struct {
	Census
	table      *Table
	conditions []condition
	base       int   // the condition that refs satisfy, -1 if there are none
	refs       []Ref // candidates, ascending; nil: all
	parts      int   // of PageRefs candidates
	pairs      []pairNote
	values     []pairID // by pairNote.value; 0 is none

	next    atomic.Int64 // part to take
	mu      sync.Mutex
	err     error
	tallies []*tally
}

// pairNote is what a census has to know of a label.
type pairNote struct {
	value uint32 // number among the values of the wanted names, 0 if it is none
	rank  uint32 // of a metric name among metric names, 0 if it is none
}

// rankedMax is up to how many metric names are ranked.
const rankedMax = 1 << 16

// number numbers the values of the wanted names, and the metric names in order.
func (n *counting) number() {
	if len(n.Names) == 0 {
		return
	}
	t := n.table
	n.pairs, n.values = make([]pairNote, len(t.pairs.entries)), make([]pairID, 1)
	for i, name := range n.Names {
		if owner := t.pairs.names[name]; owner != nil && !slices.Contains(n.Names[:i], name) {
			for _, id := range owner.pairs {
				n.pairs[id].value = uint32(len(n.values))
				n.values = append(n.values, id)
			}
		}
	}
	owner := t.pairs.names[series.MetricName]
	if owner == nil || len(owner.pairs) > rankedMax {
		return
	}
	ids := slices.Clone(owner.pairs)
	slices.SortFunc(ids, func(a, b pairID) int { return series.Compare(t.pairs.segment(a), t.pairs.segment(b)) })
	for i, id := range ids {
		n.pairs[id].rank = uint32(i + 1)
	}
}

// choose finds the candidates. Walking through all series in their order is much
// faster for each than jumping to those in postings.
func (n *counting) choose(base int) {
	t := n.table
	const faster = 8
	if n.base = -1; base < 0 || n.conditions[base].total >= int(t.top)/faster {
		n.parts = len(t.pages)
		return
	}
	n.base = base
	n.refs = make([]Ref, 0, n.conditions[base].total)
	var one [1]Ref
	for _, id := range n.conditions[base].ids {
		n.refs = append(n.refs, t.pairs.postings(id, &one)...)
	}
	slices.Sort(n.refs)
	n.parts = (len(n.refs) + PageRefs - 1) / PageRefs
}

// work takes parts until there are no more.
func (n *counting) work(worker int) {
	y := &tally{counting: n, worker: worker, root: make([]uint32, len(n.values)), nodes: make([]groupNode, 1)}
	for {
		part := int(n.next.Add(1)) - 1
		if part >= n.parts {
			break
		}
		if err := y.take(part); err != nil {
			n.next.Store(int64(n.parts))
			n.mu.Lock()
			if n.err == nil {
				n.err = err
			}
			n.mu.Unlock()
			return
		}
	}
	n.mu.Lock()
	n.tallies = append(n.tallies, y)
	n.mu.Unlock()
}

// tally is what one worker has counted.
type tally struct {
	*counting
	worker  int
	refs    [PageRefs]Ref
	present [PageRefs]bool

	// The groups are a tree: below the node of a group without a label is that
	// with the label.
	nodes  []groupNode
	root   []uint32 // the children of node 0 by value
	below  map[nodeKey]uint32
	recent nodeKey
	child  uint32
}

type nodeKey struct{ parent, value uint32 }

// groupNode is a group.
type groupNode struct {
	nodeKey
	rank  uint32 // of first's metric name
	first Ref
	count int64
}

// take counts a part.
func (y *tally) take(part int) error {
	refs := y.candidates(part)
	present := y.present[:len(refs)]
	clear(present)
	if err := y.Present(y.worker, refs, present); err != nil {
		return err
	}
	if len(y.Names) == 0 {
		for _, ok := range present {
			if ok {
				y.nodes[0].count++
			}
		}
		return nil
	}
	for i, ref := range refs {
		if present[i] {
			y.count(ref)
		}
	}
	return nil
}

// candidates returns those of a part that satisfy the matchers.
func (y *tally) candidates(part int) []Ref {
	t, out := y.table, y.refs[:0]
	if y.base >= 0 {
		from := part * PageRefs
		for _, ref := range y.counting.refs[from:min(from+PageRefs, len(y.counting.refs))] {
			out = t.appendIf(out, ref, y.Tenant, y.conditions, y.base)
		}
		return out
	}
	from, to := Ref(part)<<pageBits, min(t.top, Ref(part+1)<<pageBits)
	for ref := max(from, 1); ref < to; ref++ {
		out = t.appendIf(out, ref, y.Tenant, y.conditions, -1)
	}
	return out
}

// count counts a series in its group.
func (y *tally) count(ref Ref) {
	e := y.table.entry(ref)
	ids := y.table.lists.get(e.labels, int(e.count))
	group, missing := uint32(0), len(y.Names)
	for _, id := range ids {
		if v := y.pairs[id].value; v != 0 {
			group = y.childOf(group, v)
			if missing--; missing == 0 {
				break
			}
		}
	}
	n := &y.nodes[group]
	n.count++
	rank := uint32(0)
	if len(ids) > 0 {
		rank = y.pairs[ids[0]].rank
	}
	switch {
	case n.first == 0:
	case rank > n.rank && n.rank > 0: // as most
		return
	case y.compare(ref, n.first) > 0:
		return
	}
	n.first, n.rank = ref, rank
}

// childOf returns the group that has one more label.
func (y *tally) childOf(parent, value uint32) uint32 {
	if parent == 0 {
		if y.root[value] == 0 {
			y.root[value] = y.grow(nodeKey{0, value})
		}
		return y.root[value]
	}
	key := nodeKey{parent, value}
	if key == y.recent {
		return y.child
	}
	node, ok := y.below[key]
	if !ok {
		if y.below == nil {
			y.below = map[nodeKey]uint32{}
		}
		node = y.grow(key)
		y.below[key] = node
	}
	y.recent, y.child = key, node
	return node
}

func (y *tally) grow(key nodeKey) uint32 {
	y.nodes = append(y.nodes, groupNode{nodeKey: key})
	return uint32(len(y.nodes) - 1)
}

// compare compares the labels of two series.
func (n *counting) compare(a, b Ref) int {
	t := n.table
	ea, eb := t.entry(a), t.entry(b)
	la, lb := t.lists.get(ea.labels, int(ea.count)), t.lists.get(eb.labels, int(eb.count))
	for i := 0; i < len(la) && i < len(lb); i++ {
		if la[i] == lb[i] {
			continue
		}
		x, y := n.pairs[la[i]].rank, n.pairs[lb[i]].rank
		if x != 0 && y != 0 {
			return cmp.Compare(x, y)
		}
		return series.Compare(t.pairs.segment(la[i]), t.pairs.segment(lb[i]))
	}
	return cmp.Compare(len(la), len(lb))
}

// add takes in what another worker counted.
func (y *tally) add(o *tally) {
	same := make([]uint32, len(o.nodes)) // number in y
	for i := range o.nodes {
		from := &o.nodes[i]
		if i > 0 {
			same[i] = y.childOf(same[from.parent], from.value)
		}
		to := &y.nodes[same[i]]
		to.count += from.count
		if from.first != 0 && (to.first == 0 || y.compare(from.first, to.first) < 0) {
			to.first = from.first
		}
	}
}

// groups returns what all have counted.
func (n *counting) groups() []CensusGroup {
	if len(n.tallies) == 0 {
		return nil
	}
	y := n.tallies[0]
	for _, o := range n.tallies[1:] {
		y.add(o)
	}
	var out []CensusGroup
	var path []uint32
	for i := range y.nodes {
		node := &y.nodes[i]
		if node.count == 0 {
			continue
		}
		g := CensusGroup{Count: node.count}
		path = path[:0]
		for at := uint32(i); at != 0; at = y.nodes[at].parent {
			path = append(path, y.nodes[at].value)
		}
		for _, value := range slices.Backward(path) {
			g.Labels = append(g.Labels, n.table.pairs.segment(n.values[value])...)
		}
		if node.first != 0 {
			e := n.table.entry(node.first)
			for _, id := range n.table.lists.get(e.labels, int(e.count)) {
				g.First = append(g.First, n.table.pairs.segment(id)...)
			}
		}
		out = append(out, g)
	}
	return out
}

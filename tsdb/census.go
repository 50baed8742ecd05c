package tsdb

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// Census says which series to count: those that satisfy the matchers and whose
// newest sample with a time in (From, To] is no stale marker.
type Census struct {
	From, To int64
	Matchers []*labels.Matcher
	// Names are the labels whose values make the groups, ascending and distinct.
	Names []string
	// Points returns how many points the record of a histogram counts for, 0 for
	// a stale marker.
	Points func(histogram []byte) (int64, error)
	// Run calls work with 0, 1, 2 and so on, on so many goroutines as it likes, at
	// most parts, and returns when all have ended.
	Run func(parts int, work func(worker int)) error
}

// CensusGroup is how many series have the same values of a census's labels.
type CensusGroup struct {
	Labels labels.Labels
	Count  int64
}

// Counted is the result of a census: its groups, in the order of the first series
// that each has, and how many points were looked at.
type Counted struct {
	Groups []CensusGroup
	Points int64
}

// Census counts series without listing them. It does so only where all samples of
// the time lie in memory, or all in one sealed generation, so that no series is
// met twice; else ok is false, and nothing is charged to the budget.
func (q *Querier) Census(ctx context.Context, c Census) (counted Counted, ok bool, err error) {
	n := &census{Census: c, q: q, ctx: ctx, budget: series.BudgetFrom(ctx), mint: c.From + 1, maxt: min(c.To, q.maxt)}
	n.mint = max(n.mint, q.mint)
	if q.expiry.last > n.mint { // some series have less to count than others
		return counted, false, nil
	}
	reader := -1
	for i := range q.readers {
		if !slices.ContainsFunc(q.readers[i].flushes, func(f block.Summary) bool { return f.MinTime <= n.maxt && f.MaxTime >= n.mint }) {
			continue
		}
		if reader >= 0 || !q.readers[i].Sealed() {
			return counted, false, nil
		}
		reader = i
	}
	epochs := q.memory(n.mint, n.maxt)
	var groups []index.CensusGroup
	switch {
	case reader >= 0 && len(epochs) > 0:
		return counted, false, nil
	case reader >= 0:
		groups, ok, err = n.ofSealed(reader)
	case len(epochs) > 0:
		ok = true
		groups, err = n.ofMemory(epochs)
	default:
		ok = true
	}
	if !ok || err != nil {
		return counted, ok, err
	}
	counted.Points = n.points.Load()
	counted.Groups, err = inOrder(groups)
	return counted, true, err
}

// inOrder decodes groups, in the order of their first series.
func inOrder(groups []index.CensusGroup) ([]CensusGroup, error) {
	slices.SortFunc(groups, func(a, b index.CensusGroup) int { return series.Compare(a.First, b.First) })
	out := make([]CensusGroup, len(groups))
	var arena labelArena
	for i, g := range groups {
		ls, err := arena.decode(g.Labels)
		if err != nil {
			return nil, err
		}
		out[i] = CensusGroup{ls, g.Count}
	}
	return out, nil
}

// census is a census being taken.
type census struct {
	Census
	q          *Querier
	ctx        context.Context
	budget     series.Budget
	mint, maxt int64 // of the samples that count
	points     atomic.Int64

	mu      sync.Mutex
	err     error
	readers []*censusReader
}

// censusReader is what a worker reads with.
type censusReader struct {
	*census
	epochs []*heldEpoch
	set    *ColumnSet
	reader *ColumnReader
	latest [index.PageRefs]head.Latest
	slow   []int // of the refs that have to be decoded
	places []rowPlace

	counted, asked []uint32 // of a sealed generation
}

// reader returns what a worker reads with.
func (n *census) reader(epochs []*heldEpoch) *censusReader {
	r := &censusReader{census: n, epochs: epochs, set: n.q.columnSet(n.ctx, n.mint, n.maxt)}
	r.reader = r.set.Reader()
	n.mu.Lock()
	n.readers = append(n.readers, r)
	n.mu.Unlock()
	return r
}

// close gives back what the workers read with.
func (n *census) close() {
	for _, r := range n.readers {
		r.reader.Close()
	}
}

// charge charges for series, and looks at the context.
func (n *census) charge(series int) error {
	if err := n.ctx.Err(); err != nil {
		return err
	}
	if n.budget == nil || series == 0 {
		return nil
	}
	return n.budget.ChargeSeries(series)
}

// workersOf are what the workers of a run have each, made when they first ask.
type workersOf[T any] struct {
	mu   sync.Mutex
	list []*T
}

// at returns what a worker has.
func (w *workersOf[T]) at(worker int, make func() *T) *T {
	w.mu.Lock()
	defer w.mu.Unlock()
	for worker >= len(w.list) {
		w.list = append(w.list, nil)
	}
	if w.list[worker] == nil {
		w.list[worker] = make()
	}
	return w.list[worker]
}

func (n *census) ofMemory(epochs []*heldEpoch) ([]index.CensusGroup, error) {
	defer n.close()
	var readers workersOf[censusReader]
	return n.q.db.table.Census(index.Census{
		Tenant: n.q.tenant, Matchers: n.Matchers, Names: n.Names, Run: n.Run,
		Present: func(worker int, refs []index.Ref, present []bool) error {
			return readers.at(worker, func() *censusReader { return n.reader(epochs) }).memory(refs, present)
		},
	})
}

// memory finds out which of refs have a sample that counts.
func (r *censusReader) memory(refs []index.Ref, present []bool) error {
	latest := r.latest[:len(refs)]
	clear(latest)
	for _, e := range slices.Backward(r.epochs) { // the latest has nearly all
		e.AddLatest(refs, head.Span{Min: r.mint, Max: r.maxt}, latest)
	}
	found, points := 0, int64(0)
	r.slow = r.slow[:0]
	for i := range latest {
		l := &latest[i]
		if l.Overlaps {
			found++
		}
		switch {
		case l.Inexact:
			r.slow = append(r.slow, i)
		case l.Found && l.Bits != value.StaleNaN:
			present[i] = true
			points++
		}
	}
	if err := r.charge(found); err != nil {
		return err
	}
	r.points.Add(points)
	if len(r.slow) == 0 {
		return nil
	}
	entries := r.start(len(r.slow))
	for k, i := range r.slow {
		entries[k] = entry{ref: refs[i]}
	}
	return r.read(func(k int) { present[r.slow[k]] = true }, func(int, int64, bool) {})
}

// start makes room for n series to be read.
func (r *censusReader) start(n int) []entry {
	r.set.entries = slices.Grow(r.set.entries[:0], n)[:n]
	r.reader.loaded = -1
	return r.set.entries
}

// read reads the newest samples of the set's series, and calls present for those
// that count, and newest for all that are floats, with their times.
func (r *censusReader) read(present func(i int), newest func(i int, t int64, stale bool)) error {
	points := int64(0)
	for i := range r.set.entries {
		t, v, h, ok, err := r.reader.Last(r.ctx, i, r.From, r.To)
		if err != nil {
			return err
		}
		n, stale := int64(1), value.IsStaleNaN(v)
		if ok && h == nil {
			newest(i, t, stale)
		}
		switch {
		case !ok || h == nil && stale:
			continue
		case h != nil:
			if n, err = r.Points(h); err != nil {
				return err
			}
		}
		if n > 0 {
			points += n
			present(i)
		}
	}
	r.points.Add(points)
	return nil
}

// labelTally counts label sets by the values of some labels.
type labelTally struct {
	names  []string
	groups []index.CensusGroup
	number map[string]int // by the group's labels
	last   int            // often that of its neighbour
	key    []byte
}

// take counts a label set.
func (t *labelTally) take(ls series.Labels) {
	t.key = t.key[:0]
	names := t.names
	for rest := ls; len(rest) > 0 && len(names) > 0; {
		name, _, after, ok := rest.CutPair()
		if !ok {
			break
		}
		for len(names) > 0 && names[0] < string(name) {
			names = names[1:]
		}
		if len(names) > 0 && names[0] == string(name) {
			t.key = append(t.key, rest[:len(rest)-len(after)]...)
			names = names[1:]
		}
		rest = after
	}
	t.count(t.key, ls, 1)
}

// count counts n series of the group with the labels key, of which first is the
// first one.
func (t *labelTally) count(key, first series.Labels, n int64) {
	if n == 0 {
		return
	}
	if t.last >= len(t.groups) || string(t.groups[t.last].Labels) != string(key) {
		number, ok := t.number[string(key)]
		if !ok {
			if t.number == nil {
				t.number = map[string]int{}
			}
			number = len(t.groups)
			t.number[string(key)] = number
			t.groups = append(t.groups, index.CensusGroup{Labels: slices.Clone(key), First: slices.Clone(first)})
		}
		t.last = number
	}
	g := &t.groups[t.last]
	if g.Count += n; g.Count > n && series.Compare(first, g.First) < 0 {
		g.First = append(g.First[:0], first...)
	}
}

// add takes in what another worker counted.
func (t *labelTally) add(o *labelTally) {
	for _, g := range o.groups {
		t.count(g.Labels, g.First, g.Count)
	}
}

package tsdb

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// selectSeries finds the series that satisfy ms and may have samples in
// [mint, maxt].
func (q *Querier) selectSeries(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (*selection, error) {
	b := selectionBuilder{q: q, ctx: ctx, budget: series.BudgetFrom(ctx)}
	prepared := index.Prepare(ms)
	for i := range q.readers {
		if !slices.ContainsFunc(q.readers[i].flushes, func(f block.Summary) bool { return f.MinTime <= maxt && f.MaxTime >= mint }) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := q.tolerate(b.addReader(i, prepared), q.readers[i].held.ID, damagedIndex); err != nil {
			return nil, err
		}
		b.endList()
	}
	if err := b.addMemory(q.memory(mint, maxt), mint, maxt, ms); err != nil {
		return nil, err
	}
	b.endList()
	entries, err := b.merged()
	if err != nil {
		return nil, err
	}
	return &selection{entries: entries}, nil
}

// selectionBuilder brings together the places in which a label set occurs: each
// place gives a list in label order, and the lists are merged.
type selectionBuilder struct {
	q       *Querier
	ctx     context.Context
	budget  series.Budget
	charged int // series
	arena   labelArena
	lists   [][]entry
	list    []entry // being built
	rows    []rowPlace
}

// chargeSeries is after how many series the budget and the context are looked at.
const chargeSeries = 128

// add adds a label set to the list.
func (b *selectionBuilder) add(ls series.Labels, e entry) (err error) {
	if e.labels, err = b.arena.decode(ls); err != nil {
		return err
	}
	b.list = append(b.list, e)
	if len(b.list)%chargeSeries == 0 {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		return b.charge(len(b.list))
	}
	return nil
}

// charge charges for n different series at least, those charged for included.
func (b *selectionBuilder) charge(n int) error {
	if b.budget == nil || n <= b.charged {
		return nil
	}
	more := n - b.charged
	b.charged = n
	return b.budget.ChargeSeries(more)
}

// endList puts the list in order.
func (b *selectionBuilder) endList() {
	list := b.list
	b.list = nil
	if len(list) == 0 {
		return
	}
	// A label set may come twice from a generation that is not sealed, where it
	// left memory and came back.
	for i := 1; i < len(list); i++ {
		if labels.Compare(list[i-1].labels, list[i].labels) >= 0 {
			slices.SortStableFunc(list, func(x, y entry) int { return labels.Compare(x.labels, y.labels) })
			list = b.compact(list)
			break
		}
	}
	b.lists = append(b.lists, list)
}

// compact joins neighbours that have the same labels.
func (b *selectionBuilder) compact(list []entry) []entry {
	out := list[:1]
	for _, e := range list[1:] {
		if last := &out[len(out)-1]; labels.Equal(last.labels, e.labels) {
			b.join(last, &e)
		} else {
			out = append(out, e)
		}
	}
	return out
}

// join adds to e the places of o, which has the same labels.
func (b *selectionBuilder) join(e, o *entry) {
	e.ref = max(e.ref, o.ref)
	switch {
	case len(o.rows) == 0:
	case len(e.rows) == 0:
		e.rows = o.rows
	default:
		n := len(e.rows) + len(o.rows)
		if len(b.rows) < n {
			b.rows = make([]rowPlace, max(n, 1024))
		}
		rows := b.rows[:0:n]
		b.rows = b.rows[n:]
		e.rows = append(append(rows, e.rows...), o.rows...)
	}
}

// merged merges the lists, neighbours first: days mostly have the same series.
func (b *selectionBuilder) merged() ([]entry, error) {
	for len(b.lists) > 1 {
		half := b.lists[:0]
		for i := 0; i < len(b.lists); i += 2 {
			if i+1 == len(b.lists) {
				half = append(half, b.lists[i])
				continue
			}
			if err := b.ctx.Err(); err != nil {
				return nil, err
			}
			half = append(half, b.merge(b.lists[i], b.lists[i+1]))
		}
		b.lists = half
	}
	if len(b.lists) == 0 {
		return nil, nil
	}
	return b.lists[0], b.charge(len(b.lists[0]))
}

// merge merges two lists; the places of x come first.
func (b *selectionBuilder) merge(x, y []entry) []entry {
	out := make([]entry, 0, max(len(x), len(y)))
	for len(x) > 0 && len(y) > 0 {
		switch c := labels.Compare(x[0].labels, y[0].labels); {
		case c < 0:
			out, x = append(out, x[0]), x[1:]
		case c > 0:
			out, y = append(out, y[0]), y[1:]
		default:
			out = append(out, x[0])
			b.join(&out[len(out)-1], &y[0])
			x, y = x[1:], y[1:]
		}
	}
	return append(append(out, x...), y...)
}

func (b *selectionBuilder) addReader(reader int, ms []index.Matcher) error {
	r := &b.q.readers[reader]
	found, pending, err := r.Match(ms)
	if err != nil {
		return err
	}
	ordinals := found.ToArray()
	if len(pending) == 0 {
		b.list = make([]entry, 0, len(ordinals))
	}
	places := make([]rowPlace, len(ordinals)) // one allocation for all entries
	return r.Labels(ordinals, func(i int, ls series.Labels) error {
		if i%4096 == 4095 {
			if err := b.ctx.Err(); err != nil {
				return err
			}
		}
		if !block.Accepts(pending, ls) {
			return nil
		}
		places[i] = rowPlace{reader, ordinals[i]}
		return b.add(ls, entry{rows: places[i : i+1 : i+1]})
	})
}

// sortedByTable is from how many series on the table sorts them, which ranks all
// labels first.
const sortedByTable = 4096

func (b *selectionBuilder) addMemory(epochs []*heldEpoch, mint, maxt int64, ms []*labels.Matcher) error {
	if len(epochs) == 0 {
		return nil
	}
	table := b.q.db.table
	refs := b.q.db.table.Match(b.q.tenant, ms, nil)
	refs = overlapping(epochs, refs, mint, maxt)
	if len(refs) >= sortedByTable {
		table.SortByLabels(refs)
	}
	b.list = make([]entry, 0, len(refs))
	return table.EachLabels(refs, func(i int, ls series.Labels) error {
		return b.add(ls, entry{ref: refs[i]})
	})
}

// overlapping returns those of refs that may have samples in [mint, maxt].
func overlapping(epochs []*heldEpoch, refs []index.Ref, mint, maxt int64) []index.Ref {
	keep := make([]bool, len(refs))
	// The open epoch has what is active.
	for _, e := range slices.Backward(epochs) {
		e.MarkOverlapping(refs, mint, maxt, keep)
	}
	kept := refs[:0]
	for i, ref := range refs {
		if keep[i] {
			kept = append(kept, ref)
		}
	}
	return kept
}

package tsdb

import (
	"context"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// factsBytes bounds what is kept of sealed generations to find and count their series
// again: for each label that is asked for, and for the newest samples, four bytes a
// series, and the label sets of small selections.
const factsBytes = 64 << 20

// selectSeries finds the series that satisfy ms and may have samples in
// [mint, maxt].
func (q *Querier) selectSeries(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (*selection, error) {
	b := selectionBuilder{q: q, ctx: ctx, budget: series.BudgetFrom(ctx)}
	prepared, text := index.Prepare(ms), ""
	if len(q.readers) > 0 {
		text = matchersText(ms)
	}
	for i := range q.readers {
		if !slices.ContainsFunc(q.readers[i].flushes, func(f block.Summary) bool { return f.MinTime <= maxt && f.MaxTime >= mint }) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := q.tolerate(b.addReader(i, prepared, text), q.readers[i].held.ID, damagedIndex); err != nil {
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
	return &selection{entries: q.expire(entries, mint, maxt)}, nil
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
	return b.append(e)
}

// append adds an entry, which has its labels, to the list.
func (b *selectionBuilder) append(e entry) error {
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

// matchersText names matchers, as long as their order is the same.
func matchersText(ms []*labels.Matcher) string {
	var text strings.Builder
	for _, m := range ms {
		text.WriteString(m.String())
		text.WriteByte(',')
	}
	return text.String()
}

// addReader adds the series of a generation; text stands for ms.
func (b *selectionBuilder) addReader(reader int, ms []index.Matcher, text string) error {
	r := &b.q.readers[reader]
	if kept := r.Selected(text); kept != nil {
		return b.addKept(reader, kept)
	}
	found, pending, err := r.Match(ms)
	if err != nil {
		return err
	}
	ordinals := found.ToArray()
	if len(pending) == 0 {
		b.list = make([]entry, 0, len(ordinals))
	}
	places := make([]rowPlace, len(ordinals)) // one allocation for all entries
	err = r.Labels(ordinals, func(i int, ls series.Labels) error {
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
	if err == nil && r.Keeps(len(b.list)) {
		b.keep(r, text)
	}
	return err
}

// keep keeps the list, which is all that text selects of a generation.
func (b *selectionBuilder) keep(r *generationReader, text string) {
	s := &block.Selected{Ordinals: make([]uint32, len(b.list)), Labels: make([]labels.Labels, len(b.list))}
	for i := range b.list {
		s.Ordinals[i], s.Labels[i] = b.list[i].rows[0].ordinal, b.list[i].labels
	}
	r.Keep(text, s)
}

// addKept adds the series of a generation that were selected before.
func (b *selectionBuilder) addKept(reader int, kept *block.Selected) error {
	b.list = make([]entry, 0, len(kept.Ordinals))
	places := make([]rowPlace, len(kept.Ordinals))
	for i, ordinal := range kept.Ordinals {
		places[i] = rowPlace{reader, ordinal}
		if err := b.append(entry{labels: kept.Labels[i], rows: places[i : i+1 : i+1]}); err != nil {
			return err
		}
	}
	return nil
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

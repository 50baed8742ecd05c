package tsdb

import (
	"cmp"
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// span is a range of times, both inclusive.
type span struct{ min, max int64 }

// storedGenerations returns the generations of windows that are to be read, in order
// of time.
func (q *Querier) storedGenerations(r *WindowRange) (out []*heldGeneration) {
	first, last := r.ends()
	for _, g := range q.view.derived {
		wanted := slices.ContainsFunc(r.Stored, func(s StoredWindows) bool {
			return s.Width == g.ID.WindowWidth() && s.Min <= g.ID.Start && s.Max >= g.end()-1
		})
		if wanted && g.ID.Tenant == q.tenant && g.end() > first-r.Width.Milliseconds() && g.ID.Start <= last && q.view.usable(g) && q.keeps(g) {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b *heldGeneration) int { return cmp.Compare(a.ID.Start, b.ID.Start) })
	return out
}

// apart returns what is read of samples: all that is wanted but the partitions of
// stored windows. If these know of none of the samples that there are, which came
// late, both are read.
func (q *Querier) apart(r *WindowRange, stored []*heldGeneration) (out []span) {
	first, last := r.ends()
	rest := span{first - r.Width.Milliseconds() + 1, last}
	for _, g := range stored {
		if len(g.derivation().Sources) == 0 && !q.view.complete(g) {
			continue
		}
		if g.ID.Start > rest.min {
			out = append(out, span{rest.min, g.ID.Start - 1})
		}
		rest.min = max(rest.min, g.end())
	}
	if rest.min <= rest.max {
		out = append(out, rest)
	}
	return out
}

// storedWindows are the windows that are stored of a selection.
type storedWindows struct {
	q       *Querier
	readers []generationReader
	expiry  []expiry // by reader
	entries []entry
	wanted  WindowRange
	budget  series.Budget
}

// selectStored finds the series that satisfy ms in generations of windows.
func (q *Querier) selectStored(ctx context.Context, list []*heldGeneration, ms []*labels.Matcher) (*storedWindows, error) {
	s := &storedWindows{q: q, budget: series.BudgetFrom(ctx)}
	now := q.db.options.Now()
	for _, g := range list {
		s.readers = append(s.readers, generationReader{
			Reader: block.NewReader(q.db.store, g.Generation).With(q.db.facts), held: g, flushes: g.Flushes,
		})
		s.expiry = append(s.expiry, q.db.expiry(q.tenant, g.ID.Resolution, now))
	}
	b := selectionBuilder{q: &Querier{db: q.db, readers: s.readers}, ctx: ctx, budget: s.budget}
	prepared, text := index.Prepare(ms), matchersText(ms)
	for i := range s.readers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := q.tolerate(b.addReader(i, prepared, text), s.readers[i].held.ID, damagedIndex); err != nil {
			return nil, err
		}
		b.endList()
	}
	var err error
	s.entries, err = b.merged()
	return s, err
}

// Len returns the number of series.
func (s *storedWindows) Len() int { return len(s.entries) }

// Labels returns the labels of series i.
func (s *storedWindows) Labels(i int) labels.Labels { return s.entries[i].labels }

func (s *storedWindows) windows() windowReader {
	return &storedWindowReader{set: s, cursors: make([]*block.WindowCursor, len(s.readers))}
}

// storedWindowReader reads stored windows for one goroutine.
type storedWindowReader struct {
	set     *storedWindows
	cursors []*block.WindowCursor // made when needed
	read    window.Windows
	reads   uint
}

// windowBytes is what a window takes in memory.
const windowBytes = 11 * 8

func (r *storedWindowReader) join(ctx context.Context, i int, w *window.Windows) (histograms bool, err error) {
	if r.reads++; r.reads%ctxReads == 1 {
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
	e := &r.set.entries[i]
	for _, row := range e.rows {
		g := &r.set.readers[row.reader]
		r.read.Reset()
		if err := r.readRow(row); err != nil {
			if err = r.set.q.tolerate(err, g.held.ID, 0); err != nil {
				return false, err
			}
			continue
		}
		r.cut(e, row.reader)
		if r.set.budget != nil {
			if err := r.set.budget.ChargeBytes(int64(r.read.Len()) * windowBytes); err != nil {
				return false, err
			}
		}
		w.Join(&r.read)
	}
	return false, nil
}

func (r *storedWindowReader) readRow(row rowPlace) (err error) {
	c := r.cursors[row.reader]
	if c == nil {
		if c, err = r.set.readers[row.reader].NewWindowCursor(); err != nil {
			return err
		}
		r.cursors[row.reader] = c
	}
	return c.Read(row.ordinal, &r.read)
}

// cut takes off the windows that are not wanted or have expired.
func (r *storedWindowReader) cut(e *entry, reader int) {
	width := r.set.readers[reader].held.ID.WindowWidth().Milliseconds()
	first, last := window.EndOf(r.set.wanted.Min, width), window.EndOf(r.set.wanted.Max, width)
	x := &r.set.expiry[reader]
	oldest := x.rules[x.find(func(m *labels.Matcher) bool { return m.Matches(e.labels.Get(m.Name)) })].oldest
	r.read.Keep(max(first, oldest, r.set.q.asked), last)
}

// Close gives back what the reader holds.
func (r *storedWindowReader) Close() {
	for i, c := range r.cursors {
		if c != nil {
			c.Close()
			r.cursors[i] = nil
		}
	}
}

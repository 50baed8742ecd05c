package tsdb

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/chunks/window"
)

// Coverage says what there is of a tenant's partition.
type Coverage struct {
	Min, Max int64 // milliseconds, both inclusive
	// Raw: its samples are there as they were written, all of them.
	Raw bool
	// Widths are those at which there are windows made of all samples that the
	// partition holds or held, ascending.
	Widths []time.Duration
	// Histograms: it has native histograms, of which windows know nothing.
	Histograms bool
}

// Coverage lists the partitions that have samples in the querier's range, in order
// of time.
func (q *Querier) Coverage() []Coverage {
	width := q.db.options.Width.Milliseconds()
	found := map[int64]bool{} // starts of partitions with samples as they were written
	for _, g := range q.view.generations {
		if g.ID.Tenant == q.tenant {
			found[g.ID.Start] = true
		}
	}
	for _, e := range q.view.epochs {
		e.mu.Lock()
		for p := range e.partitions {
			if p.tenant == q.tenant {
				found[p.start] = true
			}
		}
		e.mu.Unlock()
	}
	var out []Coverage
	for start := range found {
		if start <= q.maxt && start+width > q.mint {
			out = append(out, Coverage{Min: start, Max: start + width - 1, Raw: true})
		}
	}
	slices.SortFunc(out, func(a, b Coverage) int { return int(a.Min - b.Min) })
	return out
}

// windowSource has windows of series, in label order.
type windowSource interface {
	Len() int
	Labels(i int) labels.Labels
	// join joins the windows of series i to w; reading in ascending order is fast.
	join(ctx context.Context, i int, w *window.Windows) error
	close()
}

// WindowSet is the series of a selection, in label order, each as windows of one
// width. One goroutine uses it, until its querier is closed.
type WindowSet struct {
	ctx     context.Context
	q       *Querier
	sources []windowSource // by time
	next    []int          // the series of each source that comes next
	labels  labels.Labels
	windows window.Windows
	err     error
}

// WindowRange says which windows are wanted.
type WindowRange struct {
	Width    time.Duration
	Min, Max int64 // milliseconds: the windows that hold a time in [Min, Max]
	// Stored are the partitions, as Coverage lists them, of which windows are read
	// that are stored. All others, and those that are not stored, are made of the
	// samples.
	Stored []Coverage
}

// ends returns the ends of the first and the last window.
func (r *WindowRange) ends() (first, last int64) {
	width := r.Width.Milliseconds()
	return window.EndOf(r.Min, width), window.EndOf(r.Max, width)
}

// SelectWindows returns windows of the series that satisfy ms, each with all its
// samples as far as they lie in the querier's range. The budget in ctx is charged
// for what is read. The set must be closed.
func (q *Querier) SelectWindows(ctx context.Context, r WindowRange, ms ...*labels.Matcher) (*WindowSet, error) {
	s := &WindowSet{ctx: ctx, q: q}
	first, last := r.ends()
	set, err := q.SelectColumns(ctx, first-r.Width.Milliseconds()+1, last, ms...)
	if err != nil {
		return nil, err
	}
	s.add(&rawWindows{ColumnSet: set, reader: set.Reader(), width: r.Width.Milliseconds()})
	return s, nil
}

func (s *WindowSet) add(source windowSource) {
	s.sources, s.next = append(s.sources, source), append(s.next, 0)
}

// Next goes on to the next series that has windows.
func (s *WindowSet) Next() bool {
	for s.err == nil {
		if !s.least() {
			return false
		}
		s.windows.Reset()
		for i, source := range s.sources {
			if s.next[i] == source.Len() || !labels.Equal(source.Labels(s.next[i]), s.labels) {
				continue
			}
			s.next[i]++
			if s.err = source.join(s.ctx, s.next[i]-1, &s.windows); s.err != nil {
				return false
			}
		}
		if s.windows.Len() > 0 {
			return true
		}
	}
	return false
}

// least sets labels to the first of those that come next.
func (s *WindowSet) least() (found bool) {
	for i, source := range s.sources {
		if s.next[i] == source.Len() {
			continue
		}
		if ls := source.Labels(s.next[i]); !found || labels.Compare(ls, s.labels) < 0 {
			s.labels, found = ls, true
		}
	}
	return found
}

// At returns the labels of the series and its windows, which are valid until Next.
func (s *WindowSet) At() (labels.Labels, *window.Windows) { return s.labels, &s.windows }

// Err returns what ended the set, nil if it came to its end.
func (s *WindowSet) Err() error { return s.err }

// Warnings returns what the windows lack.
func (s *WindowSet) Warnings() annotations.Annotations { return s.q.Warnings() }

// Close gives back what the set holds. It may be called twice.
func (s *WindowSet) Close() {
	for _, source := range s.sources {
		source.close()
	}
	s.sources = nil
}

// rawWindows makes windows of samples.
type rawWindows struct {
	*ColumnSet
	reader *ColumnReader
	width  int64
	made   window.Windows
}

func (r *rawWindows) join(ctx context.Context, i int, w *window.Windows) error {
	c, err := r.reader.Read(ctx, i)
	if err != nil {
		return err
	}
	if w.Len() == 0 {
		w.Append(c.Times, c.Values, r.width)
		return nil
	}
	r.made.Reset()
	r.made.Append(c.Times, c.Values, r.width)
	w.Join(&r.made)
	return nil
}

func (r *rawWindows) close() { r.reader.Close() }

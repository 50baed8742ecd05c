package tsdb

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

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

// Coverage lists the partitions that have samples or windows in the range that the
// querier was asked for, in order of time.
func (q *Querier) Coverage() []Coverage {
	width := q.db.options.Width.Milliseconds()
	found := map[int64]*Coverage{} // by start
	at := func(start int64) *Coverage {
		if found[start] == nil {
			found[start] = &Coverage{Min: start, Max: start + width - 1}
		}
		return found[start]
	}
	for _, g := range q.view.generations {
		if g.ID.Tenant == q.tenant {
			at(g.ID.Start).Raw = true
		}
	}
	for _, e := range q.view.epochs {
		lo, hi := e.Range()
		lo, hi = max(lo, q.asked), min(hi, q.maxt)
		for start := q.db.window(lo); !e.flushed && start <= hi; start += width {
			if e.touches(partition{q.tenant, start}, start+width) {
				at(start).Raw = true
			}
		}
	}
	for _, g := range q.view.derived {
		if g.ID.Tenant != q.tenant || !q.view.usable(g) || !q.keeps(g) {
			continue
		}
		c, d := at(g.ID.Start), g.derivation()
		c.Widths = append(c.Widths, g.ID.WindowWidth()) // in order of resolution
		c.Histograms = c.Histograms || d.Histograms
		c.Raw = c.Raw && len(d.Sources) > 0
	}
	var out []Coverage
	for start, c := range found {
		if start > q.maxt || c.Max < q.asked {
			continue
		}
		if c.Max < q.expiry.last {
			c.Raw = false // of some series at least they have expired
		}
		if c.Raw || len(c.Widths) > 0 {
			out = append(out, *c)
		}
	}
	slices.SortFunc(out, func(a, b Coverage) int { return cmp.Compare(a.Min, b.Min) })
	return out
}

// keeps reports whether any windows of a generation have not expired.
func (q *Querier) keeps(g *heldGeneration) bool {
	e := q.db.expiry(q.tenant, g.ID.Resolution, q.db.options.Now())
	return g.end() > e.first
}

// WindowRange says which windows are wanted.
type WindowRange struct {
	// Width is that of windows that are made of samples.
	Width    time.Duration
	Min, Max int64 // milliseconds: the windows that hold a time in [Min, Max]
	// Stored are parts of which stored windows are read, ascending and apart. All
	// others, and those that have none stored, are made of the samples.
	Stored []StoredWindows
}

// StoredWindows names whole partitions, as Coverage lists them, and one of the
// widths that they have.
type StoredWindows struct {
	Min, Max int64
	Width    time.Duration
}

// ends returns the ends of the first and the last window.
func (r *WindowRange) ends() (first, last int64) {
	width := r.Width.Milliseconds()
	return window.EndOf(r.Min, width), window.EndOf(r.Max, width)
}

// windowSource has windows of series, in label order.
type windowSource interface {
	Len() int
	Labels(i int) labels.Labels
	windows() windowReader
}

// windowReader reads a source for one goroutine.
type windowReader interface {
	// join joins the windows of series i to w, and reports whether the series has
	// histograms; reading in ascending order is fast.
	join(ctx context.Context, i int, w *window.Windows) (histograms bool, err error)
	Close()
}

// WindowSet is the series of a selection, in label order, each as windows. It may be
// used by several goroutines, until its querier is closed.
type WindowSet struct {
	sources []windowSource // by time
	labels  []labels.Labels
	places  [][]int32 // by source: the number that a series has there, -1 for none
}

// SelectWindows returns windows of the series that satisfy ms, each with all its
// samples as far as they lie in the querier's range. The budget in ctx is charged
// for what is read later.
func (q *Querier) SelectWindows(ctx context.Context, r WindowRange, ms ...*labels.Matcher) (*WindowSet, error) {
	s := &WindowSet{}
	stored := q.storedGenerations(&r)
	if len(stored) > 0 {
		source, err := q.selectStored(ctx, stored, ms)
		if err != nil {
			return nil, err
		}
		source.wanted = r
		s.sources = append(s.sources, source)
	}
	for _, part := range q.apart(&r, stored) {
		set, err := q.SelectColumns(ctx, part.min, part.max, ms...)
		if err != nil {
			return nil, err
		}
		s.sources = append(s.sources, rawWindows{set, r.Width.Milliseconds()})
	}
	s.unite()
	return s, nil
}

// unite sets labels and places.
func (s *WindowSet) unite() {
	next := make([]int, len(s.sources))
	s.places = make([][]int32, len(s.sources))
	for {
		least, found := s.least(next)
		if !found {
			return
		}
		s.labels = append(s.labels, least)
		for k, source := range s.sources {
			place := int32(-1)
			if next[k] < source.Len() && labels.Equal(source.Labels(next[k]), least) {
				place = int32(next[k])
				next[k]++
			}
			s.places[k] = append(s.places[k], place)
		}
	}
}

// least returns the first of the labels that come next.
func (s *WindowSet) least(next []int) (least labels.Labels, found bool) {
	for k, source := range s.sources {
		if next[k] == source.Len() {
			continue
		}
		if ls := source.Labels(next[k]); !found || labels.Compare(ls, least) < 0 {
			least, found = ls, true
		}
	}
	return least, found
}

// Len returns the number of series; some may turn out to have no windows.
func (s *WindowSet) Len() int { return len(s.labels) }

// Labels returns the labels of series i.
func (s *WindowSet) Labels(i int) labels.Labels { return s.labels[i] }

// Reader returns a reader for one goroutine, which must be closed before the
// querier.
func (s *WindowSet) Reader() *WindowReader {
	r := &WindowReader{set: s}
	for _, source := range s.sources {
		r.readers = append(r.readers, source.windows())
	}
	return r
}

// WindowReader reads the series of a WindowSet.
type WindowReader struct {
	set     *WindowSet
	readers []windowReader
	windows window.Windows
}

// Read returns the windows of series i, which are valid until the next Read.
// histograms says that the series has native histograms too, of which windows know
// nothing. Reading in ascending order is fast.
func (r *WindowReader) Read(ctx context.Context, i int) (w *window.Windows, histograms bool, err error) {
	r.windows.Reset()
	for k, reader := range r.readers {
		place := r.set.places[k][i]
		if place < 0 {
			continue
		}
		has, err := reader.join(ctx, int(place), &r.windows)
		if err != nil {
			return nil, false, err
		}
		histograms = histograms || has
	}
	return &r.windows, histograms, nil
}

// Close gives back what the reader holds. It may be called twice.
func (r *WindowReader) Close() {
	for _, reader := range r.readers {
		reader.Close()
	}
	r.readers = nil
}

// rawWindows makes windows of samples.
type rawWindows struct {
	*ColumnSet
	width int64
}

func (s rawWindows) windows() windowReader {
	return &rawWindowReader{ColumnReader: s.ColumnSet.Reader(), width: s.width}
}

type rawWindowReader struct {
	*ColumnReader
	width int64
	made  window.Windows
}

func (r *rawWindowReader) join(ctx context.Context, i int, w *window.Windows) (histograms bool, err error) {
	c, err := r.Read(ctx, i)
	if err != nil {
		return false, err
	}
	histograms = len(c.Histograms) > 0
	if w.Len() == 0 {
		w.Append(c.Times, c.Values, r.width)
		return histograms, nil
	}
	r.made.Reset()
	r.made.Append(c.Times, c.Values, r.width)
	w.Join(&r.made)
	return histograms, nil
}

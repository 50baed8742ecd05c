package tsdb

import (
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
	first, last := r.ends()
	set, err := q.SelectColumns(ctx, first-r.Width.Milliseconds()+1, last, ms...)
	if err != nil {
		return nil, err
	}
	s.sources = append(s.sources, rawWindows{set, r.Width.Milliseconds()})
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

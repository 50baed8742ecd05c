package query

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/schema"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/query/exec"
)

// watched is a view that looks out for samples by which a step's result may depend
// on how far the query reads. Those are native histograms, of which only the
// samples before one in storage tell whether it is a reset, and, if the order of
// series matters, ones that may become one series when they lose their names.
type watched struct {
	exec.Querier
	ordered   bool
	dependent atomic.Bool
}

// Select implements exec.Querier.
func (w *watched) Select(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (exec.Selection, error) {
	s, err := w.Querier.Select(ctx, mint, maxt, ms)
	if err != nil {
		return nil, err
	}
	w.look(s)
	return watchedSelection{s, w}, nil
}

// look looks at the labels of a selection.
func (w *watched) look(s interface {
	Len() int
	Labels(i int) labels.Labels
}) {
	if !w.ordered || w.dependent.Load() {
		return
	}
	for i := range s.Len() {
		if mayMerge(s.Labels(i)) {
			w.dependent.Store(true)
			return
		}
	}
}

// mayMerge reports whether labels have metadata besides the name.
func mayMerge(ls labels.Labels) bool {
	found := false
	ls.Range(func(l labels.Label) {
		found = found || l.Name != model.MetricNameLabel && schema.IsMetadataLabel(l.Name)
	})
	return found
}

type watchedSelection struct {
	exec.Selection
	watched *watched
}

// Reader implements exec.Selection.
func (s watchedSelection) Reader() exec.Reader {
	reader := s.Selection.Reader()
	watching := watchedReader{reader, s.watched}
	if last, ok := reader.(exec.LastReader); ok {
		return watchedLastReader{watching, last}
	}
	return watching
}

type watchedReader struct {
	exec.Reader
	watched *watched
}

// Read implements exec.Reader.
func (r watchedReader) Read(ctx context.Context, i int) (*chunks.Columns, error) {
	c, err := r.Reader.Read(ctx, i)
	if err == nil && len(c.Histograms) > 0 {
		r.watched.dependent.Store(true)
	}
	return c, err
}

// watchedLastReader is for readers that find the last sample fast.
type watchedLastReader struct {
	watchedReader
	last exec.LastReader
}

// Last implements exec.LastReader.
func (r watchedLastReader) Last(ctx context.Context, i int, from, to int64) (t int64, v float64, h []byte, ok bool, err error) {
	t, v, h, ok, err = r.last.Last(ctx, i, from, to)
	if h != nil {
		r.watched.dependent.Store(true)
	}
	return t, v, h, ok, err
}

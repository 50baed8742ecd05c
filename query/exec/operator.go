package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/schema"
)

// Series says what a row belongs to.
type Series struct {
	Labels labels.Labels
	// DropName says that the metric name goes at the end of the query, if names
	// are removed late (Query.DelayedNames).
	DropName bool
}

// withoutName returns s as the result of an operation that drops the name.
func (q *Query) withoutName(s Series) Series {
	s.DropName = true
	if !q.DelayedNames {
		s.Labels = s.Labels.DropReserved(schema.IsMetadataLabel)
	}
	return s
}

// Row is the points of a series at the steps of a grid.
type Row struct {
	// Floats has a value for each step, Absent where there is none.
	Floats []float64
	// Histograms is nil, or has an entry for each step: where it is not nil the
	// point is a histogram, and the float is Absent. Histograms may be shared:
	// they are copied before they are changed.
	Histograms []*histogram.FloatHistogram
}

// Has reports whether the row has a point at a step.
func (r *Row) Has(step int) bool {
	return !IsAbsent(r.Floats[step]) || r.Histograms != nil && r.Histograms[step] != nil
}

// Empty reports whether the row has no point.
func (r *Row) Empty() bool {
	for _, v := range r.Floats {
		if !IsAbsent(v) {
			return false
		}
	}
	for _, h := range r.Histograms {
		if h != nil {
			return false
		}
	}
	return true
}

// Histogram returns the histogram at a step, nil if there is none.
func (r *Row) Histogram(step int) *histogram.FloatHistogram {
	if r.Histograms == nil {
		return nil
	}
	return r.Histograms[step]
}

// Set gives the row a point; h wins over v.
func (r *Row) Set(step int, v float64, h *histogram.FloatHistogram) {
	if h == nil {
		r.Floats[step] = v
		if r.Histograms != nil {
			r.Histograms[step] = nil
		}
		return
	}
	if r.Histograms == nil {
		r.Histograms = make([]*histogram.FloatHistogram, len(r.Floats))
	}
	r.Histograms[step], r.Floats[step] = h, Absent
}

// Each works on a row of series i, in parallel with others, in no order. It may
// change the row in place, and point it to memory of the worker (Worker.Floats).
type Each func(w *Worker, i int, row *Row) error

// Sink takes the row of series i, in order of i, from one goroutine at a time.
// The row is void when it returns. Rows without points may be left out.
type Sink func(i int, row *Row) error

// Operator computes the series of an expression on a grid.
type Operator interface {
	// Series returns the label sets in the order of the rows. It is called once,
	// before Run. Some may turn out to have no point.
	Series(ctx context.Context) ([]Series, error)
	// Run computes the rows: each, if it is not nil, sees every row first, then
	// sink. It is called at most once.
	Run(ctx context.Context, each Each, sink Sink) error
	// Grid is that of the rows.
	Grid() Grid
}

// chain returns an Each that calls a and then b, either of which may be nil.
func chain(a, b Each) Each {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(w *Worker, i int, row *Row) error {
		if err := a(w, i, row); err != nil {
			return err
		}
		return b(w, i, row)
	}
}

// Matrix is the result of an operator, held in memory.
type Matrix struct {
	Grid   Grid
	Series []Series
	Rows   []Row // of Series; those without points are left out of both
}

// collect runs op and keeps its rows that have points, in order. The memory is
// charged to the query until it ends.
func (q *Query) collect(ctx context.Context, op Operator) (*Matrix, error) {
	series, err := op.Series(ctx)
	if err != nil {
		return nil, err
	}
	return q.collectRows(ctx, op, series)
}

// collectRows is collect for an operator that has told its series.
func (q *Query) collectRows(ctx context.Context, op Operator, series []Series) (*Matrix, error) {
	m := &Matrix{Grid: op.Grid()}
	var arena floats
	err := op.Run(ctx, nil, func(i int, row *Row) error {
		if row.Empty() {
			return nil
		}
		if err := q.hold(row); err != nil {
			return err
		}
		kept := Row{Floats: arena.take(len(row.Floats)), Histograms: append([]*histogram.FloatHistogram(nil), row.Histograms...)}
		copy(kept.Floats, row.Floats)
		m.Series, m.Rows = append(m.Series, series[i]), append(m.Rows, kept)
		return nil
	})
	return m, err
}

// scalar runs op, which must be of scalar type, and returns its values.
func (q *Query) scalar(ctx context.Context, op Operator) ([]float64, error) {
	if _, err := op.Series(ctx); err != nil {
		return nil, err
	}
	values := make([]float64, op.Grid().Count())
	err := op.Run(ctx, nil, func(_ int, row *Row) error {
		copy(values, row.Floats)
		return nil
	})
	return values, err
}

// floats hands out slices of allocations that grow.
type floats struct {
	free  []float64
	taken int
}

// take returns n floats with undefined contents.
func (f *floats) take(n int) []float64 {
	if len(f.free) < n {
		f.free = make([]float64, max(n, min(f.taken, 4096)))
	}
	f.taken += n
	out := f.free[:n:n]
	f.free = f.free[n:]
	return out
}

package exec

import (
	"context"
	"errors"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/chunks"
)

// smoothed is a selector of instant vectors that interpolates between the samples
// around a step.
type smoothed struct {
	selection
	series  []Series
	scratch perWorker[samples]
}

func newSmoothed(q *Query, vs *parser.VectorSelector, grid Grid) Operator {
	return &smoothed{selection: selection{query: q, vs: vs, grid: grid, after: q.Lookback}}
}

func (s *smoothed) Grid() Grid { return s.grid }

func (s *smoothed) Series(ctx context.Context) (_ []Series, err error) {
	s.series, err = s.open(ctx)
	return s.series, err
}

func (s *smoothed) Run(ctx context.Context, each Each, sink Sink) error {
	defer s.close()
	return s.query.runRows(ctx, rowsOf{s.set.Len(), s.grid.Count(), s.fill}, each, sink)
}

func (s *smoothed) fill(w *Worker, i int, row *Row) error {
	c, err := s.read(w, i)
	if err != nil || len(c.Times) == 0 && len(c.Histograms) == 0 {
		return err
	}
	clean := &s.scratch[w.ID]
	if err := s.clean(clean, c); err != nil {
		return err
	}
	*row = w.Row(s.grid.Count())
	name := s.series[i].Labels.Get(labels.MetricName)
	start, step := s.reference()
	for k := range row.Floats {
		at := start + int64(k)*step
		from, to := between(len(clean.Times), func(i int) int64 { return clean.Times[i] }, at-s.query.Lookback, at+s.query.Lookback)
		hFrom, hTo := between(len(clean.histograms), func(i int) int64 { return clean.histograms[i].T }, at-s.query.Lookback, at+s.query.Lookback)
		s.query.count(k, int64(to-from)+histogramsSize(clean.histograms[hFrom:hTo]))
		switch {
		case from < to && hFrom < hTo:
			s.query.noteError(annotations.NewMixedFloatsHistogramsWarning(name, s.vs.PositionRange()))
		case hFrom < hTo:
			h, err := s.histogramAt(clean.histograms[hFrom:hTo], at, name)
			if err != nil {
				return err
			}
			if h != nil {
				row.Set(k, 0, h)
			}
		case from < to:
			row.Floats[k] = floatAt(clean.Times[from:to], clean.Values[from:to], at)
		}
	}
	return nil
}

// clean takes the stale markers off c.
func (s *smoothed) clean(out *samples, c *chunks.Columns) error {
	out.Times, out.Values = out.Times[:0], out.Values[:0]
	for i, v := range c.Values {
		if !IsAbsent(v) {
			out.Times, out.Values = append(out.Times, c.Times[i]), append(out.Values, v)
		}
	}
	points, err := s.histograms(out.histograms[:0], c.Histograms)
	out.histograms = points[:0]
	for _, p := range points {
		if !value.IsStaleNaN(p.H.Sum) {
			out.histograms = append(out.histograms, p)
		}
	}
	return err
}

// between returns which of n ascending times lie in (after, until].
func between(n int, time func(int) int64, after, until int64) (from, to int) {
	from = sort.Search(n, func(i int) bool { return time(i) > after })
	return from, from + sort.Search(n-from, func(i int) bool { return time(from+i) > until })
}

// floatAt returns the value at a time: that of a sample, one between two samples,
// or that of the last one.
func floatAt(times []int64, values []float64, at int64) float64 {
	i := sort.Search(len(times), func(i int) bool { return times[i] >= at })
	switch {
	case i < len(times) && times[i] == at:
		return values[i]
	case i > 0 && i < len(times):
		y := values[i-1]
		return y + (values[i]-y)*float64(at-times[i-1])/float64(times[i]-times[i-1])
	case i > 0:
		return values[i-1]
	}
	return Absent
}

// histogramAt is floatAt for histograms; it returns nil if there is none.
func (s *smoothed) histogramAt(points []promql.HPoint, at int64, name string) (*histogram.FloatHistogram, error) {
	i := sort.Search(len(points), func(i int) bool { return points[i].T >= at })
	switch {
	case i < len(points) && points[i].T == at:
		return points[i].H.Copy(), nil
	case i == 0:
		return nil, nil
	case i == len(points):
		h := points[i-1].H.Copy()
		h.CounterResetHint = histogram.UnknownCounterReset
		return h, nil
	}
	previous, next := points[i-1], points[i]
	mixed := previous.H.UsesCustomBuckets() != next.H.UsesCustomBuckets()
	var h *histogram.FloatHistogram
	var err error
	if !mixed {
		h, err = s.interpolate(previous, next, at)
	}
	if mixed || errors.Is(err, histogram.ErrHistogramsIncompatibleSchema) {
		s.query.noteError(annotations.NewMixedExponentialCustomHistogramsWarning(name, s.vs.PositionRange()))
		return nil, nil
	}
	return h, err
}

// interpolate returns the histogram at a time between two, which are counters
// unless both are gauges: after a reset they start at zero.
func (s *smoothed) interpolate(previous, next promql.HPoint, at int64) (*histogram.FloatHistogram, error) {
	share := float64(at-previous.T) / float64(next.T-previous.T)
	result := next.H.Copy()
	counter := previous.H.CounterResetHint != histogram.GaugeType || next.H.CounterResetHint != histogram.GaugeType
	if counter && next.H.DetectReset(previous.H) {
		return result.Mul(share), nil
	}
	_, _, reconciled, err := result.Sub(previous.H)
	if err != nil {
		return nil, err
	}
	if reconciled {
		s.query.noteError(annotations.NewMismatchedCustomBucketsHistogramsInfo(s.vs.PositionRange(), annotations.HistogramSub))
	}
	result.Mul(share)
	_, _, reconciled, err = result.Add(previous.H)
	if err != nil {
		return nil, err
	}
	if reconciled {
		s.query.noteError(annotations.NewMismatchedCustomBucketsHistogramsInfo(s.vs.PositionRange(), annotations.HistogramAdd))
	}
	return result, nil
}

package exec

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/query/exec/window"
)

// selection reads the series of a selector for the operators that evaluate it.
type selection struct {
	query  *Query
	vs     *parser.VectorSelector
	grid   Grid
	span   int64 // of the windows; 0 for instants
	extend int64 // what is read beyond the windows, at both ends
	after  int64
	ctx    context.Context // charges reads to the selector
	set    Selection
	reader perWorker[Reader]
}

// reference returns the time at which step 0 looks, and the distance of the steps
// that follow: 0 for windows under an @ modifier. Instants under one are evaluated
// once, but for those in the parameter of an aggregation: from there Prometheus's
// engine goes on from step to step.
func (s *selection) reference() (start, step int64) {
	switch offset := s.vs.OriginalOffset.Milliseconds(); {
	case s.vs.Timestamp == nil:
		return s.grid.Start - offset, s.grid.Step
	case s.span == 0:
		return *s.vs.Timestamp - offset, s.grid.Step
	default:
		return *s.vs.Timestamp - offset, 0
	}
}

// open selects the series.
func (s *selection) open(ctx context.Context) ([]Series, error) {
	start, step := s.reference()
	last := start
	if s.vs.Timestamp == nil {
		last += int64(s.grid.Count()-1) * step
	}
	back := s.span
	if back == 0 {
		back = s.query.Lookback
	}
	if s.query.Charge != nil {
		ctx = s.query.Charge(ctx, s.vs)
	}
	s.ctx = ctx
	var err error
	if s.set, err = s.query.From.Select(ctx, start-back-s.extend+1, last+s.after, s.vs.LabelMatchers); err != nil {
		return nil, storageError(ctx, err)
	}
	series := make([]Series, s.set.Len())
	for i := range series {
		series[i].Labels = s.set.Labels(i)
	}
	return series, nil
}

// storageError words an error of storage as Prometheus's engine does, and the end
// of a context too.
func storageError(ctx context.Context, err error) error {
	if end := ended(ctx); end != nil {
		return end
	}
	return fmt.Errorf("expanding series: %w", err)
}

// readerOf returns the worker's reader.
func (s *selection) readerOf(w *Worker) Reader {
	r := s.reader[w.ID]
	if r == nil {
		r = s.set.Reader()
		s.reader[w.ID] = r
	}
	return r
}

// read returns the samples of series i.
func (s *selection) read(w *Worker, i int) (*chunks.Columns, error) {
	c, err := s.readerOf(w).Read(s.ctx, i)
	if err != nil {
		if end := ended(s.ctx); end != nil {
			return nil, end
		}
		return c, err
	}
	s.query.progress.decoded.Add(int64(len(c.Times) + len(c.Histograms)))
	return c, nil
}

// close gives back the readers.
func (s *selection) close() {
	for i := range s.reader { // by number: ranging over an array copies it
		if r := s.reader[i]; r != nil {
			r.Close()
			s.reader[i] = nil
		}
	}
}

// takes says what of a sample a selector gives.
type takes int

const (
	takesValue takes = iota
	takesTime        // seconds
	takesStart       // start timestamp, seconds
)

// instant is a selector of instant vectors.
type instant struct {
	selection
	take  takes
	first int // the number that step 0 has in the whole grid
	last  perWorker[lastBounds]
}

// lastBounds are the positions at which the steps look, for one column of times.
type lastBounds struct {
	times []int64
	at    []int32 // of the newest sample at or before the step, -1 if it is too old
	found int64
	shape window.Newest // of at; none if that is not regular
}

func newInstant(q *Query, vs *parser.VectorSelector, grid Grid, take takes) *instant {
	return &instant{selection: selection{query: q, vs: vs, grid: grid}, take: take}
}

func (s *instant) Grid() Grid { return s.grid }

func (s *instant) Series(ctx context.Context) ([]Series, error) {
	series, err := s.open(ctx)
	return s.output(series), err
}

// begin returns the series of the selector.
func (s *instant) begin(ctx context.Context) ([]Series, error) { return s.open(ctx) }

// output returns the series of the result.
func (s *instant) output(series []Series) []Series {
	if s.take != takesValue {
		for i := range series {
			series[i] = s.query.withoutName(series[i])
		}
	}
	return series
}

// reference is that of the selection. With an @ modifier, the functions of
// timestamps look there, whatever the offset, at every step: so does Prometheus's
// engine.
func (s *instant) reference() (start, step int64) {
	if s.take != takesValue && s.vs.Timestamp != nil {
		return *s.vs.Timestamp, 0
	}
	return s.selection.reference()
}

func (s *instant) Run(ctx context.Context, each Each, sink Sink) error {
	defer s.close()
	return s.query.runRows(ctx, rowsOf{s.set.Len(), s.grid.Count(), s.fill}, each, sink)
}

func (s *instant) fill(w *Worker, i int, row *Row) error {
	if s.grid.Count() == 1 && s.take != takesStart {
		if r, ok := s.readerOf(w).(LastReader); ok {
			return s.fillLast(r, w, i, row)
		}
	}
	return s.fillWhole(w, i, row)
}

// fillWhole is fill out of all samples of the series.
func (s *instant) fillWhole(w *Worker, i int, row *Row) error {
	c, err := s.read(w, i)
	if err != nil || len(c.Times) == 0 && len(c.Histograms) == 0 {
		return err
	}
	if len(c.Histograms) > 0 {
		return s.fillMixed(w, c, row)
	}
	b := &s.last[w.ID]
	if !sameTimes(b.times, c.Times) {
		s.locate(b, samplesOf(c))
	}
	row.Floats = w.Floats(len(b.at))
	if s.take == takesValue && s.query.PerStep == nil {
		s.query.samples.Add(b.found - lookUp(row.Floats, c.Values, b.at))
		return nil
	}
	found := b.found
	for step, at := range b.at {
		v := Absent
		if at >= 0 {
			if v = c.Values[at]; IsAbsent(v) {
				found--
			} else if s.take != takesValue {
				v = s.other(c, int(at))
			}
		}
		row.Floats[step] = v
		if s.query.PerStep != nil && !IsAbsent(v) {
			s.query.count(s.first+step, 1)
			found--
		}
	}
	s.query.samples.Add(found)
	return nil
}

// lookUp sets dst to the values at the positions, absent where that is -1, and
// returns how many values are absent themselves.
func lookUp(dst, values []float64, at []int32) (absent int64) {
	dst = dst[:len(at)]
	for step, k := range at {
		v := Absent
		if k >= 0 {
			if v = values[k]; IsAbsent(v) {
				absent++
			}
		}
		dst[step] = v
	}
	return absent
}

// fillLast is fill for a single step: the newest sample is all that is wanted.
func (s *instant) fillLast(r LastReader, w *Worker, i int, row *Row) error {
	at, _ := s.reference()
	t, v, h, ok, err := r.Last(s.ctx, i, at-s.query.Lookback, at)
	if err != nil {
		if end := ended(s.ctx); end != nil {
			return end
		}
		return err
	}
	if !ok || h == nil && IsAbsent(v) {
		return nil
	}
	if h != nil && s.vs.SkipHistogramBuckets {
		// What is known of resets depends on the samples before.
		return s.fillWhole(w, i, row)
	}
	s.query.progress.decoded.Add(1)
	points := int64(1)
	row.Floats = w.Floats(1)
	if h != nil {
		decoded, err := s.histograms(nil, []chunks.Sample{{Time: t, Histogram: h}})
		if err != nil {
			return err
		}
		whole := decoded[0].H
		if value.IsStaleNaN(whole.Sum) {
			row.Floats = nil
			return nil
		}
		if s.take == takesValue {
			points = histogramPoints(whole.Size())
			row.Set(0, 0, whole)
		}
	}
	switch {
	case s.take == takesTime:
		row.Floats[0] = float64(t) / 1000
	case h == nil:
		row.Floats[0] = v
	}
	s.query.count(s.first, points)
	return nil
}

// other returns what is not the value of the sample at.
func (s *instant) other(c *chunks.Columns, at int) float64 {
	if s.take == takesTime {
		return float64(c.Times[at]) / 1000
	}
	start := int64(0)
	if len(c.Starts) > 0 {
		start = c.Starts[at]
	}
	return float64(start) / 1000
}

// locate finds where the steps look in the times of c.
func (s *instant) locate(b *lastBounds, c window.Samples) {
	start, step := s.reference()
	n := s.grid.Count()
	shape, regular := c.Newest(start, step, s.query.Lookback, n)
	if regular && shape == b.shape {
		b.times = c.Times
		return
	}
	b.shape = shape
	if cap(b.at) < n {
		b.at = make([]int32, n)
	}
	b.times, b.at, b.found = c.Times, b.at[:n], 0
	c.After(b.at, start, step)
	ref := start - s.query.Lookback // of the step: what is not after it is too old
	for i, at := range b.at {
		b.at[i] = at - 1
		if at == 0 || c.Time(int(at)-1) <= ref {
			b.at[i] = -1
		} else {
			b.found++
		}
		ref += step
	}
}

// sameTimes reports whether two columns of times are one.
func sameTimes(a, b []int64) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// fillMixed is fill for series that have histograms.
func (s *instant) fillMixed(w *Worker, c *chunks.Columns, row *Row) error {
	*row = w.Row(s.grid.Count())
	start, step := s.reference()
	f, h := 0, 0
	points, err := s.histograms(nil, c.Histograms)
	if err != nil {
		return err
	}
	for i := range row.Floats {
		ref := start + int64(i)*step
		for f < len(c.Times) && c.Times[f] <= ref {
			f++
		}
		for h < len(c.Histograms) && c.Histograms[h].Time <= ref {
			h++
		}
		t := int64(math.MinInt64)
		if f > 0 {
			t = c.Times[f-1]
		}
		if h > 0 && c.Histograms[h-1].Time > t {
			sample := c.Histograms[h-1]
			if sample.Time <= ref-s.query.Lookback {
				continue
			}
			decoded := points[h-1].H
			if value.IsStaleNaN(decoded.Sum) {
				continue
			}
			if s.take == takesValue {
				row.Set(i, 0, decoded)
				s.query.count(s.first+i, histogramPoints(decoded.Size()))
			} else {
				v := float64(sample.Time) / 1000
				if s.take == takesStart {
					v = float64(sample.Start) / 1000
				}
				row.Set(i, v, nil)
				s.query.count(s.first+i, 1)
			}
			continue
		}
		if f == 0 || t <= ref-s.query.Lookback || IsAbsent(c.Values[f-1]) {
			continue
		}
		v := c.Values[f-1]
		if s.take != takesValue {
			v = s.other(c, f-1)
		}
		row.Set(i, v, nil)
		s.query.count(s.first+i, 1)
	}
	return nil
}

// histograms appends the histograms of samples to dst, stale markers too. Where
// only counts and sums are wanted they have no buckets: then what is known of
// resets is found out here.
func (s *selection) histograms(dst []promql.HPoint, samples []chunks.Sample) ([]promql.HPoint, error) {
	var last *histogram.FloatHistogram
	for _, sample := range samples {
		h, err := floatHistogram(sample)
		if err != nil {
			return dst, err
		}
		if s.vs.SkipHistogramBuckets {
			whole := h
			h = &histogram.FloatHistogram{CounterResetHint: whole.CounterResetHint, Schema: whole.Schema, Count: whole.Count, Sum: whole.Sum}
			if !value.IsStaleNaN(h.Sum) {
				if last != nil && h.CounterResetHint == histogram.UnknownCounterReset {
					h.CounterResetHint = histogram.NotCounterReset
					if whole.DetectReset(last) {
						h.CounterResetHint = histogram.CounterReset
					}
				}
				last = whole
				last.CounterResetHint = h.CounterResetHint
			}
		}
		dst = append(dst, promql.HPoint{T: sample.Time, H: h})
	}
	return dst, nil
}

// floatHistogram decodes a sample that is a histogram.
func floatHistogram(s chunks.Sample) (*histogram.FloatHistogram, error) {
	h, fh, err := chunks.DecodeHistogram(s.Histogram)
	if err != nil {
		return nil, err
	}
	if h != nil {
		fh = h.ToFloat(nil)
	}
	return fh, nil
}

// modifiedSelector returns vs as Prometheus's functions want to see it when they
// are called on this grid: with its Offset set.
func modifiedSelector(vs *parser.VectorSelector, grid Grid) *parser.VectorSelector {
	out := *vs
	out.Offset = vs.OriginalOffset
	if vs.Timestamp != nil {
		out.Offset += time.Duration(grid.Start-*vs.Timestamp) * time.Millisecond
	}
	return &out
}

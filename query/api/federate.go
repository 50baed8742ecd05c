package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/query"
)

// federate exposes the newest sample of every series that a selector matches, as
// a scraped target would.
func (a *API) federate(ctx context.Context, c *call) error {
	if err := c.params.wellFormed(); err != nil {
		return err
	}
	selectors, err := a.deps.Engine.ParseSelectors(c.params.all("match[]"))
	if err != nil {
		return badData(err)
	}
	ctx, budget, leave, err := a.deps.Engine.Admit(ctx, 0)
	if err != nil {
		return err
	}
	defer leave()
	samples, err := a.newest(ctx, query.Limited(c.from.Queryable, budget), selectors)
	if err != nil {
		return ofStorage(err)
	}
	slices.SortStableFunc(samples, func(x, y promql.Sample) int {
		return strings.Compare(x.Metric.Get(labels.MetricName), y.Metric.Get(labels.MetricName))
	})
	format := expfmt.NegotiateAccept(
		http.Header{"Accept": {string(c.http.Request.Header.Peek("Accept"))}},
		expfmt.NewFormat(expfmt.TypeProtoDelim), expfmt.NewFormat(expfmt.TypeProtoText),
		expfmt.NewFormat(expfmt.TypeProtoCompact), expfmt.NewFormat(expfmt.TypeTextPlain))
	var body bytes.Buffer
	e := &exposition{encoder: expfmt.NewEncoder(&body, format), external: a.externalLabels()}
	e.protobuf = format.FormatType() != expfmt.TypeTextPlain
	if err := e.write(samples); err != nil {
		return &failure{kindInternal, fmt.Errorf("federate: %w", err)}
	}
	c.http.SetContentType(string(format))
	return c.send(whole(body.Bytes()))
}

// ofStorage makes what is no more special a failure of the server.
func ofStorage(err error) error {
	if f := classify(err); f.kind != kindExecution {
		return f
	}
	if _, ok := asLimit(err); ok {
		return err
	}
	return &failure{kindInternal, err}
}

// externalLabels are the labels of everything exposed, in order. An instance of
// its own keeps the scraper from adding one that is wrong.
func (a *API) externalLabels() []*dto.LabelPair {
	pairs := []*dto.LabelPair{}
	for name, value := range a.options.ExternalLabels {
		pairs = append(pairs, pair(name, value))
	}
	if _, ok := a.options.ExternalLabels["instance"]; !ok {
		pairs = append(pairs, pair("instance", ""))
	}
	slices.SortFunc(pairs, func(x, y *dto.LabelPair) int { return strings.Compare(x.GetName(), y.GetName()) })
	return pairs
}

func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// newest selects the last sample of each series, unless it is a stale marker.
func (a *API) newest(ctx context.Context, from storage.Queryable, selectors [][]*labels.Matcher) (promql.Vector, error) {
	now := a.deps.Now()
	mint, maxt := milliseconds(now.Add(-a.deps.Engine.Lookback())), milliseconds(now)
	q, err := from.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	hints := &storage.SelectHints{Start: mint, End: maxt}
	var sets []storage.SeriesSet
	for _, selector := range selectors {
		sets = append(sets, q.Select(ctx, true, hints, selector...))
	}
	set := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	window := storage.NewBuffer(maxt - mint)
	var samples promql.Vector
	var iterator chunkenc.Iterator
	for set.Next() {
		iterator = set.At().Iterator(iterator)
		window.Reset(iterator)
		sample, ok := last(window, maxt)
		if err := window.Err(); err != nil {
			return nil, err
		}
		if !ok || value.IsStaleNaN(sample.F) || sample.H != nil && value.IsStaleNaN(sample.H.Sum) {
			continue
		}
		sample.Metric = cloned(set.At().Labels()) // it outlives the querier
		samples = append(samples, sample)
	}
	return samples, set.Err()
}

// cloned copies labels that belong to a querier.
func cloned(of labels.Labels) labels.Labels {
	builder := labels.NewScratchBuilder(of.Len())
	of.Range(func(l labels.Label) { builder.Add(strings.Clone(l.Name), strings.Clone(l.Value)) })
	return builder.Labels()
}

// last returns the newest sample up to maxt.
func last(window *storage.BufferedSeriesIterator, maxt int64) (promql.Sample, bool) {
	switch window.Seek(maxt) {
	case chunkenc.ValFloat:
		t, f := window.At()
		return promql.Sample{T: t, F: f}, true
	case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
		t, h := window.AtFloatHistogram(nil)
		return promql.Sample{T: t, H: h}, true
	}
	before, ok := window.PeekBack(1)
	if !ok {
		return promql.Sample{}, false
	}
	sample := promql.Sample{T: before.T()}
	switch before.Type() {
	case chunkenc.ValFloat:
		sample.F = before.F()
	case chunkenc.ValHistogram:
		sample.H = before.H().ToFloat(nil)
	case chunkenc.ValFloatHistogram:
		sample.H = before.FH().Copy() // the buffer is used again
	default:
		return promql.Sample{}, false
	}
	return sample, true
}

// exposition groups samples into the families of an exposition format.
type exposition struct {
	encoder  expfmt.Encoder
	external []*dto.LabelPair
	protobuf bool
	family   *dto.MetricFamily
}

// write writes samples that are sorted by name. A name with samples of several
// types becomes several families; Prometheus reads them all.
func (e *exposition) write(samples promql.Vector) error {
	for _, s := range samples {
		name := s.Metric.Get(labels.MetricName)
		// Text has no place for native histograms; custom buckets it takes for
		// classic ones.
		if name == "" || s.H != nil && !s.H.UsesCustomBuckets() && !e.protobuf {
			continue
		}
		kind := familyType(s)
		if e.family == nil || e.family.GetName() != name || e.family.GetType() != kind {
			if err := e.flush(); err != nil {
				return err
			}
			e.family = &dto.MetricFamily{Name: &name, Type: &kind}
		}
		e.family.Metric = append(e.family.Metric, e.metric(s))
	}
	return e.flush()
}

func (e *exposition) flush() error {
	if e.family == nil {
		return nil
	}
	return e.encoder.Encode(e.family)
}

func familyType(s promql.Sample) dto.MetricType {
	switch {
	case s.H == nil:
		return dto.MetricType_UNTYPED
	case s.H.CounterResetHint == histogram.GaugeType:
		return dto.MetricType_GAUGE_HISTOGRAM
	default:
		return dto.MetricType_HISTOGRAM
	}
}

func (e *exposition) metric(s promql.Sample) *dto.Metric {
	metric := &dto.Metric{TimestampMs: &s.T}
	s.Metric.Range(func(l labels.Label) {
		if l.Name != labels.MetricName && l.Value != "" {
			metric.Label = append(metric.Label, pair(l.Name, l.Value))
		}
	})
	for _, external := range e.external {
		if s.Metric.Get(external.GetName()) == "" {
			metric.Label = append(metric.Label, external)
		}
	}
	switch {
	case s.H == nil:
		metric.Untyped = &dto.Untyped{Value: &s.F}
	case s.H.UsesCustomBuckets():
		metric.Histogram = classicHistogram(s.H)
	default:
		metric.Histogram = nativeHistogram(s.H)
	}
	return metric
}

func nativeHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	return &dto.Histogram{
		SampleCountFloat: &h.Count,
		SampleSum:        &h.Sum,
		Schema:           &h.Schema,
		ZeroThreshold:    &h.ZeroThreshold,
		ZeroCountFloat:   &h.ZeroCount,
		NegativeSpan:     spans(h.NegativeSpans),
		NegativeCount:    h.NegativeBuckets,
		PositiveSpan:     spans(h.PositiveSpans),
		PositiveCount:    h.PositiveBuckets,
	}
}

func spans(of []histogram.Span) []*dto.BucketSpan {
	var out []*dto.BucketSpan
	for _, s := range of {
		out = append(out, &dto.BucketSpan{Offset: &s.Offset, Length: &s.Length})
	}
	return out
}

// classicHistogram counts up the buckets of a histogram with custom borders. The
// last one, up to infinity, is what the formats add themselves.
func classicHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	out := &dto.Histogram{SampleCountFloat: &h.Count, SampleSum: &h.Sum}
	counts := map[int32]float64{}
	for buckets := h.PositiveBucketIterator(); buckets.Next(); {
		counts[buckets.At().Index] = buckets.At().Count
	}
	total := 0.0
	for i, border := range h.CustomValues {
		total += counts[int32(i)]
		sum := total
		out.Bucket = append(out.Bucket, &dto.Bucket{UpperBound: &border, CumulativeCountFloat: &sum})
	}
	return out
}

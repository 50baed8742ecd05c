package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/series"
)

// Appender stores batches.
type Appender interface {
	Append(ctx context.Context, tenant series.TenantID, batch *series.Batch) (series.Outcome, error)
}

// selfScrape stores the node's own metrics as if a Prometheus had scraped
// /metrics: the same series, the labels job and instance, the two scrape_ series
// beside them, and stale markers when a series ends. There is no up: it could
// never be 0, and it is left to whoever scrapes.
type selfScrape struct {
	gather   prometheus.Gatherer
	appender Appender
	instance string
	every    time.Duration
	now      func() time.Time
	log      *slog.Logger
	metrics  *metrics

	batch   series.Batch
	live    map[string]labels.Labels // series of the last scrape, by their encoded labels
	next    map[string]labels.Labels
	at      int64 // of the scrape under way, milliseconds
	scratch labels.Builder
	encoded []byte
}

const selfJob = "varve"

// run scrapes until ctx ends. A scrape that fails is logged and counted.
func (s *selfScrape) run(ctx context.Context) error {
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		if err := s.step(ctx, s.now()); err != nil && ctx.Err() == nil {
			s.metrics.failures.Inc()
			s.log.Warn("self-scrape failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// step scrapes once, at the time now.
func (s *selfScrape) step(ctx context.Context, now time.Time) error {
	families, err := s.gather.Gather()
	if err != nil {
		return fmt.Errorf("gather own metrics: %w", err)
	}
	s.begin(now)
	for _, f := range families {
		s.addFamily(f)
	}
	scraped := len(s.batch.Timestamps)
	s.add("scrape_duration_seconds", nil, "", "", s.now().Sub(now).Seconds())
	s.add("scrape_samples_scraped", nil, "", "", float64(scraped))
	for key, ls := range s.live {
		if _, still := s.next[key]; !still {
			s.addLabels(ls, math.Float64frombits(value.StaleNaN))
		}
	}
	refused, err := s.append(ctx)
	if err != nil {
		return err
	}
	s.live, s.next = s.next, s.live
	s.metrics.scrapes.Inc()
	return refused
}

// end marks all series as ended, at the time now.
func (s *selfScrape) end(ctx context.Context, now time.Time) error {
	if len(s.live) == 0 {
		return nil
	}
	s.begin(now)
	for _, ls := range s.live {
		s.addLabels(ls, math.Float64frombits(value.StaleNaN))
	}
	clear(s.live)
	refused, err := s.append(ctx)
	return errors.Join(refused, err)
}

func (s *selfScrape) begin(now time.Time) {
	s.batch.Reset()
	s.at = now.UnixMilli()
	if s.live == nil {
		s.live = map[string]labels.Labels{}
	}
	if s.next == nil {
		s.next = map[string]labels.Labels{}
	}
	clear(s.next)
}

// append stores the batch. What the database refused of it comes apart from an
// error, because the rest is stored.
func (s *selfScrape) append(ctx context.Context) (refused, err error) {
	mine := s.batch.Refused
	outcome, err := s.appender.Append(ctx, series.DefaultTenant, &s.batch)
	if err != nil {
		return nil, fmt.Errorf("store own metrics: %w", err)
	}
	mine.Merge(outcome.Refused)
	if !mine.Empty() {
		return fmt.Errorf("store own metrics: %s", mine), nil
	}
	return nil, nil
}

func (s *selfScrape) addFamily(f *dto.MetricFamily) {
	name := f.GetName()
	s.batch.Metadata = append(s.batch.Metadata, series.Metadata{Metric: name, Type: metricType(f.GetType()), Unit: f.GetUnit(), Help: f.GetHelp()})
	for _, m := range f.GetMetric() {
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			s.add(name, m.Label, "", "", m.GetCounter().GetValue())
		case dto.MetricType_GAUGE:
			s.add(name, m.Label, "", "", m.GetGauge().GetValue())
		case dto.MetricType_SUMMARY:
			s.addSummary(name, m)
		case dto.MetricType_HISTOGRAM:
			s.addHistogram(name, m)
		default:
			s.add(name, m.Label, "", "", m.GetUntyped().GetValue())
		}
	}
}

func (s *selfScrape) addSummary(name string, m *dto.Metric) {
	for _, q := range m.GetSummary().GetQuantile() {
		s.add(name, m.Label, model.QuantileLabel, labels.FormatOpenMetricsFloat(q.GetQuantile()), q.GetValue())
	}
	s.add(name+"_sum", m.Label, "", "", m.GetSummary().GetSampleSum())
	s.add(name+"_count", m.Label, "", "", float64(m.GetSummary().GetSampleCount()))
}

func (s *selfScrape) addHistogram(name string, m *dto.Metric) {
	h := m.GetHistogram()
	infinite := false
	for _, b := range h.GetBucket() {
		infinite = infinite || math.IsInf(b.GetUpperBound(), 1)
		s.add(name+"_bucket", m.Label, model.BucketLabel, labels.FormatOpenMetricsFloat(b.GetUpperBound()), float64(b.GetCumulativeCount()))
	}
	if !infinite {
		s.add(name+"_bucket", m.Label, model.BucketLabel, "+Inf", float64(h.GetSampleCount()))
	}
	s.add(name+"_sum", m.Label, "", "", h.GetSampleSum())
	s.add(name+"_count", m.Label, "", "", float64(h.GetSampleCount()))
}

// add adds a sample of the series with the metric's own labels, one more when
// extraName is set, and the target's. Own labels that a target's would hide
// are kept as exported_.
func (s *selfScrape) add(name string, own []*dto.LabelPair, extraName, extraValue string, v float64) {
	s.scratch.Reset(labels.EmptyLabels())
	for _, l := range own {
		n := l.GetName()
		if n == model.JobLabel || n == model.InstanceLabel {
			n = model.ExportedLabelPrefix + n
		}
		s.scratch.Set(n, l.GetValue())
	}
	if extraName != "" {
		s.scratch.Set(extraName, extraValue)
	}
	s.scratch.Set(labels.MetricName, name)
	s.scratch.Set(model.JobLabel, selfJob)
	s.scratch.Set(model.InstanceLabel, s.instance)
	ls := s.scratch.Labels()
	if !s.addLabels(ls, v) {
		return
	}
	s.encoded = series.AppendLabels(s.encoded[:0], ls)
	s.next[string(s.encoded)] = ls
}

func (s *selfScrape) addLabels(ls labels.Labels, v float64) bool {
	if reason, detail := s.batch.AddSeries(ls); reason != "" {
		s.batch.Refused.Add(reason, 1, 0, 0, func() (string, string) { return ls.String(), detail })
		return false
	}
	s.batch.AddSample(s.at, 0, v)
	return true
}

func metricType(t dto.MetricType) model.MetricType {
	switch t {
	case dto.MetricType_COUNTER:
		return model.MetricTypeCounter
	case dto.MetricType_GAUGE:
		return model.MetricTypeGauge
	case dto.MetricType_SUMMARY:
		return model.MetricTypeSummary
	case dto.MetricType_HISTOGRAM:
		return model.MetricTypeHistogram
	case dto.MetricType_GAUGE_HISTOGRAM:
		return model.MetricTypeGaugeHistogram
	}
	return model.MetricTypeUnknown
}

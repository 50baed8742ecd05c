package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/series"
)

// recorder is an Appender that notes batches as text.
type recorder struct {
	lines    []string
	metadata []series.Metadata
	err      error
	refused  series.Refusals
}

func (r *recorder) Append(_ context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error) {
	r.lines, r.metadata = nil, slices.Clone(b.Metadata)
	if r.err != nil {
		return series.Outcome{}, r.err
	}
	for i, row := range b.Rows {
		for at := row.Samples.Start; at < row.Samples.End; at++ {
			text := fmt.Sprint(b.Values[at])
			if math.Float64bits(b.Values[at]) == value.StaleNaN {
				text = "stale"
			}
			r.lines = append(r.lines, fmt.Sprintf("%s %s @%d", b.Labels(i), text, b.Timestamps[at]))
		}
	}
	slices.Sort(r.lines)
	return series.Outcome{Samples: len(b.Timestamps), Refused: r.refused}, nil
}

func scrapeInto(g prometheus.Gatherer, a Appender) *selfScrape {
	return &selfScrape{
		gather: g, appender: a, instance: "127.0.0.1:7480", every: time.Hour, now: func() time.Time { return time.Unix(1000, 0) },
		log: slog.New(slog.DiscardHandler), metrics: newMetrics(prometheus.NewRegistry()),
	}
}

func TestSelfScrape(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", Help: "Counts."}, []string{"job", "x"})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{1, 2.5}})
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Objectives: map[float64]float64{0.5: 0.1}})
	registry.MustRegister(counter, histogram, summary)
	counter.WithLabelValues("batch", "1").Add(3)
	histogram.Observe(2)
	summary.Observe(7)

	r := &recorder{}
	s := scrapeInto(registry, r)
	if err := s.step(t.Context(), time.Unix(999, 0)); err != nil {
		t.Fatal(err)
	}
	const target = `instance="127.0.0.1:7480", job="varve"`
	want := []string{
		`{__name__="c_total", exported_job="batch", ` + target + `, x="1"} 3 @999000`,
		`{__name__="h_bucket", ` + target + `, le="1.0"} 0 @999000`,
		`{__name__="h_bucket", ` + target + `, le="2.5"} 1 @999000`,
		`{__name__="h_bucket", ` + target + `, le="+Inf"} 1 @999000`,
		`{__name__="h_sum", ` + target + `} 2 @999000`,
		`{__name__="h_count", ` + target + `} 1 @999000`,
		`{__name__="s", ` + target + `, quantile="0.5"} 7 @999000`,
		`{__name__="s_sum", ` + target + `} 7 @999000`,
		`{__name__="s_count", ` + target + `} 1 @999000`,
		`{__name__="scrape_duration_seconds", ` + target + `} 1 @999000`,
		`{__name__="scrape_samples_scraped", ` + target + `} 9 @999000`,
	}
	slices.Sort(want)
	if !slices.Equal(r.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(want, "\n"))
	}
	if len(r.metadata) != 3 || r.metadata[0].Metric != "c_total" || r.metadata[0].Type != "counter" || r.metadata[0].Help != "Counts." {
		t.Errorf("metadata: %v", r.metadata)
	}

	// A series that is gone is marked stale once.
	counter.Reset()
	for _, want := range []int{1, 0} {
		if err := s.step(t.Context(), time.Unix(1000, 0)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(strings.Join(r.lines, "\n"), "stale"); got != want {
			t.Errorf("%d stale markers, want %d", got, want)
		}
	}
	// A clean end marks all of them, once.
	if err := s.end(t.Context(), time.Unix(1001, 0)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(strings.Join(r.lines, "\n"), "stale @1001000"); got != 10 || len(r.lines) != 10 {
		t.Errorf("%d stale markers at the end, want 10: %v", got, r.lines)
	}
	r.lines = nil
	if err := s.end(t.Context(), time.Unix(1002, 0)); err != nil || r.lines != nil {
		t.Errorf("the second end stored %v, %v", r.lines, err)
	}
}

func TestSelfScrapeFailureKeepsSeriesForStaleMarkers(t *testing.T) {
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, []string{"x"})
	registry.MustRegister(gauge)
	gauge.WithLabelValues("1").Set(1)
	r := &recorder{}
	s := scrapeInto(registry, r)
	if err := s.step(t.Context(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	gauge.Reset()
	r.err = errors.New("full")
	if err := s.step(t.Context(), time.Unix(2, 0)); !errors.Is(err, r.err) {
		t.Fatalf("got %v", err)
	}
	r.err = nil
	r.refused.Add(series.ReasonTooFarAhead, 1, 0, 0, func() (string, string) { return "{}", "the clock is wrong" })
	if err := s.step(t.Context(), time.Unix(3, 0)); err == nil || !strings.Contains(err.Error(), "the clock is wrong") {
		t.Fatalf("a refusal was not reported: %v", err)
	}
	if got := strings.Count(strings.Join(r.lines, "\n"), "stale @3000"); got != 1 {
		t.Errorf("the marker was lost with the failed scrape: %v", r.lines)
	}
}

package scrape

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/series"
)

// noted is storage that keeps what it was given last, in words.
type noted struct{ text []string }

func (n *noted) Append(_ context.Context, _ series.TenantID, b *series.Batch) (series.Outcome, error) {
	n.text = nil
	for i, row := range b.Rows {
		line := b.Labels(i).String()
		for s := row.Samples.Start; s < row.Samples.End; s++ {
			line += fmt.Sprintf(" %v@%d<%d", b.Values[s], b.Timestamps[s], b.StartOf(s))
		}
		for h := row.Histograms.Start; h < row.Histograms.End; h++ {
			line += fmt.Sprintf(" histogram@%d<%d", b.Histograms[h].Timestamp, b.Histograms[h].Start)
		}
		for e := row.Exemplars.Start; e < row.Exemplars.End; e++ {
			line += fmt.Sprintf(" %s%v", b.ExemplarLabels(e), b.Exemplars[e].Value)
		}
		n.text = append(n.text, line)
	}
	for _, m := range b.Metadata {
		n.text = append(n.text, fmt.Sprintf("%s %s %q", m.Metric, m.Type, m.Help))
	}
	return series.Outcome{Samples: len(b.Values), Histograms: len(b.Histograms)}, nil
}

func TestTransactionsFillOneBatch(t *testing.T) {
	to := &noted{}
	s := New(to, nil, Config{}, Options{LabelRules: series.LabelRules{ValueBytesMax: 20}})
	app := s.AppenderV2(context.Background())
	a := labels.FromStrings("__name__", "a_total", "job", "j")
	ref, err := app.Append(0, a, 5, 10, 1, nil, nil, storage.AOptions{
		MetricFamilyName: "a_total", Metadata: metadata.Metadata{Type: "counter", Help: "h"},
		Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("t", "1"), Value: 2, Ts: 10}},
	})
	if err != nil || ref == 0 {
		t.Fatal(ref, err)
	}
	if again, err := app.Append(ref, a, 0, 11, 2, nil, nil, storage.AOptions{MetricFamilyName: "a_total", Metadata: metadata.Metadata{Type: "counter", Help: "h"}}); err != nil || again != ref {
		t.Error(again, err)
	}
	if other, err := app.Append(0, labels.FromStrings("__name__", "h", "job", "j"), 0, 10, 0, &histogram.Histogram{}, nil, storage.AOptions{MetricFamilyName: "up\xff", Metadata: metadata.Metadata{Help: "u"}}); err != nil || other == ref {
		t.Error(other, err)
	}
	if _, err := app.Append(0, labels.FromStrings("__name__", "h", "job", "j"), 0, 10, 0, &histogram.Histogram{Count: 5}, nil, storage.AOptions{}); err == nil {
		t.Error("a histogram that does not add up was taken")
	}
	if _, err := app.Append(0, labels.FromStrings("__name__", "x", "job", strings.Repeat("j", 21)), 0, 10, 0, nil, nil, storage.AOptions{}); err == nil || !strings.Contains(err.Error(), "21 bytes in the value of label") {
		t.Error(err)
	}
	_, err = app.Append(0, labels.FromStrings("__name__", "e"), 0, 10, 7, nil, nil, storage.AOptions{
		Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("t", strings.Repeat("x", 21))}, {Labels: labels.FromStrings("t", "2"), Value: 3}},
	})
	var partial *storage.AppendPartialError
	if !errors.As(err, &partial) || len(partial.ExemplarErrors) != 1 || partial.ExemplarErrors[0].Index != 0 {
		t.Errorf("%v", err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	want := `{__name__="a_total", job="j"} 1@10<5 {t="1"}2
{__name__="a_total", job="j"} 2@11<0
{__name__="h", job="j"} histogram@10<0
{__name__="e"} 7@10<0 {t="2"}3
a_total counter "h"
up unknown "u"`
	if got := strings.Join(to.text, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	to.text = nil
	app = s.AppenderV2(context.Background())
	if _, err := app.Append(0, a, 0, 10, 1, nil, nil, storage.AOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := app.Rollback(); err != nil || to.text != nil {
		t.Error(err, to.text)
	}
	if err := s.AppenderV2(context.Background()).Commit(); err != nil || to.text != nil {
		t.Errorf("an empty transaction wrote %v, %v", to.text, err)
	}
}

// broken is storage that cannot be asked.
type broken struct{}

func (broken) Querier(int64, int64) (storage.Querier, error) { return nil, errors.New("closed") }

func TestMarkersAreLeftOutWhereStorageCannotTell(t *testing.T) {
	to := &noted{}
	s := New(to, broken{}, Config{}, Options{})
	app := s.AppenderV2(context.Background())
	for i, v := range []float64{1, staleNaN, math.NaN()} {
		if _, err := app.Append(0, labels.FromStrings("__name__", fmt.Sprint("m", i)), 0, 10, v, nil, nil, storage.AOptions{RejectOutOfOrder: i == 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil || strings.Join(to.text, ";") != `{__name__="m0"} 1@10<0;{__name__="m2"} NaN@10<0` {
		t.Errorf("%v %v", to.text, err)
	}
}

// nowhere is storage that costs nothing.
type nowhere struct{}

func (nowhere) Append(_ context.Context, _ series.TenantID, b *series.Batch) (series.Outcome, error) {
	return series.Outcome{Samples: len(b.Values)}, nil
}

// BenchmarkTransactionAddsLittle puts a scrape of 2,000 series with ten labels
// into a batch: what lies between Prometheus's scraper and the storage. ns/sample
// is processor time.
func BenchmarkTransactionAddsLittle(b *testing.B) {
	var sets []labels.Labels
	for i := range 2000 {
		pairs := []string{"__name__", "http_request_duration_seconds_bucket", "job", "api", "instance", "host-17.example.org:9090", "le", fmt.Sprint(i)}
		for l := range 6 {
			pairs = append(pairs, fmt.Sprint("label_", l), fmt.Sprint("value-", l))
		}
		sets = append(sets, labels.FromStrings(pairs...))
	}
	s := New(nowhere{}, nil, Config{}, Options{})
	refs := make([]storage.SeriesRef, len(sets))
	opts := storage.AOptions{MetricFamilyName: "http_request_duration_seconds", Metadata: metadata.Metadata{Type: "histogram", Help: "h"}}
	began := cpu()
	for b.Loop() {
		app := s.AppenderV2(context.Background())
		for i, ls := range sets {
			var err error
			if refs[i], err = app.Append(refs[i], ls, 0, 1000, 1, nil, nil, opts); err != nil {
				b.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N*len(sets)), "ns/sample")
}

// cpu returns the processor time of the process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

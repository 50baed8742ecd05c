package scrape

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/varve-db/varve/ingest/relabel"
	"github.com/varve-db/varve/series"
)

const somePage = `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200"} 7
requests_total{code="500"} 1
# TYPE depth gauge
depth{job="own",instance="own"} 3
drop_me 1
`

func TestScrapedSeriesAreThoseOfPrometheus(t *testing.T) {
	p := serve(t, somePage)
	r := start(t, job(`  metric_relabel_configs: [{source_labels: [__name__], regex: drop_.*, action: drop}]`, p.address()), nil)
	at := fmt.Sprintf(`instance=%q, job="j"`, p.address())
	eventually(t, func() error {
		return errors.Join(
			r.is(`{__name__="requests_total", code="200", `+at+`}`, 7)(),
			r.is(`{__name__="depth", exported_instance="own", exported_job="own", `+at+`}`, 3)(),
			r.is(`{__name__="up", `+at+`}`, 1)(),
			r.is(`{__name__="scrape_samples_scraped", `+at+`}`, 4)(),
			r.is(`{__name__="scrape_samples_post_metric_relabeling", `+at+`}`, 3)(),
			r.is(`{__name__="scrape_series_added", `+at+`}`, 0)(), // not the first scrape
		)
	})
	if _, err := r.last(`{__name__="scrape_duration_seconds", ` + at + `}`); err != nil {
		t.Error(err)
	}
	if found := r.selected("drop_me"); len(found) != 0 {
		t.Errorf("%v was stored", found)
	}
	for _, want := range []series.Metadata{{Metric: "requests_total", Type: "counter", Help: "Requests."}, {Metric: "up", Type: "gauge"}} {
		got := r.db.Metadata(series.DefaultTenant, want.Metric, 0)
		if len(got) != 1 || got[0].Type != want.Type || want.Help != "" && got[0].Help != want.Help {
			t.Errorf("metadata %v, want %v", got, want)
		}
	}
	if n := testutil.ToFloat64(r.scraper.metrics.samples); n < 2*8 {
		t.Errorf("%v samples counted", n)
	}
}

func TestHonorLabelsAndTimestamps(t *testing.T) {
	at := time.Now().Add(-time.Hour).UnixMilli()
	p := serve(t, fmt.Sprintf("depth{job=\"own\"} 3 %d\n", at))
	r := start(t, job("  honor_labels: true\n", p.address()), nil)
	eventually(t, r.is(`{__name__="depth", job="own", instance="`+p.address()+`"}`, 3))
	if got, _ := r.last("depth"); got.at != at {
		t.Errorf("at %d, want %d", got.at, at)
	}
	r.apply(job("  honor_timestamps: false\n", p.address()))
	eventually(t, r.is(`{__name__="depth", exported_job="own", job="j"}`, 3))
	if got, _ := r.last(`{__name__="depth", job="j"}`); got.at == at {
		t.Error("the timestamp was honoured")
	}
}

func TestSeriesAndTargetsThatEndAreMarked(t *testing.T) {
	p, other := serve(t, "a 1\nb 1\n"), serve(t, "c 1\n")
	r := start(t, job("", p.address(), other.address()), nil)
	eventually(t, func() error { return errors.Join(r.is("b", 1)(), r.is("c", 1)()) })
	p.set("a 2\n")
	eventually(t, func() error { return errors.Join(r.is("a", 2)(), r.is("b", staleNaN)()) })
	p.set("b 5\n") // and comes back
	eventually(t, func() error { return errors.Join(r.is("b", 5)(), r.is("a", staleNaN)()) })
	other.Close()
	eventually(t, func() error {
		return errors.Join(r.is("c", staleNaN)(), r.is(`up{instance="`+other.address()+`"}`, 0)())
	})
	r.apply(job("", p.address())) // the other target is gone for good
	eventually(t, r.is(`up{instance="`+other.address()+`"}`, staleNaN))
	if err := r.is(`up{instance="`+p.address()+`"}`, 1)(); err != nil {
		t.Error(err)
	}
}

func TestNoMarkersAtTheEnd(t *testing.T) {
	p := serve(t, "a 1\n")
	r := start(t, job("", p.address()), nil)
	eventually(t, r.is("a", 1))
	r.stop()
	time.Sleep(300 * time.Millisecond)
	if err := errors.Join(r.is("a", 1)(), r.is("up", 1)()); err != nil {
		t.Error(err)
	}
}

// TestReturningTargetsHaveNoGaps replaces a target by one with the same labels:
// the old loop's markers come after the new loop's samples. The series are stored
// under other labels than they were scraped with.
func TestReturningTargetsHaveNoGaps(t *testing.T) {
	p := serve(t, "a 1\n")
	rules, err := relabel.Parse([]byte(relabel.Key + ": [{target_label: cluster, replacement: eu}]"))
	if err != nil {
		t.Fatal(err)
	}
	var relabeler *relabel.Relabeler
	r := start(t, "", func(o *Options) {
		o.Stored = func(ls series.Labels) (series.Labels, bool) { return relabeler.Stored(ls) }
	})
	relabeler = relabel.New(r.db, rules, relabel.Options{})
	r.scraper.to = relabeler
	r.apply(job("", p.address()))
	eventually(t, r.is(`a{cluster="eu"}`, 1))
	r.apply(job("  params: {x: [y]}\n", p.address())) // another target to the scraper
	eventually(t, func() error {
		if testutil.ToFloat64(r.scraper.metrics.late) < 6 {
			return errors.New("no marker was left out")
		}
		return nil
	})
	for name, points := range r.selected(`{job="j"}`) {
		for _, one := range points {
			if one.stale() {
				t.Errorf("%s has a marker", name)
			}
		}
	}
}

func TestFilesOfTargetsAreFollowed(t *testing.T) {
	p, other := serve(t, "a 1\n"), serve(t, "b 1\n")
	r := start(t, "", nil)
	write(t, r.file("targets.yml"), fmt.Sprintf("- targets: [%q]\n  labels: {zone: x}\n", p.address()))
	r.apply("scrape_configs: [{job_name: f, scrape_interval: 100ms, file_sd_configs: [{files: [targets.yml]}]}]")
	eventually(t, r.is(`a{zone="x", job="f"}`, 1))
	write(t, r.file("targets.yml"), fmt.Sprintf("- targets: [%q]\n  labels: {zone: y}\n", other.address()))
	eventually(t, func() error { return errors.Join(r.is(`b{zone="y"}`, 1)(), r.is("a", staleNaN)()) })
	active := r.scraper.Active()
	if len(active) != 1 || active[0].Discovered.Get("__meta_filepath") != r.file("targets.yml") {
		t.Errorf("%+v", active)
	}
}

func TestTargetsOverHTTP(t *testing.T) {
	p := serve(t, "a 1\n")
	list := serve(t, fmt.Sprintf(`[{"targets": [%q], "labels": {"zone": "x"}}]`, p.address()))
	list.kind = "application/json"
	r := start(t, fmt.Sprintf("scrape_configs: [{job_name: h, scrape_interval: 100ms, http_sd_configs: [{url: %q}]}]", list.URL), nil)
	eventually(t, r.is(`a{zone="x", job="h"}`, 1))
}

func TestOnlyChangedJobsRestart(t *testing.T) {
	p := serve(t, "a 1\n")
	two := func(path string) string {
		return fmt.Sprintf("scrape_configs:\n- {job_name: one, scrape_interval: 100ms, static_configs: [{targets: [%q]}]}\n- {job_name: two, scrape_interval: 100ms, metrics_path: %s, static_configs: [{targets: [%q]}]}\n", p.address(), path, p.address())
	}
	r := start(t, two("/x"), nil)
	eventually(t, func() error { return errors.Join(r.is(`up{job="one"}`, 1)(), r.is(`up{job="two"}`, 1)()) })
	before := r.scraper.live.Load().TargetsActive()
	r.apply(two("/y"))
	eventually(t, func() error {
		if now := r.scraper.live.Load().TargetsActive(); now["one"][0] != before["one"][0] {
			t.Fatal("the job that did not change was restarted")
		} else if now["two"][0] == before["two"][0] || len(now["two"]) != 1 {
			return errors.New("the other has not changed yet")
		}
		return nil
	})
	if pools := r.scraper.Pools(); strings.Join(pools, " ") != "one two" {
		t.Error(pools)
	}
	r.apply("")
	eventually(t, func() error {
		if n := len(r.scraper.Active()); n != 0 {
			return fmt.Errorf("%d targets are left", n)
		}
		return nil
	})
}

func TestLimitsFailTheScrape(t *testing.T) {
	p := serve(t, "a 1\nb 1\nc 1\n")
	r := start(t, job("  sample_limit: 2\n", p.address()), nil)
	eventually(t, func() error { return errors.Join(r.is("up", 0)(), r.is("scrape_samples_scraped", 3)()) })
	if active := r.scraper.Active(); len(active) != 1 || active[0].Health != "down" || !strings.Contains(active[0].LastError, "sample limit") {
		t.Errorf("%+v", active)
	}
	p.set(`long{l="` + strings.Repeat("x", 100) + "\"} 1\n")
	r.apply(job("", p.address()))
	eventually(t, r.is("up", 1))
	for _, points := range r.selected("a") {
		for _, one := range points {
			if !one.stale() {
				t.Error("a part of a failed scrape was stored")
			}
		}
	}
}

func TestLabelRulesFailTheScrape(t *testing.T) {
	p := serve(t, "a{l=\"123456789\"} 1\n")
	r := start(t, job("", p.address()), func(o *Options) { o.LabelRules = series.LabelRules{ValueBytesMax: 64} })
	eventually(t, r.is("up", 1))
	p.set("a{l=\"" + strings.Repeat("9", 65) + "\"} 1\n")
	eventually(t, r.is("up", 0))
	if active := r.scraper.Active(); !strings.Contains(active[0].LastError, "65 bytes in the value of label") {
		t.Errorf("%+v", active)
	}
}

func TestNativeHistogramsExemplarsAndStartTimes(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Help: "h", NativeHistogramBucketFactor: 1.1})
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "done_total", Help: "c"})
	registry.MustRegister(h, c)
	h.Observe(1.5)
	h.(prometheus.ExemplarObserver).ObserveWithExemplar(2.5, prometheus.Labels{"trace": "t1"})
	c.Inc()
	target := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer target.Close()
	began := time.Now().Add(-time.Minute).UnixMilli()
	r := start(t, job("  scrape_native_histograms: true\n", strings.TrimPrefix(target.URL, "http://")),
		func(o *Options) { o.StartTimestamps = true })
	eventually(t, r.is("done_total", 1))
	got, err := r.last("took_seconds")
	if err != nil || got.h == nil || got.h.Count != 2 || got.h.Sum != 4 {
		t.Errorf("%+v %v", got, err)
	}
	done, _ := r.last("done_total")
	for what, start := range map[string]int64{"histogram": got.start, "counter": done.start} {
		if start < began || start > time.Now().UnixMilli() {
			t.Errorf("the %s began at %d", what, start)
		}
	}
	q, err := r.db.ExemplarQueryable(series.DefaultTenant).ExemplarQuerier(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	exemplars, err := q.Select(0, time.Now().UnixMilli()+1000, matchersOf(t, "took_seconds"))
	if err != nil || len(exemplars) != 1 || exemplars[0].Exemplars[0].Labels.Get("trace") != "t1" {
		t.Errorf("%+v %v", exemplars, err)
	}
	h.Observe(3)
	eventually(t, func() error {
		if got, err = r.last("took_seconds"); err == nil && got.h.Count != 3 {
			err = fmt.Errorf("%v", got.h)
		}
		return err
	})
	r.apply(job("  scrape_native_histograms: true\n  convert_classic_histograms_to_nhcb: true\n", strings.TrimPrefix(target.URL, "http://")))
}

// sometimes is storage that fails when told.
type sometimes struct {
	Appender
	fail atomic.Bool
}

func (s *sometimes) Append(ctx context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error) {
	if s.fail.Load() {
		return series.Outcome{}, errors.New("disk full")
	}
	return s.Appender.Append(ctx, tenant, b)
}

func TestFailedCommitsAreCounted(t *testing.T) {
	p := serve(t, "a 1\n")
	r := start(t, "", nil)
	storage := &sometimes{Appender: r.db}
	r.scraper.to = storage
	storage.fail.Store(true)
	r.apply(job("", p.address()))
	eventually(t, func() error {
		if n := testutil.ToFloat64(r.scraper.metrics.commits.WithLabelValues("failure")); n < 2 {
			return fmt.Errorf("%v failures", n)
		}
		return nil
	})
	if found := r.selected(`{__name__=~".+"}`); len(found) != 0 {
		t.Errorf("%v", found)
	}
	storage.fail.Store(false)
	eventually(t, r.is("a", 1))
}

func TestRefusedSamplesAreCounted(t *testing.T) {
	future := time.Now().Add(9 * time.Minute).UnixMilli()
	old := time.Now().Add(-2 * time.Hour).UnixMilli()
	p := serve(t, fmt.Sprintf("a 1 %d\nb 1 %d\nc 1\n", future, old))
	r := start(t, "", nil)
	r.db.SetRetention(time.Hour)
	r.apply(job("", p.address()))
	eventually(t, r.is("c", 1))
	eventually(t, func() error {
		if n := testutil.ToFloat64(r.scraper.metrics.refused.WithLabelValues("too_old")); n < 1 {
			return fmt.Errorf("%v refused", n)
		}
		return nil
	})
	if err := r.is("a", 1)(); err != nil {
		t.Error(err)
	}
	if found := r.selected("b"); len(found["b"]) != 0 {
		t.Errorf("%v was stored", found)
	}
}

func TestApplyAfterTheEnd(t *testing.T) {
	r := start(t, "", nil)
	r.stop()
	if err := r.scraper.Apply(context.Background(), Config{}); !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
	if r.scraper.Pools() != nil || r.scraper.Active() != nil {
		t.Error("there are targets")
	}
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "prometheus_") {
			t.Errorf("%s is there without any job", f.GetName())
		}
	}
}

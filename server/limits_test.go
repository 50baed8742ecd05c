package server

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varve-db/varve/tenant"
)

const limitsFile = `
limits:
  default: {active-series: 1_000, labels: 20, age: 1d}
  tenants:
    team-a:
      samples-per-second: 100
      active-series: 0
      request-bytes: 1KiB
    anonymous: {series-per-metric: 5}
`

func TestLimitsInTheFile(t *testing.T) {
	c, err := load(limitsFile, nil, "--config.file=varve.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := &tenant.LimitSet{
		Default: tenant.Limits{SeriesMax: 1000, LabelsMax: 20, AgeMax: 24 * time.Hour},
		Tenants: map[string]tenant.Limits{
			"team-a":    {SamplesPerSecond: 100, RequestBytesMax: 1024, LabelsMax: 20, AgeMax: 24 * time.Hour},
			"anonymous": {SeriesMax: 1000, SeriesPerMetricMax: 5, LabelsMax: 20, AgeMax: 24 * time.Hour},
		},
	}
	if fmt.Sprint(c.Limits) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", c.Limits, want)
	}
	again, err := load(limitsYAML(c.Limits), nil, "--config.file=varve.yml")
	if err != nil || fmt.Sprint(again.Limits) != fmt.Sprint(want) {
		t.Errorf("written and read again: %v, %v", again.Limits, err)
	}
	if !strings.Contains(c.YAML(), `"team-a":`) || strings.Contains(Defaults().YAML(), limitsKey) {
		t.Error("the configuration that is shown has other limits")
	}
	for text, want := range map[string]string{
		"limits: 5":                            "varve.yml:1: limits must be a mapping",
		"limits:\n  defaults: {}":              `varve.yml:2: unknown key "defaults" in limits`,
		"limits: {default: {active-serie: 1}}": `varve.yml:1: unknown limit "active-serie" (did you mean active-series?)`,
		"limits: {default: {labels: many}}":    `labels: "many" is not a whole number`,
		"limits: {default: {labels: [1]}}":     `limit "labels" must have one value`,
		"limits: {tenants: {a b: {}}}":         "the byte ' ' in it",
		"limits: {tenants: {a: {}, a: {}}}":    `limits.tenants has "a" twice`,
		"limits: {default: {age: never}}":      `age: "never" is not a duration`,
	} {
		if _, err := load(text, nil, "--config.file=varve.yml"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// manySeries is a request with a sample of each of n series of a metric.
func manySeries(t *testing.T, metric string, n int, at time.Time) string {
	t.Helper()
	request := &prompb.WriteRequest{}
	for i := range n {
		request.Timeseries = append(request.Timeseries, prompb.TimeSeries{
			Labels:  []prompb.Label{{Name: "__name__", Value: metric}, {Name: "job", Value: "test"}, {Name: "user", Value: fmt.Sprint("u", i)}},
			Samples: []prompb.Sample{{Timestamp: at.UnixMilli(), Value: 1}},
		})
	}
	raw, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, raw))
}

func TestLimitsAreHeld(t *testing.T) {
	var later atomic.Int64 // nanoseconds that the clock is ahead of noon
	limits := &tenant.LimitSet{
		Default: tenant.Limits{SeriesMax: 50},
		Tenants: map[string]tenant.Limits{
			"paced": {SamplesPerSecond: 10, SamplesBurst: 20}, "small": {RequestBytesMax: 300}, "narrow": {LabelsMax: 2}, "fresh": {AgeMax: time.Hour},
		},
	}
	var wanted Config
	n := startFull(t, t.TempDir(), func(c *Config, o *Options) {
		c.Limits = limits
		wanted = *c
		o.Now = func() time.Time { return noon.Add(time.Duration(later.Load())) }
		o.Reload = func() (Config, error) { return wanted, nil }
	})
	const path = "/api/v1/write"
	got := n.as("", "POST", path, manySeries(t, "m", 60, noon))
	got.want(t, "60 series of 50", 400, "refused 10 samples (too_many_series): tenant anonymous has 50 series in memory, which is its limit (active-series)")
	got.want(t, "60 series of 50", 400, `label "user" has most values`)
	n.as("", "POST", path, manySeries(t, "m", 50, noon.Add(time.Second))).want(t, "known series", 204, "")
	n.as("other", "POST", path, manySeries(t, "m", 40, noon)).want(t, "another tenant", 204, "")
	n.query("count(m)", noon.Add(time.Second)).want(t, "count", 200, `,"50"]`)
	if log := n.log.String(); !strings.Contains(log, `msg="series refused" tenant=anonymous reason=too_many_series label=user`) {
		t.Errorf("the log does not name the label:\n%s", log)
	}

	n.as("paced", "POST", path, manySeries(t, "m", 20, noon)).want(t, "burst", 204, "")
	got = n.as("paced", "POST", path, manySeries(t, "m", 20, noon))
	got.want(t, "too fast", 429, "tenant paced may write 10 samples a second (samples-per-second)")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	later.Store(int64(2 * time.Second))
	n.as("paced", "POST", path, manySeries(t, "m", 20, noon)).want(t, "in time", 204, "")

	n.as("small", "POST", path, manySeries(t, "m", 2, noon)).want(t, "small body", 204, "")
	n.as("small", "POST", path, manySeries(t, "m", 40, noon)+strings.Repeat("x", 300)).want(t, "large body", 413, "larger than 300")
	n.as("narrow", "POST", path, manySeries(t, "m", 1, noon)).want(t, "labels", 400, "3 labels, the tenant's limit is 2 (labels)")
	n.as("fresh", "POST", path, manySeries(t, "m", 1, noon.Add(-2*time.Hour))).want(t, "age", 400, "older than the tenant may write, 1h (age)")
	n.as("other", "POST", path, manySeries(t, "m", 1, noon.Add(-2*time.Hour))).want(t, "age of another", 204, "")

	wanted.Limits = &tenant.LimitSet{Default: tenant.Limits{SeriesMax: 55, SeriesPerMetricMax: 52}}
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	n.as("", "POST", path, manySeries(t, "m", 60, noon)).want(t, "after a reload", 400, "refused 8 samples (too_many_series_of_metric): tenant anonymous has 52 series of this metric")
	n.as("narrow", "POST", path, manySeries(t, "m", 1, noon)).want(t, "after a reload", 204, "")
	for _, want := range []string{`varve_tenant_throttled_samples_total{tenant="paced"} 20`, `varve_tenant_refused_samples_total{tenant="anonymous"} 18`, `denied_requests_total{reason="request_bytes"} 1`} {
		n.get("/metrics").want(t, "metrics", 200, want)
	}
}

//go:build e2e

package e2e

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// TestGrafanaContract runs the script that replays what Grafana asks.
func TestGrafanaContract(t *testing.T) {
	script := os.Getenv("GRAFANA_CONTRACT")
	if script == "" {
		t.Skip("GRAFANA_CONTRACT names no script")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	t.Parallel()
	n := newNode(t)
	cmd := exec.CommandContext(t.Context(), python, script, n.url)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\n65/65 passed") {
		t.Errorf("the contract is broken: %v\n%s", err, out)
	}
}

// grafanaLoad is a remote write 2.0 request with samples, native histograms,
// exemplars and metadata.
type grafanaLoad struct {
	symbols writev2.SymbolsTable
	request writev2.Request
	times   []int64
}

const grafanaSamples = 41

func newGrafanaLoad(now time.Time) *grafanaLoad {
	l := &grafanaLoad{symbols: writev2.NewSymbolTable()}
	for i := range int64(grafanaSamples) {
		l.times = append(l.times, now.Add(-10*time.Minute).Truncate(time.Second).UnixMilli()+i*15_000)
	}
	for instance, job := range map[string]string{"localhost:9090": "prometheus", "localhost:9100": "node"} {
		l.floats(writev2.Metadata_METRIC_TYPE_GAUGE, "up", "instance", instance, "job", job)
	}
	for _, code := range []string{"200", "404", "500"} {
		s := l.floats(writev2.Metadata_METRIC_TYPE_COUNTER, "http_requests_total", "code", code, "http.status_code", code, "job", "api")
		s.Exemplars = []writev2.Exemplar{{
			LabelsRefs: l.symbols.SymbolizeLabels(labels.FromStrings("trace_id", "trace "+code), nil),
			Value:      0.7, Timestamp: l.times[30],
		}}
	}
	s := l.add(writev2.Metadata_METRIC_TYPE_HISTOGRAM, "nh_seconds", "job", "api")
	for i, at := range l.times {
		n := int64(i + 1)
		s.Histograms = append(s.Histograms, writev2.FromIntHistogram(0, at, &histogram.Histogram{
			Count: uint64(6 * n), Sum: 18.4 * float64(n), PositiveSpans: []histogram.Span{{Length: 3}}, PositiveBuckets: []int64{2 * n, -n, 2 * n},
		}))
	}
	return l
}

func (l *grafanaLoad) add(kind writev2.Metadata_MetricType, name string, pairs ...string) *writev2.TimeSeries {
	l.request.Timeseries = append(l.request.Timeseries, writev2.TimeSeries{
		LabelsRefs: l.symbols.SymbolizeLabels(labels.FromStrings(append([]string{"__name__", name}, pairs...)...), nil),
		Metadata:   writev2.Metadata{Type: kind, HelpRef: l.symbols.Symbolize("Help for " + name), UnitRef: l.symbols.Symbolize("things")},
	})
	return &l.request.Timeseries[len(l.request.Timeseries)-1]
}

func (l *grafanaLoad) floats(kind writev2.Metadata_MetricType, name string, pairs ...string) *writev2.TimeSeries {
	s := l.add(kind, name, pairs...)
	for i, at := range l.times {
		s.Samples = append(s.Samples, writev2.Sample{Timestamp: at, Value: float64(i)})
	}
	return s
}

func (l *grafanaLoad) body(t testing.TB) []byte {
	t.Helper()
	l.request.Symbols = l.symbols.Symbols()
	raw, err := l.request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

// TestGrafanaConnects does what Grafana does when a data source is saved and
// opened, and writes as it does.
func TestGrafanaConnects(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	now := time.Now()

	health := `{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}`
	for what, r := range map[string]reply{
		"save and test":       n.ask("/api/v1/query", "query", "1+1", "time", "4"),
		"save and test, GET":  n.get("/api/v1/query?query=1%2B1&time=4"),
		"below a path prefix": n.ask("/prometheus/api/v1/query", "query", "1+1", "time", "4"),
	} {
		if r.want(t, what, 200); strings.TrimSpace(string(r.body)) != health {
			t.Errorf("%s: %s, want %s", what, r.body, health)
		}
	}
	checkBuildInfo(t, n)
	var rules struct{ Groups []any }
	unmarshal(t, n.get("/api/v1/rules").want(t, "rules", 200).envelope(t).Data, &rules)
	if rules.Groups == nil {
		t.Error("rules: groups must be a list")
	}
	probe := n.ask("/api/v1/query_exemplars", "query", "test", "start", strconv.FormatInt(now.Add(-time.Hour).UnixMilli(), 10), "end", strconv.FormatInt(now.UnixMilli(), 10))
	if got := string(probe.want(t, "exemplar probe in milliseconds", 200).envelope(t).Data); got != "[]" {
		t.Errorf("exemplar probe: %s, want []", got)
	}
	if r := n.get("/rules/test/test").want(t, "ruler probe", 404); !strings.Contains(string(r.body), "page not found") {
		t.Errorf("ruler probe: %s", r.body)
	}
	checkWrites(t, n, now)
}

func checkBuildInfo(t *testing.T, n *node) {
	t.Helper()
	for _, r := range []reply{n.get("/api/v1/status/buildinfo"), n.ask("/api/v1/status/buildinfo")} {
		var info map[string]any
		unmarshal(t, r.want(t, "buildinfo", 200).envelope(t).Data, &info)
		for name, v := range info {
			if _, text := v.(string); !text {
				t.Errorf("buildinfo: %s is %v, not a string", name, v)
			}
		}
		var major, minor, patch int
		if _, err := fmt.Sscanf(fmt.Sprint(info["version"]), "%d.%d.%d", &major, &minor, &patch); err != nil || major < 3 {
			t.Errorf("buildinfo: version %v is not one of Prometheus 3: %v", info["version"], err)
		}
		if _, there := info["features"]; there {
			t.Error("buildinfo: features would make Grafana look for a ruler")
		}
	}
}

func checkWrites(t *testing.T, n *node, now time.Time) {
	t.Helper()
	const floats, exemplars = 5 * grafanaSamples, 3
	written := n.post("/api/v1/write", writeV2Type, newGrafanaLoad(now).body(t), "Content-Encoding", "snappy", "X-Prometheus-Remote-Write-Version", "2.0.0").
		want(t, "remote write 2.0", 204)
	for kind, want := range map[string]int{"Samples": floats, "Histograms": grafanaSamples, "Exemplars": exemplars} {
		if got := written.header.Get("X-Prometheus-Remote-Write-" + kind + "-Written"); got != strconv.Itoa(want) {
			t.Errorf("%s written: %q, want %d", kind, got, want)
		}
	}
	n.post("/api/v1/write", "application/json", []byte("{}"), "Content-Encoding", "snappy").want(t, "another content type", 415)
	n.post("/api/v1/write", writeV1Type, []byte("x"), "Content-Encoding", "gzip").want(t, "another encoding", 415)
	for _, path := range []string{"/api/v1/push", "/api/prom/push", "/prometheus/api/v1/push"} {
		r := n.post(path, writeV1Type, snappy.Encode(nil, nil), "Content-Encoding", "snappy", "X-Prometheus-Remote-Write-Version", "0.1.0").want(t, path, 204)
		if got := r.header.Get("X-Prometheus-Remote-Write-Samples-Written"); got != "" {
			t.Errorf("%s: a sender of 1.0 is told %s samples written", path, got)
		}
	}

	n.kill() // what Grafana is shown next comes from the disk
	n.restart()
	if got := n.vector(fmt.Sprintf("sum(count_over_time(up[1h] @ %d))", now.Unix())); len(got) != 1 || got[0] != strconv.Itoa(2*grafanaSamples) {
		t.Errorf("samples of up: %v, want %d", got, 2*grafanaSamples)
	}
	if got := n.vector(fmt.Sprintf("histogram_count(nh_seconds @ %d)", now.Unix())); len(got) != 1 || got[0] != strconv.Itoa(6*grafanaSamples) {
		t.Errorf("count of the native histogram: %v, want %d", got, 6*grafanaSamples)
	}
	var known map[string][]description
	unmarshal(t, n.get("/api/v1/metadata?metric="+url.QueryEscape("http_requests_total")).want(t, "metadata", 200).envelope(t).Data, &known)
	if got, want := fmt.Sprint(known), fmt.Sprint(map[string][]description{"http_requests_total": {{"counter", "things", "Help for http_requests_total"}}}); got != want {
		t.Errorf("metadata: %s, want %s", got, want)
	}
	var shown []struct {
		SeriesLabels map[string]string
		Exemplars    []struct{ Labels map[string]string }
	}
	n.data(&shown, "/api/v1/query_exemplars", "query", "sum(rate(http_requests_total[1m]))", "start", seconds(now.Add(-time.Hour)), "end", seconds(now))
	if len(shown) != exemplars || len(shown[0].Exemplars) != 1 || shown[0].Exemplars[0].Labels["trace_id"] != "trace "+shown[0].SeriesLabels["code"] {
		t.Errorf("exemplars: %v", shown)
	}
}

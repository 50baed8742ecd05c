package server

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varve-db/varve/kv"
)

// noon is the clock of the nodes in these tests.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// writeRequest is a remote write 1.0 request of one series with a sample every
// 15 seconds up to end.
func writeRequest(t *testing.T, name string, end time.Time, samples int) string {
	t.Helper()
	s := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}, {Name: "job", Value: "test"}}}
	for i := range samples {
		at := end.Add(-15 * time.Second * time.Duration(samples-1-i))
		s.Samples = append(s.Samples, prompb.Sample{Timestamp: at.UnixMilli(), Value: float64(i)})
	}
	body, err := (&prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{s},
		Metadata:   []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: name, Help: "A test."}},
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, body))
}

func (n *testNode) write(path, body string) answer {
	n.t.Helper()
	return n.do("POST", path, body, "Content-Type", "application/x-protobuf", "Content-Encoding", "snappy")
}

func (n *testNode) query(text string, at time.Time) answer {
	n.t.Helper()
	return n.get(fmt.Sprintf("/api/v1/query?query=%s&time=%d.%03d", url.QueryEscape(text), at.Unix(), at.UnixMilli()%1000))
}

// startFull starts a complete node on a folder.
func startFull(t *testing.T, folder string, change func(*Config, *Options)) *testNode {
	t.Helper()
	return openNode(t, func(c *Config, o *Options) {
		c.Storage.Path = folder
		c.Storage.Memory = AutoSize{Bytes: 512 << 20}
		c.SelfScrape.Interval = 0
		o.Now = func() time.Time { return noon }
		if change != nil {
			change(c, o)
		}
	}, nil).serve().awaitReady()
}

func (n *testNode) stop() {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Fatal(err)
	}
	if err := <-n.served; err != nil {
		n.t.Fatal(err)
	}
}

func TestWriteAskRestartAsk(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "data")
	ask := func(n *testNode, samples int) {
		t.Helper()
		n.query("count_over_time(a_total[1h])", noon).want(t, "count", 200, fmt.Sprintf(`"%d"]`, samples))
		n.query(`a_total{job="test"}`, noon).want(t, "instant", 200, `{"__name__":"a_total","job":"test"}`)
		n.get("/api/v1/label/job/values").want(t, "values", 200, `["test"]`)
		n.get("/prometheus/api/v1/metadata?metric=a_total").want(t, "metadata", 200, "A test.")
		n.do("POST", "/api/v1/series", "match[]=a_total", "Content-Type", "application/x-www-form-urlencoded").want(t, "series", 200, "a_total")
	}
	n := startFull(t, folder, nil)
	n.query("1+1", noon).want(t, "empty", 200, `"2"`)
	n.query("a_total", noon).want(t, "empty", 200, `"result":[]`)
	n.write("/api/v1/write", writeRequest(t, "a_total", noon, 100)).want(t, "write", 204, "")
	ask(n, 100)
	n.stop()

	n = startFull(t, folder, func(c *Config, _ *Options) { c.Web.EnableAdminAPI = true })
	ask(n, 100) // from the log
	n.do("POST", "/api/v1/admin/tsdb/flush", "").want(t, "flush", 204, "")
	n.write("/prometheus/api/v1/push", writeRequest(t, "a_total", noon.Add(15*time.Second), 2)).want(t, "overlapping write", 204, "")
	n.write("/api/prom/push", writeRequest(t, "b_total", noon, 1)).want(t, "third path", 204, "")
	n.query("count_over_time(a_total[1h])", noon.Add(15*time.Second)).want(t, "flushed and new", 200, `"101"]`)
	n.stop()

	n = startFull(t, folder, nil)
	n.query("count_over_time(a_total[1h])", noon.Add(15*time.Second)).want(t, "after all", 200, `"101"]`)
	n.get("/api/v1/status/flags").want(t, "flags", 200, `"storage.path":"`+folder+`"`)
	n.get("/api/v1/status/tsdb").want(t, "cardinality", 200, `{"name":"b_total","value":1}`)
	n.get("/api/v1/status/config").want(t, "config", 200, "storage:\\n")
	n.get("/api/v1/status/runtimeinfo").want(t, "runtime", 200, `"storageRetention":"90d"`)
	n.get("/api/v1/status/buildinfo").want(t, "build", 200, `"varveVersion":"1.2.3"`)
}

func TestRefusalsReachTheSender(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) { c.Ingest.BodyBytesMax, c.Ingest.DecodedBytesMax = 1<<10, 2<<10 })
	n.write("/api/v1/write", writeRequest(t, "a", noon.Add(time.Hour), 1)).want(t, "too far ahead", 400, "too_far_ahead")
	n.write("/api/v1/write", writeRequest(t, "a", noon.Add(-100*24*time.Hour), 1)).want(t, "too old", 400, "too_old")
	n.write("/api/v1/write", "nonsense").want(t, "nonsense", 400, "")
	if a := n.write("/api/v1/write", strings.Repeat("x", 2<<10)); a.code != 400 && a.code != 413 {
		t.Errorf("oversized: %d %s", a.code, a.body)
	}
	n.do("POST", "/api/v1/query", "query="+strings.Repeat("x", 5<<20), "Content-Type", "application/x-www-form-urlencoded").want(t, "large form", 400, "larger than")
	n.get("/api/v1/write").want(t, "GET", 405, "")
	if a := n.do("OPTIONS", "/api/v1/query", "", "Origin", "http://x.example"); a.code != 204 || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("preflight: %d %v", a.code, a.header)
	}
}

func TestKeyspaces(t *testing.T) {
	folder := t.TempDir()
	now := noon
	n := startFull(t, folder, func(c *Config, _ *Options) { c.KV.ValueBytesMax = 100 })
	n.do("PUT", "/kv/v1/fruit/red/apple%2Fpie", "sweet").want(t, "new", 201, "")
	n.do("PUT", "/prometheus/kv/v1/fruit/short", "x", "Varve-TTL", "1m").want(t, "new with expiry", 201, "")
	n.get("/kv/v1/fruit/red/apple%2Fpie").want(t, "value", 200, "sweet")
	n.get("/kv/v1/fruit").want(t, "list", 200, "")
	n.do("PUT", "/kv/v1/fruit/large", strings.Repeat("x", 101)).want(t, "large", 413, "")
	n.get("/kv/v1/").want(t, "nothing", 404, "")
	n.stop()
	n = startFull(t, folder, func(_ *Config, o *Options) { now = now.Add(time.Hour); o.Now = func() time.Time { return now } })
	n.get("/kv/v1/fruit/red/apple%2Fpie").want(t, "value after a restart", 200, "sweet")
	n.get("/kv/v1/fruit/short").want(t, "expired value", 404, "")
	await(t, func() bool { return strings.Contains(n.get("/metrics").body, "varve_kv_api_swept_keys_total 1") })
	n.do("DELETE", "/kv/v1/fruit/red/apple%2Fpie", "").want(t, "delete", 204, "")
	n.get("/kv/v1/fruit/red/apple%2Fpie").want(t, "deleted", 404, "")
}

func TestSnapshotCanBeServed(t *testing.T) {
	folder := t.TempDir()
	n := startFull(t, folder, func(c *Config, _ *Options) { c.Web.EnableAdminAPI = true })
	n.write("/api/v1/write", writeRequest(t, "a", noon, 10)).want(t, "write", 204, "")
	n.do("POST", "/api/v1/admin/tsdb/snapshot", "").want(t, "snapshot", 200, `"status":"success"`)
	n.write("/api/v1/write", writeRequest(t, "later", noon, 10)).want(t, "write", 204, "")
	taken, err := os.ReadDir(filepath.Join(folder, snapshotFolder))
	if err != nil || len(taken) != 1 {
		t.Fatalf("snapshots: %v, %v", taken, err)
	}
	copied := startFull(t, filepath.Join(folder, snapshotFolder, taken[0].Name()), nil)
	copied.query("count_over_time(a[1h])", noon).want(t, "copy", 200, `"10"]`)
	copied.query("later", noon).want(t, "what came after", 200, `"result":[]`)
}

func TestOneNodeAFolder(t *testing.T) {
	folder := t.TempDir()
	startFull(t, folder, nil)
	second := openNode(t, func(c *Config, _ *Options) { c.Storage.Path = folder }, nil).serve()
	err := <-second.served
	if err == nil || !strings.Contains(Advice(err), "--storage.path") {
		t.Fatalf("got %v, advice %q", err, Advice(err))
	}
}

func TestAdviceOnNewerAndDamagedFolders(t *testing.T) {
	cases := []struct {
		err  error
		want string
	}{
		{kv.ErrNewerFormat, "newer version"}, {kv.ErrCorrupt, "damaged"}, {kv.ErrFull, "disk is full"},
		{os.ErrPermission, "refuses"}, {fmt.Errorf("something else"), ""}, {nil, ""},
	}
	for _, c := range cases {
		err := c.err
		if err != nil {
			err = fmt.Errorf("open the database: %w", err)
		}
		if got := Advice(err); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%v: advice %q, want %q", c.err, got, c.want)
		}
	}
}

func TestSelfScrapeIsStored(t *testing.T) {
	folder := t.TempDir()
	withScrape := func(c *Config, o *Options) {
		c.SelfScrape.Interval = time.Hour // one at the start
		o.Now = time.Now
	}
	n := startFull(t, folder, withScrape)
	await(t, func() bool { return strings.Contains(n.query("varve_build_info", time.Now()).body, `"1"]`) })
	n.query("varve_build_info", time.Now()).want(t, "build", 200, fmt.Sprintf(`"instance":"%s","job":"varve"`, n.Address()))
	n.query("varve_build_info", time.Now()).want(t, "build", 200, `"version":"1.2.3"`)
	n.query(`varve_server_request_seconds_bucket{le="2.0"}`, time.Now().Add(time.Second)).want(t, "query of a histogram", 200, "success")
	n.get("/api/v1/metadata?metric=varve_build_info").want(t, "metadata", 200, "Always 1")
	time.Sleep(2 * time.Millisecond) // the end is marked later than the last scrape
	n.stop()
	stopped := time.Now()
	n = startFull(t, folder, func(c *Config, o *Options) { o.Now = time.Now })
	n.query("varve_build_info", stopped).want(t, "after the stop", 200, `"result":[]`)
	n.query("count_over_time(varve_build_info[1m])", stopped).want(t, "before the stop", 200, `"1"]`)
}

func TestRetentionDropsAtTheStart(t *testing.T) {
	folder := t.TempDir()
	old := noon.Add(-80 * 24 * time.Hour)
	n := startFull(t, folder, func(c *Config, _ *Options) { c.Web.EnableAdminAPI = true })
	n.write("/api/v1/write", writeRequest(t, "old", old, 10)).want(t, "old", 204, "")
	n.write("/api/v1/write", writeRequest(t, "new", noon, 10)).want(t, "new", 204, "")
	n.do("POST", "/api/v1/admin/tsdb/flush", "").want(t, "flush", 204, "")
	n.query("count_over_time(old[1h])", old).want(t, "old", 200, `"10"]`)
	n.stop()
	n = startFull(t, folder, func(c *Config, _ *Options) { c.Retention.Time = 30 * 24 * time.Hour })
	n.query("count_over_time(old[1h])", old).want(t, "old, expired", 200, `"result":[]`)
	n.query("count_over_time(new[1h])", noon).want(t, "new", 200, `"10"]`)
	if !strings.Contains(n.log.String(), "partitions dropped") {
		t.Error("nothing was dropped")
	}
}

func TestStopCancelsNothingThatFinishes(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := make(chan answer, 1)
	go func() { answers <- n.write("/api/v1/write", writeRequest(t, "a", noon, 5000)) }()
	await(t, func() bool { return n.front.inFlight.Load() > 0 || len(answers) > 0 || ctx.Err() != nil })
	n.stop()
	(<-answers).want(t, "write in flight", 204, "")
}

// TestMetricsAreDocumented lists every metric that the parts of a node register.
func TestMetricsAreDocumented(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	all := make(chan *prometheus.Desc)
	go func() { n.registry.Describe(all); close(all) }()
	rows := map[string]string{}
	for d := range all {
		text := d.String() // Desc{fqName: "a", help: "b", constLabels: {}, variableLabels: {c}}
		var name, help string
		if _, err := fmt.Sscanf(text, "Desc{fqName: %q, help: %q,", &name, &help); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !strings.HasPrefix(name, "varve_") {
			continue
		}
		_, variable, _ := strings.Cut(text, "variableLabels: {")
		variable, _, _ = strings.Cut(variable, "}")
		if variable != "" {
			variable = "`" + strings.ReplaceAll(variable, ",", "`, `") + "`"
		}
		rows[name] = fmt.Sprintf("| `%s` | %s | %s |\n", name, variable, strings.ReplaceAll(help, "|", `\|`))
	}
	var s strings.Builder
	s.WriteString("| Metric | Labels | Meaning |\n|---|---|---|\n")
	var names []string
	for name := range rows {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.WriteString(rows[name])
	}
	checkSection(t, operations, "metrics", s.String())

	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`varve_[a-z0-9_]+`).FindAllString(string(text), -1) {
		if rows[strings.TrimSuffix(name, "_bucket")] == "" {
			t.Errorf("%s names the metric %s, which does not exist", operations, name)
		}
	}
}

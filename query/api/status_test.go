package api

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	deps := depsOf(newStuck())
	deps.Flags = map[string]string{"web.listen-address": "127.0.0.1:7480", "b": "<x>"}
	deps.Config = func() string { return "global:\n  a: \"b\"\n" }
	started := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	deps.Runtime = func() (RuntimeInfo, error) {
		return RuntimeInfo{StartTime: started, ServerTime: started, LastConfigTime: started, WorkingDirectory: "/w", Hostname: "h", ReloadConfigSuccess: true,
			CorruptionCount: 1, GoroutineCount: 2, MaxProcs: 3, MemoryLimit: 4, GOGC: "75", GODEBUG: "x=1", StorageRetention: "90d"}, nil
	}
	deps.Cardinality = func(_ context.Context, limit int) (Cardinality, error) {
		return Cardinality{Series: 10, LabelPairs: 9, Chunks: 8, TimeMin: -7, TimeMax: 6,
			SeriesByMetric: []Count{{"up", 5}, {"down", 4}}, SeriesByPair: []Count{{"a=b", 3}},
			Churn: Churn{Since: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), Series: 12, SeriesByMetric: []Count{{"up", 9}, {"down", 3}}}}, nil
	}
	s := serve(t, deps, Options{
		Build:    BuildInfo{VarveVersion: "0.1.0", Revision: "abc", Runtime: "go1.26"},
		Features: map[string]map[string]bool{"api": {"admin": true}, "ingest": {"influx": true}},
	}, false)
	for path, want := range map[string]string{
		"/api/v1/status/flags":  `{"b":"\u003cx\u003e","web.listen-address":"127.0.0.1:7480"}`,
		"/api/v1/status/config": `{"yaml":"global:\n  a: \"b\"\n"}`,
		"/api/v1/status/runtimeinfo": `{"startTime":"2026-01-02T03:04:05.0000006Z","CWD":"/w","hostname":"h","serverTime":"2026-01-02T03:04:05.0000006Z",` +
			`"reloadConfigSuccess":true,"lastConfigTime":"2026-01-02T03:04:05.0000006Z","corruptionCount":1,"goroutineCount":2,"GOMAXPROCS":3,` +
			`"GOMEMLIMIT":4,"GOGC":"75","GODEBUG":"x=1","storageRetention":"90d"}`,
		"/api/v1/status/buildinfo": `{"version":"3.16.0","revision":"abc","branch":"","buildUser":"","buildDate":"","goVersion":"go1.26","application":"Varve","varveVersion":"0.1.0"}`,
		"/api/v1/status/tsdb?limit=1": `{"headStats":{"numSeries":10,"numLabelPairs":9,"chunkCount":8,"minTime":-7,"maxTime":6},` +
			`"seriesCountByMetricName":[{"name":"up","value":5}],"labelValueCountByLabelName":[],"memoryInBytesByLabelName":[],` +
			`"seriesCountByLabelValuePair":[{"name":"a=b","value":3}],` +
			`"churn":{"since":"2026-01-02T03:04:00Z","seriesCreated":12,"seriesCreatedByMetricName":[{"name":"up","value":9}],` +
			`"valuesCreatedByLabelName":[],"seriesCreatedByLabelValuePair":[]}}`,
	} {
		if got := s.get(t, path); got.body != `{"status":"success","data":`+want+`}` {
			t.Errorf("%s:\n got %s\nwant %s", path, got.body, want)
		}
	}
	features := s.ask(t, "GET", "/api/v1/features", nil).succeeded(t)
	all := features.data.(map[string]any)
	if all["api"].(map[string]any)["admin"] != true || all["api"].(map[string]any)["query_stats"] != true || all["ingest"] == nil {
		t.Errorf("%s", features.body)
	}
	if !strings.Contains(features.body, `">=":true`) || all["promql_functions"].(map[string]any)["rate"] != true {
		t.Errorf("%s", features.body)
	}
}

func TestStatusFails(t *testing.T) {
	deps := depsOf(newStuck())
	broken := errors.New("broken")
	deps.Runtime = func() (RuntimeInfo, error) { return RuntimeInfo{}, broken }
	deps.Cardinality = func(context.Context, int) (Cardinality, error) { return Cardinality{}, broken }
	s := serve(t, deps, Options{}, false)
	s.ask(t, "GET", "/api/v1/status/runtimeinfo", nil).failed(t, 500, "internal")
	s.ask(t, "GET", "/api/v1/status/tsdb", nil).failed(t, 500, "internal")
}

func TestRoutes(t *testing.T) {
	routes := New(depsOf(newStuck()), Options{}).Routes()
	for path, want := range map[string]string{
		"/api/v1/query": "/api/v1/query", "/api/v1/label/a/values": "/api/v1/label/{name}/values", "/api/v1/label/a%2Fb/values": "/api/v1/label/{name}/values",
		"/api/v1/label//values": "", "/api/v1/label/a/b/values": "", "/api/v1/query/": "", "/api/v1/quer": "", "/api/v1": "", "/": "", "": "",
		"/api/v1/status/tsdb": "/api/v1/status/tsdb", "/api/v1/search/metric_names": "", "/federate": "/federate", "api/v1/query": "/api/v1/query",
	} {
		got := ""
		for _, r := range routes {
			if r.Matches(path) {
				got += r.Path
			}
		}
		if got != want {
			t.Errorf("%q matches %q, want %q", path, got, want)
		}
	}
	if r := New(depsOf(newStuck()), Options{}); len(r.Routes()) < 20 {
		t.Errorf("%d routes", len(r.Routes()))
	}
}

func TestLabelInPath(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/label/job/values": "job", "/prometheus/api/v1/label/a%2Fb/values": "a/b", "/api/v1/label/%E4%B8%96/values": "世",
		"/api/v1/label/U__http_2e_status__code/values": "http.status_code", "/api/v1/label/a%20b/values/": "a b",
	} {
		if got, err := labelInPath(path); err != nil || got != want {
			t.Errorf("%s names %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"/api/v1/label/%zz/values", "/api/v1/label/%ff/values", "/api/v1/label//values"} {
		if got, err := labelInPath(path); err == nil {
			t.Errorf("%s names %q", path, got)
		}
	}
}

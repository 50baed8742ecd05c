package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestActiveQueries(t *testing.T) {
	from := newStuck()
	deps := depsOf(from)
	deps.Now = time.Now
	s := serve(t, deps, Options{}, true)
	list := func() []any {
		return s.ask(t, "GET", "/api/v1/status/active_queries", nil).succeeded(t).data.(map[string]any)["queries"].([]any)
	}
	if len(list()) != 0 {
		t.Fatalf("%v", list())
	}
	killed := make(chan reply, 1)
	go func() {
		killed <- s.do(t, "GET", "/api/v1/query_range?query=up%7Ba%3D%22%3C%22%7D&start=1.5&end=61.5&step=15", "",
			"X-Grafana-User", "ann", "X-Dashboard-Uid", "abc", "X-Panel-Id", "2", "X-Rule-Uid", "r", "X-Rule-Name", "n", "X-Rule-Folder", "f", "X-Datasource-Uid", "ds")
	}()
	<-from.asked
	q := list()[0].(map[string]any)
	for name, want := range map[string]any{
		"query": `up{a="<"}`, "start": 1.5, "end": 61.5, "step": 15.0, "user": "ann", "dashboard": "abc", "panel": "2", "rule": "r", "ruleName": "n",
		"ruleFolder": "f", "datasource": "ds", "phase": "running", "executor": "reference", "seriesDone": 0.0, "seriesTotal": 0.0, "samples": 0.0,
		"samplesDecoded": 0.0, "heldPoints": 0.0, "peakPoints": 0.0, "bytesRead": 0.0, "seriesRead": 0.0,
	} {
		if q[name] != want {
			t.Errorf("%s is %v, want %v", name, q[name], want)
		}
	}
	if since, err := time.Parse(time.RFC3339Nano, q["since"].(string)); err != nil || time.Since(since) > time.Minute {
		t.Errorf("since %v", q["since"])
	}
	if client := q["client"].(string); !strings.HasPrefix(client, "127.0.0.1:") {
		t.Errorf("client %s", client)
	}
	id := strconv.FormatFloat(q["id"].(float64), 'f', -1, 64)
	if got := s.ask(t, "DELETE", "/api/v1/status/active_queries?id="+id, nil).succeeded(t); got.data.(map[string]any)["ended"] != q["id"] {
		t.Errorf("%v", got.data)
	}
	got := <-killed
	if got.code != 422 || got.body != `{"status":"error","errorType":"canceled","error":"the query was ended by an operator"}` {
		t.Errorf("%d %s", got.code, got.body)
	}
	s.ask(t, "DELETE", "/api/v1/status/active_queries?id="+id, nil).failed(t, 404, "not_found")
	for _, id := range []string{"", "x", "-1", "99999999999999999999"} {
		s.ask(t, "DELETE", "/api/v1/status/active_queries?id="+id, nil).failed(t, 400, "bad_data")
	}
	if len(list()) != 0 {
		t.Errorf("%v", list())
	}
	preflight := s.do(t, http.MethodOptions, "/api/v1/status/active_queries", "", "Origin", "http://other")
	if strings.Contains(preflight.header.Get("Access-Control-Allow-Methods"), "DELETE") {
		t.Error("pages of other sites may end queries")
	}
}

func TestQueryLedger(t *testing.T) {
	s := serve(t, depsOfTestStorage(t), Options{}, false)
	for _, text := range []string{`up{job="a"}`, `up{job="b"}`, `rate(up[5m])`} {
		s.do(t, "GET", "/api/v1/query?time=600&query="+escapeQuery(text), "", "X-Dashboard-Uid", "abc", "X-Panel-Id", "2")
	}
	s.do(t, "GET", "/api/v1/query?time=600&query="+escapeQuery(`label_replace(up, "a", "", "b", "(")`), "")
	s.do(t, "GET", "/api/v1/query?query=sum(", "") // it is no query
	ask := func(parameters string) (entries []any, data map[string]any) {
		data = s.ask(t, "GET", "/api/v1/status/query_ledger"+parameters, nil).succeeded(t).data.(map[string]any)
		return data["entries"].([]any), data
	}
	entries, data := ask("?sort=count")
	if data["total"] != 3.0 || data["evicted"] != 0.0 || len(entries) != 3 {
		t.Fatalf("%v", data)
	}
	first := entries[0].(map[string]any)
	for name, want := range map[string]any{"query": `up{job="_"}`, "lastQuery": `up{job="b"}`, "dashboard": "abc", "panel": "2", "count": 2.0, "errors": 0.0, "rule": nil} {
		if first[name] != want {
			t.Errorf("%s is %v, want %v", name, first[name], want)
		}
	}
	if first["seconds"].(float64) < first["maxSeconds"].(float64) || first["maxSeconds"].(float64) <= 0 {
		t.Errorf("%v", first)
	}
	if entries, _ := ask("?sort=errors&limit=1"); len(entries) != 1 || entries[0].(map[string]any)["errors"] != 1.0 {
		t.Errorf("%v", entries)
	}
	if entries, _ := ask(""); len(entries) != 3 || !slices.IsSortedFunc(entries, func(a, b any) int {
		if a.(map[string]any)["seconds"].(float64) < b.(map[string]any)["seconds"].(float64) {
			return 1
		}
		return -1
	}) {
		t.Errorf("%v", entries)
	}
	s.ask(t, "GET", "/api/v1/status/query_ledger?sort=beauty", nil).failed(t, 400, "bad_data")
	s.ask(t, "GET", "/api/v1/status/query_ledger?limit=-1", nil).failed(t, 400, "bad_data")
}

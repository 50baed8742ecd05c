package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What Grafana's Prometheus data source and its alerting ask, and what their
// parsers need in the answers. The names are those of the contract.

// said is an answer as a client reads it.
type said struct {
	reply
	status, errorType, error string
	data                     any
	members                  map[string]any
}

func (s *server) ask(t testing.TB, method, path string, form url.Values, header ...string) said {
	t.Helper()
	var r reply
	if method == http.MethodPost {
		r = s.do(t, method, path, form.Encode(), header...)
	} else {
		if len(form) > 0 {
			path += "?" + form.Encode()
		}
		r = s.do(t, method, path, "", header...)
	}
	a := said{reply: r}
	if err := json.Unmarshal([]byte(r.body), &a.members); err != nil {
		t.Fatalf("%s: %v in %q", path, err, clip(r.body))
	}
	a.status, _ = a.members["status"].(string)
	a.errorType, _ = a.members["errorType"].(string)
	a.error, _ = a.members["error"].(string)
	a.data = a.members["data"]
	return a
}

// values makes parameters of names and values in turn.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func (a said) succeeded(t testing.TB) said {
	t.Helper()
	if a.code != 200 || a.status != "success" || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %s", a.code, a.header.Get("Content-Type"), clip(a.body))
	}
	return a
}

func (a said) failed(t testing.TB, code int, kind string) {
	t.Helper()
	if a.code != code || a.status != "error" || a.errorType != kind || a.error == "" {
		t.Errorf("%d %s, want %d %s", a.code, clip(a.body), code, kind)
	}
}

// results checks the shape of a query's result and returns its elements.
func (a said) results(t testing.TB, kind string, atLeast int) []any {
	t.Helper()
	a.succeeded(t)
	data := a.data.(map[string]any)
	if data["resultType"] != kind {
		t.Fatalf("result type %v, want %s", data["resultType"], kind)
	}
	if strings.Index(a.body, `"resultType"`) > strings.Index(a.body, `"result":`) {
		t.Errorf("the type does not come before the result: %s", clip(a.body))
	}
	list, ok := data["result"].([]any)
	if !ok || len(list) < atLeast {
		t.Fatalf("%d results, want %d: %s", len(list), atLeast, clip(a.body))
	}
	if kind == "vector" || kind == "matrix" {
		for _, e := range list {
			checkElement(t, e.(map[string]any))
		}
	}
	return list
}

func checkElement(t testing.TB, e map[string]any) {
	t.Helper()
	if _, ok := e["metric"].(map[string]any); !ok {
		t.Errorf("the metric is no object: %v", e)
	}
	points, _ := e["values"].([]any)
	if v, ok := e["value"]; ok {
		points = append(points, v)
	}
	for _, p := range points {
		pair := p.([]any)
		_, isNumber := pair[0].(float64)
		_, isString := pair[1].(string)
		if len(pair) != 2 || !isNumber || !isString {
			t.Errorf("sample %v", p)
		}
	}
}

// strings checks a sorted list of strings.
func (a said) strings(t testing.TB, count int, has ...string) {
	t.Helper()
	a.succeeded(t)
	list, ok := a.data.([]any)
	if !ok {
		t.Fatalf("no list: %s", clip(a.body))
	}
	var texts []string
	for _, e := range list {
		texts = append(texts, e.(string))
	}
	if !slices.IsSorted(texts) || count >= 0 && len(texts) != count {
		t.Errorf("%q, want %d in order", texts, count)
	}
	for _, s := range has {
		if !slices.Contains(texts, s) {
			t.Errorf("%q is not in %q", s, texts)
		}
	}
}

func contractServer(t testing.TB) *server { return serve(t, depsOfTestStorage(t), Options{}, false) }

func TestContractHealth(t *testing.T) {
	s := contractServer(t)
	for _, method := range []string{"POST", "GET"} { // H1, H2
		a := s.ask(t, method, "/api/v1/query", values("query", "1+1", "time", "4"))
		if r := a.results(t, "scalar", 2); r[0] != 4.0 || r[1] != "2" {
			t.Errorf("%v", r)
		}
		// H3, H4
		build := s.ask(t, method, "/api/v1/status/buildinfo", nil).succeeded(t).data.(map[string]any)
		if !regexp.MustCompile(`^3\.\d+\.\d+$`).MatchString(fmt.Sprint(build["version"])) || build["features"] != nil || build["application"] != "Varve" {
			t.Errorf("build info %v", build)
		}
		for _, name := range []string{"revision", "branch", "buildUser", "buildDate", "goVersion", "varveVersion"} {
			if _, ok := build[name].(string); !ok {
				t.Errorf("%s is no string in %v", name, build)
			}
		}
		// H6: milliseconds where seconds belong
		probe := s.ask(t, method, "/api/v1/query_exemplars", values("query", "test", "start", "1795450441000", "end", "1795452241000"))
		probe.strings(t, 0)
	}
	rules := s.ask(t, "GET", "/api/v1/rules", nil).succeeded(t) // H5
	if _, ok := rules.data.(map[string]any)["groups"].([]any); !ok {
		t.Errorf("%s", rules.body)
	}
}

func TestContractQueries(t *testing.T) {
	s := contractServer(t)
	span := values("start", "0", "end", "600", "step", "15")
	over := func(query string, more ...string) url.Values {
		v := values(append(more, "query", query)...)
		for name, list := range span {
			if v.Get(name) == "" {
				v[name] = list
			}
		}
		return v
	}
	at := func(query string) url.Values { return values("query", query, "time", "600") }
	const rangeURL, instantURL = "/api/v1/query_range", "/api/v1/query"

	s.ask(t, "POST", rangeURL, over("up")).results(t, "matrix", 2)                                                             // Q1
	s.ask(t, "GET", rangeURL, over("up")).results(t, "matrix", 2)                                                              // Q2
	s.ask(t, "POST", rangeURL, over("up", "start", "0.123", "end", "600.4560000896", "step", "0.5e2")).results(t, "matrix", 2) // Q3
	s.ask(t, "POST", instantURL, values("query", "up", "time", "600.25")).results(t, "vector", 2)                              // Q4
	if a := s.ask(t, "POST", instantURL, at("nope_nope")); !strings.Contains(a.body, `"result":[]`) {                          // Q5
		t.Errorf("%s", a.body)
	}
	if r := s.ask(t, "POST", instantURL, at(`"abc"`)).results(t, "string", 2); r[1] != "abc" { // Q6
		t.Errorf("%v", r)
	}
	s.ask(t, "POST", instantURL, at("up[2m]")).results(t, "matrix", 2) // Q7
	special := map[any]any{}
	for _, e := range s.ask(t, "POST", instantURL, at(`special_values{v=~"nan|pinf|ninf"}`)).results(t, "vector", 3) { // Q8
		sample := e.(map[string]any)
		special[sample["metric"].(map[string]any)["v"]] = sample["value"].([]any)[1]
	}
	if special["nan"] != "NaN" || special["pinf"] != "+Inf" || special["ninf"] != "-Inf" {
		t.Errorf("%v", special)
	}
	s.ask(t, "POST", rangeURL, over("up", "timeout", "60s")).results(t, "matrix", 2)                               // Q9
	s.ask(t, "POST", rangeURL, over("up{")).failed(t, 400, "bad_data")                                             // Q10
	s.ask(t, "POST", instantURL, at(`label_replace(up, "a b!", "$1", "job", "(.*") `)).failed(t, 422, "execution") // Q11
	s.ask(t, "POST", rangeURL, over("up", "start", "0", "end", "1000000", "step", "1")).failed(t, 400, "bad_data") // Q12
	if infos, _ := s.ask(t, "POST", instantURL, at("rate(up[2m])")).members["infos"].([]any); len(infos) != 1 {    // Q13
		t.Errorf("infos %v", infos)
	}
	checkBuckets(t, s.ask(t, "POST", instantURL, at("nh_seconds")).results(t, "vector", 1)[0])             // Q14
	checkBuckets(t, s.ask(t, "POST", rangeURL, over("nh_seconds")).results(t, "matrix", 1)[0])             // Q15
	s.ask(t, "POST", rangeURL, over("sum by (le) (rate(req_seconds_bucket[1m]))")).results(t, "matrix", 3) // Q16
	for _, query := range []string{"http_requests_total", "sum(rate(http_requests_total[1m])) / 2"} {      // Q17, Q18
		list := s.ask(t, "POST", "/api/v1/query_exemplars", values("query", query, "start", "0", "end", "600")).succeeded(t).data.([]any)
		one := list[0].(map[string]any)["exemplars"].([]any)[0].(map[string]any)
		if len(list) != 3 || one["value"] != "0.7" || one["timestamp"] != 450.123 || one["labels"].(map[string]any)["trace_id"] == nil {
			t.Errorf("%v", list)
		}
	}
	stats := s.ask(t, "POST", rangeURL+"?stats=all", over("up")).succeeded(t).data.(map[string]any)["stats"].(map[string]any) // Q19
	if n := stats["samples"].(map[string]any)["totalQueryableSamples"]; n != 82.0 {
		t.Errorf("%v samples", n)
	}
	s.ask(t, "POST", instantURL+"?max_samples_processed_warning_threshold=5&foo=bar", at("up")).results(t, "vector", 2) // Q20
	s.ask(t, "POST", instantURL, at("up"), "X-Grafana-Org-Id", "1", "X-Dashboard-Uid", "abc", "X-Panel-Id", "2",
		"FromAlert", "true", "X-Rule-Uid", "r", "X-Cache-Skip", "true").results(t, "vector", 2) // Q21
	zipped := s.do(t, "GET", rangeURL+"?"+over("up").Encode(), "", "Accept-Encoding", "gzip") // Q22
	if zipped.header.Get("Content-Encoding") != "gzip" || !slices.Contains(zipped.header.Values("Vary"), "Accept-Encoding") {
		t.Errorf("%v", zipped.header)
	}
	s.ask(t, "POST", instantURL, at(`{"http_requests_total", "http.status_code"="500"}`)).results(t, "vector", 1) // Q23
}

func checkBuckets(t testing.TB, element any) {
	t.Helper()
	series := element.(map[string]any)
	point, _ := series["histogram"].([]any)
	if list, ok := series["histograms"].([]any); ok {
		point = list[0].([]any)
	}
	h := point[1].(map[string]any)
	_, countIsText := h["count"].(string)
	_, sumIsText := h["sum"].(string)
	buckets := h["buckets"].([]any)
	if !countIsText || !sumIsText || len(buckets) == 0 {
		t.Fatalf("%v", h)
	}
	for _, b := range buckets {
		parts := b.([]any)
		rule := parts[0].(float64)
		for _, text := range parts[1:] {
			if _, ok := text.(string); !ok {
				t.Errorf("bucket %v", b)
			}
		}
		if len(parts) != 4 || rule != float64(int(rule)) || rule < 0 || rule > 3 {
			t.Errorf("bucket %v", b)
		}
	}
}

func TestContractMetadata(t *testing.T) {
	s := contractServer(t)
	snapped := func(more ...string) url.Values {
		return values(append(more, "start", "0", "end", "660")...)
	}
	const names, keys, jobs = "/api/v1/label/__name__/values", "/api/v1/labels", "/api/v1/label/job/values"
	s.ask(t, "GET", names, snapped("limit", "40000")).strings(t, -1, "up", "http_requests_total", "nh_seconds")                   // M1
	s.ask(t, "POST", keys, snapped("limit", "40000")).strings(t, -1, "__name__", "job", "instance", "le", "http.status_code")     // M2
	s.ask(t, "GET", keys, snapped("limit", "40000")).strings(t, -1, "job")                                                        // M3
	s.ask(t, "POST", keys, snapped("match[]", `{__name__=~"up"}`, "limit", "40000")).strings(t, 3, "__name__", "instance", "job") // M4
	s.ask(t, "GET", jobs, snapped("match[]", `up{instance=~".+"}`)).strings(t, 2, "node", "prometheus")                           // M5
	limited := s.ask(t, "GET", names, snapped("limit", "2"))                                                                      // M6
	limited.strings(t, 2)
	if w, _ := limited.members["warnings"].([]any); len(w) != 1 || w[0] != "results truncated due to limit" {
		t.Errorf("%s", limited.body)
	}
	s.ask(t, "GET", names, snapped("limit", "0")).strings(t, -1, "up", "special_values")                                 // M7
	s.ask(t, "GET", "/api/v1/label/nope/values", snapped()).strings(t, 0)                                                // M8
	s.ask(t, "GET", "/api/v1/label/U__http_2e_status__code/values", snapped()).strings(t, 3, "200", "404", "500")        // M9
	s.ask(t, "GET", "/api/v1/label/http%2Estatus_code/values", snapped()).strings(t, 3, "200", "404", "500")             // M9, percent-encoded
	s.ask(t, "GET", "/api/v1/label/a%2Fb/values", snapped()).strings(t, 0)                                               // a slash in a name
	s.ask(t, "POST", jobs+"?"+snapped("match[]", "up", "limit", "10").Encode(), nil).strings(t, 2, "node", "prometheus") // M10
	s.ask(t, "POST", keys+"?"+snapped("match[]", "up").Encode(), nil).strings(t, 3, "job")                               // M11
	count := func(a said, want int) {
		t.Helper()
		list, ok := a.succeeded(t).data.([]any)
		if !ok || len(list) != want {
			t.Errorf("%d series, want %d: %s", len(list), want, clip(a.body))
		}
		for _, e := range list {
			if e.(map[string]any)["__name__"] == nil {
				t.Errorf("no name in %v", e)
			}
		}
	}
	count(s.ask(t, "POST", "/api/v1/series", snapped("match[]", `{__name__="up"}`, "limit", "40000")), 2) // M12
	count(s.ask(t, "GET", "/api/v1/series", snapped("match[]", "up", "match[]", "nh_seconds")), 3)        // M13
	s.ask(t, "GET", "/api/v1/series", snapped()).failed(t, 400, "bad_data")                               // M14
	count(s.ask(t, "POST", "/api/v1/series", snapped("match[]", `{__name__!=""}`, "limit", "5")), 5)      // M15
	all := s.ask(t, "GET", "/api/v1/metadata", values("limit", "40000")).succeeded(t)                     // M16
	if want := `{"http_requests_total":[{"type":"counter","unit":"requests","help":"Total HTTP requests."}],` +
		`"up":[{"type":"gauge","unit":"","help":"Scrape health \u003c1\u003e"},{"type":"gauge","unit":"","help":"Other"}]}`; !strings.Contains(all.body, want) {
		t.Errorf("%s", all.body)
	}
	one := s.ask(t, "GET", "/api/v1/metadata", values("metric", "http_requests_total")).succeeded(t).data.(map[string]any) // M17
	if one["http_requests_total"].([]any)[0].(map[string]any)["type"] != "counter" {
		t.Errorf("%v", one)
	}
	for query, want := range map[string]string{ // limits
		"limit=1":            `"http_requests_total"`,
		"limit_per_metric=1": `"help":"Scrape health`,
		"metric=undescribed": `"data":{}`,
		"limit=0":            `"help":"Other"`,
	} {
		if a := s.get(t, "/api/v1/metadata?"+query); !strings.Contains(a.body, want) || query != "limit=0" && strings.Contains(a.body, "Other") {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	s.ask(t, "POST", "/api/v1/query", values("query", "topk(1, up)", "time", "600")).results(t, "vector", 1) // M18
}

func TestContractAlertingAndStatus(t *testing.T) {
	s := contractServer(t)
	alerts := s.ask(t, "GET", "/api/v1/alerts", nil).succeeded(t).data.(map[string]any) // A1
	if list, ok := alerts["alerts"].([]any); !ok || len(list) != 0 {
		t.Errorf("%v", alerts)
	}
	if r := s.get(t, "/rules/test/test"); r.code != 404 || !strings.Contains(r.body, "page not found") { // A2
		t.Errorf("%d %s", r.code, r.body)
	}
	s.ask(t, "GET", "/api/v1/query", values("query", "prometheus_build_info")).results(t, "vector", 0) // A3
	for _, p := range []struct {
		method, path string
		form         url.Values
	}{
		{"GET", "/api/v1/status/runtimeinfo", nil}, {"GET", "/api/v1/status/flags", nil}, {"GET", "/api/v1/status/config", nil},
		{"GET", "/api/v1/status/tsdb", values("limit", "5")}, {"GET", "/api/v1/targets", nil}, {"GET", "/api/v1/alertmanagers", nil},
		{"POST", "/api/v1/format_query", values("query", "foo/bar")}, {"GET", "/api/v1/parse_query", values("query", "foo/bar")},
		{"GET", "/api/v1/features", nil}, {"GET", "/api/v1/scrape_pools", nil}, {"GET", "/api/v1/targets?state=active", nil},
	} { // P1 to P9
		if a := s.ask(t, p.method, p.path, p.form).succeeded(t); strings.Contains(a.body, `null`) && !strings.Contains(p.path, "parse") {
			t.Errorf("%s: %s", p.path, a.body)
		}
	}
	if r := s.get(t, "/federate?match[]=up"); r.code != 200 || !strings.Contains(r.body, "up{") { // P10
		t.Errorf("%d %s", r.code, r.body)
	}
}

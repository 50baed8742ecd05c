package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/query"
)

// stuck is storage that does not answer before its context ends. It tells when it
// was asked, and when and why it was let go.
type stuck struct {
	asked chan struct{}
	let   chan error
}

func newStuck() *stuck { return &stuck{asked: make(chan struct{}, 100), let: make(chan error, 100)} }

func (s *stuck) Querier(int64, int64) (storage.Querier, error) { return s, nil }
func (s *stuck) Close() error                                  { return nil }

func (s *stuck) wait(ctx context.Context) error {
	s.asked <- struct{}{}
	<-ctx.Done()
	s.let <- context.Cause(ctx)
	return ctx.Err()
}

func (s *stuck) Select(ctx context.Context, _ bool, _ *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	return storage.ErrSeriesSet(s.wait(ctx))
}

func (s *stuck) LabelValues(ctx context.Context, _ string, _ *storage.LabelHints, _ ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, s.wait(ctx)
}

func (s *stuck) LabelNames(ctx context.Context, _ *storage.LabelHints, _ ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, s.wait(ctx)
}

func TestTimeouts(t *testing.T) {
	s := serve(t, depsOf(newStuck()), Options{}, false)
	for _, path := range []string{
		"/api/v1/query?query=up&timeout=20ms", "/api/v1/query_range?query=up&start=0&end=1&step=1&timeout=0.02",
		"/api/v1/labels?timeout=20ms", "/api/v1/label/job/values?timeout=20ms", "/api/v1/series?match[]=up&timeout=20ms",
	} {
		a := s.ask(t, "GET", path, nil)
		a.failed(t, 503, "timeout")
		if strings.Contains(path, "/query") && a.error != "query timed out in expression evaluation" {
			t.Errorf("%s: %s", path, a.error)
		}
	}
}

// A client that leaves ends its request within 200 ms. The machine that tests may
// be busy, so that it must be so once in a few times.
func TestClientLeaves(t *testing.T) {
	from := newStuck()
	s := serve(t, depsOf(from), Options{}, true)
	for _, path := range []string{
		"/api/v1/query?query=up", "/api/v1/query_range?query=up&start=0&end=1&step=1",
		"/api/v1/labels", "/api/v1/label/job/values", "/api/v1/series?match[]=up", "/federate?match[]=up",
	} {
		for _, stay := range []time.Duration{0, 250 * time.Millisecond} {
			best := time.Hour
			for try := 0; try < 5 && best > 200*time.Millisecond; try++ {
				best = min(best, timeToNotice(t, s, from, path, stay))
			}
			if best > 200*time.Millisecond {
				t.Errorf("%s went on for %v", path, best)
			}
		}
	}
}

// timeToNotice asks, stays for a while and leaves; it returns how long the storage
// went on afterwards.
func timeToNotice(t *testing.T, s *server, from *stuck, path string, stay time.Duration) time.Duration {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	<-from.asked
	time.Sleep(stay)
	left := time.Now()
	conn.Close()
	select {
	case <-from.let:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s goes on without its client", path)
	}
	return time.Since(left)
}

// Requests that a client sends ahead are answered: the watch takes none of them.
func TestPipelinedRequestsAreAnswered(t *testing.T) {
	from := newStuck()
	s := serve(t, depsOf(from), Options{}, true)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const request = "GET /api/v1/query?query=up&timeout=300ms HTTP/1.1\r\nHost: x\r\n\r\n"
	fmt.Fprint(conn, request)
	<-from.asked
	fmt.Fprint(conn, request) // while the first is being watched
	reader := bufio.NewReader(conn)
	for range 2 {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body := readAll(t, response); response.StatusCode != 503 {
			t.Errorf("%d %s", response.StatusCode, body)
		}
	}
}

func TestQueueOverflow(t *testing.T) {
	from := newStuck()
	deps := depsOf(from)
	deps.Engine = query.New(query.Options{ConcurrentMax: 1, QueueMax: -1, Timeout: 300 * time.Millisecond})
	s := serve(t, deps, Options{}, false)
	done := make(chan struct{})
	go func() { defer close(done); s.get(t, "/api/v1/query?query=up") }()
	<-from.asked
	for _, path := range []string{"/api/v1/query?query=up", "/api/v1/labels"} {
		a := s.ask(t, "GET", path, nil)
		a.failed(t, 503, "unavailable")
	}
	<-done
}

func TestBudgetErrors(t *testing.T) {
	deps := depsOfTestStorage(t)
	deps.Engine = query.New(query.Options{SeriesMax: 2})
	s := serve(t, deps, Options{}, false)
	s.ask(t, "GET", "/api/v1/query", values("query", "up")).results(t, "vector", 2)
	for _, path := range []string{"/api/v1/query?query=http_requests_total", "/api/v1/series?match[]=http_requests_total"} {
		a := s.ask(t, "GET", path, nil)
		a.failed(t, 422, "execution")
		if !strings.Contains(a.error, `2 series per selector, reached at selector {__name__="http_requests_total"}`) {
			t.Errorf("%s", a.error)
		}
	}
	if r := s.get(t, "/federate?match[]=http_requests_total"); r.code != 422 || !strings.Contains(r.body, "2 series per selector") {
		t.Errorf("%d %s", r.code, r.body)
	}
}

func TestStorageErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		kind string
	}{
		{errors.New("disk on fire"), 422, "execution"}, {fmt.Errorf("wrapped: %w", ErrNotReady), 503, "unavailable"},
		{fmt.Errorf("wrapped: %w", ErrNotFound), 404, "not_found"},
	} {
		failing := storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return nil, c.err })
		s := serve(t, depsOf(failing), Options{}, false)
		for _, path := range []string{"/api/v1/query?query=up", "/api/v1/labels", "/api/v1/label/a/values", "/api/v1/series?match[]=up"} {
			s.ask(t, "GET", path, nil).failed(t, c.code, c.kind)
		}
		want := c.code
		if want == 422 {
			want = 500 // as Prometheus answers these two
		}
		if r := s.get(t, "/federate?match[]=up"); r.code != want {
			t.Errorf("federate: %d %s", r.code, r.body)
		}
	}
}

// TestBadInput lists what must be refused though a careless reading would let it
// pass, or hang on it.
func TestBadInput(t *testing.T) {
	s := contractServer(t)
	const overRange = "/api/v1/query_range?query=up&"
	for _, path := range []string{
		overRange + "start=0&end=600&step=0", overRange + "start=0&end=600&step=0.0001", overRange + "start=0&end=600&step=NaN",
		overRange + "start=0&end=600&step=1e-300", overRange + "start=0&end=600&step=-Inf", overRange + "start=600&end=0&step=1",
		overRange + "start=NaN&end=600&step=1", overRange + "start=0&end=Inf&step=1", overRange + "start=0&end=1e300&step=1",
		overRange + "start=0&end=11001&step=1", overRange + "start=-9223372036854775&end=9223372036854775&step=9223372036",
		overRange + "start=-9223372036854775&end=9223372036854775&step=1", overRange + "start=9e12&end=9.1e12&step=9e9",
		"/api/v1/query?query=up&time=NaN", "/api/v1/query?query=up&time=1e14", "/api/v1/query?query=up&time=-1e14",
		"/api/v1/query?query=up&time=9223372036854775807", "/api/v1/query?query=up&limit=99999999999999999999",
		"/api/v1/query?query=up&timeout=NaN", "/api/v1/labels?start=NaN", "/api/v1/series?match[]=up&end=Inf",
		"/api/v1/query?query=" + strings.Repeat("(", 2000), "/api/v1/label/%FF/values",
		"/api/v1/format_query?query=" + strings.Repeat("-", 3000) + "1", "/api/v1/status/tsdb?limit=-1",
	} {
		s.ask(t, "GET", path, nil).failed(t, 400, "bad_data")
	}
	s.ask(t, "GET", overRange+"start=0&end=11000&step=1", nil).results(t, "matrix", 2)
}

func TestLargeForms(t *testing.T) {
	deps := depsOfTestStorage(t)
	for _, tcp := range []bool{true, false} { // the body as a stream, and not
		s := serve(t, deps, Options{FormBytesMax: 20_000}, tcp)
		fits := values("query", "up #"+strings.Repeat("a", 19_000), "time", "600")
		s.ask(t, "POST", "/api/v1/query", fits).results(t, "vector", 2)
		s.ask(t, "POST", "/api/v1/query", values("query", strings.Repeat("a", 20_001))).failed(t, 400, "bad_data")
		for range 2 {
			got := s.do(t, "POST", "/api/v1/query", "--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nup\r\n--x--\r\n",
				"Content-Type", "multipart/form-data; boundary=x")
			if got.code != 200 || !strings.Contains(got.body, `"resultType":"vector"`) {
				t.Errorf("multipart form: %d %s", got.code, got.body)
			}
		}
		other := s.do(t, "POST", "/api/v1/query?query=1", "query=2", "Content-Type", "text/plain")
		if !strings.Contains(other.body, `"result":[600,"1"]`) {
			t.Errorf("a body that is no form: %s", other.body)
		}
	}
}

func TestParallelRequests(t *testing.T) {
	s := contractServer(t)
	paths := []string{
		"/api/v1/query?query=up&time=600", "/api/v1/query_range?query=rate(http_requests_total[1m])&start=0&end=600&step=15",
		"/api/v1/query_exemplars?query=http_requests_total&start=0&end=600", "/api/v1/labels", "/api/v1/label/job/values",
		"/api/v1/series?match[]=up",
	}
	want := map[string]string{}
	for _, path := range paths {
		want[path] = s.get(t, path).body
	}
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			for j := range 5 {
				path := paths[(i+j)%len(paths)]
				if got := s.get(t, path); got.code != 200 || got.body != want[path] {
					t.Errorf("%s: %d %s", path, got.code, clip(got.body))
				}
			}
		})
	}
	group.Wait()
}

// Grafana asks only for the end of a range again, and puts it to what it has.
func TestIncrementalQueriesAreStable(t *testing.T) {
	s := contractServer(t)
	for _, text := range []string{"up", "rate(http_requests_total[2m])", "sum(http_requests_total)", "avg_over_time(special_values[90s])", "histogram_quantile(0.9, nh_seconds)", "sum(rate(nh_seconds[3m]))"} {
		points := func(start string) map[string]string {
			at := map[string]string{}
			for _, e := range s.ask(t, "POST", "/api/v1/query_range", values("query", text, "start", start, "end", "600", "step", "15")).results(t, "matrix", 1) {
				series := e.(map[string]any)
				list, _ := series["values"].([]any)
				more, _ := series["histograms"].([]any)
				for _, p := range slices.Concat(list, more) {
					at[fmt.Sprint(series["metric"], p.([]any)[0])] = fmt.Sprint(p.([]any)[1])
				}
			}
			return at
		}
		whole, tail := points("0"), points("405")
		if len(tail) == 0 {
			t.Errorf("%s: no points", text)
		}
		for at, v := range tail {
			if whole[at] != v {
				t.Errorf("%s at %s: %s, and %s in the tail", text, at, whole[at], v)
			}
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	for _, c := range []struct {
		allowed *regexp.Regexp
		origin  string
		want    string
	}{
		{nil, "", ""}, {nil, "https://a.example", "*"},
		{regexp.MustCompile(`^(?:https://a\.example)$`), "https://a.example", "https://a.example"},
		{regexp.MustCompile(`^(?:https://a\.example)$`), "https://b.example", ""},
	} {
		s := serve(t, depsOf(newStuck()), Options{CORSOrigin: c.allowed}, false)
		for method, code := range map[string]int{"GET": 200, "OPTIONS": 204} {
			got := s.do(t, method, "/api/v1/query?query=1", "", "Origin", c.origin)
			if got.code != code || got.header.Get("Access-Control-Allow-Origin") != c.want || !slices.Contains(got.header.Values("Vary"), "Origin") {
				t.Errorf("%s from %q: %d %v", method, c.origin, got.code, got.header)
			}
			if named := got.header.Get("Access-Control-Allow-Methods"); (named == "GET, POST, OPTIONS") != (c.origin != "") {
				t.Errorf("methods %q", named)
			}
		}
	}
}

func TestListsAreCapped(t *testing.T) {
	s := serve(t, depsOfTestStorage(t), Options{ListMax: 1}, false)
	for _, path := range []string{"/api/v1/labels", "/api/v1/label/job/values", "/api/v1/series?match[]=up", "/api/v1/labels?match[]=up&match[]=nh_seconds"} {
		a := s.ask(t, "GET", path, nil).succeeded(t)
		if list := a.data.([]any); len(list) != 1 || fmt.Sprint(a.members["warnings"]) != "[results truncated due to limit]" {
			t.Errorf("%s: %s", path, a.body)
		}
		if strings.Contains(path, "label") {
			continue
		}
		more := s.ask(t, "GET", path+"&limit=2", nil).succeeded(t)
		if len(more.data.([]any)) != 2 || more.members["warnings"] != nil {
			t.Errorf("%s: %s", path, more.body)
		}
	}
}

func TestStats(t *testing.T) {
	s := contractServer(t)
	for stats, perStep := range map[string]bool{"true": false, "all": true, "other": false} {
		a := s.ask(t, "GET", "/api/v1/query_range", values("query", "up", "start", "0", "end", "30", "step", "15", "stats", stats)).succeeded(t)
		of := a.data.(map[string]any)["stats"].(map[string]any)
		samples := of["samples"].(map[string]any)
		if samples["totalQueryableSamples"] != 6.0 || samples["seriesTouched"] != 2.0 || samples["samplesRead"] != 6.0 {
			t.Errorf("%v", samples)
		}
		if got := fmt.Sprint(samples["totalQueryableSamplesPerStep"]); (got == "[[0 2] [15 2] [30 2]]") != perStep {
			t.Errorf("per step: %s", got)
		}
		for _, name := range []string{"evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime"} {
			if _, ok := of["timings"].(map[string]any)[name].(float64); !ok {
				t.Errorf("no %s in %v", name, of["timings"])
			}
		}
		if of["storage"].(map[string]any)["series"] != 2.0 {
			t.Errorf("%v", of["storage"])
		}
		did := of["execution"].(map[string]any)
		for name, want := range map[string]any{
			"executor": "reference", "samples": 6.0, "samplesDecoded": 6.0, "seriesRead": 2.0, "bytesRead": 0.0, "peakPoints": samples["peakSamples"],
			"peakBytes": samples["peakSamples"].(float64) * query.PointBytes, "rows": 0.0,
		} {
			if did[name] != want {
				t.Errorf("%s is %v, want %v", name, did[name], want)
			}
		}
		if warned := a.members["warnings"] != nil; warned != (stats == "other") {
			t.Errorf("stats=%s: %v", stats, a.members["warnings"])
		}
	}
}

func TestNoticesAreInOrderAndFew(t *testing.T) {
	var notes annotations.Annotations
	for i := range 15 {
		notes.Add(fmt.Errorf("w%02d", i))
	}
	var got struct{ Warnings []string }
	if err := json.Unmarshal(append(append([]byte(`{"a":1`), appendNotices(nil, notes, "")...), '}'), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 11 || got.Warnings[0] != "w00" || got.Warnings[9] != "w09" || got.Warnings[10] != "5 more warning annotations omitted" {
		t.Errorf("%q", got.Warnings)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	deps := depsOfTestStorage(t)
	deps.Engine = query.New(query.Options{Registerer: registry})
	s := serve(t, deps, Options{Registerer: registry}, false)
	s.get(t, "/api/v1/query?query=up&time=600")
	s.get(t, "/api/v1/query?query=up{")
	s.get(t, "/api/v1/label/job/values")
	want := `# HELP varve_query_requests_total Requests to the read API, by handler and status code.
# TYPE varve_query_requests_total counter
varve_query_requests_total{code="200",handler="label_name_values"} 1
varve_query_requests_total{code="200",handler="query"} 1
varve_query_requests_total{code="400",handler="query"} 1
# HELP varve_query_samples_total Samples that queries loaded, a window's once per step.
# TYPE varve_query_samples_total counter
varve_query_samples_total 2
`
	for range 100 { // the metrics are written after the answer
		if testutil.GatherAndCompare(registry, strings.NewReader(want), "varve_query_requests_total", "varve_query_samples_total") == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "varve_query_requests_total", "varve_query_samples_total"); err != nil {
		t.Error(err)
	}
}

// FuzzParameters sends what it likes to every endpoint: the answer is well-formed.
func FuzzParameters(f *testing.F) {
	for _, seed := range []string{
		"query=up&time=600", "query=up&start=0&end=600&step=15", "match[]=up&limit=1", "match[]={a=~\"(\"}", "query=rate(up[1m])&start=NaN&end=1e400&step=0x1p-3",
		"query=nh_seconds[5m:1s]&time=1e9&stats=all", "metric=up&limit=-1&limit_per_metric=0", "%zz=1&a;b", "query=up&start=-9e15&end=9e15&step=9e9&timeout=1ms",
		"query=" + strings.Repeat("-", 1200) + "1", "type=alert&group_limit=1", "lookback_delta=1y&query=up&time=1", "query=\xff\xfe&match[]=\xff",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	deps := depsOfTestStorage(f)
	deps.Engine = query.New(query.Options{Timeout: 2 * time.Second, SamplesMax: 200_000})
	s := serve(f, deps, Options{}, false)
	f.Fuzz(func(t *testing.T, parameters string, post bool) {
		for _, r := range s.api.Routes() {
			if r.Path == "/api/v1/read" || len(parameters) > 4000 {
				continue
			}
			path, form := strings.Replace(r.Path, "{name}", "job", 1), ""
			if post && slices.Contains(r.Methods, "POST") {
				form = parameters
			} else {
				path += "?" + escapeQuery(parameters)
			}
			method := r.Methods[0]
			if form != "" {
				method = "POST"
			}
			got := s.do(t, method, path, form)
			if got.code >= 500 && got.code != 503 || got.code < 200 {
				t.Errorf("%s %s %q: %d %s", method, path, form, got.code, clip(got.body))
			}
			answersText := r.Path == "/federate" || r.Path == "/api/v1/export"
			if !answersText && got.code != 204 && !json.Valid([]byte(got.body)) {
				t.Errorf("%s %s %q: %s", method, path, form, clip(got.body))
			}
		}
	})
}

// escapeQuery leaves what may stand in a URL and encodes the rest.
func escapeQuery(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02x", c)
		}
	}
	return out.String()
}

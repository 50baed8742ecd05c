package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestQueryAsksAndReports(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		mu.Lock()
		asked[r.URL.Path+"?"+r.Form.Encode()]++
		mu.Unlock()
		if strings.Contains(r.Form.Get("query"), "bad") {
			w.WriteHeader(400)
			io.WriteString(w, `{"status":"error"}`)
			return
		}
		io.WriteString(w, strings.Repeat("x", 3000))
	}))
	defer server.Close()
	end := time.UnixMilli(testStart)
	o := QueryOptions{Server: server.URL + "/", Queries: []string{"up", "bad("}, Params: []Label{{"nocache", "1"}},
		Start: end.Add(-time.Hour), End: end, Step: 1500 * time.Millisecond, Warmup: 2, Count: 9, Concurrency: 3, PID: os.Getpid(), Client: server.Client()}
	got, err := Query(t.Context(), o)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if up := got[0]; up.Requests != 9 || up.Failed != 0 || up.Bytes != 3000 || up.Server == nil || up.Latency.Max <= 0 {
		t.Errorf("got %+v", up)
	}
	if bad := got[1]; bad.Requests != 0 || bad.Failed != 9 || bad.Error != `status 400: {"status":"error"}` {
		t.Errorf("got %+v", bad)
	}
	if n := asked["/api/v1/query_range?end=1760000000&nocache=1&query=up&start=1759996400&step=1.5"]; n != 11 {
		t.Errorf("asked %v", asked)
	}
	o.Step, o.Queries, o.Count, o.Duration = 0, []string{"up"}, 0, 30*time.Millisecond
	if got, err = Query(t.Context(), o); err != nil || got[0].Requests == 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if asked["/api/v1/query?nocache=1&query=up&time=1760000000"] == 0 {
		t.Errorf("asked %v", asked)
	}
}

func TestReadQueries(t *testing.T) {
	got, err := ReadQueries(strings.NewReader("# comment\n\n up \nsum(rate(x[5m]))"))
	if want := []string{"up", "sum(rate(x[5m]))"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWriteQueryText(t *testing.T) {
	var b strings.Builder
	err := WriteQueryText(&b, []QueryResult{
		{Query: "up", Requests: 10, Latency: Latency{0.001, 0.002, 0.003, 0.004}, Bytes: 2048, Server: &Cost{CPUSeconds: 0.1}},
		{Query: "bad(", Failed: 3, Error: "status 400: no"},
	})
	const want = ` requests       p50       p90       p99       max      reply   CPU-ms  query
       10       1ms       2ms       3ms       4ms    2.0 KiB    10.00  up
        0        0s        0s        0s        0s    0.0 KiB     0.00  bad(
        3 failed: status 400: no
`
	if err != nil || b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

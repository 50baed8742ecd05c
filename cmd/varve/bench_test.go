package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/varve-db/varve/bench"
)

func runBench(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := benchTo(t.Context(), args, &out)
	return out.String(), err
}

func TestBenchIngest(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("X-Tenant") != "7" {
			t.Errorf("headers %v", r.Header)
		}
		w.WriteHeader(204)
	}))
	defer server.Close()
	common := []string{"ingest", "--url=" + server.URL, "--series=1000", "--samples=3000", "--samples-per-request=500", "--header=X-Tenant: 7"}
	out, err := runBench(t, append(common, "--json", "--churn=100", "--label=run=1", "--pid="+strconv.Itoa(os.Getpid()))...)
	if err != nil {
		t.Fatal(err)
	}
	var report bench.IngestReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report.First.Samples != 1000 || report.Samples < 3000 || int(requests.Load()) != report.First.Requests+report.Steady.Requests || report.Steady.Server == nil {
		t.Errorf("%d requests, report %+v", requests.Load(), report)
	}
	out, err = runBench(t, append(common, "--protocol=2", "--start=2025-01-01")...)
	if err != nil || !strings.HasPrefix(out, "remote write 2 to "+server.URL) {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestBenchIngestReportsWhatWasRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "too old", 400) }))
	defer server.Close()
	out, err := runBench(t, "ingest", "--url="+server.URL, "--series=10", "--samples=10")
	if !errors.Is(err, bench.ErrNotAcknowledged) || !strings.Contains(out, "first error  status 400: too old") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestBenchQuery(t *testing.T) {
	url, asked := apiServer(t, 200, map[string]string{"/api/v1/query_range": rangeReply, "/api/v1/query": instantReply})
	file := filepath.Join(t.TempDir(), "queries")
	if err := os.WriteFile(file, []byte("# two\nup\nsum(up)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := runBench(t, "query", "--server="+url, "--count=3", "--warmup=1", "--step=1m", "--file="+file, "--param=nocache=1", "1+1")
	if err != nil || strings.Count(out, "\n") != 4 || len(*asked) != 12 {
		t.Errorf("got %s, %v, asked %d times", out, err, len(*asked))
	}
	out, err = runBench(t, "query", "--server="+url, "--json", "up")
	var results []bench.QueryResult
	if err != nil || json.Unmarshal([]byte(out), &results) != nil || results[0].Requests != 20 {
		t.Errorf("got %s, %v", out, err)
	}
	url, _ = apiServer(t, 422, nil)
	if _, err := runBench(t, "query", "--server="+url, "--count=2", "up"); err == nil || !strings.Contains(err.Error(), "2 requests for \"up\" failed: status 422") {
		t.Errorf("got %v", err)
	}
}

func TestBenchUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                             "bench knows ingest and query",
		"load":                         `not "load"`,
		"ingest x":                     `unexpected argument "x"`,
		"ingest --nonsense":            "unknown flag",
		"ingest --protocol=3":          "--protocol is 3",
		"ingest --series=0":            "number of series is 0",
		"ingest --start=when":          "not a time",
		"ingest --label=x":             "name=value",
		"query":                        "no query",
		"query --count=0 up":           "needs a --duration",
		"query --step=x up":            "not a duration",
		"query --start=x up":           "not a time",
		"query --header=x up":          "name:value",
		"query --step=1m --end=-2h up": "--end is before --start",
	} {
		if _, err := runBench(t, strings.Fields(args)...); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
	if _, err := runBench(t, "ingest", "--file=/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if out, err := runBench(t, "--help"); err != nil || !strings.Contains(out, "varve bench ingest") {
		t.Errorf("got %q, %v", out, err)
	}
}

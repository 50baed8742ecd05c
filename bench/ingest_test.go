package bench

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver counts what it is sent and answers with what reply says.
type receiver struct {
	t     *testing.T
	reply func(n int) (status int, text string)

	mu      sync.Mutex
	n       int
	samples map[sample]int
	headers http.Header
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	r.headers = request.Header
	status, text := r.reply(r.n)
	if status/100 == 2 {
		p := RemoteWrite1
		if request.Header.Get("X-Prometheus-Remote-Write-Version") == "2.0.0" {
			p = RemoteWrite2
		}
		for _, s := range decode(r.t, p, body) {
			r.samples[s]++
		}
	}
	w.WriteHeader(status)
	io.WriteString(w, text)
}

func startReceiver(t *testing.T, reply func(n int) (int, string)) (*receiver, string) {
	r := &receiver{t: t, reply: reply, samples: map[sample]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL + "/api/v1/write"
}

func always(status int) func(int) (int, string) {
	return func(int) (int, string) { return status, "" }
}

func TestIngestSendsWholePassesAndReports(t *testing.T) {
	for _, p := range []Protocol{RemoteWrite1, RemoteWrite2} {
		r, url := startReceiver(t, always(204))
		o := testFleet(1000)
		o.Protocol = p
		sources, err := NewFleet(o)
		if err != nil {
			t.Fatal(err)
		}
		report, err := Ingest(t.Context(), sources, IngestOptions{URL: url, Protocol: p, Samples: 5000, PID: os.Getpid(),
			Settle: time.Millisecond, Headers: []Label{{"X-Scope-OrgID", "7"}}})
		if err != nil {
			t.Fatal(err)
		}
		if report.First.Samples != 1000 || report.Samples != len(r.samples) || report.Samples < 5000 || report.Samples > 5500 || report.Failed != 0 {
			t.Errorf("first pass %d, all %d, received %d", report.First.Samples, report.Samples, len(r.samples))
		}
		if report.First.Requests+report.Steady.Requests != r.n || report.Statuses["204"] != r.n {
			t.Errorf("%d and %d requests, %v, received %d", report.First.Requests, report.Steady.Requests, report.Statuses, r.n)
		}
		if report.First.Server == nil || report.Steady.Server.PeakBytes == 0 || report.Settled == nil {
			t.Errorf("no server cost in %+v", report)
		}
		if report.FirstTime != testStart || report.LastTime < testStart+4*15000 || report.WireBytesPerSample >= report.PlainBytesPerSample {
			t.Errorf("unexpected %+v", report)
		}
		if r.headers.Get("X-Scope-OrgID") != "7" || r.headers.Get("Content-Encoding") != "snappy" {
			t.Errorf("headers %v", r.headers)
		}
	}
}

func TestIngestComesBackAfterErrorsThatPass(t *testing.T) {
	r, url := startReceiver(t, func(n int) (int, string) {
		if n%3 == 2 {
			return 503, "busy"
		}
		return 200, ""
	})
	o := testFleet(1000)
	o.Connections = 1
	sources, err := NewFleet(o)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Ingest(t.Context(), sources, IngestOptions{URL: url, Protocol: RemoteWrite1, Samples: 1000})
	if err != nil || report.Samples != 1000 || len(r.samples) != 1000 {
		t.Errorf("%+v, %v, received %d", report, err, len(r.samples))
	}
	if report.Statuses["200"] != 4 || report.Statuses["503"] != 2 || report.FirstError != "status 503: busy" {
		t.Errorf("statuses %v, first error %q", report.Statuses, report.FirstError)
	}
}

func TestIngestReportsRefusalsAndDeadServers(t *testing.T) {
	_, url := startReceiver(t, func(n int) (int, string) {
		if n == 2 {
			return 400, "out of bounds\n"
		}
		return 204, ""
	})
	o := testFleet(1000)
	o.Connections = 1
	run := func(url string, retries int) (IngestReport, error) {
		sources, err := NewFleet(o)
		if err != nil {
			t.Fatal(err)
		}
		return Ingest(t.Context(), sources, IngestOptions{URL: url, Protocol: RemoteWrite1, Samples: 1000, Retries: retries})
	}
	report, err := run(url, 0)
	if !errors.Is(err, ErrNotAcknowledged) || report.Failed != 250 || report.Samples != 750 || report.FirstError != "status 400: out of bounds" {
		t.Errorf("%+v, %v", report, err)
	}
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	report, err = run(dead.URL, 1)
	if !errors.Is(err, ErrNotAcknowledged) || report.Samples != 0 || report.Failed != 250 || report.Statuses["no reply"] != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := run("127.0.0.1:1/write", 1); err == nil || errors.Is(err, ErrNotAcknowledged) {
		t.Errorf("a URL without a scheme gave %v", err)
	}
}

func TestIngestPace(t *testing.T) {
	for name, o := range map[string]IngestOptions{
		"rate":  {Rate: 10000, Samples: 3000},          // the last 250 are due after 275 ms
		"speed": {Speed: 15000.0 / 100, Samples: 4000}, // the fourth pass is due after 300 ms
	} {
		_, url := startReceiver(t, always(204))
		f := testFleet(1000)
		f.Connections = 1
		sources, err := NewFleet(f)
		if err != nil {
			t.Fatal(err)
		}
		o.URL, o.Protocol = url, RemoteWrite1
		start := time.Now()
		report, err := Ingest(t.Context(), sources, o)
		if took := time.Since(start); err != nil || report.Samples != o.Samples || took < 270*time.Millisecond {
			t.Errorf("%s: %d samples in %v, %v", name, report.Samples, took, err)
		}
	}
}

func TestIngestEndsInTime(t *testing.T) {
	_, url := startReceiver(t, always(204))
	sources, err := NewFleet(testFleet(500))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Ingest(t.Context(), sources, IngestOptions{URL: url, Protocol: RemoteWrite1, Duration: 50 * time.Millisecond})
	if err != nil || report.Samples == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := Ingest(ctx, sources, IngestOptions{URL: url, Protocol: RemoteWrite1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestReportText(t *testing.T) {
	r := IngestReport{
		URL: "http://h/write", Protocol: 1, Connections: 2,
		First:   Part{Seconds: 0.5, Samples: 1000, Requests: 4, SamplesPerSecond: 2000, Latency: Latency{0.001, 0.002, 0.02, 0.5}},
		Steady:  Part{Seconds: 2, Samples: 2e6, Requests: 200, SamplesPerSecond: 1e6, Server: &Cost{0.8, 11 << 20, 3 << 30}},
		Settled: &Cost{0.25, 2048, 0}, Samples: 2001000, Failed: 5, Statuses: map[string]int{"503": 1, "204": 204}, FirstError: "status 503: busy",
		PlainBytesPerSample: 300.25, WireBytesPerSample: 30, GeneratorCPUSeconds: 0.125,
	}
	const want = `remote write 1 to http://h/write over 2 connections
first pass   1000 samples in 0.50 s: 2000 samples/s; latency p50 1ms, p90 2ms, p99 20ms, max 500ms
steady       2000000 samples in 2.00 s: 1000000 samples/s; latency p50 0s, p90 0s, p99 0s, max 0s
             0.400 CPU-us a sample; wrote 11.0 MiB, 5.8 bytes a sample; peak memory 3.00 GiB
afterwards   the server used 0.25 CPU-s and wrote 2.0 KiB
replies      204 (204) 503 (1)
samples      2001000 acknowledged, 5 not
first error  status 503: busy
bodies       30.0 bytes a sample, 300.2 before compression
generator    0.12 CPU-s
`
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"steady":{"seconds":2,"samples":2000000`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestLatencyQuantilesAreNear(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var l latencies
	var all []time.Duration
	for range 5000 {
		d := time.Duration(math.Exp(r.Float64() * 25))
		all = append(all, d)
		l.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 1} {
		exact, got := all[int(math.Ceil(q*5000))-1], l.quantile(q)
		if got < exact || float64(got) > float64(exact)*(1+1.0/32)+1 {
			t.Errorf("quantile %v is %v, want %v", q, got, exact)
		}
	}
	for _, n := range []uint64{0, 1, 31, 32, 63, 64, 65, 1<<40 - 1, 1 << 40, 1<<63 - 1} {
		if i := bucketOf(n); bucketEnd(i) < n || i > 0 && bucketEnd(i-1) >= n {
			t.Errorf("%d is in bucket %d, which ends at %d", n, i, bucketEnd(i))
		}
	}
	if (&latencies{}).quantile(0.5) != 0 {
		t.Error("nothing has a quantile")
	}
}

func TestReadUsage(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(proc, "42"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, "42", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("stat", "42 (a ) name) S 1 42 42 0 -1 4194560 6 7 8 9 150 25 0 0 20 0 9 0 1\n")
	write("status", "Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t    2048 kB\n")
	write("io", "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n")
	got, err := readUsage(proc, 42)
	if want := (usage{1.75, 2 << 20, 4096}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for name, text := range map[string]string{"stat": "42 (x) S 1", "status": "Name: x\n", "io": ""} {
		kept, err := os.ReadFile(filepath.Join(proc, "42", name))
		if err != nil {
			t.Fatal(err)
		}
		write(name, text)
		if _, err := readUsage(proc, 42); err == nil {
			t.Errorf("a bad %s was read", name)
		}
		write(name, string(kept))
	}
	if _, err := readUsage(proc, 43); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

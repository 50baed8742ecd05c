package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// QueryOptions says what is asked, and how. Each query is asked on its own, so
// that what the server spends can be laid to it.
type QueryOptions struct {
	Server  string // such as http://127.0.0.1:7480
	Queries []string
	Headers []Label
	Params  []Label // further parameters of every request

	// Start, End and Step make range queries; with a Step of 0 instant queries
	// are asked at End.
	Start, End time.Time
	Step       time.Duration

	Warmup      int           // requests that are not measured
	Count       int           // requests a query
	Duration    time.Duration // a query is asked at most so long; 0 for no limit
	Concurrency int
	PID         int
	Client      *http.Client
}

// QueryResult is the account of one query.
type QueryResult struct {
	Query    string  `json:"query"`
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	Latency  Latency `json:"latency"`
	Bytes    int64   `json:"bytes"` // of the last reply, decompressed
	Server   *Cost   `json:"server,omitempty"`
	Failed   int     `json:"failed"`
	Error    string  `json:"error,omitempty"` // the first one
}

// CPUMillis returns the server's processor time per request in milliseconds.
func (r QueryResult) CPUMillis() float64 {
	if r.Server == nil || r.Requests == 0 {
		return 0
	}
	return r.Server.CPUSeconds * 1000 / float64(r.Requests)
}

// ReadQueries reads one query a line; empty lines and those that begin with #
// are left out.
func ReadQueries(r io.Reader) ([]string, error) {
	var queries []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if q := strings.TrimSpace(lines.Text()); q != "" && q[0] != '#' {
			queries = append(queries, q)
		}
	}
	return queries, lines.Err()
}

// Query asks every query and returns an account of each, as far as it came.
func Query(ctx context.Context, o QueryOptions) ([]QueryResult, error) {
	var results []QueryResult
	for _, q := range o.Queries {
		r, err := ask(ctx, q, o)
		if err != nil {
			return results, fmt.Errorf("ask %q: %w", q, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// ask measures one query.
func ask(ctx context.Context, query string, o QueryOptions) (QueryResult, error) {
	asker := &asker{options: o, address: o.address(), form: o.form(query), result: QueryResult{Query: query}}
	for range o.Warmup {
		asker.once(ctx)
	}
	asker.result.Failed = 0
	before, err := asker.serverUsage()
	if err != nil {
		return asker.result, err
	}
	limited := ctx
	if o.Duration > 0 {
		var stop context.CancelFunc
		limited, stop = context.WithTimeout(ctx, o.Duration)
		defer stop()
	}
	start := time.Now()
	var running sync.WaitGroup
	for range max(o.Concurrency, 1) {
		running.Go(func() {
			for limited.Err() == nil && (o.Count == 0 || int(asker.started.Add(1)) <= o.Count) {
				took, ok := asker.once(ctx)
				asker.record(took, ok)
			}
		})
	}
	running.Wait()
	r := asker.result
	r.Seconds = time.Since(start).Seconds()
	r.Requests, r.Latency = asker.latencies.total, asker.latencies.summary()
	if o.PID != 0 {
		after, err := asker.serverUsage()
		if err != nil {
			return r, err
		}
		cost := after.since(before)
		r.Server = &cost
	}
	return r, ctx.Err()
}

func (o QueryOptions) address() string {
	kind := "query"
	if o.Step > 0 {
		kind = "query_range"
	}
	return strings.TrimSuffix(o.Server, "/") + "/api/v1/" + kind
}

func (o QueryOptions) form(query string) string {
	form := url.Values{"query": {query}}
	seconds := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64) }
	if o.Step > 0 {
		form.Set("start", seconds(o.Start))
		form.Set("end", seconds(o.End))
		form.Set("step", strconv.FormatFloat(o.Step.Seconds(), 'f', -1, 64))
	} else {
		form.Set("time", seconds(o.End))
	}
	for _, p := range o.Params {
		form.Set(p.Name, p.Value)
	}
	return form.Encode()
}

// asker asks one query from several goroutines.
type asker struct {
	options QueryOptions
	address string
	form    string
	started atomic.Int64

	mu        sync.Mutex
	latencies latencies
	result    QueryResult
}

// once asks and reads the whole reply.
func (a *asker) once(ctx context.Context) (took time.Duration, ok bool) {
	start := time.Now()
	n, err := a.fetch(ctx)
	took = time.Since(start)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.result.Error == "" {
			a.result.Error = err.Error()
		}
		return took, false
	}
	a.result.Bytes = n
	return took, true
}

func (a *asker) fetch(ctx context.Context) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.address, strings.NewReader(a.form))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, h := range a.options.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	reply, err := a.options.Client.Do(request)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(reply.Body, replyShown))
		if err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("%s", replyText(reply.StatusCode, text))
	}
	return io.Copy(io.Discard, reply.Body)
}

func (a *asker) record(took time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok {
		a.latencies.add(took)
	} else {
		a.result.Failed++
	}
}

func (a *asker) serverUsage() (usage, error) {
	if a.options.PID == 0 {
		return usage{}, nil
	}
	return readUsage("/proc", a.options.PID)
}

// WriteQueryText writes the results for people, one line a query.
func WriteQueryText(w io.Writer, results []QueryResult) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%9s %9s %9s %9s %9s %10s %8s  %s\n", "requests", "p50", "p90", "p99", "max", "reply", "CPU-ms", "query")
	for _, r := range results {
		fmt.Fprintf(&b, "%9d %9s %9s %9s %9s %10s %8.2f  %s\n", r.Requests,
			duration(r.Latency.P50), duration(r.Latency.P90), duration(r.Latency.P99), duration(r.Latency.Max),
			size(r.Bytes), r.CPUMillis(), r.Query)
		if r.Failed > 0 {
			fmt.Fprintf(&b, "%9d failed: %s\n", r.Failed, r.Error)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

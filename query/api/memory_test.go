package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/tsdbtest"
)

// pods is how many series podsServer has of each of its metrics.
const pods = 200

// podsServer serves storage in columns, sealed, with 200 series each of two metrics,
// a sample every 15 s for an hour, within the engine's options.
func podsServer(t *testing.T, options query.Options) *server {
	s := tsdbtest.New(t, tsdbtest.Modes[0])
	t.Cleanup(func() { _ = s.Close() })
	var batch series.Batch
	for pod := range pods {
		for _, name := range []string{"requests_total", "load"} {
			if reason, detail := batch.AddSeries(labels.FromStrings("__name__", name, "pod", fmt.Sprintf("pod-%03d", pod), "zone", fmt.Sprint(pod%4))); reason != "" {
				t.Fatal(detail)
			}
			for k := range int64(241) {
				batch.AddSample(k*15_000, 0, float64(k*15))
			}
		}
	}
	if _, err := s.DB().Append(t.Context(), series.DefaultTenant, &batch); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB().Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	deps := depsOf(query.Local(s.DB(), series.DefaultTenant))
	deps.Engine = query.New(options)
	return serve(t, deps, Options{}, true)
}

// TestLimitEndsOneQuery asks more than fits the memory of a query, or than it may
// read, again and again, while 50 other queries go on. Those that are over a limit
// fail, and say which it is, how much it is and where it was reached; the others are
// answered, all of them, and correctly.
func TestLimitEndsOneQuery(t *testing.T) {
	const samplesMax, bytesMax = 20_000, 1_000_000
	s := podsServer(t, query.Options{SamplesMax: samplesMax, BytesMax: bytesMax, Timeout: time.Minute})
	over := func(text string) string {
		return "/api/v1/query_range?start=300&end=3600&step=15&query=" + url.QueryEscape(text)
	}
	failures := []struct{ query, says string }{
		// 200 series of 221 points each are more than may be held.
		{`load{zone=~".*"}`, `the query needs more than 20,000 samples in memory, reached at selector {zone=~".*",__name__="load"}: ` +
			`query processing would load too many samples into memory in query execution`},
		{`sum by (pod) (rate(requests_total[5m]))`, `20,000 samples in memory, reached at selector {__name__="requests_total"}`},
		{`count_values("x", load) + 0 * quantile by (pod) (0.5, load)`, `20,000 samples in memory, reached at selector {__name__="load"}`},
		// All selectors together read more than they may.
		{sumOfOffsets(100), `1,000,000 bytes of chunks, reached at selector {__name__="load"}`},
	}
	var group sync.WaitGroup
	done := make(chan struct{})
	for _, c := range failures {
		group.Go(func() {
			for rounds := 0; ; rounds++ {
				s.fails(t, over(c.query), c.says)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	var others sync.WaitGroup
	for n := range 50 {
		others.Go(func() {
			text, want := `count(rate(requests_total[5m]) > 0)`, fmt.Sprint(pods)
			if n%2 == 1 {
				text, want = fmt.Sprintf(`load{pod="pod-%03d"} * 0 + %d`, n, n), fmt.Sprint(n)
			}
			got := s.get(t, over(text))
			if points := strings.Count(got.body, `,"`+want+`"]`); got.code != http.StatusOK || points != 221 {
				t.Errorf("%s: %d with %d points of %s: %.300s", text, got.code, points, want, got.body)
			}
		})
	}
	others.Wait()
	close(done)
	group.Wait()
}

// sumOfOffsets returns a query with many different selectors.
func sumOfOffsets(n int) string {
	text := `sum(load)`
	for i := range n {
		text += fmt.Sprintf(` + sum(load offset %ds)`, i+1)
	}
	return text
}

// fails asks what must fail with a text.
func (s *server) fails(t *testing.T, path, says string) {
	t.Helper()
	got := s.ask(t, http.MethodGet, path, nil)
	got.failed(t, 422, "execution")
	if !strings.Contains(got.error, says) {
		t.Errorf("the error is %q, and does not say %q", got.error, says)
	}
}

package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/series"
)

// fake is storage with as many series of one sample at time 0 as it says, each of
// which charges bytes of chunks.
type fake struct {
	series int
	bytes  int64
	charge bool          // charge series as a whole before giving one
	block  chan struct{} // if set, Select waits until ctx ends, or it is closed
}

func (f *fake) Querier(int64, int64) (storage.Querier, error) { return fakeQuerier{f}, nil }

type fakeQuerier struct{ *fake }

func (fakeQuerier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (fakeQuerier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (fakeQuerier) Close() error { return nil }

func (f fakeQuerier) Select(ctx context.Context, _ bool, _ *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return storage.ErrSeriesSet(ctx.Err())
		}
	}
	budget := series.BudgetFrom(ctx)
	if f.charge {
		if err := budget.ChargeSeries(f.series); err != nil {
			return storage.ErrSeriesSet(err)
		}
	}
	return &fakeSet{fake: f.fake, budget: budget}
}

type fakeSet struct {
	*fake
	budget series.Budget
	at     int
	err    error
}

func (s *fakeSet) Next() bool {
	if s.at == s.series || s.err != nil {
		return false
	}
	s.at++
	s.err = s.budget.ChargeBytes(s.bytes)
	return s.err == nil
}

func (s *fakeSet) At() storage.Series {
	set := labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%06d", s.at))
	return &storage.SeriesEntry{Lset: set, SampleIteratorFn: func(chunkenc.Iterator) chunkenc.Iterator {
		chunk := chunkenc.NewXORChunk()
		app, _ := chunk.Appender()
		app.Append(0, 0, 1)
		return chunk.Iterator(nil)
	}}
}

func (s *fakeSet) Err() error                        { return s.err }
func (s *fakeSet) Warnings() annotations.Annotations { return nil }

var epoch = time.Unix(0, 0)

func instant(text string) Request { return Request{Query: text, Start: epoch, End: epoch} }

func TestBudgets(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		from    *fake
		query   string
		limit   string // what the error says, nothing when there is none
	}{
		{"within", Options{SeriesMax: 10, BytesMax: 100}, &fake{series: 10, bytes: 10}, "m", ""},
		{"two selectors each within", Options{SeriesMax: 10}, &fake{series: 10}, "m + m", ""},
		{"series charged", Options{SeriesMax: 1234}, &fake{series: 1235, charge: true}, `m{i!="x"}`,
			`the query needs more than 1,234 series per selector, reached at selector {i!="x",__name__="m"}`},
		{"series counted", Options{SeriesMax: 9}, &fake{series: 10}, "m", `9 series per selector, reached at selector {__name__="m"}`},
		{"bytes", Options{BytesMax: 99}, &fake{series: 10, bytes: 10}, "m", `99 bytes of chunks, reached at selector {__name__="m"}`},
		{"bytes of two selectors", Options{BytesMax: 150}, &fake{series: 10, bytes: 10}, "m + m", "150 bytes of chunks"},
		{"samples", Options{SamplesMax: 5}, &fake{series: 10}, "m", "too many samples"},
		{"none", Options{SeriesMax: -1, BytesMax: -1, SamplesMax: -1}, &fake{series: 100, bytes: 1 << 40, charge: true}, "m", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			c.options.Registerer = registry
			result, err := New(c.options).Run(t.Context(), c.from, instant(c.query))
			if c.limit == "" {
				if err != nil {
					t.Fatal(err)
				}
				result.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.limit) {
				t.Fatalf("error %v, want %q", err, c.limit)
			}
			var limit *LimitError
			if c.name != "samples" && !errors.As(err, &limit) {
				t.Errorf("%v is no LimitError", err)
			}
			if n := testutil.CollectAndCount(registry, "varve_query_limit_exceeded_total"); n != 1 {
				t.Errorf("%d limits were counted", n)
			}
		})
	}
}

func TestResultTellsItsCost(t *testing.T) {
	for _, charge := range []bool{true, false} {
		result, err := New(Options{}).Run(t.Context(), &fake{series: 7, bytes: 11, charge: charge}, instant("m"))
		if err != nil {
			t.Fatal(err)
		}
		if result.Budget.Series() != 7 || result.Budget.Bytes() != 77 || result.Stats.Samples.TotalSamples != 7 {
			t.Errorf("charge %v: %d series, %d bytes, %d samples", charge, result.Budget.Series(), result.Budget.Bytes(), result.Stats.Samples.TotalSamples)
		}
		result.Close()
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	e := New(Options{Timeout: time.Hour})
	stuck := &fake{block: make(chan struct{})}
	r := instant("m")
	r.Timeout = 20 * time.Millisecond
	_, err := e.Run(t.Context(), stuck, r)
	if !errors.As(err, new(promql.ErrQueryTimeout)) {
		t.Errorf("%v is no timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = e.Run(ctx, stuck, instant("m"))
	if !errors.As(err, new(promql.ErrQueryCanceled)) {
		t.Errorf("%v is no cancellation", err)
	}
	short := New(Options{Timeout: 20 * time.Millisecond})
	r.Timeout = time.Hour // cannot lengthen the engine's
	_, err = short.Run(t.Context(), stuck, r)
	if !errors.As(err, new(promql.ErrQueryTimeout)) {
		t.Errorf("%v is no timeout", err)
	}
}

func TestQueue(t *testing.T) {
	registry := prometheus.NewRegistry()
	e := New(Options{ConcurrentMax: 2, QueueMax: 3, QueueWait: time.Minute, Registerer: registry})
	stuck := &fake{block: make(chan struct{})}
	var group sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	run := func() {
		defer group.Done()
		result, err := e.Run(t.Context(), stuck, instant("m"))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			outcomes["answered"]++
			result.Close()
		case errors.Is(err, ErrQueueFull):
			outcomes["full"]++
		default:
			outcomes[err.Error()]++
		}
	}
	start := func(n int) {
		for range n {
			group.Add(1)
			go run()
		}
	}
	start(5)
	eventually(t, func() bool { return e.gate.running() == 2 && e.gate.waiting.Load() == 3 })
	if n := gauge(t, registry, "varve_query_active"); n != 2 {
		t.Errorf("%v active", n)
	}
	if n := gauge(t, registry, "varve_query_queue_length"); n != 3 {
		t.Errorf("%v waiting", n)
	}
	group.Add(1)
	run() // the sixth
	close(stuck.block)
	group.Wait()
	if outcomes["answered"] != 5 || outcomes["full"] != 1 || len(outcomes) != 2 {
		t.Errorf("%v", outcomes)
	}
	if e.gate.running() != 0 || e.gate.waiting.Load() != 0 {
		t.Error("slots were not given back")
	}
}

func TestQueueWaitEnds(t *testing.T) {
	e := New(Options{ConcurrentMax: 1, QueueWait: 20 * time.Millisecond})
	_, _, leave, err := e.Admit(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	_, _, _, err = e.Admit(t.Context(), 0)
	var timeout promql.ErrQueryTimeout
	if !errors.As(err, &timeout) || err.Error() != "query timed out in query queue" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err = e.Admit(ctx, 0); !errors.As(err, new(promql.ErrQueryCanceled)) {
		t.Errorf("%v", err)
	}
}

func TestInvalidQueries(t *testing.T) {
	e := New(Options{TextMax: 100})
	for _, text := range []string{"", "m{", strings.Repeat("a", 101), `{a="b"} + "c"`} {
		_, err := e.Run(t.Context(), &fake{}, instant(text))
		if !errors.As(err, new(*InvalidError)) {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, err := e.Run(t.Context(), &fake{}, Request{Query: "m[1m]", Start: epoch, End: epoch, Step: time.Second})
	if !errors.As(err, new(*InvalidError)) || !strings.Contains(err.Error(), "must be Scalar or instant Vector") {
		t.Errorf("%v", err)
	}
	if _, err := e.ParseSelectors([]string{strings.Repeat("a", 60), strings.Repeat("b", 60)}); !errors.As(err, new(*InvalidError)) {
		t.Errorf("%v", err)
	}
}

func TestLanguageOptions(t *testing.T) {
	asked := func(o Options, text string) error {
		result, err := New(o).Run(t.Context(), &fake{series: 1}, instant(text))
		if err == nil {
			result.Close()
		}
		return err
	}
	for _, text := range []string{"m @ 0", "m offset -1m", "limitk(1, m)", "max_over_time(m[1m:])", "rate(m[1m] anchored)"} {
		if err := asked(Options{}, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"m + fill(0) m", "m.n"} {
		if asked(Options{}, text) == nil {
			t.Errorf("%s is on", text)
		}
		if err := asked(Options{FillModifiers: true, UnquotedUTF8Names: true}, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if asked(Options{NoExperimentalFunctions: true}, "limitk(1, m)") == nil {
		t.Error("experimental functions are on")
	}
	features := New(Options{}).Features()["promql"]
	if !features["at_modifier"] || !features["per_step_stats"] || features["delayed_name_removal"] {
		t.Errorf("%v", features)
	}
	if New(Options{NoPerStepStats: true}).Features()["promql"]["per_step_stats"] {
		t.Error("per-step statistics are on")
	}
}

func TestSelectorTextIsCut(t *testing.T) {
	long := labels.MustNewMatcher(labels.MatchRegexp, "job", strings.Repeat("é", 5000))
	text := selectorText([]*labels.Matcher{long, long, long})
	if len(text) > 1000 || !strings.Contains(text, "...") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not come about")
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

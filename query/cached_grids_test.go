package query

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/varve-db/varve/series"
)

// exactly says how two results of range queries differ in any bit, nothing if they
// do not.
func exactly(text string, want, got *Result, wantErr, gotErr error) string {
	if how := difference(answerOf(text, want, wantErr), answerOf(text, got, gotErr)); how != "" {
		return how
	}
	if wantErr != nil {
		return ""
	}
	a, b := want.Value.(promql.Matrix), got.Value.(promql.Matrix)
	if len(a) != len(b) {
		return fmt.Sprintf("%d series, want %d", len(b), len(a))
	}
	for i := range a {
		// DropName is of no account: names have been dropped where they had to be.
		if !labels.Equal(a[i].Metric, b[i].Metric) {
			return fmt.Sprintf("series %d is %s, want %s", i, b[i].Metric, a[i].Metric)
		}
		for j, p := range a[i].Floats {
			if q := b[i].Floats[j]; p.T != q.T || math.Float64bits(p.F) != math.Float64bits(q.F) {
				return fmt.Sprintf("%s is %v (%x) at %d, want %v (%x) at %d", a[i].Metric, q.F, math.Float64bits(q.F), q.T, p.F, math.Float64bits(p.F), p.T)
			}
		}
	}
	return ""
}

// TestKeptStepsOfAnyGrid asks random queries at parts of a grid and then at the
// grid, and compares with what comes without the cache: a step's result must not
// depend on the other steps. The states of the database do not change here.
// VARVE_CACHE_SECONDS says for how long, VARVE_CACHE_SEED repeats one world.
func TestKeptStepsOfAnyGrid(t *testing.T) {
	seconds := 5
	if n, err := strconv.Atoi(os.Getenv("VARVE_CACHE_SECONDS")); err == nil {
		seconds = n
	}
	seed, only := rand.Uint64N(1<<40), false
	if n, err := strconv.ParseUint(os.Getenv("VARVE_CACHE_SEED"), 10, 64); err == nil {
		seed, only = n, true
	}
	g := &gridTest{T: t}
	for until := time.Now().Add(time.Duration(seconds) * time.Second); g.failures < 5; seed++ {
		g.world(seed)
		if only || time.Now().After(until) {
			break
		}
	}
	t.Logf("%d queries, %d with an answer, %d from kept results", g.asked, g.answered, g.hits)
	if g.asked > 2000 && g.hits < g.asked/8 {
		t.Errorf("%d of %d queries were answered from kept results: the test hardly sees any", g.hits, g.asked)
	}
}

type gridTest struct {
	*testing.T
	asked, answered, hits, failures int
}

func (g *gridTest) world(seed uint64) {
	w := newWorld(seed)
	db := w.load(g.T)
	defer func() { _ = db.Close() }()
	from := Local(db, series.DefaultTenant)
	o := Options{FillModifiers: true, UnquotedUTF8Names: true, Timeout: 20 * time.Second, UseStartTimestamps: seed%3 == 0}
	plain := New(o)
	o.CacheBytes, o.CacheCostMin = 64<<20, -1
	cached := New(o)
	random := rand.New(rand.NewPCG(seed, 5))
	for n := range uint64(200) {
		a := newAsker(w, n)
		r := a.request()
		if r.Step < time.Millisecond || r.End.Sub(r.Start)/r.Step < 4 || r.End.Sub(r.Start)/r.Step > 500 {
			continue
		}
		r.NoCache, r.PerStepStats, r.Reference = false, false, false
		part := r
		steps := int64(r.End.Sub(r.Start) / r.Step)
		first := random.Int64N(steps / 2)
		part.Start = r.Start.Add(time.Duration(first) * r.Step)
		part.End = part.Start.Add(time.Duration(steps/2+random.Int64N(steps-first-steps/2+2)) * r.Step)
		if result, err := cached.Run(g.Context(), from, part); err == nil {
			result.Close()
		}
		g.compare(seed, n, plain, cached, from, r)
	}
}

func (g *gridTest) compare(seed, n uint64, plain, cached *Engine, from Columnar, r Request) {
	before := counterOf(cached.results.metrics.hits)
	got, gotErr := cached.Run(g.Context(), from, r)
	g.asked++
	if counterOf(cached.results.metrics.hits) == before {
		return
	}
	g.hits++
	want, wantErr := plain.Run(g.Context(), from, r)
	if wantErr == nil && len(want.Value.(promql.Matrix)) > 0 {
		g.answered++
	}
	if how := exactly(r.Query, want, got, wantErr, gotErr); how != "" {
		again, err := plain.Run(g.Context(), from, r)
		if exactly(r.Query, want, again, wantErr, err) != "" {
			return // it is not the same without a cache either
		}
		g.failures++
		g.Errorf("VARVE_CACHE_SEED=%d query %d: %s\nfrom %d to %d every %s: %s", seed, n, r.Query, r.Start.UnixMilli(), r.End.UnixMilli(), r.Step, how)
	}
}

func counterOf(c prometheus.Counter) float64 { return testutil.ToFloat64(c) }

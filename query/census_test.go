package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/series"
)

// listing is storage that does not count series without listing them.
type listing struct{ Columnar }

type listingQuerier struct{ exec.Querier }

func (l listing) Columns(mint, maxt int64) (exec.Querier, error) {
	q, err := l.Columnar.Columns(mint, maxt)
	return listingQuerier{q}, err
}

// counting is storage that notes how often it has counted.
type counting struct {
	Columnar
	counted *int
}

type countingQuerier struct {
	exec.Counter
	counted *int
}

func (c counting) Columns(mint, maxt int64) (exec.Querier, error) {
	q, err := c.Columnar.Columns(mint, maxt)
	if err != nil {
		return nil, err
	}
	return countingQuerier{q.(exec.Counter), c.counted}, nil
}

func (q countingQuerier) Count(ctx context.Context, c exec.Census) ([]exec.Counted, int64, bool, error) {
	groups, points, ok, err := q.Counter.Count(ctx, c)
	if ok && len(groups) > 0 {
		*q.counted++
	}
	return groups, points, ok, err
}

// censusQuery makes up a query that counts the series of a selector.
func censusQuery(r *rand.Rand) string {
	selector := pick(r, []string{
		`{__name__=~".+"}`, `{__name__!=""}`, `{job=~".+"}`, `requests_total`, `{__name__=~"r.*|latency|mixed|size"}`,
		`{zone=""}`, `{job!="db"}`, `latency{instance!="1"}`, `none`, `{le!=""}`,
	})
	if r.IntN(3) == 0 {
		selector += pick(r, []string{" offset 1m", " offset -30s", " @ end()", " @ start() offset 2m"})
	}
	if r.IntN(4) == 0 {
		selector = "(" + selector + ")"
	}
	var names []string
	for _, name := range []string{"__name__", "job", "instance", "zone", "le", "code", "none", "job"} {
		if r.IntN(4) == 0 {
			names = append(names, name)
		}
	}
	text := fmt.Sprintf("%s by (%s) (%s)", pick(r, []string{"count", "group"}), strings.Join(names, ","), selector)
	switch r.IntN(6) {
	case 0:
		return "histogram_count(" + text + ") or " + text
	case 1:
		return text + " > 1"
	case 2:
		return "sum(" + text + ")"
	}
	return text
}

// TestCensusEqualsListing counts the series of made-up worlds with and without
// listing them: the results, their order, and what is charged are equal, and equal
// to those of Prometheus's engine.
func TestCensusEqualsListing(t *testing.T) {
	worlds, queries := 40, 60
	if raceEnabled {
		worlds = 10
	}
	counted := 0
	first := rand.Uint64N(1 << 40)
	for seed := first; seed < first+uint64(worlds); seed++ {
		w := newWorld(seed)
		db := w.load(t)
		r := rand.New(rand.NewPCG(seed, 3))
		for n := range queries {
			o := Options{DelayedNameRemoval: n&1 != 0, FillModifiers: true, UnquotedUTF8Names: true, Timeout: 20 * time.Second}
			if n%10 == 0 {
				o.SamplesMax, o.SeriesMax = 1+r.IntN(40), 1+r.Int64N(60)
			}
			e := New(o)
			e.slots = exec.NewSlots(3)
			request := Request{Query: censusQuery(r), Start: time.UnixMilli(w.from + r.Int64N(w.to-w.from+600_000))}
			if n%7 == 0 { // one step that is no instant
				request.End, request.Step = request.Start.Add(time.Second), time.Minute
			}
			local := Local(db, series.DefaultTenant)
			ask := func(from Columnar, reference bool) (answer, string) {
				request.Reference = reference
				result, err := e.Run(t.Context(), from, request)
				if err != nil {
					return answerOf(request.Query, result, err), ""
				}
				defer result.Close()
				s := result.Stats.Samples
				return answerOf(request.Query, result, err), fmt.Sprint(s.TotalSamples, " samples, peak ", s.PeakSamples, ", ", result.Budget.Series(), " series")
			}
			got, stats := ask(counting{local, &counted}, false)
			listed, listedStats := ask(listing{local}, false)
			if how := difference(listed, got); how != "" || stats != listedStats {
				t.Fatalf("seed %d: %s at %d, counted and listed: %s (%s, want %s)\n%s", seed, request.Query, request.Start.UnixMilli(), how, stats, listedStats, w)
			}
			if reference, _ := ask(local, true); n%10 > 0 {
				if how := difference(reference, got); how != "" {
					t.Fatalf("seed %d: %s at %d: %s\n%s", seed, request.Query, request.Start.UnixMilli(), how, w)
				}
			}
		}
		_ = db.Close()
	}
	if counted < worlds*queries/10 {
		t.Errorf("only %d of %d queries were counted", counted, worlds*queries)
	}
	t.Logf("%d of %d queries were counted", counted, worlds*queries)
}

// TestCensusClaims leaves the selector to the reference.
func TestCensusClaims(t *testing.T) {
	w := newWorld(7)
	db := w.load(t)
	defer db.Close()
	counted := 0
	e := New(Options{Claims: func(expr parser.Expr) bool {
		return expr.Type() != parser.ValueTypeVector || !strings.HasPrefix(expr.String(), "{")
	}})
	result, err := e.Run(t.Context(), counting{Local(db, series.DefaultTenant), &counted}, Request{Query: `count({__name__=~".+"})`, Start: time.UnixMilli(w.to)})
	if err != nil {
		t.Fatal(err)
	}
	result.Close()
	if counted != 0 {
		t.Error("a selector that was left to the reference was counted")
	}
}

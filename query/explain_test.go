package query

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/tsdbtest"
)

// referenceParts returns why parts of a plan are left to Prometheus's engine.
func referenceParts(tree *plan.Tree) (why []string) {
	tree.Root.Walk(func(n *plan.Node) bool {
		if n.Why != "" {
			why = append(why, n.Why)
		}
		return n.Executor == plan.Columnar
	})
	return why
}

// TestColumnarCoverage plans all expressions of Prometheus's test scripts as range
// queries, and the queries of queryTable: 95 of 100 of the former, and all of the
// latter, have no part that is left to Prometheus's engine.
func TestColumnarCoverage(t *testing.T) {
	exprs, err := promqltest.GetBuiltInExprs()
	if err != nil {
		t.Fatal(err)
	}
	engine := newScriptEngine(nil).Engine
	from := Local(tsdbtest.New(t, tsdbtest.Modes[0]).DB(), series.DefaultTenant)
	planned, whole, reasons := 0, 0, map[string]int{}
	for _, text := range exprs {
		x, err := engine.Explain(t.Context(), from, Request{Query: text, Start: time.Unix(0, 0), End: time.Unix(3000, 0), Step: time.Minute})
		if err != nil {
			continue // no range query: it is of another type, or wrong on purpose
		}
		planned++
		parts := referenceParts(x.Plan)
		if len(parts) == 0 {
			whole++
		}
		for _, why := range parts {
			reasons[why]++
		}
	}
	t.Logf("%d of %d expressions are planned, %d of them (%.2f %%) columnar as a whole; parts on the reference: %v",
		planned, len(exprs), whole, 100*float64(whole)/float64(planned), reasons)
	if planned < 1000 {
		t.Errorf("%d expressions were planned: too few to judge by", planned)
	}
	if float64(whole) < 0.95*float64(planned) {
		t.Errorf("%d of %d expressions are columnar as a whole, fewer than 95 in 100", whole, planned)
	}
	for _, row := range queryTable {
		x, err := engine.Explain(t.Context(), from, Request{Query: row.query, Start: tableEnd.Add(-row.span), End: tableEnd, Step: row.step})
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		if why := referenceParts(x.Plan); len(why) > 0 {
			t.Errorf("%s: %q", row.name, why)
		}
	}
}

// explained is storage with ten series of m and two of n, and a list of what was
// selected from it.
type explained struct {
	Columnar
	selected []string
}

func newExplained(t *testing.T) *explained {
	s := tsdbtest.New(t, tsdbtest.Modes[0])
	var batch series.Batch
	for i := range 12 {
		name := "m"
		if i >= 10 {
			name = "n"
		}
		if reason, detail := batch.AddSeries(labels.FromStrings("__name__", name, "h", fmt.Sprint(i%10), "dc", fmt.Sprint(i%3))); reason != "" {
			t.Fatal(detail)
		}
		for k := range int64(41) {
			batch.AddSample(k*15_000, 0, float64(k))
		}
	}
	if _, err := s.DB().Append(t.Context(), series.DefaultTenant, &batch); err != nil {
		t.Fatal(err)
	}
	return &explained{Columnar: Local(s.DB(), series.DefaultTenant)}
}

func (s *explained) Columns(mint, maxt int64) (exec.Querier, error) {
	q, err := s.Columnar.Columns(mint, maxt)
	return explainedQuerier{q, s}, err
}

type explainedQuerier struct {
	exec.Querier
	in *explained
}

func (q explainedQuerier) Select(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (exec.Selection, error) {
	q.in.selected = append(q.in.selected, fmt.Sprintf("%d to %d %v", mint, maxt, ms))
	return q.Querier.Select(ctx, mint, maxt, ms)
}

// take returns what was selected since it was called last, in order.
func (s *explained) take() []string {
	slices.Sort(s.selected)
	defer func() { s.selected = nil }()
	return slices.Compact(s.selected)
}

// TestExplainSelects compares what a plan says that selectors read with what they
// do read.
func TestExplainSelects(t *testing.T) {
	from := newExplained(t)
	engine := New(Options{FillModifiers: true})
	for _, text := range []string{
		`m`, `m offset 1m`, `m @ 200`, `m @ 200 offset -30s`, `rate(m[2m])`, `rate(m[2m] offset 40s)`, `rate(m[2m] @ 300)`,
		`rate(m[2m] smoothed)`, `rate(m[2m] anchored)`, `m smoothed`, `timestamp(m)`, `max_over_time(m[5m:45s] offset 1m)`,
		`max_over_time(rate(m[1m])[5m:] @ 300)`, `max_over_time(sum(m @ 100 + n)[5m:])`, `topk(scalar(count(n)), m)`,
		`m{h="1"} and on (h) n`, `sum(rate(m[1m])) / sum(rate(m[1m]))`, `absent(m) or absent_over_time(n[3m])`,
		`max_over_time(max_over_time(m[1m:20s])[3m:1m])`,
	} {
		for _, step := range []time.Duration{0, 37 * time.Second} {
			r := Request{Query: text, Start: time.Unix(300, 0), End: time.Unix(600, 0), Step: step}
			x, err := engine.Explain(t.Context(), from, r)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			said := from.take()
			result, err := engine.Run(t.Context(), from, r)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			result.Close()
			if did := from.take(); !slices.Equal(said, did) {
				t.Errorf("%s, step %s: the plan says\n%s\nthe query reads\n%s\n%s", text, step, strings.Join(said, "\n"), strings.Join(did, "\n"), x.Plan)
			}
		}
	}
}

// TestExplain looks at what an explanation says.
func TestExplain(t *testing.T) {
	from := newExplained(t)
	r := Request{Query: `sum by (h) (rate(m{dc="1"}[2m])) + n`, Start: time.Unix(300, 0), End: time.Unix(600, 0), Step: time.Minute}
	counts := func(e *Engine, r Request) string {
		t.Helper()
		x, err := e.Explain(t.Context(), from, r)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		x.Plan.Root.Walk(func(n *plan.Node) bool {
			if n.Selector != nil {
				said = append(said, fmt.Sprintf("%s has %d", n.Selector.Vector.Name, x.Series[n]))
			}
			if n.Why != "" {
				said = append(said, fmt.Sprintf("%s is left: %s", n.Expr, n.Why))
			}
			return true
		})
		return strings.Join(said, "; ")
	}
	plain := New(Options{})
	if got := counts(plain, r); got != "m has 3; n has 2" {
		t.Error(got)
	}
	asked := r
	asked.Reference = true
	if got := counts(plain, asked); got != `sum by (h) (rate(m{dc="1"}[2m])) + n is left: the request asks for it; m has 3; n has 2` {
		t.Error(got)
	}
	matrix := Request{Query: `m[1m]`, Start: time.Unix(300, 0), End: time.Unix(300, 0)}
	if got := counts(plain, matrix); got != `m has 10; m[1m] is left: the columnar executor has no range vector as a result` {
		t.Error(got)
	}
	r.Query = `sum(info(m))`
	if got := counts(plain, r); got != `info(m) is left: the columnar executor has no operator for info; m has 10` {
		t.Error(got)
	}
	if _, err := plain.Explain(t.Context(), from, Request{Query: `m +`, Start: time.Unix(math.MaxInt32, 0)}); err == nil {
		t.Error("half a query is explained")
	}
}

package query

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
)

// costsQueries have operators of all kinds.
var costsQueries = []string{
	`m`, `m @ 200`, `-m`, `rate(m[2m])`, `rate(m[2m] smoothed)`, `timestamp(m)`, `max_over_time(rate(m[1m])[5m:20s])`,
	`sum by (h) (rate(m[2m])) + on (h) n`, `topk(scalar(count(n)), m)`, `m{h="1"} and on (h) n`, `sum(rate(m[1m])) / sum(rate(m[1m]))`,
	`sum(m) - sum(m) * sum(m)`, `absent(x) or absent_over_time(n[3m])`, `quantile by (dc) (0.5, m)`, `sort_desc(m)`, `count(m)`,
	`count_values("v", m)`, `limitk(2, m)`, `label_replace(m, "x", "$1", "h", "(.)") * on (x) group_left label_replace(n, "x", "$1", "h", "(.)")`, `sum(info(m))`, `1 + 2`,
}

// TestCosts measures queries: the answers are the same, and the costs of the
// operators add up to those of the whole.
func TestCosts(t *testing.T) {
	from := newExplained(t)
	engine := New(Options{})
	for _, text := range costsQueries {
		for _, step := range []time.Duration{0, 13 * time.Second} {
			r := Request{Query: text, Start: time.Unix(300, 0), End: time.Unix(600, 0), Step: step}
			plain := mustRun(t, engine, from, r)
			if plain.Plan != nil || plain.Costs != nil {
				t.Fatalf("%s is measured, though nobody asked for it", text)
			}
			r.Measure = true
			measured := mustRun(t, engine, from, r)
			if a, b := plain.Value.String(), measured.Value.String(); a != b {
				t.Errorf("%s, step %s: measured it is\n%s\nelse\n%s", text, step, b, a)
			}
			checkCosts(t, fmt.Sprintf("%s, step %s", text, step), measured)
			plain.Close()
			measured.Close()
		}
	}
}

func mustRun(t testing.TB, engine *Engine, from Columnar, r Request) *Result {
	t.Helper()
	result, err := engine.Run(context.Background(), from, r)
	if err != nil {
		t.Fatalf("%s: %v", r.Query, err)
	}
	return result
}

// checkCosts adds up what a measured query took.
func checkCosts(t *testing.T, of string, result *Result) {
	t.Helper()
	var sum exec.Cost
	var most int64
	result.Plan.Root.Walk(func(n *plan.Node) bool {
		c := result.Costs[n]
		sum.Samples, sum.Decoded, sum.Busy = sum.Samples+c.Samples, sum.Decoded+c.Decoded, sum.Busy+c.Busy
		most += c.Peak
		if c.Rows > c.Series || c.Busy < 0 || c.Peak < 0 {
			t.Errorf("%s: %s took %+v", of, n.Expr, c)
		}
		return true
	})
	work := result.Work
	if sum.Samples != work.Samples || sum.Decoded != work.Decoded {
		t.Errorf("%s: operators looked at %d and read %d samples, the query at %d and %d", of, sum.Samples, sum.Decoded, work.Samples, work.Decoded)
	}
	if sum.Busy <= 0 || sum.Busy > 2*work.Busy {
		t.Errorf("%s: operators took %s, the query %s", of, sum.Busy, work.Busy)
	}
	if most > work.Peak*int64(len(result.Costs)) {
		t.Errorf("%s: operators held %d points, the query %d", of, most, work.Peak)
	}
	if root := result.Plan.Root.Unwrap(); root.Kind != plan.KindNumber && result.Costs[root].Rows == 0 && root.Expr.Type() == parser.ValueTypeVector {
		t.Errorf("%s: no rows came out", of)
	}
}

// TestCostsOfOperators looks at a query's operators one by one.
func TestCostsOfOperators(t *testing.T) {
	from := newExplained(t)
	r := Request{Query: `sum by (h) (rate(m{dc="1"}[2m])) / count by (h) (m) > bool 0`, Start: time.Unix(300, 0), End: time.Unix(600, 0), Step: time.Minute, Measure: true}
	x, err := New(Options{}).Explain(t.Context(), from, r)
	if err != nil {
		t.Fatal(err)
	}
	if x.Work == nil || x.Work.Decoded == 0 {
		t.Fatalf("%+v", x.Work)
	}
	for text, want := range map[string]exec.Cost{
		// Six steps, two minutes of samples every 15 s each, three series of m and ten.
		`rate(m{dc="1"}[2m])`:              {Series: 3, Rows: 3, Samples: 3 * 6 * 8, Decoded: 3 * 28},
		`sum by (h) (rate(m{dc="1"}[2m]))`: {Series: 3, Rows: 3, Peak: 18},
		`m`:                                {Series: 10, Rows: 10, Samples: 60, Decoded: 10 * 40},
		`count by (h) (m)`:                 {Series: 10, Rows: 10, Peak: 60},
	} {
		found := false
		x.Plan.Root.Walk(func(n *plan.Node) bool {
			if n.Expr.String() != text {
				return true
			}
			found = true
			got := x.Costs[n]
			got.Busy, got.Peak = 0, min(got.Peak, want.Peak)
			if got != want {
				t.Errorf("%s took %+v, want %+v", text, got, want)
			}
			return true
		})
		if !found {
			t.Errorf("%s is not in\n%s", text, x.Plan)
		}
	}
}

// BenchmarkMeasure tells how much longer queries take whose operators are measured:
// both kinds are asked in turn.
func BenchmarkMeasure(b *testing.B) {
	db, end := openTable(b, true)
	defer end()
	engine := New(Options{})
	for _, row := range queryTable {
		b.Run(row.name, func(b *testing.B) {
			var busy [2]time.Duration
			for b.Loop() {
				for i := range busy {
					r := Request{Query: row.query, Start: tableEnd.Add(-row.span), End: tableEnd, Step: row.step, Measure: i == 1}
					result := mustRun(b, engine, Local(db, series.DefaultTenant), r)
					busy[i] += result.Work.Busy
					result.Close()
				}
			}
			b.ReportMetric(float64(busy[0].Microseconds())/float64(b.N), "busy-us/op")
			b.ReportMetric(float64(busy[1])/float64(busy[0]), "measured/plain")
		})
	}
}

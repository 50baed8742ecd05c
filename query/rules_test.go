package query

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/varve-db/varve/query/plan"
)

// TestRulesChangeNoAnswer asks queries that the planner's rules rewrite of made-up
// series, and compares with Prometheus's engine, which knows no rules.
func TestRulesChangeNoAnswer(t *testing.T) {
	budget := 6 * time.Second
	if testing.Short() || raceEnabled {
		budget = 2 * time.Second
	}
	d := newDuel()
	applied := map[string]int{}
	until := time.Now().Add(budget)
	for seed := rand.Uint64N(1 << 40); time.Now().Before(until) && d.failed == 0; seed++ {
		d.rewritten(t, seed, applied)
	}
	t.Log(d, applied)
	for _, rule := range []string{"propagate", "share"} {
		if d.asked > 500 && applied[rule] < d.asked/10 {
			t.Errorf("of %d queries, %s rewrote %d", d.asked, rule, applied[rule])
		}
	}
}

// rewritten asks queries of one world.
func (d *duel) rewritten(t *testing.T, seed uint64, applied map[string]int) {
	w := newWorld(seed)
	db := w.load(t)
	defer func() { _ = db.Close() }()
	for n := range uint64(60) {
		a := newAsker(w, n)
		r := a.request()
		r.Query = a.rewritable()
		p := d.pairs[n%uint64(len(d.pairs))]
		if x, err := p.one.Explain(t.Context(), d.from(db), r); err == nil {
			applied[""]++
			for rule := range rulesOf(x.Plan) {
				applied[rule]++
			}
		}
		// Every third has a contender that evaluates parts on the reference.
		at := 3*n + 2*(n%2)
		if how, by := d.compare(t.Context(), db, p, r, at); how != "" {
			d.failed++
			t.Error(d.report(t, w, db, p, r, at, by))
			return
		}
	}
}

func rulesOf(tree *plan.Tree) map[string]bool {
	rules := map[string]bool{}
	for _, a := range tree.Applied {
		rules[a.Rule] = true
	}
	return rules
}

// rewritable makes up a query in which something stands twice, or in which series
// of one side have no partner on the other.
func (a *asker) rewritable() string {
	x, y := a.vector(a.IntN(3)), a.vector(a.IntN(2))
	label := pick(a.Rand, worldLabelNames[:4])
	by := label
	if a.chance(0.3) {
		by += ", " + pick(a.Rand, worldLabelNames[:4])
	}
	one := fmt.Sprintf("%s by (%s) (%s)", pick(a.Rand, []string{"sum", "count", "max", "group"}), label, a.narrowed())
	arithmetic := pick(a.Rand, []string{"+", "-", "/", "*", ">", "== bool"})
	set := pick(a.Rand, []string{"and", "unless", "and", "or"})
	switch a.IntN(9) {
	case 0:
		return fmt.Sprintf("(%s) %s (%s)", x, pick(a.Rand, []string{arithmetic, set}), x)
	case 1:
		return fmt.Sprintf("sum by (%s) (%s) %s on (%s) group_right () count by (%s) (%s)", label, x, arithmetic, label, by, x)
	case 2:
		return fmt.Sprintf("max_over_time((%s)[3m:20s]) - (min_over_time((%s)[3m:20s]) or (%s))", x, x, y)
	case 3:
		return fmt.Sprintf("%s %s on (%s) (%s)", a.narrowed(), set, by, y)
	case 4:
		return fmt.Sprintf("(%s) %s on (%s) %s", y, set, by, a.narrowed())
	case 5:
		return fmt.Sprintf("%s %s on (%s) group_left () %s", a.narrowed(), arithmetic, label, one)
	case 6:
		return fmt.Sprintf("count by (%s) (%s) %s on (%s) abs(%s)", label, a.narrowed(), arithmetic, label, one)
	case 7:
		return fmt.Sprintf("last_over_time(%s[2m]) %s count_over_time(%s[2m])", a.narrowed(), set, a.narrowed())
	}
	return fmt.Sprintf("((%s) and (%s)) unless (%s)", a.narrowed(), a.narrowed(), a.narrowed())
}

// narrowed is a selector with matchers of its labels.
func (a *asker) narrowed() string {
	s := a.selector()
	if strings.Contains(s, "{") {
		return s
	}
	return s + pick(a.Rand, []string{
		`{job="api"}`, `{instance="0"}`, `{instance=~"1|2"}`, `{code!="500"}`, `{zone="east"}`, `{zone!=""}`, `{job=~"a.*",instance!="0"}`, ``,
	})
}

package cache

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const minute = int64(60_000)

// planOf prepares an expression as a query does, and plans it.
func planOf(t *testing.T, text string) *Plan {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	expr, err = promql.PreprocessExpr(expr, time.UnixMilli(0), time.UnixMilli(60*minute), time.Minute)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return NewPlan(expr, 5*time.Minute)
}

func TestReach(t *testing.T) {
	for _, c := range []struct {
		text          string
		before, after int64 // minutes
	}{
		{`m`, 10, 0},
		{`rate(m[30m])`, 35, 0},
		{`rate(m[1m])`, 10, 0},
		{`m offset 1h`, 70, -60},
		{`m offset -1h`, -50, 60},
		{`m + m offset -1h`, 10, 60},
		{`rate(m[30m] smoothed)`, 35, 5},
		{`m smoothed`, 10, 5},
		{`max_over_time(rate(m[5m])[1h:1m])`, 70, 0},
		{`max_over_time(rate(m[5m] offset 2m)[1h:1m] offset 3m)`, 75, -5},
		{`m > time()`, 10, 0},
		{`quantile(0.5, m)`, 10, 0},
	} {
		p := planOf(t, c.text)
		if p == nil {
			t.Errorf("%s: not kept", c.text)
		} else if p.Before != c.before*minute || p.After != c.after*minute || !p.Moves || p.Stays {
			t.Errorf("%s: %+v", c.text, *p)
		}
	}
}

func TestFixedReach(t *testing.T) {
	for _, c := range []struct {
		text             string
		earliest, latest int64 // minutes
		moves            bool
	}{
		{`m @ 6000`, 90, 100, false},
		{`m + m @ 6000`, 90, 100, true},
		{`m @ 6000 offset 5m`, 85, 100, false},
		{`sum_over_time(m[30m] @ 6000)`, 65, 100, false},
		{`sum_over_time(m[30m:1m] @ 6000) + m @ 12000`, 60, 200, false},
		{`timestamp(m @ 6000)`, 90, 100, false},
		{`sum(sum by (a) (m @ 6000))`, 90, 100, false},
	} {
		p := planOf(t, c.text)
		if p == nil {
			t.Errorf("%s: not kept", c.text)
		} else if p.Earliest != c.earliest*minute || p.Latest != c.latest*minute || p.Moves != c.moves || !p.Stays {
			t.Errorf("%s: %+v", c.text, *p)
		}
	}
}

func TestWhatIsKept(t *testing.T) {
	for text, kept := range map[string]bool{
		`vector(1)`:                       false, // nothing to save
		`m @ start()`:                     false,
		`m @ end()`:                       false,
		`sum_over_time(m[5m:1m] @ end())`: false,
		`m[step()]`:                       false,
		`m offset step()`:                 false,
		`rate(m[step() + 1m])`:            false,
		`m + start()`:                     true, // a number by now
		`info(m)`:                         false,
		`sum(m)`:                          true,
		`sum(rate(m[5m]))`:                true,
		`sum({job="a"})`:                  false,
		`sum({__name__="m"})`:             true,
		`count({job="a"})`:                true,
		`sum(sum by (a) (m))`:             false,
		`sum(sum(m))`:                     true,
		`count(sum by (a) (m))`:           true,
		`topk(5, sum by (a) (m))`:         false,
		`sum(topk(5, m))`:                 true,
		`topk(5, m)`:                      true,
		`sum(a * on (x) group_left b)`:    false,
		`sum(a * 2)`:                      true,
		`sum(a and b)`:                    true,
		`sum(a or b)`:                     false,
		`sum(a) / sum(b)`:                 true,
		`sum by (x) (a) / sum by (x) (b)`: true,
		`sum(label_replace(m, "a", "b", "c", ""))`: false,
		`histogram_quantile(0.9, sum by (le) (m))`: true,
		`sum(histogram_quantile(0.9, m))`:          false,
		`max_over_time(sum(topk(2, m))[5m:1m])`:    false,
		`max_over_time(sum(m)[5m:1m])`:             true,
		`sum(max_over_time(topk(2, m)[5m:1m]))`:    false,
		`topk(scalar(k), m)`:                       true,
		`topk(scalar(k @ 10), m)`:                  false,
		`topk(scalar(k), m @ 10)`:                  false,
		`quantile(scalar(k), m)`:                   false,
		`quantile(-0.5, m)`:                        true,
		`limit_ratio(time(), m)`:                   false,
		`timestamp(m @ 10) + m`:                    true,
		`absent(m)`:                                true,
		`sort(m)`:                                  true,
	} {
		if p := planOf(t, text); (p != nil) != kept {
			t.Errorf("%s: %+v", text, p)
		}
	}
	if p := planOf(t, `count(m)`); p.Ordered {
		t.Error("a count depends on the order")
	}
	if p := planOf(t, `count(m) + max(m)`); !p.Ordered {
		t.Error("a sum does not depend on the order")
	}
}

func TestSteps(t *testing.T) {
	const none, all = math.MinInt64, math.MaxInt64
	for _, c := range []struct {
		plan              Plan
		changed, earliest int64
		from, to          int64
		ok                bool
	}{
		{Plan{Moves: true, Before: 10}, all, none, 100, 200, true},
		{Plan{Moves: true, Before: 10}, 150, none, 100, 149, true},
		{Plan{Moves: true, Before: 10, After: 20}, 150, none, 100, 129, true},
		{Plan{Moves: true, Before: 60, After: -50}, 150, none, 100, 199, true},
		{Plan{Moves: true, Before: 10}, all, 130, 140, 200, true},
		{Plan{Moves: true, Before: 10}, 120, 130, 0, 0, false},
		{Plan{Moves: true, Before: 10}, none, none, 0, 0, false},
		{Plan{Stays: true, Earliest: 10, Latest: 20}, 20, none, 0, 0, false},
		{Plan{Stays: true, Earliest: 10, Latest: 20}, 21, 10, 100, 200, true},
		{Plan{Stays: true, Earliest: 10, Latest: 20}, 21, 11, 0, 0, false},
		{Plan{Moves: true, Before: 10, Stays: true, Earliest: 10, Latest: 20}, 150, 10, 100, 149, true},
	} {
		from, to, ok := c.plan.Steps(100, 200, c.changed, c.earliest)
		if ok != c.ok || ok && (from != c.from || to != c.to) {
			t.Errorf("%+v: %d to %d, %t", c, from, to, ok)
		}
	}
}

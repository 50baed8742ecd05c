package query

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

func TestDeepQueriesAreRefused(t *testing.T) {
	e := New(Options{})
	for _, q := range []struct{ name, text string }{
		{"operators", "1" + strings.Repeat("+1", 131000)},
		{"parentheses", strings.Repeat("(", 131000) + "1" + strings.Repeat(")", 131000)},
		{"signs", strings.Repeat("-", 262000) + "1"},
		{"calls", strings.Repeat("abs(", 52000) + "x" + strings.Repeat(")", 52000)},
		{"subqueries", "x" + strings.Repeat("[1m:]", 52000)},
		{"aggregations", strings.Repeat("sum(", 52000) + "x" + strings.Repeat(")", 52000)},
		{"set operators", "x" + strings.Repeat(" or x", 52000)},
		{"powers", "1" + strings.Repeat("^1", 131000)},
		{"powers of brackets", strings.Repeat("1^1^1^1^1^1^(", 18000) + "1" + strings.Repeat(")", 18000)},
		{"ranks", strings.Repeat("1 or 1 and 1 < 1 + 1 * 1 ^ (", 9000) + "1" + strings.Repeat(")", 9000)},
		{"comparisons", "1" + strings.Repeat(">1", 131000)},
		{"texts", `"a"` + strings.Repeat(`+"a"`, 60000)},
		{"left brackets", strings.Repeat("(", 43000) + "x" + strings.Repeat("+1)", 43000)},
		{"unclosed", strings.Repeat("(", 262000)},
	} {
		t.Run(q.name, func(t *testing.T) {
			began := time.Now()
			_, err := e.Run(t.Context(), nil, Request{Query: q.text, Start: time.Unix(0, 0)})
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("%.200v", err)
			}
			_, err = e.Parse(q.text)
			if !errors.As(err, &invalid) {
				t.Fatalf("%.200v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Fatalf("refusing took %v", took)
			}
		})
	}
}

func TestUsualQueriesAreNotDeep(t *testing.T) {
	e := New(Options{})
	for _, text := range []string{
		`sum by (job) (rate(http_requests_total{code=~"5..", path!="a(b(c[d"}[5m])) / on (job) group_left () sum by (job) (rate(x[5m])) > 0.5`,
		"x" + strings.Repeat(" or x", 900),
		strings.Repeat("sum(a) / sum(b) + ", 400) + "1",
		`label_replace(x, "a", "$1", "b", "(.*)") # ((((((`,
		"max_over_time((a + b)[1h:5m] offset -1d) - 1e-5",
		"-x^-2",
	} {
		if depth := textDepth(text); depth > 950 {
			t.Errorf("depth of %.60q is estimated as %d", text, depth)
		}
		if _, err := e.Parse(text); err != nil {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

// FuzzTextDepth checks that the estimate is not below a sixth of the depth.
func FuzzTextDepth(f *testing.F) {
	for _, seed := range []string{"1+1", "((x))", "-1^2^-3", "sum(x[1m:])", `{a="}"}`, "a and b or c unless (d atan2 e)", "x[5m:1m][1h:]", "abs(-(-(1)))", "1 ^ 1 ^ (2 ^ 3) * 4"} {
		f.Add(seed)
	}
	e := New(Options{DepthMax: 5000})
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		expr, err := e.parser.ParseExpr(text)
		if err != nil {
			return
		}
		if real, estimate := treeDepth(expr), textDepth(text); real > 6*(estimate+1) {
			t.Fatalf("depth %d of %q is estimated as %d", real, text, estimate)
		}
	})
}

func treeDepth(node parser.Node) int {
	deepest := 0
	for child := range parser.ChildrenIter(node) {
		deepest = max(deepest, treeDepth(child))
	}
	return deepest + 1
}

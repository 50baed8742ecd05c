package exec

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/plan"
)

// buildCall returns a call of f with arguments that fit.
func buildCall(f *parser.Function) string {
	args := make([]string, 0, len(f.ArgTypes))
	for _, kind := range f.ArgTypes {
		args = append(args, map[parser.ValueType]string{
			parser.ValueTypeVector: "m", parser.ValueTypeMatrix: "m[5m]", parser.ValueTypeScalar: "(time() / 2)", parser.ValueTypeString: `"x"`,
		}[kind])
	}
	if f.Name == "info" {
		args = args[:1]
	}
	return f.Name + "(" + strings.Join(args, ", ") + ")"
}

// TestPlansAreBuilt compares the planner's word on who evaluates each function and
// each aggregation with the operators that come out.
func TestPlansAreBuilt(t *testing.T) {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(parser.Functions)) {
		texts = append(texts, buildCall(parser.Functions[name]))
	}
	texts = append(texts, "sum(m)", "topk(2, m)", "m + m", "-m", "m and m", "m", "count_values(\"x\", m)", "label_replace(info(m), \"a\", \"b\", \"c\", \"d\")")
	start, step := time.Unix(100, 0), time.Minute
	left := 0
	for _, text := range texts {
		expr, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if expr, err = promql.PreprocessExpr(expr, start, start.Add(10*step), step); err != nil {
			t.Fatal(err)
		}
		q := &Query{Lookback: 300_000, SubqueryStep: func(int64) int64 { return 60_000 }}
		tree := Plan(q, expr, Grid{Start: start.UnixMilli(), End: start.Add(10 * step).UnixMilli(), Step: step.Milliseconds()}, nil)
		op, err := FromPlan(q, tree)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if o, ok := op.(*once); ok {
			op = o.child
		}
		_, isLeft := op.(*reference)
		if planned := tree.Root.Unwrap().Executor == plan.Reference; planned != isLeft {
			t.Errorf("%s is planned for the reference: %t; it goes there: %t", text, planned, isLeft)
		}
		if isLeft {
			left++
		}
	}
	if left != 1 { // info
		t.Errorf("%d of %d are left to the reference", left, len(texts))
	}
}

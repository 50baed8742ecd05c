package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestScripts runs the scripts of testdata: each has queries and what rules make
// of them. Arguments of a command are start, end and step in seconds, rules (only
// these are applied), delayed (names are removed late), reference (a function
// that is left to the reference) and coverage (what there is of each day from 0 on,
// such as raw+5m+1h). With -rewrite the expected outputs are replaced.
//
//	rewrite   prints the changes and the expression that comes out
//	tree      prints the whole plan
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			tree, err := planOf(t, d)
			if err != nil {
				return fmt.Sprintf("error: %v\n", err)
			}
			switch d.Cmd {
			case "tree":
				return tree.String()
			case "rewrite":
				var b strings.Builder
				for _, a := range tree.Applied {
					fmt.Fprintf(&b, "%s: %s\n", a.Rule, a.What)
				}
				fmt.Fprintf(&b, "%s\n", tree.Root.Expr)
				return b.String()
			}
			t.Fatalf("%s: no command %q", d.Pos, d.Cmd)
			return ""
		})
	})
}

func planOf(t *testing.T, d *datadriven.TestData) (*Tree, error) {
	number := func(name string, otherwise int64) int64 {
		if !d.HasArg(name) {
			return otherwise
		}
		var text string
		d.ScanArgs(t, name, &text)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n * 1000
	}
	grid := Grid{Start: number("start", 600_000), End: number("end", 900_000), Step: number("step", 60_000)}
	options := Options{Lookback: 300_000, SubqueryStep: func(int64) int64 { return 60_000 }, DelayedNames: d.HasArg("delayed")}
	if d.HasArg("rules") {
		var only string
		d.ScanArgs(t, "rules", &only)
		for _, rule := range Rules() {
			if !slices.Contains(strings.Split(only, "+"), rule.Name) {
				options.Without = append(options.Without, rule.Name)
			}
		}
	}
	if d.HasArg("reference") {
		var function string
		d.ScanArgs(t, "reference", &function)
		options.Refuses = func(expr parser.Expr) string {
			if call, ok := expr.(*parser.Call); ok && call.Func.Name == function {
				return "there is none"
			}
			return ""
		}
	}
	options.Coverage, options.Coarsest = coverageOf(t, d), Auto
	expr, err := prepared(d.Input, grid)
	if err != nil {
		return nil, err
	}
	before := expr.String()
	tree := Build(expr, grid, options)
	if after := expr.String(); after != before {
		t.Errorf("%s: Build changed its expression to %s", d.Pos, after)
	}
	return tree, nil
}

// coverageOf reads the argument coverage.
func coverageOf(t *testing.T, d *datadriven.TestData) (parts []Coverage) {
	const day = 86_400_000
	for _, arg := range d.CmdArgs {
		if arg.Key != "coverage" {
			continue
		}
		for i, text := range arg.Vals {
			c := Coverage{Min: int64(i) * day, Max: int64(i+1)*day - 1}
			for _, name := range strings.Split(text, "+") {
				if name == "raw" {
					c.Raw = true
					continue
				}
				width, err := time.ParseDuration(name)
				if err != nil {
					t.Fatal(err)
				}
				c.Widths = append(c.Widths, width.Milliseconds())
			}
			parts = append(parts, c)
		}
	}
	return parts
}

// prepared returns a query as Prometheus's engine hands it over.
func prepared(text string, grid Grid) (parser.Expr, error) {
	expr, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableBinopFillModifiers: true}).ParseExpr(text)
	if err != nil {
		return nil, err
	}
	return promql.PreprocessExpr(expr, time.UnixMilli(grid.Start), time.UnixMilli(grid.End), time.Duration(grid.Step)*time.Millisecond)
}

package exec

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/teststorage"
)

// callLab compares operators of calls with Prometheus's engine over one storage.
type callLab struct {
	t       *testing.T
	storage *teststorage.TestStorage
	engines [2]*promql.Engine // names removed at once, and late
	parser  parser.Parser
	waiting []callSeries // not yet in storage
}

type callSeries struct {
	labels labels.Labels
	points []any
}

func newCallLab(t *testing.T) *callLab {
	t.Helper()
	l := &callLab{t: t, storage: teststorage.New(t), parser: parser.NewParser(parser.Options{EnableExperimentalFunctions: true})}
	t.Cleanup(func() { l.storage.Close() })
	for delayed := range l.engines {
		l.engines[delayed] = promql.NewEngine(promql.EngineOpts{
			MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
			EnableAtModifier: true, EnableNegativeOffset: true, EnableDelayedNameRemoval: delayed == 1, Parser: l.parser,
			NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
		})
		t.Cleanup(func() { l.engines[delayed].Close() })
	}
	return l
}

// add brings a series; points are float64, *histogram.FloatHistogram, or nil for
// none, a minute apart.
func (l *callLab) add(ls labels.Labels, points ...any) {
	l.waiting = append(l.waiting, callSeries{ls, points})
}

// load stores what waits, in label order: the storage gives series in the order
// in which they came.
func (l *callLab) load() {
	l.t.Helper()
	slices.SortFunc(l.waiting, func(a, b callSeries) int { return labels.Compare(a.labels, b.labels) })
	for _, s := range l.waiting {
		app := l.storage.Appender(l.t.Context())
		for i, p := range s.points {
			var err error
			switch p := p.(type) {
			case float64:
				_, err = app.Append(0, s.labels, int64(i)*60_000, p)
			case *histogram.FloatHistogram:
				_, err = app.AppendHistogram(0, s.labels, int64(i)*60_000, nil, p)
			}
			if err != nil {
				l.t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			l.t.Fatal(err)
		}
	}
	l.waiting = nil
}

// callLeaf is a selector with its rows.
type callLeaf struct {
	query  *Query
	grid   Grid
	matrix promql.Matrix
}

func (c *callLeaf) Grid() Grid { return c.grid }

func (c *callLeaf) Series(context.Context) ([]Series, error) {
	series := make([]Series, len(c.matrix))
	for i, s := range c.matrix {
		series[i].Labels = s.Metric
	}
	return series, nil
}

func (c *callLeaf) Run(ctx context.Context, each Each, sink Sink) error {
	return c.query.runRows(ctx, rowsOf{len(c.matrix), c.grid.Count(), func(w *Worker, i int, row *Row) error {
		*row = w.Row(c.grid.Count())
		for _, p := range c.matrix[i].Floats {
			row.Set(int((p.T-c.grid.Start)/c.grid.Step), p.F, nil)
		}
		for _, p := range c.matrix[i].Histograms {
			row.Set(int((p.T-c.grid.Start)/c.grid.Step), 0, p.H)
		}
		return nil
	}}, each, sink)
}

// exec evaluates a query, by range or at an instant, with Prometheus's engine.
func (l *callLab) exec(delayed int, query string, grid Grid) *promql.Result {
	l.t.Helper()
	var q promql.Query
	var err error
	if grid.Instant() {
		q, err = l.engines[delayed].NewInstantQuery(l.t.Context(), l.storage, nil, query, time.UnixMilli(grid.Start))
	} else {
		q, err = l.engines[delayed].NewRangeQuery(l.t.Context(), l.storage, nil, query, time.UnixMilli(grid.Start), time.UnixMilli(grid.End), time.Duration(grid.Step)*time.Millisecond)
	}
	if err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
	return q.Exec(l.t.Context())
}

func (l *callLab) leaf(q *Query, vs *parser.VectorSelector, grid Grid) Operator {
	leaf := &callLeaf{query: q, grid: grid}
	switch v := l.exec(0, vs.String(), grid).Value.(type) {
	case promql.Matrix:
		leaf.matrix = v
	case promql.Vector:
		for _, s := range v {
			series := promql.Series{Metric: s.Metric}
			if s.H != nil {
				series.Histograms = []promql.HPoint{{T: s.T, H: s.H}}
			} else {
				series.Floats = []promql.FPoint{{T: s.T, F: s.F}}
			}
			leaf.matrix = append(leaf.matrix, series)
		}
	}
	return leaf
}

// build makes operators of selectors, numbers and calls.
func (l *callLab) build(q *Query, expr parser.Expr, grid Grid) (Operator, error) {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return l.build(q, e.Expr, grid)
	case *parser.StepInvariantExpr:
		child, err := l.build(q, e.Expr, Grid{Start: grid.Start, End: grid.Start, Step: grid.Step})
		if err != nil || grid.Instant() {
			return child, err
		}
		return &once{child: child, grid: grid}, nil
	case *parser.NumberLiteral:
		return constant{grid, e.Val}, nil
	case *parser.UnaryExpr:
		child, err := l.build(q, e.Expr, grid)
		return newNegation(q, child), err
	case *parser.VectorSelector:
		return l.leaf(q, e, grid), nil
	}
	call := expr.(*parser.Call)
	args := make([]Operator, len(call.Args))
	for i, arg := range call.Args {
		if arg.Type() == parser.ValueTypeString {
			continue
		}
		var err error
		if args[i], err = l.build(q, arg, grid); err != nil {
			return nil, err
		}
	}
	op, err := newCall(q, call, grid, args)
	if err == nil && op == nil {
		err = fmt.Errorf("%s is not claimed", call.Func.Name)
	}
	return op, err
}

// ours evaluates a query with operators.
func (l *callLab) ours(delayed int, query string, grid Grid) *promql.Result {
	l.t.Helper()
	expr, err := l.parser.ParseExpr(query)
	if err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
	if expr, err = promql.PreprocessExpr(expr, time.UnixMilli(grid.Start), time.UnixMilli(grid.End), time.Duration(grid.Step)*time.Millisecond); err != nil {
		l.t.Fatal(err)
	}
	q := &Query{DelayedNames: delayed == 1, Extra: NewSlots(3)}
	op, err := l.build(q, expr, grid)
	if err != nil {
		return &promql.Result{Err: err}
	}
	value, err := q.Eval(l.t.Context(), op, grid.Instant(), expr.Type())
	return &promql.Result{Value: value, Err: err, Warnings: q.Notes()}
}

// same compares our answer with the engine's. Where the order of an instant's
// result is left to chance by the engine, ordered is false.
func (l *callLab) same(query string, grid Grid, ordered bool) {
	l.t.Helper()
	l.load()
	for delayed := range l.engines {
		want, got := l.exec(delayed, query, grid), l.ours(delayed, query, grid)
		name := fmt.Sprintf("%s (late names: %v, %+v)", query, delayed == 1, grid)
		if fmt.Sprint(want.Err) != fmt.Sprint(got.Err) {
			l.t.Errorf("%s:\n got error %v\nwant error %v", name, got.Err, want.Err)
			continue
		}
		if want.Err != nil {
			continue
		}
		if w, g := callLines(want.Value, ordered), callLines(got.Value, ordered); w != g {
			l.t.Errorf("%s:%s", name, callDifference(g, w))
		}
		if w, g := callNotes(want.Warnings, query), callNotes(got.Warnings, query); w != g {
			l.t.Errorf("%s: annotations%s", name, callDifference(g, w))
		}
	}
}

// callDifference shows the first line that differs.
func callDifference(got, want string) string {
	g, w := append(strings.Split(got, "\n"), ""), append(strings.Split(want, "\n"), "")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf(" line %d\n got %s\nwant %s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("\n got %s\nwant %s", got, want)
}

func callNotes(notes annotations.Annotations, query string) string {
	warnings, infos := notes.AsStrings(query, 0, 0)
	all := append(warnings, infos...)
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// callLines writes a result with every bit of its floats.
func callLines(value parser.Value, ordered bool) string {
	var lines []string
	point := func(t int64, f float64, h *histogram.FloatHistogram) string {
		if h != nil {
			return fmt.Sprintf("%d:%s", t, h)
		}
		return fmt.Sprintf("%d:%v/%x", t, f, math.Float64bits(f))
	}
	switch v := value.(type) {
	case promql.Scalar:
		return point(v.T, v.V, nil)
	case promql.Vector:
		for _, s := range v {
			lines = append(lines, s.Metric.String()+" "+point(s.T, s.F, s.H))
		}
	case promql.Matrix:
		for _, s := range v {
			line := s.Metric.String()
			for _, p := range s.Floats {
				line += " " + point(p.T, p.F, nil)
			}
			for _, p := range s.Histograms {
				line += " " + point(p.T, 0, p.H)
			}
			lines = append(lines, line)
		}
	}
	if !ordered {
		slices.Sort(lines)
	}
	return strings.Join(lines, "\n")
}

// callGrids are the times that tests look at.
var callGrids = []Grid{
	{Start: 0, End: 0, Step: 1},
	{Start: 300_000, End: 300_000, Step: 1},
	{Start: 0, End: 1_140_000, Step: 60_000},
	{Start: 30_000, End: 900_000, Step: 47_000},
}

// callPoints returns points of odd values, gaps and, where some is true, histograms.
func callPoints(r *rand.Rand, some bool) []any {
	odd := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1, -1, 0.5, -0.5, 1e300, -1e-300, 1234567890.123, 951782400, -5e9, 2.5}
	points := make([]any, 20)
	for i := range points {
		switch k := r.IntN(10); {
		case k < 2:
		case k < 4:
			points[i] = odd[r.IntN(len(odd))]
		case k < 6 && some:
			points[i] = callHistogram(r)
		default:
			points[i] = math.Ldexp(r.NormFloat64(), r.IntN(40)-10)
		}
		if i > 0 && r.IntN(6) == 0 {
			points[i] = math.Float64frombits(absentBits)
		}
	}
	return points
}

func callHistogram(r *rand.Rand) *histogram.FloatHistogram {
	k := int64(r.IntN(5))
	switch r.IntN(6) {
	case 0:
		return tsdbutil.GenerateTestCustomBucketsFloatHistogram(k)
	case 1:
		h := tsdbutil.GenerateTestFloatHistogram(k)
		h.Sum, h.Count = math.NaN(), h.Count+float64(r.IntN(30))
		return h
	case 2:
		return &histogram.FloatHistogram{ZeroThreshold: 0.01}
	default:
		return tsdbutil.GenerateTestGaugeFloatHistogram(k)
	}
}

// callWorld is data for functions of single points.
func callWorld(t *testing.T) *callLab {
	l := newCallLab(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		name := []string{"m", "m", "n"}[i%3]
		ls := labels.FromStrings("__name__", name, "i", fmt.Sprint(i/2), "job", fmt.Sprintf("j%d", i%4))
		l.add(ls, callPoints(r, i%5 == 0)...)
	}
	l.add(labels.FromStrings("__name__", "one"), callPoints(r, false)...)
	l.add(labels.FromStrings("__name__", "two"), callPoints(r, false)...)
	l.add(labels.FromStrings("__name__", "mixed"), callPoints(r, true)...)
	// These two have no point at the same time.
	l.add(labels.FromStrings("__name__", "turn_a", "x", "1"), 1.0, nil, nil, nil, nil, nil, nil, nil)
	l.add(labels.FromStrings("__name__", "turn_b", "x", "1"), nil, nil, nil, nil, nil, nil, nil, 5.0)
	return l
}

func TestCallsOfSinglePoints(t *testing.T) {
	l := callWorld(t)
	names := []string{"abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "rad", "deg", "round", "days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year", "histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar"}
	for _, name := range names {
		for _, grid := range callGrids {
			for _, arg := range []string{"m", `{__name__=~"m|n"}`, "-mixed", "none", `{__name__=~"turn_.*"}`} {
				l.same(name+"(("+arg+"))", grid, true)
			}
		}
	}
}

func TestCallsWithScalars(t *testing.T) {
	l := callWorld(t)
	for _, query := range []string{
		"round(m, 5)", "round(m, 0)", "round(m, scalar(one))", "round(m, NaN)",
		"clamp(m, -1, 1)", "clamp(m, 1, -1)", "clamp(m, scalar(one), scalar(two))", "clamp(m, NaN, 1)", "clamp(m, -1, NaN)",
		"clamp_min(m, scalar(one))", "clamp_max(m, scalar(two))", "clamp_min(m, NaN)", "clamp_max(mixed, 0)",
		"time()", "pi()", "vector(time())", "vector(-1)", "vector(scalar(one))", "scalar(m)", "scalar(one)", "scalar(mixed)", "scalar(none)",
		`scalar({__name__=~"turn_.*"})`, "scalar(vector(NaN))", "max_of(scalar(one), scalar(two))", "min_of(scalar(one), -0)", "max_of(NaN, 1)",
		"hour()", "minute()", "year()", "month()", "day_of_week()", "day_of_month()", "day_of_year()", "days_in_month()", "hour(vector(time()))",
		"timestamp(abs(m))", "timestamp(vector(1))", "timestamp(-m)", "timestamp(sort(mixed))", "start_timestamp(-m)", "start_timestamp(abs(m))", "abs(m @ 300)", "clamp(m, scalar(one @ 120), 3)", "timestamp(abs(m @ 300))",
		"absent(m)", "absent(none)", `absent(none{a="b",c="d",c="e",f=~"g",__type__="h"})`, "absent(abs(none))", "absent(mixed)", `absent({__name__=~"turn_.*"})`, `absent((turn_a{x="1"}))`, `absent(turn_a{x="1"} @ 0)`, "absent(absent(m))",
		`sort({__name__=~"m|n"})`, `sort_desc({__name__=~"m|n"})`, `sort_by_label({__name__=~"m|n"}, "job")`, `sort_by_label_desc({__name__=~"m|n"}, "job", ("i"))`, "sort(abs(m))", "sort_by_label(mixed)", "sort(sort(m))", "sort(none)", "sort(m @ 300)",
	} {
		for _, grid := range callGrids {
			l.same(query, grid, true)
		}
	}
}

func TestCallsOfLabels(t *testing.T) {
	l := callWorld(t)
	for _, query := range []string{
		`label_replace(m, "dst", "x-$1-$2", "job", "(j)(.*)")`, `label_replace(m, "dst", "", "job", "j1")`, `label_replace(m, "job", "", "job", ".*")`,
		`label_replace(m, "i", "same", "i", ".*")`, `label_replace(m, "__name__", "new_$1", "job", "(.*)")`, `label_replace(abs(m), "__name__", "new", "job", "j[01]")`,
		`label_replace(abs(m), "__name__", "", "job", "j[01]")`, `abs(label_replace(m, "__name__", "new", "", ""))`, `label_replace(m, "dst", "$0", "none", "")`,
		`label_replace(m, "a b~\xff", "1", "job", "(.*)")`, `label_replace(m, "", "1", "job", "(.*)")`, `label_replace(m, "x", "1", "job", "(")`, `label_replace(m, ("x"), ("1"), ("job"), ("j0|j1"))`,
		`label_replace({__name__=~"turn_.*"}, "__name__", "turn", "", "")`, `label_replace({__name__=~"m|n"}, "__name__", "turn", "", "")`, `label_replace(vector(-1), "__type__", "x", "", "")`,
		`label_join(m, "dst", "-", "job", "i")`, `label_join(m, "dst", "-")`, `label_join(m, "job", "", "none")`, `label_join(m, "__name__", "", "job", "i")`, `label_join(abs(m), "__name__", "", "job", "i")`,
		`label_join(m, "", "-", "job")`, `label_join(m, "x", "-", "job", "\xff")`, `label_join(m, "i", "-", "job")`, `label_join(none, "i", "-", "job")`,
	} {
		for _, grid := range callGrids {
			l.same(query, grid, false)
		}
	}
}

func TestCallLeftToTheEngine(t *testing.T) {
	op, err := newCall(&Query{}, callParse(t, "info(m)"), Grid{Step: 1}, []Operator{nothing{}})
	if op != nil || err != nil {
		t.Errorf("got %v, %v", op, err)
	}
}

// TestEveryCallIsClaimed finds functions that Prometheus has and newCall forgot.
func TestEveryCallIsClaimed(t *testing.T) {
	for name, call := range promql.FunctionCalls {
		f := parser.Functions[name]
		if call == nil || slices.Contains(f.ArgTypes, parser.ValueTypeMatrix) {
			continue
		}
		e := &parser.Call{Func: f}
		args := make([]Operator, len(f.ArgTypes))
		for i, kind := range f.ArgTypes {
			if kind == parser.ValueTypeString {
				e.Args = append(e.Args, &parser.StringLiteral{Val: "x"})
				continue
			}
			e.Args = append(e.Args, &parser.VectorSelector{})
			args[i] = nothing{}
		}
		if op, err := newCall(&Query{}, e, Grid{Step: 1}, args); op == nil || err != nil {
			t.Errorf("%s: got %v, %v", name, op, err)
		}
	}
}

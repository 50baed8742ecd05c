package exec

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/teststorage"
)

const (
	aggregateStep = 10_000 // ms
	aggregateBase = 1_000_000
)

// aggregateBed compares aggregations with Prometheus's engine on the same data.
type aggregateBed struct {
	t      testing.TB
	store  storage.Storage
	engine *promql.Engine
	parse  parser.Parser
	series []labels.Labels // in label order
	late   bool
	grid   Grid
	query  *Query
}

func newAggregateBed(t testing.TB, late bool, rnd *rand.Rand, value aggregateValue) *aggregateBed {
	b := &aggregateBed{t: t, store: teststorage.New(t), late: late}
	b.parse = parser.NewParser(parser.Options{EnableExperimentalFunctions: true})
	b.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: (aggregateStep - 1) * time.Millisecond,
		EnableNegativeOffset: true, EnableAtModifier: true, EnableDelayedNameRemoval: late, Parser: b.parse,
	})
	t.Cleanup(func() { _ = b.engine.Close() })
	b.load(rnd, value)
	return b
}

// load writes series of random lengths; some begin after and some end before the
// steps that the tests look at.
func (b *aggregateBed) load(rnd *rand.Rand, value aggregateValue) {
	lb := labels.NewBuilder(labels.EmptyLabels())
	for i := range 6 + rnd.Intn(20) {
		lb.Reset(labels.FromStrings("__name__", []string{"a", "b", "c"}[rnd.Intn(3)], "i", fmt.Sprint(i), "x", fmt.Sprint(rnd.Intn(3))))
		if rnd.Intn(3) == 0 {
			lb.Set("__type__", "gauge").Set("__unit__", "seconds").Set("y", fmt.Sprint(rnd.Intn(2)))
		}
		b.series = append(b.series, lb.Labels())
	}
	// The test storage answers in the order in which it first saw the series.
	slices.SortFunc(b.series, labels.Compare)
	app := b.store.Appender(context.Background())
	for i, lset := range b.series {
		from, to, gaps := rnd.Intn(8)-4, 12+rnd.Intn(8), rnd.Intn(3)
		if rnd.Intn(6) == 0 {
			from, to = 20, 22
		}
		for step := from; step < to; step++ {
			if gaps > 0 && rnd.Intn(3) == 0 {
				continue
			}
			v, h := value(rnd, i, step)
			var err error
			if t := int64(aggregateBase + step*aggregateStep); h != nil {
				_, err = app.AppendHistogram(0, lset, t, nil, h)
			} else {
				_, err = app.Append(0, lset, t, v)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		b.t.Fatal(err)
	}
}

// ask runs an expression in Prometheus's engine.
func (b *aggregateBed) ask(expr string, grid Grid) *promql.Result {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	var q promql.Query
	var err error
	if grid.Instant() {
		q, err = b.engine.NewInstantQuery(context.Background(), b.store, nil, expr, at(grid.Start))
	} else {
		q, err = b.engine.NewRangeQuery(context.Background(), b.store, nil, expr, at(grid.Start), at(grid.End), time.Duration(grid.Step)*time.Millisecond)
	}
	if err != nil {
		b.t.Fatalf("%s: %v", expr, err)
	}
	return q.Exec(context.Background())
}

// reference is Query.Reference.
func (b *aggregateBed) reference(_ context.Context, expr parser.Expr, grid Grid) (promql.Matrix, annotations.Annotations, error) {
	result := b.ask(expr.String(), grid)
	switch v := result.Value.(type) {
	case promql.Matrix:
		return v, result.Warnings, result.Err
	case promql.Scalar:
		return promql.Matrix{{Floats: []promql.FPoint{{T: v.T, F: v.V}}}}, result.Warnings, result.Err
	case promql.Vector:
		var m promql.Matrix
		for _, s := range v {
			if s.H != nil {
				m = append(m, promql.Series{Metric: s.Metric, Histograms: []promql.HPoint{{T: s.T, H: s.H}}})
			} else {
				m = append(m, promql.Series{Metric: s.Metric, Floats: []promql.FPoint{{T: s.T, F: s.F}}})
			}
		}
		return m, result.Warnings, result.Err
	}
	return nil, result.Warnings, result.Err
}

// aggregateLeaf is a selector, with rows for series that have no point too.
type aggregateLeaf struct {
	bed    *aggregateBed
	expr   *parser.VectorSelector
	series []Series
	rows   []Row
}

func (l *aggregateLeaf) Grid() Grid { return l.bed.grid }

func (l *aggregateLeaf) Series(ctx context.Context) ([]Series, error) {
	matrix, _, err := l.bed.reference(ctx, l.expr, l.bed.grid)
	if err != nil {
		return nil, err
	}
	w := &Worker{}
next:
	for _, lset := range aggregateMatching(l.bed.series, l.expr.LabelMatchers) {
		l.series = append(l.series, Series{Labels: lset})
		row := w.Row(l.bed.grid.Count())
		for _, s := range matrix {
			if !labels.Equal(s.Metric, lset) {
				continue
			}
			for _, p := range s.Floats {
				row.Set(int((p.T-l.bed.grid.Start)/aggregateStep), p.F, nil)
			}
			for _, p := range s.Histograms {
				row.Set(int((p.T-l.bed.grid.Start)/aggregateStep), 0, p.H)
			}
			l.rows = append(l.rows, row)
			continue next
		}
		if len(l.rows)%2 == 0 {
			row = Row{}
		}
		l.rows = append(l.rows, row)
	}
	return l.series, nil
}

func aggregateMatching(series []labels.Labels, ms []*labels.Matcher) (out []labels.Labels) {
	for _, lset := range series {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			out = append(out, lset)
		}
	}
	return out
}

func (l *aggregateLeaf) Run(ctx context.Context, each Each, sink Sink) error {
	return l.bed.query.runRows(ctx, rowsOf{len(l.rows), l.bed.grid.Count(), func(_ *Worker, i int, row *Row) error {
		*row = l.rows[i]
		return nil
	}}, each, sink)
}

// aggregateBoth is the rows of one operator and then those of another.
type aggregateBoth struct {
	Operator
	second Operator
	n      int
}

func (o *aggregateBoth) Series(ctx context.Context) ([]Series, error) {
	a, err := o.Operator.Series(ctx)
	if err != nil {
		return nil, err
	}
	b, err := o.second.Series(ctx)
	o.n = len(a)
	return append(slices.Clone(a), b...), err
}

func (o *aggregateBoth) Run(ctx context.Context, each Each, sink Sink) error {
	if err := o.Operator.Run(ctx, each, sink); err != nil {
		return err
	}
	return o.second.Run(ctx, func(w *Worker, i int, row *Row) error {
		if each == nil {
			return nil
		}
		return each(w, o.n+i, row)
	}, func(i int, row *Row) error { return sink(o.n+i, row) })
}

// build makes the operators of an expression.
func (b *aggregateBed) build(expr parser.Expr) Operator {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return b.build(e.Expr)
	case *parser.StepInvariantExpr:
		if n, ok := e.Expr.(*parser.NumberLiteral); ok {
			return b.build(n)
		}
	case *parser.NumberLiteral:
		return constant{b.grid, e.Val}
	case *parser.VectorSelector:
		return &aggregateLeaf{bed: b, expr: e}
	case *parser.UnaryExpr:
		return newNegation(b.query, b.build(e.Expr))
	case *parser.BinaryExpr:
		if e.Op == parser.LOR {
			return &aggregateBoth{Operator: b.build(e.LHS), second: b.build(e.RHS)}
		}
	case *parser.AggregateExpr:
		var param Operator
		if e.Param != nil && e.Param.Type() != parser.ValueTypeString {
			param = b.build(e.Param)
		}
		return newAggregate(b.query, e, b.grid, b.build(e.Expr), param)
	}
	return &reference{query: b.query, expr: expr, grid: b.grid}
}

// check compares both evaluations of an expression.
func (b *aggregateBed) check(text string, grid Grid) {
	b.t.Helper()
	b.grid = grid
	b.query = &Query{DelayedNames: b.late, Reference: b.reference, Extra: NewSlots(2)}
	expr, err := b.parse.ParseExpr(text)
	if err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
	if expr, err = promql.PreprocessExpr(expr, time.UnixMilli(grid.Start), time.UnixMilli(grid.End), time.Duration(grid.Step)*time.Millisecond); err != nil {
		b.t.Fatal(err)
	}
	want := b.ask(text, grid)
	got, err := b.query.Eval(context.Background(), b.build(expr), grid.Instant(), expr.Type())
	if held := b.query.held.Load(); err == nil && held < 0 {
		b.t.Errorf("%s: holds %d points at the end", text, held)
	}
	if want.Err != nil || err != nil {
		if fmt.Sprint(want.Err) != fmt.Sprint(err) {
			b.t.Errorf("%s: error %v, want %v", text, err, want.Err)
		}
		return
	}
	if g, w := aggregateText(got, text), aggregateText(want.Value, text); g != w {
		b.t.Errorf("%s over %d steps (late %v):\n got %s\nwant %s", text, grid.Count(), b.late, g, w)
	}
	gotWarnings, gotInfos := b.query.Notes().AsStrings(text, 0, 0)
	warnings, infos := want.Warnings.AsStrings(text, 0, 0)
	g, w := append(gotWarnings, gotInfos...), append(warnings, infos...)
	slices.Sort(g)
	slices.Sort(w)
	if !slices.Equal(g, w) {
		b.t.Errorf("%s over %d steps: annotations\n got %q\nwant %q", text, grid.Count(), g, w)
	}
}

// aggregateText writes a result so that equal text means equal bits, NaN apart.
func aggregateText(v parser.Value, expr string) string {
	var lines []string
	point := func(name labels.Labels, t int64, f float64, h *histogram.FloatHistogram) {
		text := fmt.Sprintf("%x", math.Float64bits(f))
		if math.IsNaN(f) {
			text = "NaN"
		}
		if h != nil {
			text = fmt.Sprintf("%v %d %d %v %v", h.TestExpression(), h.CounterResetHint, h.Schema, h.PositiveSpans, h.PositiveBuckets)
		}
		lines = append(lines, fmt.Sprintf("%v @%d %s (%v)", name, t, text, f))
	}
	switch v := v.(type) {
	case promql.Vector:
		for _, s := range v {
			point(s.Metric, s.T, s.F, s.H)
		}
		if strings.Contains(expr, "count_values") {
			slices.Sort(lines) // the engine's order is random
		}
	case promql.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				point(s.Metric, p.T, p.F, nil)
			}
			for _, p := range s.Histograms {
				point(s.Metric, p.T, 0, p.H)
			}
		}
	}
	return strings.Join(lines, "\n")
}

var aggregateGrids = []Grid{
	{Start: aggregateBase, End: aggregateBase + 15*aggregateStep, Step: aggregateStep},
	{Start: aggregateBase + 3*aggregateStep, End: aggregateBase + 3*aggregateStep, Step: 1},
	{Start: aggregateBase + 13*aggregateStep, End: aggregateBase + 13*aggregateStep, Step: 1},
}

// aggregateParams are for k, quantile and ratio.
var aggregateParams = []string{
	"1", "2", "3", "0", "-2", "1000", "0.5", "0.25", "-0.4", "1.7", "-1.5", "NaN", "Inf", "-Inf", "-(1)", "(2)",
	"1e300", "-1e300", "time() % 4", "(time() / 10) % 3 - 1", "(time() / 10 % 4) / 3", "scalar(none)", "scalar(none) + time()",
	"0 / (time() % 4)", "1 / (time() % 40)", "-1 / (time() % 40)",
}

// aggregateExprs returns one expression of each kind, with random groups.
func aggregateExprs(rnd *rand.Rand, inputs []string) (out []string) {
	groups := []string{"", "by (x)", "without (i)", "by (x, y)", "by (__name__)", "by (__name__, x)", "without (x, y)", "by (nope)", "by (i, x)", "without (nope)", "by (__type__, x)", "by (x, x)", "by ()", "without ()", "by (v)", "without (v)", "without (v, i)", "by (v, x)"}
	group := func() string { return groups[rnd.Intn(len(groups))] }
	input := func() string { return inputs[rnd.Intn(len(inputs))] }
	for _, op := range []string{"sum", "avg", "count", "group", "min", "max", "stddev", "stdvar"} {
		out = append(out, fmt.Sprintf("%s %s (%s)", op, group(), input()))
		out = append(out, fmt.Sprintf("%s(%s %s (%s))", op, []string{"sum", "avg", "max"}[rnd.Intn(3)], group(), input()))
	}
	for _, op := range []string{"quantile", "topk", "bottomk", "limitk", "limit_ratio"} {
		for range 3 {
			out = append(out, fmt.Sprintf("%s %s (%s, %s)", op, group(), aggregateParams[rnd.Intn(len(aggregateParams))], input()))
		}
		out = append(out, fmt.Sprintf("%s %s (%s, %s)", op, group(), []string{"0.3", "1", "2", "3"}[rnd.Intn(4)], input()))
	}
	for _, label := range []string{"v", "x", "__name__", "i"} {
		out = append(out, fmt.Sprintf("count_values %s (%q, %s)", group(), label, input()))
	}
	return append(out, fmt.Sprintf(`count_values ("\xff", %s)`, input()))
}

func TestAggregateAgainstEngine(t *testing.T) {
	inputs := []string{
		`{__name__=~".+"}`, `a`, `{__name__=~"a|b"}`, `none`, `-{__name__=~".+"}`, `-b`,
		`{__name__="a"} or -{__name__="b"}`, `-{__name__="a"} or {__name__="b"}`,
	}
	for name, value := range aggregateValues {
		for _, late := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/late=%v", name, late), func(t *testing.T) {
				for seed := range int64(aggregateSeeds) {
					rnd := rand.New(rand.NewSource(seed))
					b := newAggregateBed(t, late, rnd, value)
					for _, expr := range aggregateExprs(rnd, inputs) {
						for _, grid := range aggregateGrids {
							if !grid.Instant() && aggregateRandom(name, expr) {
								continue
							}
							b.check(expr, grid)
						}
					}
					if t.Failed() {
						t.Fatalf("with seed %d", seed)
					}
				}
			})
		}
	}
}

// aggregateRandom reports whether Prometheus's engine does not always answer the
// same: over a range the series of "or" come in random order.
func aggregateRandom(values, expr string) bool {
	if !strings.Contains(expr, " or ") {
		return false
	}
	op, _, _ := strings.Cut(expr, " ")
	op, _, _ = strings.Cut(op, "(")
	return values != "small integers" || !slices.Contains([]string{"sum", "avg", "count", "group", "min", "max", "count_values"}, op)
}

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
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/teststorage"
)

const binarySteps, binaryStep = 24, int64(10_000)

// binaryFloats are values that binary operators treat in ways of their own.
var binaryFloats = []float64{0, math.Copysign(0, -1), 1, 1, 2, -2, 0.5, 3, -7.25, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)}

func binaryHistogram(r *rand.Rand) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{
		Schema: int32(r.IntN(2)), ZeroThreshold: 0.001, ZeroCount: float64(r.IntN(3)), Sum: float64(r.IntN(20)),
		PositiveSpans:   []histogram.Span{{Offset: int32(r.IntN(2)), Length: 2}},
		PositiveBuckets: []float64{float64(1 + r.IntN(3)), float64(1 + r.IntN(3))},
	}
	switch r.IntN(6) {
	case 0: // custom buckets
		h.Schema, h.ZeroThreshold, h.ZeroCount = histogram.CustomBucketsSchema, 0, 0
		h.CustomValues = [][]float64{{1, 2, 5}, {1, 3, 5}}[r.IntN(2)]
		h.PositiveSpans[0].Offset = 0
	case 1:
		h.CounterResetHint = histogram.GaugeType
	}
	h.Count = h.ZeroCount + h.PositiveBuckets[0] + h.PositiveBuckets[1]
	return h
}

// binaryData fills storage with series of all the shapes that matching tells apart.
func binaryData(t testing.TB, r *rand.Rand) *teststorage.TestStorage {
	store := teststorage.New(t)
	app := store.Appender(t.Context())
	// The head gives series in the order in which they came: that of labels here.
	type pending struct {
		labels labels.Labels
		append func()
	}
	var all []pending
	fill := func(ls labels.Labels, histograms float64, there func(step int) bool) {
		for step := range binarySteps {
			if !there(step) {
				continue
			}
			ts := int64(step) * binaryStep
			var err error
			if r.Float64() < histograms {
				_, err = app.AppendHistogram(0, ls, ts, nil, binaryHistogram(r))
			} else {
				_, err = app.Append(0, ls, ts, binaryFloats[r.IntN(len(binaryFloats))])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	add := func(ls labels.Labels, histograms float64, there func(step int) bool) {
		all = append(all, pending{ls, func() { fill(ls, histograms, there) }})
	}
	some := func(share float64) func(int) bool { return func(int) bool { return r.Float64() < share } }
	for _, metric := range []string{"a", "b"} {
		for _, x := range []string{"1", "2", "3"} {
			for _, y := range []string{"1", "2"} {
				if r.IntN(8) > 0 {
					add(labels.FromStrings("__name__", metric, "x", x, "y", y), 0, some(0.8))
				}
				if r.IntN(4) > 0 {
					add(labels.FromStrings("__name__", metric+"h", "x", x, "y", y), 0.6, some(0.8))
				}
			}
		}
	}
	for _, x := range []string{"1", "2", "3", "4"} {
		add(labels.FromStrings("__name__", "one", "x", x, "node", "n"+x, "z", "q"), 0, some(0.9))
		add(labels.FromStrings("__name__", "oneh", "x", x, "node", "n"+x), 0.5, some(0.9))
		// A series that another takes over from, with and without another node.
		from, at := r.IntN(binarySteps), 0
		for _, id := range []string{"1", "2"} {
			first, last := at, from
			add(labels.FromStrings("__name__", "moved", "x", x, "node", "n"+id, "id", id), 0, func(step int) bool { return first <= step && step < last })
			add(labels.FromStrings("__name__", "again", "x", x, "node", "n", "id", id, "__type__", "gauge"), 0, func(step int) bool { return first <= step && step < last })
			at, from = from, binarySteps
		}
	}
	slices.SortFunc(all, func(a, b pending) int { return labels.Compare(a.labels, b.labels) })
	for _, p := range all {
		p.append()
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return store
}

func binaryEngine(t testing.TB, delayed bool) *promql.Engine {
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: time.Second, EnableDelayedNameRemoval: delayed,
		EnableAtModifier: true, Parser: binaryParser(),
	})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func binaryParser() parser.Parser {
	return parser.NewParser(parser.Options{EnableBinopFillModifiers: true, EnableExperimentalFunctions: true})
}

// binaryBuild makes operators for binary and unary expressions, and leaves the rest
// to Prometheus's engine.
func binaryBuild(q *Query, expr parser.Expr, grid Grid) Operator {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return binaryBuild(q, e.Expr, grid)
	case *parser.StepInvariantExpr:
		if grid.Instant() {
			return binaryBuild(q, e.Expr, grid)
		}
		return &once{child: binaryBuild(q, e.Expr, Grid{Start: grid.Start, End: grid.Start, Step: grid.Step}), grid: grid}
	case *parser.NumberLiteral:
		return constant{grid, e.Val}
	case *parser.UnaryExpr:
		return newNegation(q, binaryBuild(q, e.Expr, grid))
	case *parser.BinaryExpr:
		return newBinary(q, e, grid, binaryBuild(q, e.LHS, grid), binaryBuild(q, e.RHS, grid))
	}
	return &reference{query: q, expr: expr, grid: grid}
}

// binaryAnswer is a result as text, or an error.
type binaryAnswer struct {
	value, err string
	notes      []string
}

func (a binaryAnswer) equal(b binaryAnswer) bool {
	return a.err == b.err && a.value == b.value && slices.Equal(a.notes, b.notes)
}

func binaryFloat(f float64) string {
	if math.IsNaN(f) {
		return "NaN" // which of two payloads survives is up to the compiler
	}
	return fmt.Sprintf("%x", math.Float64bits(f))
}

func binaryText(query string, v parser.Value, notes annotations.Annotations, err error) binaryAnswer {
	if err != nil {
		return binaryAnswer{err: err.Error()}
	}
	var out strings.Builder
	switch v := v.(type) {
	case promql.Scalar:
		out.WriteString(binaryFloat(v.V))
	case promql.Vector:
		for _, s := range v {
			fmt.Fprintf(&out, "%s %s %s %d\n", s.Metric, binaryFloat(s.F), binaryHistogramText(s.H), s.T)
		}
	case promql.Matrix:
		for _, s := range v {
			fmt.Fprintf(&out, "%s\n", s.Metric)
			for _, p := range s.Floats {
				fmt.Fprintf(&out, "\t%d %s\n", p.T, binaryFloat(p.F))
			}
			for _, p := range s.Histograms {
				fmt.Fprintf(&out, "\t%d %s\n", p.T, binaryHistogramText(p.H))
			}
		}
	}
	warnings, infos := notes.AsStrings(query, 0, 0)
	all := slices.Concat(warnings, infos)
	slices.Sort(all)
	return binaryAnswer{value: out.String(), notes: all}
}

func binaryHistogramText(h *histogram.FloatHistogram) string {
	if h == nil {
		return ""
	}
	return fmt.Sprintf("%s hint %d schema %d spans %v %v values %v", h, h.CounterResetHint, h.Schema, h.PositiveSpans, h.NegativeSpans, h.CustomValues)
}

// binaryCase evaluates one expression both ways.
type binaryCase struct {
	engine  *promql.Engine
	store   storage.Queryable
	delayed bool
	grid    Grid
}

func (c *binaryCase) theirs(text string) binaryAnswer {
	var query promql.Query
	var err error
	if c.grid.Instant() {
		query, err = c.engine.NewInstantQuery(context.Background(), c.store, nil, text, time.UnixMilli(c.grid.Start))
	} else {
		query, err = c.engine.NewRangeQuery(context.Background(), c.store, nil, text, time.UnixMilli(c.grid.Start), time.UnixMilli(c.grid.End), time.Duration(c.grid.Step)*time.Millisecond)
	}
	if err != nil {
		return binaryAnswer{err: err.Error()}
	}
	defer query.Close()
	result := query.Exec(context.Background())
	return binaryText(text, result.Value, result.Warnings, result.Err)
}

func (c *binaryCase) query() *Query {
	q := &Query{DelayedNames: c.delayed, Lookback: 1000, Extra: NewSlots(2)}
	q.Reference = func(ctx context.Context, expr parser.Expr, grid Grid) (promql.Matrix, annotations.Annotations, error) {
		query, err := c.engine.NewRangeQuery(ctx, c.store, nil, expr.String(), time.UnixMilli(grid.Start), time.UnixMilli(grid.End), time.Duration(grid.Step)*time.Millisecond)
		if err != nil {
			return nil, nil, err
		}
		result := query.Exec(ctx)
		matrix, _ := result.Value.(promql.Matrix)
		return matrix, result.Warnings, result.Err
	}
	return q
}

func (c *binaryCase) ours(t testing.TB, text string) binaryAnswer {
	expr, err := binaryParser().ParseExpr(text)
	if err != nil {
		return binaryAnswer{err: err.Error()}
	}
	kind := expr.Type()
	expr, err = promql.PreprocessExpr(expr, time.UnixMilli(c.grid.Start), time.UnixMilli(c.grid.End), time.Duration(c.grid.Step)*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	q := c.query()
	value, err := q.Eval(t.Context(), binaryBuild(q, expr, c.grid), c.grid.Instant(), kind)
	return binaryText(text, value, q.Notes(), err)
}

func (c *binaryCase) check(t *testing.T, text string) binaryAnswer {
	t.Helper()
	want, got := c.theirs(text), c.ours(t, text)
	// The engine keeps the series of an operand that it evaluated step by step in the
	// order of a map: which of several errors it meets varies from run to run.
	for tries := 0; tries < 30 && want.value == got.value && !want.equal(got); tries++ {
		want = c.theirs(text)
	}
	const duplicate = "found duplicate series for the match group "
	if strings.HasPrefix(want.err, duplicate) && strings.HasPrefix(got.err, duplicate) && strings.Contains(text, ")") {
		return want // of many groups and series
	}
	if !want.equal(got) {
		t.Fatalf("%s\ndelayed %v grid %v\nwant %q %v\n%s\ngot %q %v\n%s", text, c.delayed, c.grid, want.err, want.notes, want.value, got.err, got.notes, got.value)
	}
	return want
}

// binaryExpr makes expressions.
type binaryExpr struct{ *rand.Rand }

func (g binaryExpr) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g binaryExpr) scalar(depth int) string {
	switch g.IntN(8) {
	case 0:
		return "time()"
	case 1:
		return `scalar(a{x="1",y="1"})`
	case 2:
		if depth > 0 {
			op := g.pick("+", "-", "*", "/", "%", "^", "atan2", "> bool", "== bool", "<= bool", "!= bool", "< bool", ">= bool")
			return "(" + g.scalar(depth-1) + " " + op + " " + g.scalar(depth-1) + ")"
		}
	}
	return g.pick("0", "1", "2", "-3", "0.5", "NaN", "Inf", "-Inf", "-0")
}

func (g binaryExpr) operator() string {
	switch g.IntN(8) {
	case 0, 1, 2:
		return g.pick("+", "-", "*", "/", "%", "^", "atan2")
	case 3, 4:
		return g.pick("==", "!=", ">", "<", ">=", "<=")
	case 5:
		return g.pick("==", "!=", ">", "<", ">=", "<=") + " bool"
	case 6:
		return g.pick("</", ">/")
	}
	return g.pick("+", "-", "==", "!=")
}

func (g binaryExpr) labels() string {
	return g.pick("on (x)", "on (x)", "on (x, y)", "on ()", "on (y)", "on (x, nope)", "on (__name__, x)", "on (node)",
		"ignoring (y)", "ignoring (node, z)", "ignoring (node, y)", "ignoring (id, node, y)", "ignoring (x, node, z)", "ignoring ()")
}

func (g binaryExpr) matching() string {
	out := ""
	if g.IntN(4) > 0 {
		out = g.labels()
		if g.IntN(2) == 0 {
			out += g.pick(" group_left", " group_left", " group_right")
			out += g.pick(" ()", " (node)", " (node)", " (z, node)", " (id)", " (__name__)", " (y)")
		}
	}
	if g.IntN(4) == 0 {
		out += g.pick(" fill (0)", " fill_left (2)", " fill_right (NaN)", " fill_left (1) fill_right (-3)", " fill (1)")
	}
	return out
}

func (g binaryExpr) vector(depth int) string {
	if depth == 0 || g.IntN(6) == 0 {
		return g.pick("a", "a", "b", "ah", "bh", "one", "one", "oneh", "moved", "again", "nothing", `a{x="1"}`, `bh{y="1"}`, `{__name__=~"a|b"}`, `{__name__=~"moved|one"}`,
			`{__name__=~"ah|oneh"}`, "vector(1)", "sum by (x) (a)", `one{x="2"} @ 30`, "a offset 20s")
	}
	switch g.IntN(8) {
	case 0:
		return "-(" + g.vector(depth-1) + ")"
	case 1:
		return "(" + g.vector(depth-1) + " " + g.operator() + " " + g.scalar(1) + ")"
	case 2:
		return "(" + g.scalar(1) + " " + g.operator() + " " + g.vector(depth-1) + ")"
	case 3:
		labels := ""
		if g.IntN(2) == 0 {
			labels = g.labels()
		}
		return "(" + g.vector(depth-1) + g.pick(" and ", " or ", " or ", " unless ") + labels + " " + g.vector(depth-1) + ")"
	}
	return "(" + g.vector(depth-1) + " " + g.operator() + " " + g.matching() + " " + g.vector(depth-1) + ")"
}

func TestBinaryEqualsEngine(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	cases, checked := 2500, map[string]int{}
	if testing.Short() {
		cases = 500
	}
	for round := range 5 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		store := binaryData(t, r)
		engines := [2]*promql.Engine{binaryEngine(t, false), binaryEngine(t, true)}
		for range cases / 5 {
			c := binaryCase{store: store, delayed: r.IntN(2) == 0, engine: engines[0], grid: Grid{Start: 0, End: (binarySteps - 1) * binaryStep, Step: binaryStep}}
			if c.delayed {
				c.engine = engines[1]
			}
			switch r.IntN(3) {
			case 0:
				c.grid.Start = int64(r.IntN(binarySteps)) * binaryStep
				c.grid.End, c.grid.Step = c.grid.Start, 1
			case 1: // few steps meet fewer errors
				c.grid.Start = int64(r.IntN(binarySteps-3)) * binaryStep
				c.grid.End = c.grid.Start + 2*binaryStep
			}
			g := binaryExpr{r}
			text := g.vector(1 + r.IntN(3))
			if r.IntN(20) == 0 {
				text = g.scalar(2)
			}
			if _, err := binaryParser().ParseExpr(text); err != nil {
				continue
			}
			switch answer := c.check(t, text); {
			case answer.err != "":
				checked[strings.SplitN(answer.err, "{", 2)[0]]++
			case answer.value == "":
				checked["empty"]++
			default:
				checked["points"]++
				if len(answer.notes) > 0 {
					checked["notes"]++
				}
			}
		}
	}
	t.Log(checked)
	if checked["points"] < cases/10 || checked["notes"] < cases/50 {
		t.Errorf("few results to compare: %v", checked)
	}
}

package exec

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// addBuckets brings a series for each bound, "-" for none, of 20 points.
func (l *callLab) addBuckets(name, group string, cells func(i, step int) any, bounds ...string) {
	for i, le := range bounds {
		points := make([]any, 20)
		for step := range points {
			points[step] = cells(i, step)
		}
		ls := []string{"__name__", name, "group", group}
		if le != "-" {
			ls = append(ls, "le", le)
		}
		l.add(labels.FromStrings(ls...), points...)
	}
}

// bucketWorld is data for functions of histograms: classic ones that are whole,
// have gaps, are no histogram at all, and native ones beside them.
func bucketWorld(t *testing.T) *callLab {
	l := newCallLab(t)
	r := rand.New(rand.NewPCG(3, 4))
	add := l.addBuckets
	bounds := []string{"0.1", "0.5", "1", "5", "10", "+Inf"}
	clean := func(i, step int) any { return float64((i + 1) * (step + 1)) }
	gaps := func(i, step int) any {
		if r.IntN(4) == 0 {
			return math.Float64frombits(absentBits)
		}
		return clean(i, step)
	}
	odd := []float64{0, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e-300, 1e300, 5, 5 * (1 + 1e-13), 5 * (1 - 1e-13), 5e-324}
	wild := func(i, step int) any {
		switch r.IntN(5) {
		case 0:
			return math.Float64frombits(absentBits)
		case 1, 2:
			return odd[r.IntN(len(odd))]
		}
		return float64(r.IntN(20))
	}
	shaky := func(i, step int) any { return float64(i*100+1000) * (1 + float64(r.IntN(3)-1)*1e-13) }
	falling := func(i, step int) any {
		if step < 4 {
			return clean(i, step)
		}
		return float64(10 + r.IntN(4))
	}
	for k := range 6 {
		add("clean_bucket", fmt.Sprint(k), clean, bounds...)
		add("gaps_bucket", fmt.Sprint(k), gaps, bounds...)
		add("wild_bucket", fmt.Sprint(k), wild, bounds...)
		add("wild_bucket", fmt.Sprint("negative", k), wild, "-5", "-1", "0", "1", "+Inf")
		add("wild_bucket", fmt.Sprint("open", k), wild, "1", "2")
		add("wild_bucket", fmt.Sprint("single", k), wild, "+Inf")
		add("shaky_bucket", fmt.Sprint(k), shaky, bounds...)
		add("falling_bucket", fmt.Sprint(k), falling, bounds...)
		add("twice_bucket", fmt.Sprint(k), falling, "1", "1.0", "2", "1e0", "+Inf", "Inf", "0", "-0")
		add("bad_bucket", fmt.Sprint(k), clean, "1", "x", "NaN", "+Inf", "-")
	}
	native := func(int, int) any {
		if r.IntN(3) == 0 {
			return math.Float64frombits(absentBits)
		}
		return callHistogram(r)
	}
	for k := range 4 {
		add("native", fmt.Sprint(k), native, "-")
		add("mixed", fmt.Sprint(k), gaps, "1", "2", "+Inf")
		add("mixed", fmt.Sprint(k), func(i, step int) any {
			if r.IntN(3) > 0 {
				return native(i, step)
			}
			return clean(i, step)
		}, "-")
		add("labelled", fmt.Sprint(k), native, "1", "2", "x")
		add("falling", fmt.Sprint(k), native, "-")
	}
	// The quantiles of a query that vary from step to step.
	l.add(labels.FromStrings("__name__", "q"), 0.5, 0.9, 2.0, math.NaN(), 0.0, math.Copysign(0, -1), -1.0, 0.5, 0.25, 1.0, 2.0, 2.0, 0.1, 0.5)
	return l
}

var bucketSelectors = []string{
	"clean_bucket", "gaps_bucket", "wild_bucket", "shaky_bucket", "falling_bucket", "twice_bucket", "bad_bucket", "native", "mixed", "labelled", "none",
	`{__name__=~"native|mixed|clean_bucket"}`, `{__name__=~"clean_bucket|native"}`, `{__name__=~"falling.*|labelled"}`, `{__name__=~".*_bucket"}`,
	`label_replace(falling_bucket, "le", "", "group", "1")`, `label_replace(wild_bucket, "x", "y", "", "")`,
	`label_replace(label_replace(histogram_quantile(0.5, falling_bucket), "le", "+Inf", "group", "."), "le", "$1", "group", "([1-4])")`,
	`label_replace({__name__=~"falling|falling_bucket"}, "__name__", "x", "", "")`, "-falling_bucket", "(wild_bucket)", "falling_bucket @ 600",
}

func TestHistogramCallsEqualTheEngine(t *testing.T) {
	l := bucketWorld(t)
	grids := append(slices.Clone(callGrids[1:]), Grid{Start: 240_000, End: 1_140_000, Step: 24_000})
	for _, selector := range bucketSelectors {
		for _, form := range []string{
			"histogram_quantile(0.9, %s)", "histogram_quantile(0, %s)", "histogram_quantile(1, %s)", "histogram_quantile(2, %s)", "histogram_quantile(NaN, %s)",
			"histogram_quantile(scalar(q), %s)", "histogram_quantile(-1, %s)", "histogram_quantile(0.33, %s)",
			"histogram_fraction(0.2, 4, %s)", "histogram_fraction(-Inf, +Inf, %s)", "histogram_fraction(scalar(q), 3, %s)", "histogram_fraction(3, 1, %s)", "histogram_fraction(NaN, 1, %s)",
			`histogram_quantiles(%s, "quantile", 0.5, 0.9)`, `histogram_quantiles(%s, "q", scalar(q), 0.5, 2, -0)`, `histogram_quantiles(%s, "group", 2, NaN)`, `histogram_quantiles(%s, "le", 0.1)`,
			`histogram_quantiles(%s, "__name__", 0.1, scalar(q))`, `histogram_quantiles(%s, "q", 0.5, 0.5)`, `histogram_quantiles(%s, "q", -1, scalar(q), -1, 2)`,
		} {
			for _, grid := range grids {
				l.same(fmt.Sprintf(form, selector), grid, selector == "native" || selector == "labelled")
			}
		}
	}
}

// TestHistogramCallsBringLaterGroups has more series than one block of rows, in
// an order that keeps groups open for long.
func TestHistogramCallsBringLaterGroups(t *testing.T) {
	l := newCallLab(t)
	r := rand.New(rand.NewPCG(5, 6))
	for le := range 6 {
		for k := range 150 {
			bound := fmt.Sprint(le)
			if le == 5 {
				bound = "+Inf"
			}
			if r.IntN(20) == 0 {
				continue
			}
			points := make([]any, 20)
			for step := range points {
				points[step] = float64(r.IntN(30) + le*5)
			}
			// The label before "le" puts neighbours of a group far apart.
			l.add(labels.FromStrings("__name__", "far_bucket", "a", "x", "le", bound, "z", fmt.Sprint(k)), points...)
		}
	}
	for _, grid := range callGrids {
		l.same("histogram_quantile(0.7, far_bucket)", grid, false)
	}
}

// TestBucketQuantileEqualsPrometheus compares single evaluations, bit for bit.
func TestBucketQuantileEqualsPrometheus(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	odd := []float64{0, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 5e-324, 1e-290, 1e-291, 2e-290, math.MaxFloat64, math.MaxFloat64 / 2}
	for range 200_000 {
		n := 1 + r.IntN(8)
		bounds, counts := make([]float64, n), make([]float64, n)
		at := r.NormFloat64() * 2
		count := 0.0
		for i := range n {
			at += r.ExpFloat64()
			bounds[i] = at
			switch r.IntN(8) {
			case 0:
				counts[i] = odd[r.IntN(len(odd))]
				continue
			case 1:
				count *= 1 + r.NormFloat64()*math.Pow(10, -float64(10+r.IntN(5)))
			case 2:
				count -= float64(r.IntN(3))
			default:
				count += math.Ldexp(r.Float64(), r.IntN(60)-30)
			}
			counts[i] = count
		}
		if r.IntN(10) > 0 {
			bounds[n-1] = math.Inf(1)
		}
		q := []float64{r.Float64(), 0, 1, 0.5, -0.1, 1.1, math.NaN()}[r.IntN(7)]
		buckets := make(promql.Buckets, n)
		for i := range n {
			buckets[i] = promql.Bucket{UpperBound: bounds[i], Count: counts[i]}
		}
		what := fmt.Sprint(q, buckets)
		want, forced, _, low, high, diff := promql.BucketQuantile(q, buckets)
		got, changed, m := bucketQuantile(q, bounds, counts)
		if math.Float64bits(want) != math.Float64bits(got) || forced != changed || forced && m != (monotony{low, high, diff}) {
			t.Fatalf("%s: got %v %v %v, want %v %v %v", what, got, changed, m, want, forced, monotony{low, high, diff})
		}
	}
}

func TestForcedSamplesOverflow(t *testing.T) {
	l := newCallLab(t)
	for i, le := range []string{"1", "2", "+Inf"} {
		points := make([]any, 20)
		for step := range points {
			points[step] = float64(10 - i)
		}
		l.add(labels.FromStrings("__name__", "b", "le", le), points...)
	}
	for steps := int64(1); steps < 70; steps += 3 {
		l.same("histogram_quantile(0.5, b)", Grid{Start: 1000, End: 1000 + 1000*steps, Step: 1000}, false)
	}
}

// TestForcedSamplesOfNestedCalls has an argument that brings the same annotation.
func TestForcedSamplesOfNestedCalls(t *testing.T) {
	l := newCallLab(t)
	for g := range 5 {
		for i, le := range []string{"1", "2", "+Inf"} {
			points := make([]any, 20)
			for step := range points {
				points[step] = float64(100 - i*step%7 - g)
			}
			l.add(labels.FromStrings("__name__", "b", "g", []string{"1", "2", "3", "4", "+Inf"}[g], "le", le), points...)
		}
	}
	for _, grid := range callGrids {
		l.same(`histogram_quantile(0.5, label_replace(histogram_quantile(0.9, b), "le", "$1", "g", "(.*)"))`, grid, false)
		l.same(`histogram_quantile(0.5, label_replace(-histogram_quantile(0.9, b), "le", "$1", "g", "(.*)"))`, grid, false)
		l.same(`histogram_quantile(0.5, label_replace(label_replace(-histogram_quantile(0.9, b), "le", "$1", "g", "(.*)"), "g", "", "", ""))`, grid, false)
		l.same(`clamp(histogram_quantile(0.5, b), scalar(histogram_quantile(2, b)), scalar(histogram_quantile(0.1, b)))`, grid, false)
		l.same(`histogram_quantiles(b, "q", scalar(histogram_quantile(0.2, b)), 3)`, grid, false)
	}
}

// TestRandomCalls nests functions at random.
func TestRandomCalls(t *testing.T) {
	l := bucketWorld(t)
	r := rand.New(rand.NewPCG(9, 10))
	forms := []string{
		"abs(%s)", "-%s", "histogram_quantile(0.9, %s)", "histogram_quantile(0.2, %s)", `label_replace(%s, "le", "1", "group", "1")`, `label_replace(%s, "le", "+Inf", "group", "2")`,
		`label_replace(%s, "__name__", "n", "group", "[12]")`, `label_join(%s, "le", "", "group")`, "histogram_fraction(0, 2, %s)", "histogram_count(%s)", "sort(%s)", "sort_by_label(%s, \"group\")",
		"absent(%s)", "vector(scalar(%s))", "timestamp(abs(%s))", `histogram_quantiles(%s, "le", 0.5, 1)`, "clamp(%s, 0, 5)", "round(%s, 0.5)", "sgn(%s)", "histogram_stddev(%s)", "hour(%s)",
	}
	for range 120 {
		query := bucketSelectors[r.IntN(len(bucketSelectors))]
		for range 1 + r.IntN(4) {
			query = fmt.Sprintf(forms[r.IntN(len(forms))], query)
		}
		for _, grid := range callGrids {
			l.same(query, grid, false)
		}
	}
}

func BenchmarkHistogramQuantileOfClassicBuckets(b *testing.B) {
	const groups, steps = 1000, 360
	bounds := []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}
	leaf := &benchLeaf{grid: Grid{Start: 0, End: (steps - 1) * 15000, Step: 15000}}
	for g := range groups {
		for i, le := range bounds {
			leaf.series = append(leaf.series, Series{Labels: labels.FromStrings("__name__", "http_bucket", "instance", fmt.Sprint(g), "le", le)})
			row := make([]float64, steps)
			for s := range row {
				row[s] = float64((i+1)*(g+3)+s%7) * 1.25
			}
			leaf.rows = append(leaf.rows, row)
		}
	}
	expr := callParse(b, "histogram_quantile(0.9, x)")
	b.ReportAllocs()
	for b.Loop() {
		q := &Query{}
		leaf.query = q
		op, err := newCall(q, expr, leaf.grid, []Operator{constant{leaf.grid, 0.9}, leaf})
		if err != nil {
			b.Fatal(err)
		}
		if _, err = op.Series(b.Context()); err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := op.Run(b.Context(), nil, func(int, *Row) error { n++; return nil }); err != nil || n != groups {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/groups/steps, "ns/quantile")
}

// benchLeaf has rows that are ready.
type benchLeaf struct {
	query  *Query
	grid   Grid
	series []Series
	rows   [][]float64
}

func (l *benchLeaf) Grid() Grid { return l.grid }

func (l *benchLeaf) Series(context.Context) ([]Series, error) { return l.series, nil }

func (l *benchLeaf) Run(ctx context.Context, each Each, sink Sink) error {
	return l.query.runRows(ctx, rowsOf{len(l.rows), l.grid.Count(), func(_ *Worker, i int, row *Row) error {
		row.Floats = l.rows[i]
		return nil
	}}, each, sink)
}

func callParse(tb testing.TB, query string) *parser.Call {
	tb.Helper()
	expr, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(query)
	if err != nil {
		tb.Fatal(err)
	}
	return expr.(*parser.Call)
}

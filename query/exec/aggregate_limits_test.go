package exec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"sort"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/kahansum"
)

// aggregateRows is an operator over rows in memory.
type aggregateRows struct {
	query  *Query
	grid   Grid
	series []Series
	rows   []Row
	failed error // at the end
}

func (o *aggregateRows) Grid() Grid { return o.grid }

func (o *aggregateRows) Series(context.Context) ([]Series, error) { return o.series, nil }

func (o *aggregateRows) Run(ctx context.Context, each Each, sink Sink) error {
	err := o.query.runRows(ctx, rowsOf{len(o.rows), o.grid.Count(), func(_ *Worker, i int, row *Row) error {
		*row = o.rows[i]
		return nil
	}}, each, sink)
	if err == nil {
		err = o.failed
	}
	return err
}

// newAggregateRows returns n series, of 100 neighbours each has another x.
func newAggregateRows(q *Query, n, steps int, gaps bool) *aggregateRows {
	o := &aggregateRows{query: q, grid: Grid{Start: 0, End: int64(steps-1) * 1000, Step: 1000}}
	rnd := rand.New(rand.NewSource(1))
	for i := range n {
		o.series = append(o.series, Series{Labels: labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "x", fmt.Sprint(i%100))})
		row := Row{Floats: make([]float64, steps)}
		for k := range row.Floats {
			if row.Floats[k] = rnd.ExpFloat64(); gaps && rnd.Intn(10) == 0 {
				row.Floats[k] = Absent
			}
		}
		o.rows = append(o.rows, row)
	}
	return o
}

func aggregateOver(t testing.TB, q *Query, text string, child *aggregateRows) Operator {
	expr, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(text)
	if err != nil {
		t.Fatal(err)
	}
	e := expr.(*parser.AggregateExpr)
	var param Operator
	if n, ok := e.Param.(*parser.NumberLiteral); ok {
		param = constant{child.grid, n.Val}
	}
	return newAggregate(q, e, child.grid, child, param)
}

var aggregateKinds = []string{
	"sum by (x) (m)", "avg by (x) (m)", "count by (x) (m)", "group by (x) (m)", "max by (x) (m)", "stddev by (x) (m)",
	"quantile by (x) (0.9, m)", "topk by (x) (3, m)", "bottomk by (x) (3, m)", "limitk by (x) (3, m)", `count_values by (x) ("v", m)`,
}

func TestAggregateChargesWhatItHolds(t *testing.T) {
	for _, text := range aggregateKinds {
		for _, samplesMax := range []int64{0, 500} {
			q := &Query{SamplesMax: samplesMax}
			op := aggregateOver(t, q, text, newAggregateRows(q, 400, 50, true))
			_, err := op.Series(context.Background())
			if err == nil {
				if samplesMax == 0 && q.held.Load() == 0 && text != "limitk by (x) (3, m)" {
					t.Errorf("%s holds nothing", text)
				}
				err = op.Run(context.Background(), nil, func(int, *Row) error { return nil })
			}
			var tooMany promql.ErrTooManySamples
			if samplesMax == 0 && err != nil || samplesMax > 0 && !errors.As(err, &tooMany) {
				t.Errorf("%s with %d samples at most: %v", text, samplesMax, err)
			}
			if held := q.held.Load(); samplesMax == 0 && held != 0 {
				t.Errorf("%s holds %d points at the end", text, held)
			}
		}
	}
}

func TestAggregateFails(t *testing.T) {
	broken := errors.New("broken")
	run := func(ctx context.Context, q *Query, op Operator) error {
		_, err := q.Eval(ctx, op, false, parser.ValueTypeVector)
		return err
	}
	for _, text := range append(aggregateKinds, "topk(NaN, m)", "topk(0, m)", "limitk(NaN, m)", "limit_ratio(NaN, m)", "limit_ratio(0, m)", "limit_ratio(0.5, m)") {
		q := &Query{}
		child := newAggregateRows(q, 300, 10, false)
		child.failed = broken
		if err := run(context.Background(), q, aggregateOver(t, q, text, child)); !errors.Is(err, broken) {
			t.Errorf("%s: %v", text, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		child.failed = nil
		var canceled promql.ErrQueryCanceled
		if err := run(ctx, q, aggregateOver(t, q, text, child)); !errors.As(err, &canceled) {
			t.Errorf("%s, cancelled: %v", text, err)
		}
	}
}

func TestAddRunIsKahan(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	for range 2000 {
		var sum, comp, s, c [1]float64
		flags := make([]sumFlags, 1)
		for n := range 1 + rnd.Intn(50) {
			v := math.Ldexp(rnd.NormFloat64(), rnd.Intn(1970)-1074)
			if math.Abs(v) >= tame {
				continue
			}
			if rnd.Intn(5) == 0 {
				v = -s[0]
			}
			if rnd.Intn(2) == 0 {
				addRun(sum[:], comp[:], []float64{v})
			} else {
				addGaps(sum[:], comp[:], flags, []float64{v})
			}
			if s[0], c[0] = kahansum.Inc(v, s[0], c[0]); s != sum || c != comp {
				t.Fatalf("after %d: %v %v, want %v %v", n, sum, comp, s, c)
			}
		}
	}
}

func TestQuantileOfIsThatOfSortedValues(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	for range 3000 {
		values := make([]float64, 1+rnd.Intn(300))
		distinct := 1 + rnd.Intn(400)
		for i := range values {
			values[i] = float64(1+rnd.Intn(distinct)) / 7
		}
		switch rnd.Intn(6) {
		case 0:
			values[rnd.Intn(len(values))] = math.NaN()
		case 1:
			values[rnd.Intn(len(values))] = math.Inf(1 - 2*rnd.Intn(2))
		case 2:
			slices.Sort(values)
		}
		sorted := slices.Clone(values)
		sort.Sort(nanFirst(sorted))
		q := []float64{0, 1, 0.5, 0.9, 0.99, rnd.Float64(), -1, 2, math.NaN()}[rnd.Intn(9)]
		rank := q * float64(len(values)-1)
		want := math.Inf(1)
		switch {
		case math.IsNaN(q):
			want = math.NaN()
		case q < 0:
			want = math.Inf(-1)
		case q <= 1:
			below := int(math.Floor(rank))
			weight := rank - math.Floor(rank)
			if want = sorted[below]; weight > 0 {
				want = sorted[below]*(1-weight) + sorted[below+1]*weight
			}
		}
		if got := quantileOf(q, values); math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("quantile %v of %v: %v, want %v", q, sorted, got, want)
		}
	}
}

// BenchmarkAggregateNsPerPoint says what an aggregation adds to each point.
func BenchmarkAggregateNsPerPoint(b *testing.B) {
	for _, shape := range []struct {
		series, steps int
		gaps          bool
	}{{1000, 361, false}, {1000, 361, true}, {100_000, 1, false}} {
		for _, text := range append([]string{"sum(m)", "quantile(0.9, m)", "topk(5, m)"}, aggregateKinds[:10]...) {
			b.Run(fmt.Sprintf("%d x %d gaps %v/%s", shape.series, shape.steps, shape.gaps, text), func(b *testing.B) {
				child := newAggregateRows(nil, shape.series, shape.steps, shape.gaps)
				for b.Loop() {
					q := &Query{}
					child.query = q
					op := aggregateOver(b, q, text, child)
					if _, err := op.Series(context.Background()); err != nil {
						b.Fatal(err)
					}
					if err := op.Run(context.Background(), nil, func(int, *Row) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(shape.series*shape.steps), "ns/point")
			})
		}
	}
}

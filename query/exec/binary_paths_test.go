package exec

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/teststorage"
)

// binaryPathData has few series whose gaps are known: s<i> has points at the steps
// of its pattern.
func binaryPathData(t testing.TB) *teststorage.TestStorage {
	store := teststorage.New(t)
	app := store.Appender(t.Context())
	for _, s := range []struct{ labels, steps string }{
		{`{__name__="full", x="1"}`, "11111111"},
		{`{__name__="full", x="2"}`, "11111111"},
		{`{__name__="gaps", x="1"}`, "10101111"},
		{`{__name__="gaps", x="2"}`, "00001111"},
		{`{__name__="late", x="1"}`, "00111111"},
		{`{__name__="late", x="3"}`, "00111111"},
		{`{__name__="moved", x="1", id="1", node="a"}`, "11110000"},
		{`{__name__="moved", x="1", id="2", node="b"}`, "00001111"},
		{`{__name__="again", x="1", id="1", node="a"}`, "11100000"},
		{`{__name__="again", x="1", id="2", node="a"}`, "00001111"},
		{`{__name__="twice", x="1", id="1"}`, "11111000"},
		{`{__name__="twice", x="1", id="2"}`, "00001111"},
	} {
		ls, err := binaryParser().ParseMetric(s.labels)
		if err != nil {
			t.Fatal(err)
		}
		for step, there := range s.steps {
			if there == '0' {
				continue
			}
			if _, err := app.Append(0, ls, int64(step)*binaryStep, float64(step*10+len(s.labels)%7)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return store
}

func TestBinaryPaths(t *testing.T) {
	store := binaryPathData(t)
	for _, test := range []struct {
		expr    string
		streams bool // the rows of the left side are combined as they come
	}{
		{`full + late`, true},
		{`full - on (x) late`, true},
		{`full == bool late`, true},
		{`full * on (x) fill_right (3) late`, true},
		{`full * on (x) fill_left (3) late`, false},
		{`moved * on (x) group_left full`, true},
		{`moved * on (x) group_left (nope) full`, true},
		{`full * on (x) group_right moved`, true},
		{`full * on (x) group_right (id, node) moved`, false},
		{`full * on (x) group_left moved`, true},
		{`full * on (x) group_left (node) again`, true},
		{`full * on (x) group_left (node) moved`, false},
		{`full * on (x) group_left (node) fill_right (1) again`, false},
		{`full * on (x) group_left twice`, false},
		{`moved * on (x) full`, false},
		{`twice * on (x) full`, false},
		{`twice * on (x) group_left (id) full`, false},
		{`full - nothing`, true},
		{`nothing - full`, true},
		{`twice - on (x) nothing`, true},
		{`nothing - on (x) twice`, false},
		{`full </ late`, true},
	} {
		t.Run(test.expr, func(t *testing.T) {
			for _, delayed := range []bool{false, true} {
				c := binaryCase{store: store, delayed: delayed, engine: binaryEngine(t, delayed), grid: Grid{End: 7 * binaryStep, Step: binaryStep}}
				c.check(t, test.expr)
				expr, err := binaryParser().ParseExpr(test.expr)
				if err != nil {
					t.Fatal(err)
				}
				op := binaryBuild(c.query(), expr, c.grid)
				if m, ok := op.(*merge); ok {
					op = m.child
				}
				if _, err = op.Series(t.Context()); err == nil {
					if streams := op.(*join).columns != nil; streams != test.streams {
						t.Errorf("streams: %v", streams)
					}
				}
				for step := range 8 {
					c.grid = Grid{Start: int64(step) * binaryStep, End: int64(step) * binaryStep, Step: 1}
					c.check(t, test.expr)
				}
			}
		})
	}
}

func TestBinarySetsAndScalars(t *testing.T) {
	store := binaryPathData(t)
	for _, expr := range []string{
		`-gaps or gaps`, `gaps or -gaps`, `-(gaps) or full`, `(-late or late) > 0`, `-gaps or -full`, `-({__name__=~"gaps|late"} > 20)`,
		`full unless gaps`, `full and late`, `full and on () late`, `full unless on (x) moved`, `moved or on (x) twice`,
		`(full or late) > 30`, `gaps or on () vector(1)`, `nothing or full`, `full or nothing`, `full and nothing`, `full unless nothing`,
		`1 < full`, `full < bool 30`, `30 > full`, `full ^ 2`, `2 ^ full`, `full </ 3`, `3 >/ full`, `full * time()`, `1 + 2 * time()`, `1 > bool 2`,
		`{__name__=~"full|gaps"} * 2`, `{__name__=~"gaps|late"} > 10`, `{__name__=~"full|gaps", x="1"} > bool 10`, `full + full + -full`,
		`1 </ 2`, `(twice + on (x) twice) + (late + on () late)`, `scalar(full) + (twice + on (x) twice)`,
	} {
		t.Run(expr, func(t *testing.T) {
			for _, delayed := range []bool{false, true} {
				c := binaryCase{store: store, delayed: delayed, engine: binaryEngine(t, delayed), grid: Grid{End: 7 * binaryStep, Step: binaryStep}}
				c.check(t, expr)
				for step := range 8 {
					c.grid = Grid{Start: int64(step) * binaryStep, End: int64(step) * binaryStep, Step: 1}
					c.check(t, expr)
				}
			}
		})
	}
}

// TestBinaryManySeries makes several workers share the work.
func TestBinaryManySeries(t *testing.T) {
	store := teststorage.New(t)
	app := store.Appender(t.Context())
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"left", "other"} {
		for i := range 400 {
			ls := labels.FromStrings("__name__", name, "host", fmt.Sprint("h", i%200), "path", fmt.Sprint("p", i/200))
			for step := range 20 {
				if r.IntN(5) > 0 {
					if _, err := app.Append(0, ls, int64(step)*binaryStep, float64(r.IntN(100))); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	c := binaryCase{store: store, engine: binaryEngine(t, false), grid: Grid{End: 19 * binaryStep, Step: binaryStep}}
	for _, expr := range []string{
		`left / other`, `left > other`, `left * on (host) group_left other{path="p0"}`, `left or other`, `left > 50 or on (host) other`,
		`left unless on (host) other{path="p1"} > 20`, `left and other > bool 3`, `(left > 20) * 2 + -left`, `left </ other`,
	} {
		c.check(t, expr)
	}
}

func TestBinaryHistogramErrorFails(t *testing.T) {
	a := newArithmetic(&parser.BinaryExpr{Op: parser.ADD, LHS: &parser.NumberLiteral{}, RHS: &parser.NumberLiteral{}})
	q := &Query{}
	lasts := lastErrors{steps: 2}
	lasts.set(0, 3, a.mismatches[0][1])
	lasts.set(0, 1, fmt.Errorf("invalid"))
	if err := lasts.note(q, a); err != nil || len(q.Notes()) != 1 {
		t.Errorf("the last row's error counts: %v %v", err, q.Notes())
	}
	lasts.set(1, 0, fmt.Errorf("invalid"))
	if err := lasts.note(q, a); err == nil {
		t.Error("no error for an invalid histogram")
	}
}

// benchmarkBinary joins two vectors of n series that are in memory.
func benchmarkBinary(b *testing.B, text string, n int) {
	const steps = 361
	e, err := binaryParser().ParseExpr(text)
	if err != nil {
		b.Fatal(err)
	}
	grid := Grid{End: (steps - 1) * 60_000, Step: 60_000}
	var sides [2]*Matrix
	for k, name := range []string{"left", "right"} {
		m := &Matrix{Grid: grid}
		for i := range n {
			row := Row{Floats: make([]float64, steps)}
			for step := range row.Floats {
				row.Floats[step] = float64(i + step)
			}
			m.Series = append(m.Series, Series{Labels: labels.FromStrings("__name__", name, "host", fmt.Sprint("h", i))})
			m.Rows = append(m.Rows, row)
		}
		sides[k] = m
	}
	// Processor time: the clock also runs while others do.
	before := binaryProcessorTime(b)
	for b.Loop() {
		q := &Query{}
		op := newBinary(q, e.(*parser.BinaryExpr), grid, &binaryRows{heldRows{q, sides[0]}}, &binaryRows{heldRows{q, sides[1]}})
		if _, err := op.Series(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := op.Run(b.Context(), nil, discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(binaryProcessorTime(b)-before)/float64(b.N*n*steps), "cpu-ns/point")
}

// binaryRows are rows that may be read again.
type binaryRows struct{ heldRows }

func (h *binaryRows) Run(ctx context.Context, each Each, sink Sink) error {
	steps := h.matrix.Grid.Count()
	return h.query.runRows(ctx, rowsOf{len(h.matrix.Rows), steps, func(w *Worker, i int, row *Row) error {
		row.Floats = w.Floats(steps)
		copy(row.Floats, h.matrix.Rows[i].Floats)
		return nil
	}}, each, sink)
}

func binaryProcessorTime(b *testing.B) int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func BenchmarkBinaryJoin(b *testing.B) {
	for _, expr := range []string{`left * on (host) group_left right`, `left / right`, `left > right`, `left * on (host) fill_left (1) right`, `left or right`, `left and right`} {
		b.Run(expr, func(b *testing.B) { benchmarkBinary(b, expr, 1000) })
	}
}

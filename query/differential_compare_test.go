package query

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/exec"
)

// answer is what an engine says to a request.
type answer struct {
	err    string
	value  parser.Value
	points []answerPoint // of value, series after series
	notes  []string      // sorted
}

// answerPoint is one point with its series.
type answerPoint struct {
	series string
	time   int64
	float  float64
	hist   *histogram.FloatHistogram
}

func answerOf(text string, result *Result, err error) answer {
	if err != nil {
		return answer{err: err.Error()}
	}
	warnings, infos := result.Warnings.AsStrings(text, 0, 0)
	a := answer{value: result.Value, notes: append(warnings, infos...)}
	slices.Sort(a.notes)
	switch v := result.Value.(type) {
	case promql.Scalar:
		a.points = []answerPoint{{time: v.T, float: v.V}}
	case promql.String:
		a.points = []answerPoint{{series: v.V, time: v.T}}
	case promql.Vector:
		for _, s := range v {
			a.points = append(a.points, answerPoint{s.Metric.String(), s.T, s.F, s.H})
		}
	case promql.Matrix:
		for _, s := range v {
			a.add(s.Metric, s)
		}
	}
	return a
}

func (a *answer) add(ls labels.Labels, s promql.Series) {
	name := ls.String()
	for _, p := range s.Floats {
		a.points = append(a.points, answerPoint{name, p.T, p.F, nil})
	}
	for _, p := range s.Histograms {
		a.points = append(a.points, answerPoint{name, p.T, 0, p.H})
	}
}

// place is where in the query an annotation points.
var place = regexp.MustCompile(` \((\d+:\d+|invalid position)\)$`)

// overlook takes off an answer what parts of a query that are evaluated on the
// reference do not say as the whole would: the order, where annotations point, as
// a part is evaluated as it is printed, and, where any part may be one, annotations
// about buckets that the whole does not decode.
func overlook(a answer, r Request, mixed bool) answer {
	if !mixed && !strings.Contains(r.Query, "info(") {
		return a
	}
	a = a.sorted()
	if mixed {
		a.notes = nil
	}
	return a.unplaced()
}

// unplaced returns a without the places of its annotations.
func (a answer) unplaced() answer {
	a.notes = slices.Clone(a.notes)
	for i, note := range a.notes {
		a.notes[i] = place.ReplaceAllString(note, "")
	}
	slices.Sort(a.notes)
	a.notes = slices.Compact(a.notes)
	return a
}

// samePlaces reports whether the answers differ at most in where annotations
// point, in a query in which several operations may say the same: one of them is
// kept, that of the operation which is evaluated last.
func samePlaces(p parser.Parser, r Request, want, got answer) bool {
	expr, err := p.ParseExpr(r.Query)
	if err != nil || len(want.notes) == 0 || difference(want.unplaced(), got.unplaced()) != "" {
		return false
	}
	operations := 0
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node.(type) {
		case *parser.AggregateExpr, *parser.BinaryExpr, *parser.Call:
			operations++
		}
		return nil
	})
	return operations > 1
}

// difference says how two answers differ, nothing if they do not.
func difference(want, got answer) string {
	switch {
	case want.err != got.err:
		return fmt.Sprintf("error %q, want %q", got.err, want.err)
	case want.err != "":
		return ""
	case want.value.Type() != got.value.Type():
		return fmt.Sprintf("a %s, want a %s", got.value.Type(), want.value.Type())
	case !slices.Equal(want.notes, got.notes):
		return fmt.Sprintf("annotations %q, want %q", got.notes, want.notes)
	}
	for i := range min(len(want.points), len(got.points)) {
		if w, g := want.points[i], got.points[i]; !samePoint(w, g) {
			return fmt.Sprintf("point %d is %s, want %s", i, g, w)
		}
	}
	if len(want.points) != len(got.points) {
		return fmt.Sprintf("%d points, want %d", len(got.points), len(want.points))
	}
	return ""
}

func samePoint(a, b answerPoint) bool {
	if a.series != b.series || a.time != b.time || (a.hist == nil) != (b.hist == nil) {
		return false
	}
	if a.hist == nil {
		return sameFloat(a.float, b.float)
	}
	return a.hist.Equals(b.hist) && a.hist.CounterResetHint == b.hist.CounterResetHint
}

// sameFloat compares bits. The payload of a NaN is none of PromQL's business,
// except that a stale marker is no value.
func sameFloat(a, b float64) bool {
	if math.IsNaN(a) && math.IsNaN(b) {
		return value.IsStaleNaN(a) == value.IsStaleNaN(b)
	}
	return math.Float64bits(a) == math.Float64bits(b)
}

func (p answerPoint) String() string {
	if p.hist != nil {
		return fmt.Sprintf("%s %s schema %d hint %d at %d", p.series, p.hist, p.hist.Schema, p.hist.CounterResetHint, p.time)
	}
	return fmt.Sprintf("%s %v (%x) at %d", p.series, p.float, math.Float64bits(p.float), p.time)
}

// String prints an answer, cut where it is long.
func (a answer) String() string {
	if a.err != "" {
		return "error: " + a.err + "\n"
	}
	const shown = 60
	var text strings.Builder
	fmt.Fprintf(&text, "%s of %d points, annotations %q\n", a.value.Type(), len(a.points), a.notes)
	for i, p := range a.points {
		if i == shown {
			text.WriteString("  ...\n")
			break
		}
		text.WriteString("  " + p.String() + "\n")
	}
	return text.String()
}

// unsteady says how a difference is explained by answers that the reference
// gives to the same request when it is asked again.
type unsteady int

const (
	steady  unsteady = iota // it is not: the reference always says the same
	found                   // one of them is equal
	near                    // they differ in values among each other, and got is close
	erratic                 // they differ in more than values
)

// explain compares got with several answers of the reference. Prometheus's engine
// goes through maps in places: the order of an instant's series, sums over the
// results of other operations, and errors and annotations where several apply
// depend on their order.
func explain(runs []answer, got answer) unsteady {
	if !slices.ContainsFunc(runs, func(run answer) bool { return difference(runs[0], run) != "" }) {
		return steady
	}
	if slices.ContainsFunc(runs, func(run answer) bool { return !sameOrder(runs[0], run) }) {
		got = got.sorted()
		for i := range runs {
			runs[i] = runs[i].sorted()
		}
	}
	changing := false
	for _, run := range runs {
		if difference(run, got) == "" {
			return found
		}
		changing = changing || !sameShape(runs[0], run)
	}
	switch {
	case changing:
		return erratic
	case sameShape(runs[0], got) && closeTo(runs, got):
		return near
	}
	return steady
}

// sameOrder reports whether the series come in the same order, if they are the same.
func sameOrder(a, b answer) bool {
	return slices.EqualFunc(a.points, b.points, func(p, q answerPoint) bool { return p.series == q.series }) && a.err == b.err
}

// sorted returns a with the points in the order of labels, and without what an
// error says of the series that it met.
func (a answer) sorted() answer {
	a.points = slices.Clone(a.points)
	slices.SortStableFunc(a.points, func(p, q answerPoint) int { return strings.Compare(p.series, q.series) })
	if at := strings.Index(a.err, " for the match group "); at >= 0 {
		a.err = a.err[:at]
	}
	return a
}

// sameShape reports whether two answers differ in values at most.
func sameShape(a, b answer) bool {
	if a.err != b.err || a.err == "" && a.value.Type() != b.value.Type() || !slices.Equal(a.notes, b.notes) || len(a.points) != len(b.points) {
		return false
	}
	for i, p := range a.points {
		if q := b.points[i]; p.series != q.series || p.time != q.time || (p.hist == nil) != (q.hist == nil) {
			return false
		}
	}
	return true
}

// closeTo reports whether each value of got is about as far from those of the
// runs as these are from each other. They are not all that there may be: an order
// of a map's is one of few.
func closeTo(runs []answer, got answer) bool {
	for i, p := range got.points {
		if p.hist != nil {
			if !slices.ContainsFunc(runs, func(run answer) bool {
				return !samePoint(runs[0].points[i], run.points[i]) || samePoint(run.points[i], p)
			}) {
				return false
			}
			continue
		}
		low, high := math.Inf(1), math.Inf(-1)
		special := false
		for _, run := range runs {
			v := run.points[i].float
			low, high = min(low, v), max(high, v)
			special = special || sameFloat(v, p.float)
		}
		if spread := 4*(high-low) + 1e-9*max(math.Abs(low), math.Abs(high)); special || p.float >= low-spread && p.float <= high+spread {
			continue
		}
		return false
	}
	return true
}

// misplaced reports whether Prometheus's engine looks at the wrong times: it does
// not reckon anew where the @ modifiers inside of a subquery point to if the
// subquery starts, by chance, at the very time at which it is evaluated.
func misplaced(p parser.Parser, r Request) bool {
	expr, err := p.ParseExpr(r.Query)
	if err != nil {
		return false
	}
	if expr, err = promql.PreprocessExpr(expr, r.Start, r.End, r.Step); err != nil {
		return false
	}
	return startsAtOnce(expr, exec.Grid{Start: r.Start.UnixMilli(), End: r.End.UnixMilli(), Step: max(r.Step.Milliseconds(), 1)})
}

// startsAtOnce is misplaced for an expression on a grid.
func startsAtOnce(node parser.Node, grid exec.Grid) bool {
	switch e := node.(type) {
	case *parser.StepInvariantExpr:
		grid.End = grid.Start
	case *parser.SubqueryExpr:
		offset, step, end := e.OriginalOffset.Milliseconds(), max(e.Step.Milliseconds(), 1), grid.At(grid.Count()-1)
		if e.Step == 0 {
			step = time.Minute.Milliseconds()
		}
		if e.Timestamp != nil {
			offset += grid.Start - *e.Timestamp
			end = grid.Start
		}
		first := grid.Start - offset - e.Range.Milliseconds()
		start := step * (first / step)
		if start <= first {
			start += step
		}
		if start == grid.Start && pinned(e.Expr) {
			return true
		}
		grid = exec.Grid{Start: start, End: max(end-offset, start), Step: step}
	}
	return slices.ContainsFunc(parser.Children(node), func(child parser.Node) bool { return startsAtOnce(child, grid) })
}

// pinned reports whether there is an @ modifier in expr.
func pinned(expr parser.Expr) (found bool) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			found = found || n.Timestamp != nil
		case *parser.SubqueryExpr:
			found = found || n.Timestamp != nil
		}
		return nil
	})
	return found
}

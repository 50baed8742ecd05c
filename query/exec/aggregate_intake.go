package exec

import (
	"context"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// intake is the part that all aggregations share: it reads the parameter and the
// rows, and says to which group a row belongs.
type intake struct {
	query        *Query
	expr         *parser.AggregateExpr
	grid         Grid
	steps        int
	child, param Operator

	parameter parameter
	input     []Series
	names     []string // sorted: of the labels to keep, or to remove
	of        []int32  // the group of each series by label set; nil if all are one
	sizes     []int32  // how many series these groups have
	number    []int32  // of these groups in order of appearance; -1 until then
	first     []int32  // by number, the first series that has points
	held      int64
	noted     bool // that histograms are ignored
}

// open evaluates the parameter and finds the groups.
func (in *intake) open(ctx context.Context) (err error) {
	if in.parameter, err = in.readParameter(ctx); err != nil {
		return err
	}
	if in.input, err = in.child.Series(ctx); err != nil {
		return err
	}
	in.names = slices.Clone(in.expr.Grouping)
	if in.expr.Without {
		in.names = append(in.names, model.MetricNameLabel, model.MetricTypeLabel, model.MetricUnitLabel)
	}
	slices.Sort(in.names)
	in.group()
	return nil
}

// group gives each series its group.
func (in *intake) group() {
	if !in.expr.Without && len(in.names) == 0 {
		in.sizes, in.number = []int32{int32(len(in.input))}, []int32{-1}
		return
	}
	in.of = make([]int32, len(in.input))
	known := make(map[uint64]int32)
	var buf []byte
	var last uint64
	at := int32(-1) // the group of the series before, often that of its neighbour
	for i, s := range in.input {
		var key uint64
		if in.expr.Without {
			key, buf = s.Labels.HashWithoutLabels(buf, in.names...)
		} else {
			key, buf = s.Labels.HashForLabels(buf, in.names...)
		}
		if at < 0 || key != last {
			found, ok := known[key]
			if !ok {
				found = int32(len(in.sizes))
				known[key] = found
				in.sizes, in.number = append(in.sizes, 0), append(in.number, -1)
			}
			last, at = key, found
		}
		in.of[i] = at
		in.sizes[at]++
	}
}

// groupOf returns the group of a series by its labels.
func (in *intake) groupOf(i int) int {
	if in.of == nil {
		return 0
	}
	return int(in.of[i])
}

// run runs the child, and gives add the rows that have points with the number of
// their group.
func (in *intake) run(ctx context.Context, add func(group, i int, row *Row, s shape) error) error {
	shapes := make([]shape, len(in.input))
	return in.child.Run(ctx, func(_ *Worker, i int, row *Row) error {
		shapes[i] = shapeOf(row)
		return nil
	}, func(i int, row *Row) error {
		if shapes[i].kind == shapeEmpty {
			return nil
		}
		number := &in.number[in.groupOf(i)]
		if *number < 0 {
			*number = int32(len(in.first))
			in.first = append(in.first, int32(i))
		}
		return add(int(*number), i, row, shapes[i])
	})
}

// discard runs the child for its errors and annotations alone.
func (in *intake) discard(ctx context.Context) error {
	return in.child.Run(ctx, nil, func(int, *Row) error { return nil })
}

// groupLabels returns what labels a group has.
func (in *intake) groupLabels(group int) labels.Labels {
	if !in.expr.Without && len(in.names) == 0 {
		return labels.EmptyLabels()
	}
	lb := labels.NewBuilder(in.input[in.first[group]].Labels)
	if in.expr.Without {
		return lb.Del(in.names...).Labels()
	}
	return lb.Keep(in.names...).Labels()
}

// hold charges what the groups keep in memory, until release.
func (in *intake) hold(points int) error {
	in.held += int64(points)
	return in.query.holdPoints(int64(points))
}

func (in *intake) release() {
	in.query.release(in.held)
	in.held = 0
}

// ignored notes that a histogram has been left out.
func (in *intake) ignored() {
	if !in.noted {
		in.noted = true
		pos := in.expr.Expr.PositionRange()
		if in.expr.Op == parser.TOPK || in.expr.Op == parser.BOTTOMK {
			pos = in.expr.PosRange
		}
		in.query.noteError(annotations.NewHistogramIgnoredInAggregationInfo(in.expr.Op.String(), pos))
	}
}

// shape says what points a row has.
type shape struct {
	kind     shapeKind
	from, to int // of a run
}

type shapeKind uint8

const (
	shapeEmpty shapeKind = iota
	shapeRun             // tame floats at all steps from one to another, and nothing else
	shapeGaps            // tame floats at some steps
	shapeWild            // other floats among them
	shapeMixed           // histograms among them
)

// tame is the bound of floats of which any number can be added, without a thought
// to overflow.
const tame = 0x1p900

func shapeOf(row *Row) shape {
	for _, h := range row.Histograms {
		if h != nil {
			return shape{kind: shapeMixed}
		}
	}
	from := 0
	for from < len(row.Floats) && IsAbsent(row.Floats[from]) {
		from++
	}
	if from == len(row.Floats) {
		return shape{}
	}
	to := from + tameRun(row.Floats[from:])
	if to == from {
		return shape{kind: shapeWild}
	}
	out := shape{shapeRun, from, to}
	for _, v := range row.Floats[to:] {
		if IsAbsent(v) {
			continue
		}
		if !isTame(v) {
			return shape{kind: shapeWild}
		}
		out.kind = shapeGaps
	}
	return out
}

func isTame(v float64) bool { return math.Abs(v) < tame }

// tameRun returns the length of the run of tame floats that values begin with.
func tameRun(values []float64) int {
	i := 0
	for ; i+4 <= len(values); i += 4 {
		if v := values[i : i+4 : i+4]; !isTame(v[0]) || !isTame(v[1]) || !isTame(v[2]) || !isTame(v[3]) {
			break
		}
	}
	for i < len(values) && isTame(values[i]) {
		i++
	}
	return i
}

// rowRun counts the rows that have points at the same steps, one after another: most
// rows of a group have.
type rowRun struct {
	from, to int
	rows     float64
}

// takes counts a row if it has its points there, or if there is none yet.
func (r *rowRun) takes(s shape) bool {
	if r.rows > 0 && (s.from != r.from || s.to != r.to) {
		return false
	}
	r.from, r.to = s.from, s.to
	r.rows++
	return true
}

// move adds the rows to a count of each step, and forgets them.
func (r *rowRun) move(count []float64) {
	for step := r.from; r.rows > 0 && step < r.to; step++ {
		count[step] += r.rows
	}
	r.rows = 0
}

// groupColumns has a value for each step of each group, in pages, so that many
// groups of few steps are no more expensive than few of many.
type groupColumns[T any] struct {
	steps int
	shift uint // a page has 1<<shift groups
	pages [][]T
}

// of returns the column of a group.
func (c *groupColumns[T]) of(group int) []T {
	at := (group & (1<<c.shift - 1)) * c.steps
	return c.pages[group>>c.shift][at : at+c.steps : at+c.steps]
}

// grow makes room for a group that follows the others, of which there will be at
// most so many.
func (c *groupColumns[T]) grow(group, steps, groups int) {
	const pageValues = 4096
	if c.steps == 0 {
		c.steps = steps
		for steps<<(c.shift+1) <= pageValues && 1<<c.shift < groups {
			c.shift++
		}
	}
	if group>>c.shift == len(c.pages) {
		c.pages = append(c.pages, make([]T, steps<<c.shift))
	}
}

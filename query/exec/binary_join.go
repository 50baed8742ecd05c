package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// join combines the points of two vectors whose series match. The right side is
// held in memory, or the left one under group_right: it has one point for a group
// at each step. The rows of the other side are combined as they come if each makes
// one series of the result; otherwise the join goes step by step.
type join struct {
	query      *Query
	arithmetic *arithmetic
	matching   joinLabels
	grid       Grid
	many, one  Operator
	swapped    bool // the one side is the left one
	// fillMany and fillOne stand in for points that are missing.
	fillMany, fillOne *float64

	columns []*Row   // of the one side, for each series of the many side, nil if none matches
	series  []Series // of the result
	lasts   lastErrors
	notes   annotations.Annotations // of the right side, if it was evaluated first
}

func newJoin(q *Query, a *arithmetic, grid Grid, lhs, rhs Operator) *join {
	vm := a.expr.VectorMatching
	j := &join{
		query: q, arithmetic: a, grid: grid, many: lhs, one: rhs,
		fillMany: vm.FillValues.LHS, fillOne: vm.FillValues.RHS,
		matching: joinLabels{VectorMatching: vm, builder: labels.NewBuilder(labels.EmptyLabels())},
	}
	j.matching.dropsName = a.changesMetric() || a.bool && !q.DelayedNames
	if vm.Card == parser.CardOneToMany {
		j.swapped = true
		j.many, j.one = j.one, j.many
		j.fillMany, j.fillOne = j.fillOne, j.fillMany
	}
	j.lasts.steps = grid.Count()
	return j
}

func (j *join) Grid() Grid { return j.grid }

// open collects the one side and returns the series of the other.
func (j *join) open(ctx context.Context) (one *Matrix, many []Series, err error) {
	if j.swapped {
		if one, err = j.query.collect(ctx, j.one); err != nil {
			return nil, nil, err
		}
		many, err = j.many.Series(ctx)
		return one, many, err
	}
	if many, err = j.many.Series(ctx); err != nil {
		return nil, nil, err
	}
	j.notes, err = j.query.aside(func() error {
		one, err = j.query.collect(ctx, j.one)
		return err
	})
	if err != nil {
		err = firstOf(ctx, j.many, err)
	}
	return one, many, err
}

func (j *join) Series(ctx context.Context) ([]Series, error) {
	one, series, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	side, err := j.group(one)
	if err != nil {
		return nil, err
	}
	if side != nil && j.plan(side, series) {
		return j.series, nil
	}
	many, err := j.query.collectRows(ctx, j.many, series)
	if err != nil {
		return nil, err
	}
	j.many = &heldRows{query: j.query, matrix: many}
	// Without the series that have no points it may go.
	if side != nil && len(many.Series) < len(series) && j.plan(side, many.Series) {
		return j.series, nil
	}
	j.query.note(j.notes)
	result, err := newStepJoin(j, many, one).run(ctx)
	if err != nil {
		return nil, err
	}
	j.columns = nil
	j.many = &heldRows{query: j.query, matrix: result}
	return result.Series, nil
}

// oneSide is the one side by group.
type oneSide struct {
	groups  *signatures
	columns []*Row          // the points of each group
	labels  []labels.Labels // of the group's first series
}

// group returns the points of the one side by group, or nil if two of a group may
// clash, or the result has to be made step by step for another reason.
func (j *join) group(one *Matrix) (*oneSide, error) {
	if j.fillMany != nil || j.fillOne != nil && len(j.matching.Include) > 0 {
		return nil, nil
	}
	s := &oneSide{groups: newSignatures(j.matching.VectorMatching)}
	copied := map[int]bool{}
	for i := range one.Series {
		group, row := s.groups.add(one.Series[i].Labels), &one.Rows[i]
		if row.Histograms != nil && j.arithmetic.fails() {
			return nil, nil
		}
		if group == len(s.columns) {
			s.columns, s.labels = append(s.columns, row), append(s.labels, one.Series[i].Labels)
			continue
		}
		if !j.matching.sameIncluded(s.labels[group], one.Series[i].Labels) {
			return nil, nil
		}
		if !copied[group] {
			copied[group] = true
			s.columns[group] = s.columns[group].clone()
		}
		if !s.columns[group].unite(row) {
			return nil, nil
		}
	}
	if j.fillOne != nil {
		for group, row := range s.columns {
			s.columns[group] = row.clone()
			s.columns[group].fill(*j.fillOne)
		}
	}
	return s, nil
}

// clone returns a copy of a row.
func (r *Row) clone() *Row {
	return &Row{Floats: append([]float64(nil), r.Floats...), Histograms: append([]*histogram.FloatHistogram(nil), r.Histograms...)}
}

// unite adds the points of other, and reports whether there were none at its steps.
func (r *Row) unite(other *Row) bool {
	for step := range r.Floats {
		switch {
		case !other.Has(step):
		case r.Has(step):
			return false
		default:
			r.Set(step, other.Floats[step], other.Histogram(step))
		}
	}
	return true
}

// fill sets steps without a point to v.
func (r *Row) fill(v float64) {
	for step := range r.Floats {
		if !r.Has(step) {
			r.Floats[step] = v
		}
	}
}

// plan finds the column for each series of the many side. It returns false if two
// of them may make one series of the result from the same group.
func (j *join) plan(side *oneSide, many []Series) bool {
	type result struct {
		group int
		hash  uint64 // 0 if a group may have only one
	}
	j.columns, j.series = make([]*Row, len(many)), nil
	var filler *Row
	if j.fillOne != nil {
		filler = &Row{Floats: make([]float64, j.grid.Count())}
		fillAbsent(filler.Floats)
		filler.fill(*j.fillOne)
	}
	seen := make(map[result]struct{}, len(many))
	for i := range many {
		group := side.groups.find(many[i].Labels)
		if group < 0 && j.fillOne != nil {
			group = side.groups.add(many[i].Labels)
		}
		included := labels.EmptyLabels() // there are none if there is a filler
		switch {
		case group < 0:
			continue
		case group < len(side.columns):
			j.columns[i], included = side.columns[group], side.labels[group]
		default:
			j.columns[i] = filler
		}
		out := j.matching.result(many[i].Labels, included)
		key := result{group: group}
		if j.matching.Card != parser.CardOneToOne {
			key.hash = out.Hash()
		}
		if _, clash := seen[key]; clash {
			return false
		}
		seen[key] = struct{}{}
		j.series = append(j.series, Series{Labels: out, DropName: j.arithmetic.bool})
	}
	return true
}

func (j *join) Run(ctx context.Context, each Each, sink Sink) error {
	if j.columns == nil {
		return j.many.Run(ctx, each, sink)
	}
	to := make([]int, len(j.columns)) // the series of the result, -1 if there is none
	n := 0
	for i, column := range j.columns {
		to[i] = -1
		if column != nil {
			to[i] = n
			n++
		}
	}
	combine := func(_ *Worker, i int, row *Row) error {
		switch column := j.columns[i]; {
		case column == nil:
		case j.swapped:
			j.arithmetic.row(row, column, row, i, &j.lasts)
		default:
			j.arithmetic.row(row, row, column, i, &j.lasts)
		}
		return nil
	}
	some := someRows{j.many, to}
	if err := some.run(ctx, combine, each, sink); err != nil {
		return err
	}
	j.query.note(j.notes)
	return j.lasts.note(j.query, j.arithmetic)
}

// someRows is rows of op: row i becomes that of series to[i] of the result, or of
// none if that is below 0.
type someRows struct {
	op Operator
	to []int
}

// run runs op, whose rows change turns into those of the result.
func (s someRows) run(ctx context.Context, change, each Each, sink Sink) error {
	to := s.to
	return s.op.Run(ctx, func(w *Worker, i int, row *Row) error {
		if to[i] < 0 {
			return nil
		}
		if err := change(w, i, row); err != nil || each == nil {
			return err
		}
		return each(w, to[i], row)
	}, func(i int, row *Row) error {
		if to[i] < 0 {
			return nil
		}
		return sink(to[i], row)
	})
}

// heldRows gives rows that are in memory.
type heldRows struct {
	query  *Query
	matrix *Matrix
}

func (h *heldRows) Grid() Grid { return h.matrix.Grid }

func (h *heldRows) Series(context.Context) ([]Series, error) { return h.matrix.Series, nil }

func (h *heldRows) Run(ctx context.Context, each Each, sink Sink) error {
	return h.query.runRows(ctx, rowsOf{len(h.matrix.Rows), h.matrix.Grid.Count(), func(_ *Worker, i int, row *Row) error {
		*row = h.matrix.Rows[i]
		return nil
	}}, each, sink)
}

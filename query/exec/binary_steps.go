package exec

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var (
	errManyToOne = errors.New("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
	errGrouping  = errors.New("multiple matches for labels: grouping labels must ensure unique matches")
)

// stepJoin is a join that goes step by step: for groups of which several series of
// the one side are there at different times, for results that may clash, for fill
// values that make series of their own, and for histograms that may make the query
// fail. It meets errors in the order of Prometheus's engine.
type stepJoin struct {
	*join
	many, one             *Matrix
	manyGroups, oneGroups []int

	step    int
	right   []oneAt // by group
	matched []int   // by group: the last step, counted from 1, with a result
	pairs   map[[2]int]joinPair
	recent  []recentPair // of the many side
	slots   map[slotKey]int
	taken   []int // by slot: the last step, counted from 1, that has it

	result    *Matrix
	byHash    map[uint64]int // into result
	filled    []int          // of result: the last step, counted from 1, with a point
	points    int64          // of the result at this step
	lastError error          // of the step
	clashes   bool           // two points of the step have the same labels
}

// oneAt is the series of the one side that a group has at a step, counted from 1.
type oneAt struct{ step, series int }

// joinPair is what a series of each side make.
type joinPair struct {
	out  int // into the result
	slot int // of the group's results with these labels
}

// recentPair is the pair that a series of the many side was in before.
type recentPair struct {
	one int
	joinPair
}

type slotKey struct {
	group int
	hash  uint64
}

// fillerSeries stands for a fill value where a series is asked for.
const fillerSeries = -1

// newStepJoin prepares the join of two matrices.
func newStepJoin(j *join, many, one *Matrix) *stepJoin {
	groups := newSignatures(j.matching.VectorMatching)
	s := &stepJoin{
		join: j, many: many, one: one,
		oneGroups: groups.addAll(one.Series), manyGroups: groups.addAll(many.Series),
		pairs: map[[2]int]joinPair{}, slots: map[slotKey]int{}, byHash: map[uint64]int{},
		recent: make([]recentPair, len(many.Series)),
		result: &Matrix{Grid: j.grid},
	}
	s.right, s.matched = make([]oneAt, len(groups.known)), make([]int, len(groups.known))
	for i := range s.recent {
		s.recent[i].one = fillerSeries - 1
	}
	return s
}

// run computes the result.
func (s *stepJoin) run(ctx context.Context) (*Matrix, error) {
	for s.step = range s.grid.Count() {
		if err := ended(ctx); err != nil {
			return nil, err
		}
		s.points, s.lastError, s.clashes = 0, nil, false
		if err := s.evaluate(); err != nil {
			return nil, err
		}
		if err := s.arithmetic.note(s.query, s.lastError); err != nil {
			return nil, err
		}
		if err := s.query.holdPoints(s.points); err != nil {
			return nil, err
		}
		if s.clashes {
			return nil, errSameLabels
		}
	}
	return s.result, nil
}

// evaluate computes the points of the step.
func (s *stepJoin) evaluate() error {
	if s.fillMany == nil && s.fillOne == nil && (!s.any(s.many) || !s.any(s.one)) {
		return nil // not even an error
	}
	if err := s.index(); err != nil {
		return err
	}
	for i := range s.many.Rows {
		if !s.many.Rows[i].Has(s.step) {
			continue
		}
		group, one := s.manyGroups[i], fillerSeries
		if at := s.right[group]; at.step == s.step+1 {
			one = at.series
		} else if s.fillOne == nil {
			continue
		}
		if err := s.combine(i, one, group); err != nil {
			return err
		}
	}
	if s.fillMany == nil {
		return nil
	}
	for i := range s.one.Rows {
		group := s.oneGroups[i]
		if !s.one.Rows[i].Has(s.step) || s.matched[group] == s.step+1 {
			continue
		}
		if err := s.combine(fillerSeries, i, group); err != nil {
			return err
		}
	}
	return nil
}

// any reports whether m has a point at the step.
func (s *stepJoin) any(m *Matrix) bool {
	for i := range m.Rows {
		if m.Rows[i].Has(s.step) {
			return true
		}
	}
	return false
}

// index finds the series of the one side that each group has at the step.
func (s *stepJoin) index() error {
	for i := range s.one.Rows {
		if !s.one.Rows[i].Has(s.step) {
			continue
		}
		at := &s.right[s.oneGroups[i]]
		if at.step == s.step+1 {
			return s.duplicate(s.one.Series[i].Labels, s.one.Series[at.series].Labels)
		}
		*at = oneAt{s.step + 1, i}
	}
	return nil
}

// duplicate is the error for two series of the one side in a group.
func (s *stepJoin) duplicate(a, b labels.Labels) error {
	side := "right"
	if s.swapped {
		side = "left"
	}
	first, second := a.String(), b.String()
	if first > second {
		first, second = second, first
	}
	return fmt.Errorf("found duplicate series for the match group %s on the %s hand-side of the operation: [%s, %s]"+
		";many-to-many matching not allowed: matching labels must be unique on one side", s.matching.of(a).String(), side, first, second)
}

// at returns the point of a series, or the fill value.
func (s *stepJoin) at(m *Matrix, i int, fill *float64) (float64, *histogram.FloatHistogram) {
	if i == fillerSeries {
		return *fill, nil
	}
	return m.Rows[i].Floats[s.step], m.Rows[i].Histogram(s.step)
}

// combine computes the point of a series of the many side and one of the one side,
// either of which may be fillerSeries.
func (s *stepJoin) combine(many, one, group int) error {
	lf, lh := s.at(s.many, many, s.fillMany)
	rf, rh := s.at(s.one, one, s.fillOne)
	if s.swapped {
		lf, lh, rf, rh = rf, rh, lf, lh
	}
	v, h, keep, info, err := s.arithmetic.point(lf, rf, lh, rh)
	if err != nil {
		s.lastError = err
		return nil
	}
	if info != nil {
		s.lastError = info
	}
	if s.arithmetic.bool {
		v, h, keep = zeroOrOne(keep), nil, true
	}
	p := s.pair(many, one, group)
	now := s.step + 1
	if s.matching.Card == parser.CardOneToOne {
		if s.matched[group] == now {
			return errManyToOne
		}
	} else {
		if s.taken[p.slot] == now {
			return errGrouping
		}
		s.taken[p.slot] = now
	}
	s.matched[group] = now
	if !keep {
		return nil
	}
	if s.filled[p.out] == now {
		s.clashes = true
	}
	s.filled[p.out] = now
	s.result.Rows[p.out].Set(s.step, v, h)
	if s.points++; h != nil {
		s.points += histogramPoints(h.Size()) - 1
	}
	return nil
}

// pair returns what two series make.
func (s *stepJoin) pair(many, one, group int) joinPair {
	if many != fillerSeries && s.recent[many].one == one {
		return s.recent[many].joinPair
	}
	p, known := s.pairs[[2]int{many, one}]
	if !known {
		p = s.newPair(many, one, group)
		s.pairs[[2]int{many, one}] = p
	}
	if many != fillerSeries {
		s.recent[many] = recentPair{one, p}
	}
	return p
}

// newPair finds the series of the result that two series make, or adds it.
func (s *stepJoin) newPair(many, one, group int) joinPair {
	var ls, rs labels.Labels
	switch {
	case many == fillerSeries:
		rs = s.one.Series[one].Labels
		ls = s.matching.of(rs)
	case one == fillerSeries:
		ls = s.many.Series[many].Labels
		rs = s.matching.of(ls)
	default:
		ls, rs = s.many.Series[many].Labels, s.one.Series[one].Labels
	}
	metric := s.matching.result(ls, rs)
	hash := metric.Hash()
	slot, known := s.slots[slotKey{group, hash}]
	if !known {
		slot = len(s.taken)
		s.slots[slotKey{group, hash}] = slot
		s.taken = append(s.taken, 0)
	}
	// An instant query keeps the order and number of its points.
	out, known := s.byHash[hash]
	if !known || s.grid.Instant() {
		out = len(s.result.Series)
		s.byHash[hash] = out
		s.result.Series = append(s.result.Series, Series{Labels: metric, DropName: s.arithmetic.bool})
		row := Row{Floats: make([]float64, s.grid.Count())}
		fillAbsent(row.Floats)
		s.result.Rows = append(s.result.Rows, row)
		s.filled = append(s.filled, 0)
	}
	return joinPair{out, slot}
}

package exec

import (
	"context"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// presence says at which steps a group has a point.
type presence []bool

// mark adds the points of a row.
func (p presence) mark(row *Row) {
	for step, v := range row.Floats {
		if !IsAbsent(v) {
			p[step] = true
		}
	}
	for step, h := range row.Histograms {
		if h != nil {
			p[step] = true
		}
	}
}

// remove takes the points off row at the steps where p is as given.
func (p presence) remove(row *Row, is bool) {
	for step, present := range p {
		if present == is {
			row.Floats[step] = Absent
		}
	}
	if row.Histograms == nil {
		return
	}
	for step, present := range p {
		if present == is {
			row.Histograms[step] = nil
		}
	}
	row.dropNoHistograms()
}

// intersection is lhs where the right side has a point of the group, or where it
// has none (unless).
type intersection struct {
	query    *Query
	matching *parser.VectorMatching
	grid     Grid
	lhs, rhs Operator
	unless   bool

	left, right []int // groups of the series; -1 if the right side does not have it
	groups      int   // of the right side
	notes       annotations.Annotations
}

func (x *intersection) Grid() Grid { return x.grid }

func (x *intersection) Series(ctx context.Context) ([]Series, error) {
	left, err := x.lhs.Series(ctx)
	if err != nil {
		return nil, err
	}
	var right []Series
	x.notes, err = x.query.aside(func() error {
		right, err = x.rhs.Series(ctx)
		return err
	})
	if err != nil {
		return nil, firstOf(ctx, x.lhs, err)
	}
	groups := newSignatures(x.matching)
	x.right = groups.addAll(right)
	x.left = groups.findAll(left)
	x.groups = len(groups.known)
	if x.unless {
		return left, nil
	}
	var out []Series
	for i, group := range x.left {
		if group >= 0 {
			out = append(out, left[i])
		}
	}
	return out, nil
}

func (x *intersection) Run(ctx context.Context, each Each, sink Sink) error {
	steps := x.grid.Count()
	masks := make([]presence, x.groups)
	to := make([]int, len(x.left))
	n := 0
	for i, group := range x.left {
		to[i] = -1
		if group >= 0 && masks[group] == nil {
			masks[group] = make(presence, steps)
		}
		if group >= 0 || x.unless {
			to[i] = n
			n++
		}
	}
	notes, err := x.query.aside(func() error {
		return x.rhs.Run(ctx, nil, func(i int, row *Row) error {
			if mask := masks[x.right[i]]; mask != nil {
				mask.mark(row)
			}
			return nil
		})
	})
	if err != nil {
		return firstOf(ctx, x.lhs, err)
	}
	err = someRows{x.lhs, to}.run(ctx, func(_ *Worker, i int, row *Row) error {
		if group := x.left[i]; group >= 0 {
			masks[group].remove(row, x.unless)
		}
		return nil
	}, each, sink)
	x.query.note(x.notes)
	x.query.note(notes)
	return err
}

// union is lhs, and rhs where the left side has no point of the group.
type union struct {
	query    *Query
	matching *parser.VectorMatching
	grid     Grid
	lhs, rhs Operator

	left, right []int // groups of the series; -1 if the left side does not have it
	masks       []presence
	shared      []bool // by group: whether it has several series on the left
	mu          sync.Mutex
	notes       annotations.Annotations // of the right side's series
	held        *heldRows               // the result, if it had to be made for its series
}

func (u *union) Grid() Grid { return u.grid }

func (u *union) Series(ctx context.Context) ([]Series, error) {
	left, err := u.lhs.Series(ctx)
	if err != nil {
		return nil, err
	}
	var right []Series
	u.notes, err = u.query.aside(func() error {
		right, err = u.rhs.Series(ctx)
		return err
	})
	if err != nil {
		return nil, firstOf(ctx, u.lhs, err)
	}
	groups := newSignatures(u.matching)
	u.left = groups.addAll(left)
	u.right = groups.findAll(right)
	u.masks, u.shared = make([]presence, len(groups.known)), make([]bool, len(groups.known))
	for _, group := range u.right {
		if group >= 0 && u.masks[group] == nil {
			u.masks[group] = make(presence, u.grid.Count())
		}
	}
	seen := make([]bool, len(groups.known))
	for _, group := range u.left {
		u.shared[group], seen[group] = seen[group], true
	}
	if u.namesClash(left, right) {
		return u.hold(ctx, left, right)
	}
	return slices.Concat(left, right), nil
}

// namesClash reports whether a series of the result may lose its name or not,
// depending on the side that its first point comes from.
func (u *union) namesClash(left, right []Series) bool {
	if !u.query.DelayedNames || u.grid.Instant() {
		return false
	}
	drops := make(map[uint64]bool, len(left))
	for _, s := range left {
		drops[s.Labels.Hash()] = s.DropName
	}
	for _, s := range right {
		if drop, known := drops[s.Labels.Hash()]; known && drop != s.DropName {
			return true
		}
	}
	return false
}

// hold computes the result, and gives series of the same labels the DropName of
// that with the first point.
func (u *union) hold(ctx context.Context, left, right []Series) ([]Series, error) {
	m := &Matrix{Grid: u.grid, Series: slices.Concat(left, right)}
	m.Rows = make([]Row, len(m.Series))
	var arena floats
	err := u.run(ctx, nil, func(i int, row *Row) error {
		if err := u.query.hold(row); err != nil {
			return err
		}
		m.Rows[i] = Row{Floats: arena.take(len(row.Floats)), Histograms: slices.Clone(row.Histograms)}
		copy(m.Rows[i].Floats, row.Floats)
		return nil
	})
	if err != nil {
		return nil, err
	}
	type origin struct {
		step int
		drop bool
	}
	first := map[uint64]origin{}
	for i, s := range m.Series {
		step, found := m.Rows[i].first()
		if !found {
			continue
		}
		if o, known := first[s.Labels.Hash()]; !known || step < o.step {
			first[s.Labels.Hash()] = origin{step, s.DropName}
		}
	}
	for i := range m.Series {
		if o, known := first[m.Series[i].Labels.Hash()]; known {
			m.Series[i].DropName = o.drop
		}
	}
	u.held = &heldRows{query: u.query, matrix: m}
	return m.Series, nil
}

// first returns the step of the first point.
func (r *Row) first() (step int, found bool) {
	for step := range r.Floats {
		if r.Has(step) {
			return step, true
		}
	}
	return 0, false
}

func (u *union) Run(ctx context.Context, each Each, sink Sink) error {
	if u.held != nil {
		return u.held.Run(ctx, each, sink)
	}
	return u.run(ctx, each, sink)
}

func (u *union) run(ctx context.Context, each Each, sink Sink) error {
	err := u.lhs.Run(ctx, chain(func(_ *Worker, i int, row *Row) error {
		u.mark(u.left[i], row)
		return nil
	}, each), sink)
	if err != nil {
		return err
	}
	u.query.note(u.notes)
	to := make([]int, len(u.right))
	for i := range to {
		to[i] = len(u.left) + i
	}
	return someRows{u.rhs, to}.run(ctx, func(_ *Worker, i int, row *Row) error {
		if group := u.right[i]; group >= 0 {
			u.masks[group].remove(row, true)
		}
		return nil
	}, each, sink)
}

// mark notes where a row of the left side has points.
func (u *union) mark(group int, row *Row) {
	mask := u.masks[group]
	if mask == nil {
		return
	}
	if u.shared[group] {
		u.mu.Lock()
		defer u.mu.Unlock()
	}
	mask.mark(row)
}

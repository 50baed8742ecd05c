package exec

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/varve-db/varve/query/plan"
)

// Cost is what one operator of a plan took, without those below it.
type Cost struct {
	// Series is how many label sets it told, Rows how many rows it handed on: some
	// series turn out to have no points.
	Series, Rows int64
	// Samples is how many the steps looked at, Decoded how many were read.
	Samples, Decoded int64
	// Busy is the time in which cores worked for it.
	Busy time.Duration
	// Peak is how many points it held in memory at most.
	Peak int64
}

// Costs returns what each operator took, by its node, if Query.Measure asks for
// it, and the plan. What one operator does for several nodes, as reading a range
// and a function of it, counts for the uppermost. It is called when Eval is over.
func (q *Query) Costs() (*plan.Tree, map[*plan.Node]Cost) {
	if q.meter == nil {
		return nil, nil
	}
	costs := make(map[*plan.Node]Cost, len(q.meter.places))
	for _, m := range q.meter.places {
		if m.above == nil { // it never worked: another place of its expression did
			continue
		}
		cost := m.cost
		cost.Busy = max(cost.Busy+time.Duration(m.moved.Load()), 0)
		costs[m.node] = cost
	}
	return q.meter.plan, costs
}

// meter divides what a query does among its operators. At each moment one of them
// is at work on the query's own goroutine: whatever is counted until another
// takes over is its own. Rows go from an operator to the one above by calls in the
// other direction, on many goroutines: the time of some of these calls is measured
// and moved from the one to the other. So nothing is done for each point, and for
// most rows no more than a few additions.
type meter struct {
	query  *Query
	plan   *plan.Tree
	began  time.Time
	places []*measured

	at   *measured // at work
	mark Cost      // the query's counts when it began
	// holder is who keeps the points that are held from now on; held is how many
	// there were before.
	holder *measured
	held   int64
}

// measured is an operator that is measured.
type measured struct {
	Operator
	meter *meter
	node  *plan.Node
	cost  Cost
	above *measured
	moved atomic.Int64 // nanoseconds of calls, to be added to cost.Busy
	held  int64        // points
}

func newMeter(q *Query, tree *plan.Tree) *meter {
	m := &meter{query: q, plan: tree, began: time.Now()}
	result := &measured{meter: m} // what is done with the rows of the whole query
	m.at, m.holder = result, result
	return m
}

// measured returns op, the operator of n, and has it measured if that is wanted.
func (b *builder) measured(n *plan.Node, op Operator) Operator {
	if b.query.meter == nil {
		return op
	}
	m := &measured{Operator: op, meter: b.query.meter, node: n}
	m.meter.places = append(m.meter.places, m)
	return m
}

// counts are the query's.
func (m *meter) counts() Cost {
	p := &m.query.progress
	outside := time.Since(m.began) - time.Duration(p.inRuns.Load())
	return Cost{Samples: m.query.samples.Load(), Decoded: p.decoded.Load(), Busy: outside + time.Duration(p.busy.Load())}
}

// enter lets another operator work, and returns the one that did.
func (m *meter) enter(next *measured) (before *measured) {
	now := m.counts()
	c := &m.at.cost
	c.Samples += now.Samples - m.mark.Samples
	c.Decoded += now.Decoded - m.mark.Decoded
	c.Busy += now.Busy - m.mark.Busy
	before, m.at, m.mark = m.at, next, now
	m.hold(next)
	return before
}

// hold gives what was held to whom it belongs, and what will be to next.
func (m *meter) hold(next *measured) {
	held := m.query.held.Load()
	m.holder.held += held - m.held
	m.holder.cost.Peak = max(m.holder.cost.Peak, m.holder.held)
	m.holder, m.held = next, held
}

func (m *measured) Series(ctx context.Context) ([]Series, error) {
	m.above = m.meter.enter(m)
	defer m.meter.enter(m.above)
	series, err := m.Operator.Series(ctx)
	m.cost.Series = int64(len(series))
	return series, err
}

func (m *measured) Run(ctx context.Context, each Each, sink Sink) error {
	m.above = m.meter.enter(m)
	defer m.meter.enter(m.above)
	timed := each
	if each != nil {
		timed = func(w *Worker, i int, row *Row) error {
			weight := weightOf(i)
			if weight == 0 {
				return each(w, i, row)
			}
			defer m.move(time.Now(), weight)
			return each(w, i, row)
		}
	}
	return m.Operator.Run(ctx, timed, func(i int, row *Row) error {
		m.cost.Rows++
		m.meter.hold(m.above)
		defer m.meter.hold(m)
		weight := weightOf(i)
		if weight == 0 {
			return sink(i, row)
		}
		defer m.move(time.Now(), weight)
		return sink(i, row)
	})
}

const (
	timedRows   = 64 // that are all timed, at the beginning
	timedStride = 17 // afterwards one of so many
)

// weightOf returns how many rows the timing of row i stands for; it is not timed if
// that is 0.
func weightOf(i int) int64 {
	switch {
	case i < timedRows:
		return 1
	case i%timedStride == 0:
		return timedStride
	}
	return 0
}

// move takes the time since began, of a call to the operator above, from m.
func (m *measured) move(began time.Time, weight int64) {
	took := int64(time.Since(began)) * weight
	m.moved.Add(-took)
	m.above.moved.Add(took)
}

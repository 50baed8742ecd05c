package exec

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/query/plan"
)

// Census says which series to count: those that satisfy the matchers and whose
// newest sample with From < time <= To is no stale marker.
type Census struct {
	From, To int64
	Matchers []*labels.Matcher
	// Names are the labels whose values make the groups, ascending and distinct.
	Names []string
	// Points returns how many points a histogram as package chunks records it
	// counts for, 0 for a stale marker.
	Points func(record []byte) (int64, error)
	// Run calls work with 0, 1, 2 and so on, on several goroutines, at most parts.
	Run func(parts int, work func(worker int)) error
}

// Counted is a group of a census.
type Counted struct {
	Labels labels.Labels
	Count  int64
}

// Counter is a Querier that counts series without listing them.
type Counter interface {
	Querier
	// Count returns the groups in the order of the first series that each has, and
	// how many points it looked at. ok is false if it cannot count these series:
	// then it has not charged for any.
	Count(ctx context.Context, c Census) (groups []Counted, points int64, ok bool, err error)
}

// counted is count or group over a selector at one step, which asks the storage
// for the numbers. Where that does not know, the series are read.
type counted struct {
	query  *Query
	expr   *parser.AggregateExpr
	vs     *parser.VectorSelector
	grid   Grid
	groups []Counted
	series Operator // reads the series
}

// census returns the operator for an aggregation that only counts series, nil for
// all others.
func (b *builder) census(n *plan.Node, grid Grid) Operator {
	e, ok := n.Expr.(*parser.AggregateExpr)
	if !ok || e.Op != parser.COUNT && e.Op != parser.GROUP || e.Without || grid.Count() != 1 {
		return nil
	}
	if _, ok := b.query.From.(Counter); !ok {
		return nil
	}
	for at := n.Children[0]; ; at = at.Children[0] {
		if at.Executor != plan.Columnar || at.Shared != 0 {
			return nil
		}
		if at.Kind != plan.KindParentheses && at.Kind != plan.KindOnce {
			break
		}
	}
	vs, ok := Unwrap(n.Children[0].Expr).(*parser.VectorSelector)
	if !ok || n.Children[0].Unwrap().Selector.Pieces != nil || vs.Smoothed || vs.Anchored {
		return nil
	}
	return &counted{query: b.query, expr: e, vs: vs, grid: grid}
}

func (c *counted) Grid() Grid { return c.grid }

func (c *counted) Series(ctx context.Context) ([]Series, error) {
	ok, err := c.count(ctx)
	if end := ended(ctx); err != nil && end != nil {
		return nil, end
	}
	if !ok || err != nil {
		// Reading the series meets the error again, and words it.
		c.series = newAggregate(c.query, c.expr, c.grid, newInstant(c.query, c.vs, c.grid, takesValue), nil)
		return c.series.Series(ctx)
	}
	series := make([]Series, len(c.groups))
	for i, g := range c.groups {
		series[i].Labels = g.Labels
	}
	return series, c.query.holdPoints(int64(len(c.groups)))
}

// count asks the storage.
func (c *counted) count(ctx context.Context) (ok bool, err error) {
	s := selection{query: c.query, vs: c.vs, grid: c.grid}
	at, _ := s.reference()
	if c.query.Charge != nil {
		ctx = c.query.Charge(ctx, c.vs)
	}
	names := slices.Clone(c.expr.Grouping)
	slices.Sort(names)
	groups, points, ok, err := c.query.From.(Counter).Count(ctx, Census{
		From: at - c.query.Lookback, To: at,
		Matchers: c.vs.LabelMatchers, Names: slices.Compact(names),
		Points: s.histogramPoints, Run: c.query.spread,
	})
	if ok && err == nil {
		c.groups = groups
		c.query.count(0, points)
	}
	return ok, err
}

// histogramPoints returns how many points a histogram counts for, 0 for a stale
// marker.
func (s *selection) histogramPoints(record []byte) (int64, error) {
	decoded, err := s.histograms(nil, []chunks.Sample{{Histogram: record}})
	if err != nil || value.IsStaleNaN(decoded[0].H.Sum) {
		return 0, err
	}
	return histogramPoints(decoded[0].H.Size()), nil
}

func (c *counted) Run(ctx context.Context, each Each, sink Sink) error {
	if c.series != nil {
		return c.series.Run(ctx, each, sink)
	}
	defer c.query.release(int64(len(c.groups)))
	return c.query.runRows(ctx, rowsOf{len(c.groups), 1, func(w *Worker, i int, row *Row) error {
		row.Floats = w.Floats(1)
		if row.Floats[0] = 1; c.expr.Op == parser.COUNT {
			row.Floats[0] = float64(c.groups[i].Count)
		}
		return nil
	}}, each, sink)
}

// spread calls work on several goroutines, at most parts, as slots are free.
func (q *Query) spread(parts int, work func(worker int)) error {
	extra := q.Extra.borrow(min(parts, workersMax) - 1)
	defer q.Extra.giveBack(extra)
	errs := make([]error, extra+1)
	defer q.progress.ran(time.Now())
	guarded := func(worker int) {
		defer guard(&errs[worker])
		defer q.progress.work(time.Now())
		work(worker)
	}
	var group sync.WaitGroup
	for worker := 1; worker <= extra; worker++ {
		group.Go(func() { guarded(worker) })
	}
	guarded(0)
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

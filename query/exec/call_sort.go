package exec

import (
	"context"
	"strings"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// sorted orders the series of an instant by value or label. With more steps the
// order is always that of labels.
type sorted struct {
	query   *Query
	call    *parser.Call
	child   Operator
	byValue bool // floats only
	rows    []Row
}

func newSorted(q *Query, e *parser.Call, child Operator) Operator {
	return &sorted{query: q, call: e, child: child, byValue: !strings.HasPrefix(e.Func.Name, "sort_by_label")}
}

func (s *sorted) Grid() Grid { return s.child.Grid() }

func (s *sorted) Series(ctx context.Context) ([]Series, error) {
	if !s.Grid().Instant() {
		return s.child.Series(ctx)
	}
	m, err := s.query.collect(ctx, s.child)
	if err != nil {
		return nil, err
	}
	// Prometheus's function sorts, so that equal values end where they would; the
	// timestamp carries the position.
	in := make(promql.Vector, len(m.Rows))
	for i, row := range m.Rows {
		in[i] = promql.Sample{T: int64(i), Metric: m.Series[i].Labels, F: row.Floats[0], H: row.Histogram(0)}
	}
	args := make(parser.Expressions, len(s.call.Args))
	for i, arg := range s.call.Args {
		args[i] = Unwrap(arg)
	}
	out, _ := promql.FunctionCalls[s.call.Func.Name]([]promql.Vector{in}, nil, args, &promql.EvalNodeHelper{})
	series := make([]Series, len(out))
	s.rows = make([]Row, len(out))
	for i, sample := range out {
		series[i], s.rows[i] = m.Series[sample.T], m.Rows[sample.T]
	}
	return series, nil
}

func (s *sorted) Run(ctx context.Context, each Each, sink Sink) error {
	if s.Grid().Instant() {
		return giveAll(ctx, &Worker{}, s.rows, each, sink)
	}
	if s.byValue {
		each = chain(dropHistograms, each)
	}
	err := s.child.Run(ctx, each, sink)
	s.query.noteError(annotations.NewSortInRangeQueryWarning(s.call.PositionRange()))
	return err
}

func dropHistograms(_ *Worker, _ int, row *Row) error {
	row.Histograms = nil
	return nil
}

package exec

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// number is one row without labels: a scalar, or a vector of nothing else.
type number struct {
	query *Query
	grid  Grid
	args  []Operator // scalars
	at    func(t int64, step int, args [][]float64) float64
}

func newNumber(q *Query, e *parser.Call, grid Grid, args []Operator) Operator {
	n := &number{query: q, grid: grid, args: args}
	switch e.Func.Name {
	case "time":
		n.at = func(t int64, _ int, _ [][]float64) float64 { return float64(t) / 1000 }
	case "pi":
		n.at = func(int64, int, [][]float64) float64 { return math.Pi }
	case "max_of":
		n.at = func(_ int64, step int, args [][]float64) float64 { return math.Max(args[0][step], args[1][step]) }
	case "min_of":
		n.at = func(_ int64, step int, args [][]float64) float64 { return math.Min(args[0][step], args[1][step]) }
	}
	return n
}

// dateAt returns the date function of the time of evaluation.
func dateAt(date func(time.Time) float64) func(int64, int, [][]float64) float64 {
	return func(t int64, _ int, _ [][]float64) float64 { return date(time.Unix(t/1000, 0).UTC()) }
}

func (n *number) Grid() Grid { return n.grid }

func (n *number) Series(context.Context) ([]Series, error) { return unlabelled(), nil }

func unlabelled() []Series { return []Series{{Labels: labels.EmptyLabels()}} }

func (n *number) Run(ctx context.Context, each Each, sink Sink) error {
	args := make([][]float64, len(n.args))
	for i, arg := range n.args {
		var err error
		if args[i], err = n.query.scalar(ctx, arg); err != nil {
			return err
		}
	}
	w := &Worker{}
	row := Row{Floats: w.Floats(n.grid.Count())}
	for step := range row.Floats {
		row.Floats[step] = n.at(n.grid.At(step), step, args)
	}
	return give(w, 0, &row, each, sink)
}

// toVector is a scalar as a vector.
type toVector struct{ Operator }

func (v *toVector) Series(ctx context.Context) ([]Series, error) {
	_, err := v.Operator.Series(ctx)
	return unlabelled(), err
}

// toScalar is the only float of a vector, NaN if there is not exactly one.
type toScalar struct{ child Operator }

func (s *toScalar) Grid() Grid { return s.child.Grid() }

func (s *toScalar) Series(ctx context.Context) ([]Series, error) {
	_, err := s.child.Series(ctx)
	return unlabelled(), err
}

func (s *toScalar) Run(ctx context.Context, each Each, sink Sink) error {
	w := &Worker{}
	out := w.Row(s.Grid().Count())
	many := make([]bool, len(out.Floats))
	err := s.child.Run(ctx, nil, func(_ int, row *Row) error {
		for step, v := range row.Floats {
			switch {
			case IsAbsent(v):
			case IsAbsent(out.Floats[step]):
				out.Floats[step] = v
			default:
				many[step] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for step, v := range out.Floats {
		if many[step] || IsAbsent(v) {
			out.Floats[step] = math.NaN()
		}
	}
	return give(w, 0, &out, each, sink)
}

// absence is 1 where its child has no point.
type absence struct {
	child  Operator
	labels labels.Labels
}

func (a *absence) Grid() Grid { return a.child.Grid() }

func (a *absence) Series(ctx context.Context) ([]Series, error) {
	_, err := a.child.Series(ctx)
	return []Series{{Labels: a.labels}}, err
}

func (a *absence) Run(ctx context.Context, each Each, sink Sink) error {
	w := &Worker{}
	out := Row{Floats: w.Floats(a.Grid().Count())}
	for step := range out.Floats {
		out.Floats[step] = 1
	}
	err := a.child.Run(ctx, nil, func(_ int, row *Row) error {
		for step, v := range row.Floats {
			if !IsAbsent(v) {
				out.Floats[step] = Absent
			}
		}
		for step, h := range row.Histograms {
			if h != nil {
				out.Floats[step] = Absent
			}
		}
		return nil
	})
	if err != nil || out.Empty() {
		return err
	}
	return give(w, 0, &out, each, sink)
}

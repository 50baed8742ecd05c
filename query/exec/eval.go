package exec

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
)

// Eval runs op, the operator of the whole query, and returns its result: for an
// instant query a vector or a scalar, by kind, otherwise a matrix in label order.
func (q *Query) Eval(ctx context.Context, op Operator, instant bool, kind parser.ValueType) (value parser.Value, err error) {
	defer guard(&err)
	defer q.progress.outside(time.Now(), q.progress.inRuns.Load())
	matrix, err := q.matrix(ctx, op)
	if err != nil {
		return nil, err
	}
	if !instant {
		slices.SortStableFunc(matrix, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
		return matrix, nil
	}
	at := op.Grid().Start
	if kind == parser.ValueTypeScalar {
		return promql.Scalar{T: at, V: matrix[0].Floats[0].F}, nil
	}
	vector := make(promql.Vector, len(matrix))
	for i, s := range matrix {
		vector[i] = promql.Sample{Metric: s.Metric, T: at, DropName: s.DropName}
		if len(s.Histograms) > 0 {
			vector[i].H = s.Histograms[0].H
		} else {
			vector[i].F = s.Floats[0].F
		}
	}
	return vector, nil
}

// matrix runs op and returns its rows as points.
func (q *Query) matrix(ctx context.Context, op Operator) (promql.Matrix, error) {
	if q.DelayedNames {
		op = &nameless{op}
		op = &merge{query: q, child: op}
	}
	series, err := op.Series(ctx)
	if err != nil {
		return nil, err
	}
	grid := op.Grid()
	var out promql.Matrix
	var points []promql.FPoint
	err = op.Run(ctx, nil, func(i int, row *Row) error {
		floats, histograms := row.counts()
		if floats+histograms == 0 {
			return nil
		}
		if err := q.hold(row); err != nil {
			return err
		}
		if len(points) < floats {
			points = make([]promql.FPoint, max(floats, min(8192, (len(series)-i)*grid.Count())))
		}
		s := promql.Series{Metric: series[i].Labels, DropName: series[i].DropName}
		if floats > 0 {
			s.Floats = points[:0:floats]
			points = points[floats:]
		}
		for step, v := range row.Floats {
			if !IsAbsent(v) {
				s.Floats = append(s.Floats, promql.FPoint{T: grid.At(step), F: v})
			}
		}
		if histograms > 0 {
			s.Histograms = make([]promql.HPoint, 0, histograms)
			for step, h := range row.Histograms {
				if h != nil {
					s.Histograms = append(s.Histograms, promql.HPoint{T: grid.At(step), H: h})
				}
			}
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// counts returns how many floats and histograms the row has.
func (r *Row) counts() (floats, histograms int) {
	for _, v := range r.Floats {
		if !IsAbsent(v) {
			floats++
		}
	}
	for _, h := range r.Histograms {
		if h != nil {
			histograms++
		}
	}
	return floats, histograms
}

// nameless removes the metric names of series that say so.
type nameless struct{ Operator }

func (n *nameless) Series(ctx context.Context) ([]Series, error) {
	series, err := n.Operator.Series(ctx)
	out := slices.Clone(series)
	for i := range out {
		if out[i].DropName {
			out[i].Labels = out[i].Labels.DropReserved(schema.IsMetadataLabel)
		}
	}
	return out, err
}

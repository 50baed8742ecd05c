package exec

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// parameter is the k, quantile or ratio of an aggregation.
type parameter struct {
	values   []float64 // of each step
	min, max float64
	nan      bool // one of them is
}

// readParameter evaluates the parameter. Its bounds are those of Prometheus's
// engine, where infinities other than a literal's are lost at one end.
func (in *intake) readParameter(ctx context.Context) (parameter, error) {
	if in.param == nil {
		return parameter{}, nil
	}
	values, err := in.query.scalar(ctx, in.param)
	if err != nil {
		return parameter{}, err
	}
	p := parameter{values: values, min: math.MaxFloat64, max: -math.MaxFloat64}
	if _, literal := in.expr.Param.(*parser.NumberLiteral); literal {
		p.min, p.max, p.nan = values[0], values[0], math.IsNaN(values[0])
		return p, nil
	}
	for _, v := range values {
		p.max, p.min = math.Max(p.max, v), math.Min(p.min, v)
		p.nan = p.nan || math.IsNaN(v)
	}
	return p, nil
}

var (
	errParameterNaN = errors.New("Parameter value is NaN") //nolint:staticcheck // worded as Prometheus's engine does
	errRatioNaN     = errors.New("Ratio value is NaN")     //nolint:staticcheck // worded as Prometheus's engine does
)

// Of these bounds a k must be within.
const (
	countMax = 9223372036854774784
	countMin = -9223372036854775808
)

// counts returns the k of each step, or none if no step takes anything.
func (p *parameter) counts() ([]int64, error) {
	switch {
	case p.max < 1:
		return nil, nil
	case p.nan:
		return nil, errParameterNaN
	case p.min <= countMin:
		return nil, fmt.Errorf("Scalar value %v underflows int64", p.min) //nolint:staticcheck // worded as Prometheus's engine does
	case p.max >= countMax:
		return nil, fmt.Errorf("Scalar value %v overflows int64", p.max) //nolint:staticcheck // worded as Prometheus's engine does
	}
	counts := make([]int64, len(p.values))
	for i, v := range p.values {
		counts[i] = int64(v)
	}
	return counts, nil
}

// readRatios returns the ratio of each step, between -1 and 1, or none if no step
// takes anything.
func (in *intake) readRatios() ([]float64, error) {
	p := &in.parameter
	switch {
	case p.max == 0 && p.min == 0:
		return nil, nil
	case p.nan:
		return nil, errRatioNaN
	}
	pos := in.expr.Param.PositionRange()
	if p.max > 1 {
		in.query.noteError(annotations.NewInvalidRatioWarning(p.max, 1, pos))
	}
	if p.min < -1 {
		in.query.noteError(annotations.NewInvalidRatioWarning(p.min, -1, pos))
	}
	ratios := make([]float64, len(p.values))
	for i, v := range p.values {
		ratios[i] = max(-1, min(v, 1))
	}
	return ratios, nil
}

// warnQuantile notes quantiles that are none.
func (in *intake) warnQuantile() {
	p, pos := &in.parameter, in.expr.Param.PositionRange()
	if p.nan {
		in.query.noteError(annotations.NewInvalidQuantileWarning(math.NaN(), pos))
	}
	if p.max > 1 {
		in.query.noteError(annotations.NewInvalidQuantileWarning(p.max, pos))
	}
	if p.min < 0 {
		in.query.noteError(annotations.NewInvalidQuantileWarning(p.min, pos))
	}
}

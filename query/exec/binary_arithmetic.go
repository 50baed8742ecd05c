package exec

import (
	"errors"
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"
)

// arithmetic is what a binary operation does with two points.
type arithmetic struct {
	expr *parser.BinaryExpr
	op   parser.ItemType
	bool bool // comparisons give 0 or 1 and drop nothing
	// keepsRight says that the value that passes a comparison is the right one:
	// that of the vector in scalar < vector.
	keepsRight bool

	pos posrange.PositionRange
	// mismatches says that an operation does not go with its operands, by whether
	// the left and the right one are histograms.
	mismatches [2][2]error
}

func newArithmetic(e *parser.BinaryExpr) *arithmetic {
	a := &arithmetic{expr: e, op: e.Op, bool: e.ReturnBool, pos: e.PositionRange()}
	kinds := [2]string{"float", "histogram"}
	for l, left := range kinds {
		for r, right := range kinds {
			a.mismatches[l][r] = annotations.NewIncompatibleTypesInBinOpInfo(left, parser.ItemTypeStr[e.Op], right, a.pos)
		}
	}
	return a
}

// changesMetric reports whether the result is another metric than the operands.
func (a *arithmetic) changesMetric() bool {
	switch a.op {
	case parser.ADD, parser.SUB, parser.DIV, parser.MUL, parser.POW, parser.MOD, parser.ATAN2:
		return true
	}
	return false
}

// dropsName reports whether the result of an operation with a scalar has no name.
func (a *arithmetic) dropsName() bool { return a.bool || a.changesMetric() }

// trims reports whether the operator is one that only histograms have.
func (a *arithmetic) trims() bool { return a.op == parser.TRIM_LOWER || a.op == parser.TRIM_UPPER }

// fails reports whether two histograms can make the query fail.
func (a *arithmetic) fails() bool { return a.op == parser.ADD || a.op == parser.SUB }

// row sets dst, which may be lhs or rhs, to the operation's results. order is that
// of the row among those whose errors go to lasts.
func (a *arithmetic) row(dst, lhs, rhs *Row, order int, lasts *lastErrors) {
	if lhs.Histograms == nil && rhs.Histograms == nil && !a.trims() {
		a.floats(dst.Floats, lhs.Floats, rhs.Floats)
		return
	}
	for step := range dst.Floats {
		if !lhs.Has(step) || !rhs.Has(step) {
			dst.Set(step, Absent, nil)
			continue
		}
		v, h, keep, info, err := a.point(lhs.Floats[step], rhs.Floats[step], lhs.Histogram(step), rhs.Histogram(step))
		if info != nil {
			lasts.set(step, order, info)
		}
		if err != nil {
			lasts.set(step, order, err)
			keep, v, h = false, Absent, nil
		} else if a.bool {
			v, h, keep = zeroOrOne(keep), nil, true
		}
		if !keep {
			v, h = Absent, nil
		}
		dst.Set(step, v, h)
	}
	dst.dropNoHistograms()
}

// dropNoHistograms makes Histograms nil if there are none.
func (r *Row) dropNoHistograms() {
	for _, h := range r.Histograms {
		if h != nil {
			return
		}
	}
	r.Histograms = nil
}

func zeroOrOne(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// point computes one point, whose float counts if h is nil. keep is the outcome of
// a comparison. An info comes with a result, and an err without.
func (a *arithmetic) point(l, r float64, lh, rh *histogram.FloatHistogram) (v float64, h *histogram.FloatHistogram, keep bool, info, err error) {
	switch {
	case lh != nil && rh != nil:
		return a.histograms(lh, rh)
	case lh != nil:
		switch a.op {
		case parser.MUL:
			return 0, lh.Copy().Mul(r).Compact(0), true, nil, nil
		case parser.DIV:
			return 0, lh.Copy().Div(r).Compact(0), true, nil, nil
		case parser.TRIM_UPPER:
			return 0, lh.Copy().TrimBuckets(r, true), true, nil, nil
		case parser.TRIM_LOWER:
			return 0, lh.Copy().TrimBuckets(r, false), true, nil, nil
		}
		return 0, nil, false, nil, a.mismatches[1][0]
	case rh != nil:
		if a.op == parser.MUL {
			return 0, rh.Copy().Mul(l).Compact(0), true, nil, nil
		}
		return 0, nil, false, nil, a.mismatches[0][1]
	case a.trims():
		return 0, nil, false, nil, a.mismatches[0][0]
	}
	v, keep = a.numbers(l, r)
	return v, nil, keep, nil, nil
}

// histograms computes a point of two histograms.
func (a *arithmetic) histograms(lh, rh *histogram.FloatHistogram) (v float64, h *histogram.FloatHistogram, keep bool, info, err error) {
	var collision, reconciled bool
	operation := annotations.HistogramAdd
	switch a.op {
	case parser.EQLC:
		return 0, lh, lh.Equals(rh), nil, nil
	case parser.NEQ:
		return 0, lh, !lh.Equals(rh), nil, nil
	case parser.ADD:
		h, collision, reconciled, err = lh.Copy().Add(rh)
	case parser.SUB:
		operation = annotations.HistogramSub
		h, collision, reconciled, err = lh.Copy().Sub(rh)
	default:
		return 0, nil, false, nil, a.mismatches[1][1]
	}
	if err != nil {
		return 0, nil, false, nil, err
	}
	if a.op == parser.SUB {
		h.CounterResetHint = histogram.GaugeType
	}
	if collision {
		err = annotations.NewHistogramCounterResetCollisionWarning(a.pos, operation)
	}
	if reconciled {
		info = annotations.NewMismatchedCustomBucketsHistogramsInfo(a.pos, operation)
	}
	return 0, h.Compact(0), true, info, err
}

// numbers computes a point of two floats.
func (a *arithmetic) numbers(l, r float64) (v float64, keep bool) {
	kept := l
	if a.keepsRight {
		kept = r
	}
	switch a.op {
	case parser.ADD:
		return l + r, true
	case parser.SUB:
		return l - r, true
	case parser.MUL:
		return l * r, true
	case parser.DIV:
		return l / r, true
	case parser.POW:
		return math.Pow(l, r), true
	case parser.MOD:
		return math.Mod(l, r), true
	case parser.ATAN2:
		return math.Atan2(l, r), true
	case parser.EQLC:
		return kept, l == r
	case parser.NEQ:
		return kept, l != r
	case parser.GTR:
		return kept, l > r
	case parser.LSS:
		return kept, l < r
	case parser.GTE:
		return kept, l >= r
	default: // parser.LTE
		return kept, l <= r
	}
}

// lastErrors keeps, for each step, the error of the last row that has one, as
// Prometheus's engine does.
type lastErrors struct {
	steps int
	mu    sync.Mutex
	at    []lastError // nil if there is none
}

type lastError struct {
	order int
	err   error
}

// set notes the error of a row at a step.
func (l *lastErrors) set(step, order int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = make([]lastError, l.steps)
	}
	if at := &l.at[step]; at.err == nil || order >= at.order {
		*at = lastError{order, err}
	}
}

// note annotates the query with the errors, and returns the first that fails it.
func (l *lastErrors) note(q *Query, a *arithmetic) error {
	for i := range l.at {
		if err := a.note(q, l.at[i].err); err != nil {
			return err
		}
	}
	return nil
}

// note annotates the query with an error of points, or returns it.
func (a *arithmetic) note(q *Query, err error) error {
	switch {
	case err == nil:
	case errors.Is(err, annotations.PromQLInfo) || errors.Is(err, annotations.PromQLWarning):
		q.noteError(err)
	case errors.Is(err, histogram.ErrHistogramsIncompatibleSchema):
		q.noteError(annotations.NewIncompatibleBucketLayoutInBinOpWarning(parser.ItemTypeStr[a.op], a.pos))
	default:
		return err
	}
	return nil
}

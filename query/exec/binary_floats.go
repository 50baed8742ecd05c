package exec

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
)

// floats sets dst, which may be lhs or rhs, to the operation's results where both
// have a value.
func (a *arithmetic) floats(dst, lhs, rhs []float64) {
	if a.op.IsComparisonOperator() {
		kept := lhs
		if a.keepsRight {
			kept = rhs
		}
		if a.bool {
			compare(a.op, dst, lhs, rhs)
		} else {
			sift(a.op, dst, lhs, rhs, kept)
		}
		return
	}
	dst, rhs = dst[:len(lhs)], rhs[:len(lhs)]
	switch a.op {
	case parser.ADD:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], l+rhs[i])
		}
	case parser.SUB:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], l-rhs[i])
		}
	case parser.MUL:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], l*rhs[i])
		}
	case parser.DIV:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], l/rhs[i])
		}
	case parser.POW:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], math.Pow(l, rhs[i]))
		}
	case parser.MOD:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], math.Mod(l, rhs[i]))
		}
	case parser.ATAN2:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], math.Atan2(l, rhs[i]))
		}
	}
}

// both returns v, or Absent unless l and r are there.
func both(l, r, v float64) float64 {
	if IsAbsent(l) || IsAbsent(r) {
		return Absent
	}
	return v
}

// compare sets dst to 1 where the comparison holds, and to 0 elsewhere.
func compare(op parser.ItemType, dst, lhs, rhs []float64) {
	dst, rhs = dst[:len(lhs)], rhs[:len(lhs)]
	switch op {
	case parser.EQLC:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], zeroOrOne(l == rhs[i]))
		}
	case parser.NEQ:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], zeroOrOne(l != rhs[i]))
		}
	case parser.GTR:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], zeroOrOne(l > rhs[i]))
		}
	case parser.LSS:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], zeroOrOne(l < rhs[i]))
		}
	case parser.GTE:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], zeroOrOne(l >= rhs[i]))
		}
	case parser.LTE:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], zeroOrOne(l <= rhs[i]))
		}
	}
}

// sift sets dst to kept where the comparison holds. Only != holds for Absent, since
// it is a NaN.
func sift(op parser.ItemType, dst, lhs, rhs, kept []float64) {
	dst, rhs, kept = dst[:len(lhs)], rhs[:len(lhs)], kept[:len(lhs)]
	switch op {
	case parser.EQLC:
		for i, l := range lhs {
			dst[i] = where(l == rhs[i], kept[i])
		}
	case parser.NEQ:
		for i, l := range lhs {
			dst[i] = both(l, rhs[i], where(l != rhs[i], kept[i]))
		}
	case parser.GTR:
		for i, l := range lhs {
			dst[i] = where(l > rhs[i], kept[i])
		}
	case parser.LSS:
		for i, l := range lhs {
			dst[i] = where(l < rhs[i], kept[i])
		}
	case parser.GTE:
		for i, l := range lhs {
			dst[i] = where(l >= rhs[i], kept[i])
		}
	case parser.LTE:
		for i, l := range lhs {
			dst[i] = where(l <= rhs[i], kept[i])
		}
	}
}

// where returns v, or Absent unless the condition holds.
func where(holds bool, v float64) float64 {
	if holds {
		return v
	}
	return Absent
}

package series

import (
	"cmp"
	"math"

	"github.com/prometheus/prometheus/model/value"
)

// CompareFloat compares the bits of two floats in the order of the join: two
// versions of a sample are joined to the greater. Stale markers come first, then
// other NaN by bits, then numbers by value and bits, -0 below +0. Histograms,
// compared by their own package, are above all floats.
func CompareFloat(a, b uint64) int {
	if a == b {
		return 0
	}
	if c := cmp.Compare(floatClass(a), floatClass(b)); c != 0 {
		return c
	}
	if floatClass(a) == classNumber {
		x, y := math.Float64frombits(a), math.Float64frombits(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		default: // -0 and +0: the sign bit makes -0's bits the greater
			return -cmp.Compare(a, b)
		}
	}
	return cmp.Compare(a, b)
}

const (
	classStale = iota
	classNaN
	classNumber
)

func floatClass(bits uint64) int {
	switch {
	case bits == value.StaleNaN:
		return classStale
	case bits&^(1<<63) > 0x7ff0000000000000:
		return classNaN
	default:
		return classNumber
	}
}

package exec

import (
	"math"

	"github.com/prometheus/prometheus/model/value"
)

// Grid is the times at which an expression is evaluated, in milliseconds.
type Grid struct {
	Start, End int64 // inclusive; the last step may lie before End
	Step       int64 // above 0
}

// Count returns the number of steps.
func (g Grid) Count() int {
	if g.End < g.Start {
		return 0
	}
	return int((g.End-g.Start)/g.Step) + 1
}

// At returns the time of step i.
func (g Grid) At(i int) int64 { return g.Start + int64(i)*g.Step }

// Instant reports whether the grid is one moment: then the order of results is
// that of the evaluation, and not that of labels.
func (g Grid) Instant() bool { return g.Start == g.End }

// Absent marks steps without a point in a row of floats. It is the stale marker:
// no point of a result has these bits, since selectors end a series there, and
// arithmetic makes every NaN a quiet one.
var Absent = math.Float64frombits(value.StaleNaN)

const absentBits = value.StaleNaN

// IsAbsent reports whether v marks a step without a point.
func IsAbsent(v float64) bool { return math.Float64bits(v) == absentBits }

// fillAbsent marks all of dst.
func fillAbsent(dst []float64) {
	for i := range dst {
		dst[i] = Absent
	}
}

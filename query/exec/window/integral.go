package window

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

// The rules of integral, by its parameter.
const (
	leftPoints = iota
	rightPoints
	trapezoids
)

// integral sums the areas between neighbouring samples; its parameter, which may be
// missing, is the rule. One that there is not is left to Prometheus's, which warns.
func integral(dst []float64, s Samples, b *Bounds, params [][]float64, scratch *Scratch) bool {
	for _, rule := range ruleOf(params) {
		if rule != leftPoints && rule != rightPoints && rule != trapezoids {
			return false
		}
	}
	base, end := b.span()
	areas := grown(&scratch.floats, 2*(end-base))
	known := -1 // the rule of areas
	for i, to := range b.To {
		from := b.From[i]
		if from >= to {
			dst[i] = Absent
			continue
		}
		rule := trapezoids
		if len(params) > 0 {
			rule = int(params[0][i])
		}
		if rule != known {
			areasBetween(areas, s, base, end, rule)
			known = rule
		} else if b.sameAsBefore(i) {
			dst[i] = dst[i-1]
			continue
		}
		dst[i] = addAreas(areas[2*(int(from)-base+1) : 2*(int(to)-base)])
	}
	return true
}

// ruleOf returns the rules of all steps, nil if they are not given.
func ruleOf(params [][]float64) []float64 {
	if len(params) == 0 {
		return nil
	}
	return params[0]
}

// areasBetween sets areas[2*k] to the area between samples base+k-1 and base+k, and
// areas[2*k+1] to its rounding error. Those of k = 0 have no meaning.
func areasBetween(areas []float64, s Samples, base, end, rule int) {
	for k := base + 1; k < end; k++ {
		height, rest := height(noNaN(s.Values[k-1]), noNaN(s.Values[k]), rule)
		seconds := float64(s.Times[k]-s.Times[k-1]) / 1000
		areas[2*(k-base)], areas[2*(k-base)+1] = height*seconds, rest*seconds
	}
}

// addAreas returns the compensated sum of pairs of an area and its error.
func addAreas(areas []float64) float64 {
	var t, c float64
	for k := 0; k+1 < len(areas); k += 2 {
		t, c = add(areas[k], t, c+areas[k+1])
	}
	if finite(t) && finite(c) {
		return t + c
	}
	t, c = 0, 0
	for k := 0; k+1 < len(areas); k += 2 {
		t, c = kahansum.Inc(areas[k], t, c+areas[k+1])
	}
	if math.IsInf(t, 0) {
		return t
	}
	return t + c
}

// height returns the height between two samples, and its rounding error.
func height(before, v float64, rule int) (float64, float64) {
	switch rule {
	case leftPoints:
		return before, 0
	case rightPoints:
		return v, 0
	}
	h, rest := kahansum.Inc(v, before, 0)
	if math.IsInf(h, 0) && !math.IsInf(v, 0) && !math.IsInf(before, 0) {
		return kahansum.Inc(v/2, before/2, 0)
	}
	return h / 2, rest / 2
}

// noNaN takes NaN for 0, so that neighbours count for it.
func noNaN(v float64) float64 {
	if v != v {
		return 0
	}
	return v
}

package window

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

// The times that regressions count from.
const (
	fromFirst      = iota // sample of the window: deriv
	fromEvaluation        // of the step: predict_linear
)

// fit is what the times of a window contribute to its regression: the compensated
// sums of x and of x squared.
type fit struct{ x, squares float64 }

// fitsOf returns the fits of all steps.
func (b *Bounds) fitsOf(times []int64, from int) []fit {
	if len(b.fits[from]) == len(b.From) {
		return b.fits[from]
	}
	fits := grown(&b.fits[from], len(b.From))
	for i := range fits {
		fits[i] = fit{}
		if window := times[b.From[i]:max(b.To[i], b.From[i])]; len(window) >= 2 {
			fits[i] = newFit(window, b.origin(times, i, from))
		}
	}
	return fits
}

// origin returns the time where x is 0 at step i.
func (b *Bounds) origin(times []int64, i, from int) int64 {
	if from == fromFirst {
		return times[b.From[i]]
	}
	return b.evalStart + int64(i)*b.evalStep
}

func newFit(times []int64, origin int64) fit {
	var x, xC, squares, squaresC float64
	for _, t := range times {
		at := float64(t-origin) / 1e3
		x, xC = add(at, x, xC)
		squares, squaresC = add(at*at, squares, squaresC)
	}
	return fit{x + xC, squares + squaresC}
}

func deriv(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	fits := b.fitsOf(s.Times, fromFirst)
	for i, to := range b.To {
		dst[i] = Absent
		if from := b.From[i]; to-from >= 2 {
			dst[i], _ = regression(s.Times[from:to], s.Values[from:to], s.Times[from], fits[i])
		}
	}
	return true
}

// predict is predict_linear; its parameter is how many seconds it looks ahead.
func predict(dst []float64, s Samples, b *Bounds, params [][]float64, _ *Scratch) bool {
	if len(params) < 1 {
		return false
	}
	fits := b.fitsOf(s.Times, fromEvaluation)
	for i, to := range b.To {
		dst[i] = Absent
		if from := b.From[i]; to-from >= 2 {
			origin := b.origin(s.Times, i, fromEvaluation)
			seconds := params[0][i] // first, so that it is fused where Prometheus's is
			slope, intercept := regression(s.Times[from:to], s.Values[from:to], origin, fits[i])
			dst[i] = slope*seconds + intercept
		}
	}
	return true
}

// regression returns the line through two or more samples with the least squares:
// its slope per second, and its value at origin.
func regression(times []int64, values []float64, origin int64, f fit) (slope, intercept float64) {
	if flat(values) {
		if math.IsInf(values[0], 0) {
			return math.NaN(), math.NaN()
		}
		return 0, values[0]
	}
	y, xy := moments(times, values, origin)
	n := float64(len(values))
	covariance := xy - f.x*y/n
	variance := f.squares - f.x*f.x/n
	slope = covariance / variance
	return slope, y/n - slope*f.x/n
}

// moments returns the compensated sums of values and of x times values.
func moments(times []int64, values []float64, origin int64) (sumY, sumXY float64) {
	var y, yC, xy, xyC float64
	times = times[:len(values)]
	for k, v := range values {
		at := float64(times[k]-origin) / 1e3
		y, yC = add(v, y, yC)
		xy, xyC = add(at*v, xy, xyC)
	}
	if finite(y) && finite(yC) && finite(xy) && finite(xyC) {
		return y + yC, xy + xyC
	}
	y, yC, xy, xyC = 0, 0, 0, 0
	for k, v := range values {
		at := float64(times[k]-origin) / 1e3
		y, yC = kahansum.Inc(v, y, yC)
		xy, xyC = kahansum.Inc(at*v, xy, xyC)
	}
	return y + yC, xy + xyC
}

// flat reports whether all of values are equal.
func flat(values []float64) bool {
	first := values[0]
	for _, v := range values[1:] {
		if v != first {
			return false
		}
	}
	return true
}

package window

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

func stddev(dst []float64, s Samples, b *Bounds, params [][]float64, scratch *Scratch) bool {
	stdvar(dst, s, b, params, scratch)
	for i, to := range b.To {
		if b.From[i] < to {
			dst[i] = math.Sqrt(dst[i])
		}
	}
	return true
}

// stdvar computes windows in pairs: each addition waits for the one before it, and
// there is time for those of another window.
func stdvar(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	pending := -1 // a step that waits for its pair
	for i, to := range b.To {
		dst[i] = Absent
		switch {
		case b.From[i] >= to || b.sameAsBefore(i):
		case pending < 0:
			pending = i
		default:
			dst[pending], dst[i] = twoVariances(s.Values[b.From[pending]:b.To[pending]], s.Values[b.From[i]:to])
			pending = -1
		}
	}
	if pending >= 0 {
		one := s.Values[b.From[pending]:b.To[pending]]
		dst[pending] = spread{}.of(one, 0)
	}
	for i, to := range b.To {
		if b.From[i] < to && b.sameAsBefore(i) {
			dst[i] = dst[i-1]
		}
	}
	return true
}

// spread is the mean and the squared distances from it, with compensated sums,
// after Welford.
type spread struct{ mean, meanC, squares, squaresC float64 }

// of returns the variance of values, of which p has seen so many.
func (p spread) of(values []float64, seen int) float64 {
	n := float64(seen)
	for _, v := range values[seen:] {
		n++
		away := v - (p.mean + p.meanC)
		p.mean, p.meanC = add(away/n, p.mean, p.meanC)
		p.squares, p.squaresC = add(away*(v-(p.mean+p.meanC)), p.squares, p.squaresC)
	}
	if finite(p.mean) && finite(p.meanC) && finite(p.squares) && finite(p.squaresC) {
		return (p.squares + p.squaresC) / n
	}
	return unboundedVariance(values)
}

// twoVariances returns the variances of two windows.
func twoVariances(a, b []float64) (float64, float64) {
	var p, q spread
	common := min(len(a), len(b))
	n := 0.0
	others := b[:common]
	for k, v := range a[:common] {
		n++
		w := others[k]
		awayV, awayW := v-(p.mean+p.meanC), w-(q.mean+q.meanC)
		p.mean, p.meanC = add(awayV/n, p.mean, p.meanC)
		q.mean, q.meanC = add(awayW/n, q.mean, q.meanC)
		p.squares, p.squaresC = add(awayV*(v-(p.mean+p.meanC)), p.squares, p.squaresC)
		q.squares, q.squaresC = add(awayW*(w-(q.mean+q.meanC)), q.squares, q.squaresC)
	}
	return p.of(a, common), q.of(b, common)
}

// unboundedVariance is the variance where a sum is not finite on the way.
func unboundedVariance(values []float64) float64 {
	var n, mean, meanC, squares, squaresC float64
	for _, v := range values {
		n++
		away := v - (mean + meanC)
		mean, meanC = kahansum.Inc(away/n, mean, meanC)
		squares, squaresC = kahansum.Inc(away*(v-(mean+meanC)), squares, squaresC)
	}
	return (squares + squaresC) / n
}

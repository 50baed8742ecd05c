package window

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

// sum is sum_over_time: a compensated sum, from the first sample to the last.
func sum(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	switch how := b.summing(s.Values, sumGain); how.kind {
	case sumWhole:
		wholeSums(dst, s.Values, b, scratch)
	case sumFixed:
		fixedSums(dst, s.Values, b, scratch, how.scale)
	default:
		if s.Known.Whole {
			eachWindow(dst, s, b, wholeSum)
		} else {
			eachWindow(dst, s, b, compensated)
		}
	}
	return true
}

// average is avg_over_time: the running sum divided by the number of samples, plus
// the compensation divided by it.
func average(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	switch how := b.summing(s.Values, meanGain); how.kind {
	case sumWhole:
		wholeSums(dst, s.Values, b, scratch)
		for i, to := range b.To {
			if from := b.From[i]; from < to {
				dst[i] /= float64(to - from)
			}
		}
	case sumFixed:
		fixedMeans(dst, s.Values, b, scratch, how.scale)
	default:
		if s.Known.Whole {
			eachWindow(dst, s, b, wholeMean)
		} else {
			eachWindow(dst, s, b, mean)
		}
	}
	return true
}

// add adds v to a compensated sum t + c, as long as all of it stays finite; if
// something does not, c is not finite from then on. It finds the error of the
// addition exactly, as kahansum.Inc does, but without a branch. The conversion keeps
// v from being fused with the product it may be.
func add(v, t, c float64) (float64, float64) {
	v = float64(v)
	next := t + v
	part := next - t
	return next, c + ((t - (next - part)) + (v - part))
}

// finite reports whether v is neither infinite nor NaN.
func finite(v float64) bool { return v-v == 0 }

// compensated returns the sum of values.
func compensated(values []float64) float64 {
	var t, c float64
	for _, v := range values {
		t, c = add(v, t, c)
	}
	if finite(t) && finite(c) {
		return t + c
	}
	return unboundedSum(values)
}

// wholeSum is compensated for whole numbers.
func wholeSum(values []float64) float64 {
	if sum, ok := exactSum(values); ok {
		return sum
	}
	return compensated(values)
}

// wholeMean is mean for whole numbers.
func wholeMean(values []float64) float64 {
	if sum, ok := exactSum(values); ok {
		return sum / float64(len(values))
	}
	return mean(values)
}

// exactSum adds whole numbers. If their magnitudes add up to less than 2^53, every
// sum of some of them is exact, and so is that of all.
func exactSum(values []float64) (sum float64, ok bool) {
	var a, b, c, d float64
	most := uint64(0) // all bits: as a float, it is above every magnitude
	k := 0
	for ; k+4 <= len(values); k += 4 {
		v := values[k : k+4 : k+4]
		a += v[0]
		b += v[1]
		c += v[2]
		d += v[3]
		most |= math.Float64bits(v[0]) | math.Float64bits(v[1]) | math.Float64bits(v[2]) | math.Float64bits(v[3])
	}
	for _, v := range values[k:] {
		a += v
		most |= math.Float64bits(v)
	}
	bound := math.Float64frombits(most &^ signBit)
	return a + b + c + d, bound*float64(len(values)) < 1<<53
}

// unboundedSum is compensated where a sum is not finite on the way.
func unboundedSum(values []float64) float64 {
	var t, c float64
	for _, v := range values {
		t, c = kahansum.Inc(v, t, c)
	}
	if math.IsInf(t, 0) {
		return t
	}
	return t + c
}

// mean returns the average of values: that of their sum or, once that overflows,
// the running one.
func mean(values []float64) float64 {
	var c float64
	t := values[0]
	for _, v := range values[1:] {
		t, c = add(v, t, c)
	}
	if finite(t) && finite(c) {
		n := float64(len(values))
		return t/n + c/n
	}
	return unboundedMean(values)
}

// unboundedMean is mean where a sum is not finite on the way.
func unboundedMean(values []float64) float64 {
	var mean, c float64
	t, n, running := values[0], 1.0, false
	for _, v := range values[1:] {
		n++
		if !running {
			next, nextC := kahansum.Inc(v, t, c)
			if !math.IsInf(next, 0) {
				t, c = next, nextC
				continue
			}
			running = true
			mean = t / (n - 1)
			c /= n - 1
		}
		q := (n - 1) / n
		mean, c = kahansum.Inc(v/n, q*mean, q*c)
	}
	if running {
		return mean + c
	}
	return t/n + c/n
}

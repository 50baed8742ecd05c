package window

import (
	"math"
	"math/bits"
)

// Sums of windows are differences of sums from the start, if those are exact. When
// that gives the bits of the compensated sum:
//
//   - Whole numbers, whose magnitudes add up to less than 2^53 in every window: each
//     addition is exact, the compensation 0.
//   - Values whose exponents differ by little: say all are multiples of 2^L, and the
//     magnitudes of the n samples of a window add up to less than 2^E. The rounding
//     error of each addition is a multiple of 2^L, and at most 2^(E-54). Their sum is
//     at most n * 2^(E-54): below 2^(L+53) it is exact, too. Then the running sum plus
//     the compensation are exactly the sum, and the result is it, rounded once. And
//     what the sum and the running sum differ by is exactly the compensation.
type summing struct {
	kind  sumKind
	scale int // L, in sumFixed
}

type sumKind int

const (
	sumScan sumKind = iota
	sumWhole
	sumFixed
)

const (
	signBit  = 1 << 63
	fraction = 1<<52 - 1
	// exponents of fixed sums, biased: far from what is not a normal number
	exponentMin, exponentMax = 100, 1900
	// How many times the windows must look at a sample on average for fixed sums to
	// be faster than adding up each window.
	sumGain, meanGain = 8, 8
)

// summing returns how the windows' values can be added: fixed, only if windows look
// at each sample gain times.
func (b *Bounds) summing(values []float64, gain int64) summing {
	from, to := b.span()
	if from >= to || b.Looked <= int64(to-from) {
		return summing{} // nothing is added twice
	}
	values = values[from:to]
	most, least := uint64(0), uint64(math.MaxUint64)
	whole := true
	for _, v := range values {
		u := math.Float64bits(v) &^ signBit
		most, least = max(most, u), min(least, u-1) // a 0 is no least
		if float64(int64(v)) != v {
			whole = false
		}
	}
	n := b.longestWindow()
	if whole && math.Float64frombits(most)*float64(n) < 1<<53 {
		return summing{kind: sumWhole}
	}
	high, low := int(most>>52), int((least+1)>>52)
	lg := bits.Len(uint(n))
	// E is high-1023+1+lg, L is low-1023-52.
	if b.Looked < gain*int64(to-from) || low < exponentMin || high > exponentMax || lg+(high+1+lg)-54 > low-52+53-1 {
		return summing{}
	}
	return summing{kind: sumFixed, scale: low - 1023 - 52}
}

// wholeSums adds values that are whole numbers.
func wholeSums(dst, values []float64, b *Bounds, scratch *Scratch) {
	base, end := b.span()
	sums := grown(&scratch.longs, end-base+1)
	t := int64(0)
	sums[0] = 0
	for k, v := range values[base:end] {
		t += int64(v)
		sums[k+1] = t
	}
	for i, to := range b.To {
		dst[i] = Absent
		if from := b.From[i]; from < to {
			dst[i] = float64(sums[int(to)-base] - sums[int(from)-base])
		}
	}
}

// fixedSums adds values that are multiples of 2^scale.
func fixedSums(dst, values []float64, b *Bounds, scratch *Scratch, scale int) {
	base, _ := b.span()
	sums := sumsFromStart(values, b, scratch, scale)
	for i, to := range b.To {
		dst[i] = Absent
		if from := b.From[i]; from < to {
			dst[i] = sums[int(to)-base].minus(sums[int(from)-base]).rounded(scale)
		}
	}
}

// fixedMeans averages values that are multiples of 2^scale.
func fixedMeans(dst, values []float64, b *Bounds, scratch *Scratch, scale int) {
	base, _ := b.span()
	sums := sumsFromStart(values, b, scratch, scale)
	runningSums(dst, values, b)
	for i, to := range b.To {
		if from := b.From[i]; from < to {
			t, n := dst[i], float64(to-from)
			c := sums[int(to)-base].minus(sums[int(from)-base]).minus(wideOf(t, scale)).rounded(scale)
			dst[i] = t/n + c/n
		}
	}
}

// sumsFromStart returns the sums of the values before each.
func sumsFromStart(values []float64, b *Bounds, scratch *Scratch, scale int) []wide {
	base, end := b.span()
	sums := grown(&scratch.wides, end-base+1)
	var t wide
	sums[0] = t
	for k, v := range values[base:end] {
		t = t.plus(v, scale)
		sums[k+1] = t
	}
	return sums
}

// runningSums adds up each window from its first value on, rounding each time, four
// windows at once: an addition waits for the one before it.
func runningSums(dst, values []float64, b *Bounds) {
	for i := 0; i < len(dst); {
		if i+4 <= len(dst) && b.From[i] < b.To[i] && b.From[i+1] < b.To[i+1] && b.From[i+2] < b.To[i+2] && b.From[i+3] < b.To[i+3] {
			fourRunningSums(dst[i:i+4], values[b.From[i]:b.To[i]], values[b.From[i+1]:b.To[i+1]],
				values[b.From[i+2]:b.To[i+2]], values[b.From[i+3]:b.To[i+3]])
			i += 4
			continue
		}
		dst[i] = Absent
		if from, to := b.From[i], b.To[i]; from < to {
			dst[i] = continued(values[from], values[from+1:to])
		}
		i++
	}
}

func fourRunningSums(dst, w, x, y, z []float64) {
	n := min(len(w), len(x), len(y), len(z))
	v, dst := w[:n], dst[:4]
	xs, ys, zs := x[:n], y[:n], z[:n]
	a, b, c, d := w[0], x[0], y[0], z[0]
	for k := 1; k < len(v); k++ {
		a += v[k]
		b += xs[k]
		c += ys[k]
		d += zs[k]
	}
	dst[0], dst[1], dst[2], dst[3] = continued(a, w[n:]), continued(b, x[n:]), continued(c, y[n:]), continued(d, z[n:])
}

// continued returns t plus values, one after the other.
func continued(t float64, values []float64) float64 {
	for _, v := range values {
		t += v
	}
	return t
}

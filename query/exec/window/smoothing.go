package window

// smooth is double_exponential_smoothing; its parameters are the factors for the
// level and the trend. Those that are no fractions are left to Prometheus's, which
// words the error.
func smooth(dst []float64, s Samples, b *Bounds, params [][]float64, _ *Scratch) bool {
	if len(params) < 2 {
		return false
	}
	for i, to := range b.To {
		level, trend := params[0][i], params[1][i]
		if level <= 0 || level >= 1 || trend <= 0 || trend >= 1 {
			return false
		}
		dst[i] = Absent
		if from := b.From[i]; to-from >= 2 {
			dst[i] = smoothed(s.Values[from:to], level, trend)
		}
	}
	return true
}

// smoothed returns the level at the last of values.
func smoothed(values []float64, level, trend float64) float64 {
	before, at := 0.0, values[0]
	slope := values[1] - values[0]
	for i, v := range values[1:] {
		near := level * v
		if i > 0 {
			turn := trend * (at - before)
			keep := (1 - trend) * slope
			slope = turn + keep
		}
		far := (1 - level) * (at + slope)
		before, at = at, near+far
	}
	return at
}

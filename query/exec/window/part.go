package window

// Part sets dst to the bounds of steps [from, to) of b, and returns it. It shares
// the memory of b.
func (b *Bounds) Part(dst *Bounds, from, to int) *Bounds {
	dst.Start, dst.Step, dst.Range = b.Ref(from), b.Step, b.Range
	dst.evalStart, dst.evalStep = b.evalStart+int64(from)*b.evalStep, b.evalStep
	dst.longest, dst.edges, dst.steady = 0, dst.edges[:0], steady{}
	for i := range dst.fits {
		dst.fits[i] = dst.fits[i][:0]
	}
	dst.From, dst.To, dst.Looked = b.From[from:to], b.To[from:to], 0
	for i, at := range dst.From {
		dst.Looked += int64(dst.To[i] - at)
	}
	return dst
}

// Rescans reports whether the function with PromQL's name may look at every sample
// of each window, so that its time is that of all windows together.
func Rescans(name string) bool {
	switch name {
	case "avg_over_time", "double_exponential_smoothing", "mad_over_time", "quantile_over_time",
		"stddev_over_time", "stdvar_over_time", "sum_over_time":
		return true
	}
	return false
}

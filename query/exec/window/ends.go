package window

// The functions that look at the ends of a window only.

func count(dst []float64, _ Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if n := to - b.From[i]; n > 0 {
			dst[i] = float64(n)
		}
	}
	return true
}

// present is 1 where the window has samples. absent_over_time is, too, as long as
// it looks at one series: where no series has a result, its caller puts one.
func present(dst []float64, _ Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if to > b.From[i] {
			dst[i] = 1
		}
	}
	return true
}

func first(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if from := b.From[i]; from < to {
			dst[i] = s.Values[from]
		}
	}
	return true
}

func last(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if b.From[i] < to {
			dst[i] = s.Values[to-1]
		}
	}
	return true
}

func timeOfFirst(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if from := b.From[i]; from < to {
			dst[i] = float64(s.Times[from]) / 1000
		}
	}
	return true
}

func timeOfLast(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if b.From[i] < to {
			dst[i] = float64(s.Times[to-1]) / 1000
		}
	}
	return true
}

// instantRate is irate.
func instantRate(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if to-b.From[i] < 2 {
			continue
		}
		before, v := s.Values[to-2], s.Values[to-1]
		if !(v < before) { // not a reset, after which v counts from 0
			v -= before
		}
		dst[i] = v / (float64(s.Times[to-1]-s.Times[to-2]) / 1000)
	}
	return true
}

// instantDelta is idelta.
func instantDelta(dst []float64, s Samples, b *Bounds, _ [][]float64, _ *Scratch) bool {
	for i, to := range b.To {
		dst[i] = Absent
		if to-b.From[i] >= 2 {
			dst[i] = s.Values[to-1] - s.Values[to-2]
		}
	}
	return true
}

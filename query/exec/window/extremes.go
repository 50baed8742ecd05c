package window

// The extremes of windows are kept in two parts: for each sample before a border,
// that of all from there to the border, and that of all behind the border. When a
// window starts behind the border, it moves to the window's end. So each sample is
// looked at twice at most, however long the windows are.
//
// Of samples that are equal (zeros of either sign are, too) the values keep the
// first, the times the last. A NaN counts only where there is nothing else.

func lowest(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	base, end := b.span()
	before := grown(&scratch.floats, end-base)
	border, seen := int32(-1), int32(0)
	var behind float64
	for i, to := range b.To {
		from := b.From[i]
		if from >= to {
			dst[i] = Absent
			continue
		}
		if from >= border {
			border, seen = to, to
			m := s.Values[to-1]
			before[int(to)-1-base] = m
			for k := int(to) - 2; k >= int(from); k-- {
				if v := s.Values[k]; !(m < v || v != v) {
					m = v
				}
				before[k-base] = m
			}
		}
		for _, v := range s.Values[seen:to] {
			if v < behind || behind != behind || seen == border {
				behind = v
			}
			seen++
		}
		m := before[int(from)-base]
		if to > border && (behind < m || m != m) {
			m = behind
		}
		dst[i] = m
	}
	return true
}

func highest(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	base, end := b.span()
	before := grown(&scratch.floats, end-base)
	border, seen := int32(-1), int32(0)
	var behind float64
	for i, to := range b.To {
		from := b.From[i]
		if from >= to {
			dst[i] = Absent
			continue
		}
		if from >= border {
			border, seen = to, to
			m := s.Values[to-1]
			before[int(to)-1-base] = m
			for k := int(to) - 2; k >= int(from); k-- {
				if v := s.Values[k]; !(m > v || v != v) {
					m = v
				}
				before[k-base] = m
			}
		}
		for _, v := range s.Values[seen:to] {
			if v > behind || behind != behind || seen == border {
				behind = v
			}
			seen++
		}
		m := before[int(from)-base]
		if to > border && (behind > m || m != m) {
			m = behind
		}
		dst[i] = m
	}
	return true
}

func timeOfLowest(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	timeOfExtreme(dst, s, b, scratch, -1)
	return true
}

func timeOfHighest(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	timeOfExtreme(dst, s, b, scratch, 1)
	return true
}

// timeOfExtreme keeps positions, as lowest and highest keep values: those of the
// highest of the values times sign.
func timeOfExtreme(dst []float64, s Samples, b *Bounds, scratch *Scratch, sign float64) {
	base, end := b.span()
	before := grown(&scratch.ints, end-base)
	border, seen, behind := int32(-1), int32(0), int32(0)
	var most float64 // at behind
	for i, to := range b.To {
		from := b.From[i]
		if from >= to {
			dst[i] = Absent
			continue
		}
		if from >= border {
			border, seen = to, to
			at, m := to-1, s.Values[to-1]*sign
			before[int(at)-base] = at
			for k := to - 2; k >= from; k-- {
				if v := s.Values[k] * sign; !(m >= v || v != v) {
					at, m = k, v
				}
				before[int(k)-base] = at
			}
		}
		for ; seen < to; seen++ {
			v := s.Values[seen] * sign
			if v >= most || most != most || seen == border {
				behind, most = seen, v
			}
		}
		at := before[int(from)-base]
		if to > border {
			if m := s.Values[at] * sign; most >= m || m != m {
				at = behind
			}
		}
		dst[i] = float64(s.Times[at]) / 1000
	}
}

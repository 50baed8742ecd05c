package window

func resets(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	from, to := b.span()
	seen := grown(&scratch.ints, to-from)
	n, before := int32(0), 0.0
	for k, v := range s.Values[from:to] {
		var more int32
		if v < before && k > 0 {
			more = 1
		}
		n += more
		seen[k], before = n, v
	}
	differences(dst, b, seen, from)
	return true
}

func changes(dst []float64, s Samples, b *Bounds, _ [][]float64, scratch *Scratch) bool {
	from, to := b.span()
	seen := grown(&scratch.ints, to-from)
	n, before := int32(0), 0.0
	for k, v := range s.Values[from:to] {
		var more int32
		if v != before && (v == v || before == before) && k > 0 { // a NaN equals a NaN
			more = 1
		}
		n += more
		seen[k], before = n, v
	}
	differences(dst, b, seen, from)
	return true
}

// differences sets dst to what happened after a window's first sample, up to its
// last. seen[k] is the number of events up to sample base+k.
func differences(dst []float64, b *Bounds, seen []int32, base int) {
	for i, to := range b.To {
		dst[i] = Absent
		if from := b.From[i]; from < to {
			dst[i] = float64(seen[int(to)-1-base] - seen[int(from)-base])
		}
	}
}

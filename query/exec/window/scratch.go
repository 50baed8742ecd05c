package window

// Scratch is memory that functions reuse.
type Scratch struct {
	floats  []float64
	ints    []int32
	longs   []int64
	wides   []wide
	ordered ordered
}

// grown returns *buf with length n and undefined contents.
func grown[T any](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, max(n, 2*cap(*buf)))
	}
	*buf = (*buf)[:n]
	return *buf
}

// span returns the samples [from, to) that the windows of b look at: together, and
// what lies between them.
func (b *Bounds) span() (from, to int) {
	if len(b.From) == 0 {
		return 0, 0
	}
	return int(b.From[0]), int(b.To[len(b.To)-1])
}

// longestWindow returns the number of samples of the longest window.
func (b *Bounds) longestWindow() int {
	if b.longest == 0 {
		n := int32(0)
		for i, to := range b.To {
			n = max(n, to-b.From[i])
		}
		b.longest = int(n)
	}
	return b.longest
}

// sameAsBefore reports whether step i looks at the samples of the step before it.
func (b *Bounds) sameAsBefore(i int) bool {
	return i > 0 && b.From[i] == b.From[i-1] && b.To[i] == b.To[i-1]
}

// eachWindow computes, where the window is not empty, dst[i] from its values alone.
func eachWindow(dst []float64, s Samples, b *Bounds, compute func(values []float64) float64) {
	for i, to := range b.To {
		from := b.From[i]
		switch {
		case from >= to:
			dst[i] = Absent
		case b.sameAsBefore(i):
			dst[i] = dst[i-1]
		default:
			dst[i] = compute(s.Values[from:to])
		}
	}
}

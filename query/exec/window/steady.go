package window

// steady is what is known of windows over samples that all have the same distance,
// at steps that are a multiple of it: from step to step a window moves by as many
// samples, and those lie in it at the same places. Only at both ends of the samples
// windows differ.
type steady struct {
	shape    steadyShape // of From and To, as they are
	from, to int         // the steps whose windows are alike
}

// steadyShape decides From and To.
type steadyShape struct {
	samples, steps int
	from, to       int64 // of step 0, as if there were samples before and behind
	stride         int64 // samples a step; 0 if it is not the same for all steps
}

// farthest bounds the times that steady positions are calculated with.
const farthest = 1 << 60

// keepsRhythm reports whether positions in s at n steps can be calculated.
func (s *Samples) keepsRhythm(start, step, span int64, n int) bool {
	if s.Every <= 0 || len(s.Times) == 0 || n == 0 || step < 0 || step > farthest/int64(n) {
		return false
	}
	return max(s.First, start, span) < farthest && min(s.First, start, span) > -farthest
}

// steadyAfter is After for samples of the same distance. It returns false, and has
// changed nothing, where they have not.
func (s *Samples) steadyAfter(dst []int32, start, step int64) bool {
	if !s.keepsRhythm(start, step, 0, len(dst)) {
		return false
	}
	at, rest := floorDivided(start-s.First, s.Every)
	s.walk(step).fill(dst, at+1, rest)
	return true
}

// setSteady is Set for samples of the same distance. It returns false, and has
// changed nothing, where they have not.
func (b *Bounds) setSteady(s Samples, n int) bool {
	if !s.keepsRhythm(b.Start, b.Step, b.Range, n) {
		return false
	}
	to, toRest := floorDivided(b.Start-s.First, s.Every)
	from, fromRest := floorDivided(b.Start-b.Range-s.First, s.Every)
	shape := steadyShape{samples: len(s.Times), steps: n, from: from + 1, to: to + 1}
	if b.Step%s.Every == 0 {
		shape.stride = b.Step / s.Every
	}
	if shape.stride != 0 && shape == b.steady.shape {
		return true // as for the series before
	}
	b.room(n)
	walk := s.walk(b.Step)
	walk.fill(b.From, from+1, fromRest)
	walk.fill(b.To, to+1, toRest)
	b.looks()
	b.steady.shape = shape
	b.steady.from, b.steady.to = shape.alike()
	return true
}

// Newest decides where the steps of a grid find their newest samples, among samples
// of the same distance that are a part of the steps': where it is equal, they find
// them at the same positions.
type Newest struct {
	samples, steps int
	at, stride     int64 // behind that of step 0, and how far the next step's lies
	alive          int64 // the steps for which the last sample is not too old
}

// Newest returns where n steps find their newest samples, of which none is older
// than lookback. It returns false if the positions are not that regular.
func (s *Samples) Newest(start, step, lookback int64, n int) (Newest, bool) {
	if step <= 0 || !s.keepsRhythm(start, step, lookback, n) || step%s.Every != 0 {
		return Newest{}, false
	}
	at, age := floorDivided(start-s.First, s.Every)
	if age >= lookback {
		return Newest{}, false
	}
	last := s.Time(len(s.Times) - 1)
	alive, _ := floorDivided(last+lookback-start-1, step)
	return Newest{
		samples: len(s.Times), steps: n, at: at + 1, stride: step / s.Every,
		alive: max(0, min(alive+1, int64(n))),
	}, true
}

// alike returns the steps whose windows no end of the samples cuts.
func (s steadyShape) alike() (from, to int) {
	if s.stride == 0 {
		return 0, 0
	}
	// From is not below 0, To not above the number of samples.
	if s.from < 0 {
		from = int(min((-s.from+s.stride-1)/s.stride, int64(s.steps)))
	}
	if room := int64(s.samples) - s.to; room >= 0 {
		to = int(min(room/s.stride+1, int64(s.steps)))
	}
	return from, max(from, to)
}

// floorDivided returns a/b, rounded down, and what is left.
func floorDivided(a, b int64) (quotient, rest int64) {
	quotient, rest = a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	return quotient, rest
}

// walk goes from step to step by whole samples and a rest of a distance.
type walk struct{ whole, rest, every, samples int64 }

func (s *Samples) walk(step int64) walk {
	return walk{step / s.Every, step % s.Every, s.Every, int64(len(s.Times))}
}

// fill sets dst to the positions of the steps, of which the first is at, and a rest
// beyond it.
func (w walk) fill(dst []int32, at, rest int64) {
	for i := range dst {
		dst[i] = int32(max(0, min(at, w.samples)))
		at += w.whole
		if rest += w.rest; rest >= w.every {
			rest -= w.every
			at++
		}
	}
}

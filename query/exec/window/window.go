package window

import (
	"math"
	"sort"

	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks/column"
)

// Samples are a series' floats, ascending strictly in time, without stale markers.
type Samples struct {
	Times []int64 // milliseconds
	// Every is the distance of neighbours in Times where all have the same, and First
	// the first of them; else both are 0.
	Every, First int64
	Values       []float64
	Known        column.Facts // of Values
}

// Bounds says which samples each step of a grid looks at: those with times in
// (ref - Range, ref], where ref is Ref of the step.
type Bounds struct {
	// Start and Step give the reference times: that of step i is Start + i*Step.
	Start, Step int64
	Range       int64
	Width       int64 // of windows, if samples are: see SetWindows
	// Step i looks at samples [From[i], To[i]).
	From, To []int32
	// Looked is the sum of all windows' lengths.
	Looked int64

	// The times at which the expression is evaluated: see EvaluatedAt.
	evalStart, evalStep int64

	// What functions derive from the times alone, once for all series that share
	// them; Set forgets it.
	longest int // length of the longest window, 0 if not known
	edges   []edge
	fits    [2][]fit // of deriv, predict_linear
	steady  steady
}

// Ref returns the end (inclusive) of the window of step i.
func (b *Bounds) Ref(i int) int64 { return b.Start + int64(i)*b.Step }

// EvaluatedAt says that step i is evaluated at start + i*step, if that is not Ref,
// because of an offset or an @ modifier: it is the time that predict_linear starts
// from. It is called after Set.
func (b *Bounds) EvaluatedAt(start, step int64) {
	if start != b.evalStart || step != b.evalStep {
		b.evalStart, b.evalStep, b.fits[fromEvaluation] = start, step, b.fits[fromEvaluation][:0]
	}
}

// Steps returns the number of steps.
func (b *Bounds) Steps() int { return len(b.From) }

// Set computes the bounds of n steps over the times of s.
func (b *Bounds) Set(s Samples, start, step, span int64, n int) {
	b.Start, b.Step, b.Range = start, step, span
	b.evalStart, b.evalStep = start, step
	b.edges = b.edges[:0]
	for i := range b.fits {
		b.fits[i] = b.fits[i][:0]
	}
	if span > 0 && b.setSteady(s, n) {
		return
	}
	b.steady = steady{}
	b.room(n)
	if span <= 0 {
		clear(b.From)
		clear(b.To)
	} else {
		after(b.From, s.Times, start-span, step)
		after(b.To, s.Times, start, step)
	}
	b.looks()
}

// room makes room for n steps.
func (b *Bounds) room(n int) {
	if cap(b.From) < n {
		b.From, b.To = make([]int32, n), make([]int32, n)
	}
	b.From, b.To = b.From[:n], b.To[:n]
}

// looks adds up the windows' lengths.
func (b *Bounds) looks() {
	b.longest, b.Looked = 0, 0
	for i, from := range b.From {
		b.Looked += int64(b.To[i] - from)
	}
}

// Time returns the time of sample k.
func (s *Samples) Time(k int) int64 {
	if s.Every > 0 {
		return s.First + int64(k)*s.Every
	}
	return s.Times[k]
}

// After sets dst[i] to the index of the first of the times after start + i*step.
func (s *Samples) After(dst []int32, start, step int64) {
	if !s.steadyAfter(dst, start, step) {
		after(dst, s.Times, start, step)
	}
}

// after is After by looking at the times. It guesses from the interval of the
// samples and corrects the guess.
func after(dst []int32, times []int64, start, step int64) {
	if len(times) == 0 {
		clear(dst)
		return
	}
	at := sort.Search(len(times), func(k int) bool { return times[k] > start })
	stride := 0 // samples a step, by the last one
	ref := start
	for i := range dst {
		before := at
		if k := at + stride; k > 0 && k < len(times) && times[k-1] <= ref {
			at = k
			if times[k] > ref {
				dst[i] = int32(at)
				ref += step
				continue
			}
		}
		from := at
		for at < len(times) && times[at] <= ref {
			at++
			if at-from > 16 { // a gap in the steps: search for it
				at += sort.Search(len(times)-at, func(k int) bool { return times[at+k] > ref })
				break
			}
		}
		if i > 0 {
			stride = at - before
		}
		dst[i] = int32(at)
		ref += step
	}
}

// Absent marks a step without a result: see exec.Absent.
var Absent = math.Float64frombits(value.StaleNaN)

// Function computes dst[i] for every step i of b, Absent where there is no
// result. params are the function's scalar arguments in their order, a value for
// each step. It returns false, with dst undefined, if it leaves the series to
// Prometheus's function: then that is asked step by step.
type Function func(dst []float64, s Samples, b *Bounds, params [][]float64, scratch *Scratch) bool

// Find returns the function with PromQL's name, nil if there is none.
func Find(name string) Function { return functions[name] }

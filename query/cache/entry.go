package cache

import (
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/varve-db/varve/query/exec"
)

// Entry is the result of an expression at consecutive steps.
type Entry struct {
	// Mark is when it was computed, as the storage counts.
	Mark uint64
	// Earliest is the time from which on the storage read then.
	Earliest int64
	// Notes are the annotations of the result as they are shown, sorted.
	Notes []string

	grid   exec.Grid
	series []promql.Series // in label order, without points
	values []float64       // of each series at each step, Absent where there is none
	bytes  int64
}

// NewEntry returns the entry of a result, whose series are in order. It returns
// nil if the result has histograms, or two series with the same labels.
func NewEntry(m promql.Matrix, grid exec.Grid) *Entry {
	steps := grid.Count()
	e := &Entry{
		grid:   exec.Grid{Start: grid.Start, End: grid.At(steps - 1), Step: grid.Step},
		series: make([]promql.Series, len(m)), values: make([]float64, len(m)*steps),
	}
	text := 0
	for i, s := range m {
		if len(s.Histograms) > 0 || i > 0 && labels.Compare(m[i-1].Metric, s.Metric) >= 0 {
			return nil
		}
		e.series[i] = promql.Series{Metric: s.Metric.Copy(), DropName: s.DropName} // what labels were cut from is not kept
		text += int(s.Metric.ByteSize())
		row := e.row(i)
		for k := range row {
			row[k] = exec.Absent
		}
		for _, p := range s.Floats {
			row[(p.T-grid.Start)/grid.Step] = p.F
		}
	}
	e.bytes = int64(text) + int64(len(m))*int64(unsafe.Sizeof(promql.Series{})) + 8*int64(len(e.values)) + int64(unsafe.Sizeof(*e))
	return e
}

func (e *Entry) row(i int) []float64 {
	steps := e.grid.Count()
	return e.values[i*steps : (i+1)*steps : (i+1)*steps]
}

// Span returns the times of the first and the last step.
func (e *Entry) Span() (first, last int64) { return e.grid.Start, e.grid.End }

// Within returns the steps of a grid that the entry has, of those from first to
// last. The grid has the step and the phase of the entry's. ok is false if there
// are none.
func (e *Entry) Within(grid exec.Grid, first, last int64) (within exec.Grid, ok bool) {
	first, last = max(first, e.grid.Start, grid.Start), min(last, e.grid.End, grid.At(grid.Count()-1))
	if first > last {
		return exec.Grid{}, false
	}
	first += (grid.Step - (first-grid.Start)%grid.Step) % grid.Step
	last -= (last - grid.Start) % grid.Step
	return exec.Grid{Start: first, End: last, Step: grid.Step}, first <= last
}

// Join returns the entry's points at the steps of kept, with those of before and
// after, which lie before and after them.
func (e *Entry) Join(kept exec.Grid, before, after promql.Matrix) promql.Matrix {
	at, n := int((kept.Start-e.grid.Start)/e.grid.Step), kept.Count()
	points := 0
	found := make([]int, len(e.series)) // points of the entry's series
	for i := range e.series {
		for _, v := range e.row(i)[at : at+n] {
			if !exec.IsAbsent(v) {
				found[i]++
			}
		}
		points += found[i]
	}
	j := joiner{out: make(promql.Matrix, 0, len(e.series)), before: before, after: after}
	j.arena = make([]promql.FPoint, 0, points+pointsOf(before)+pointsOf(after))
	for i, s := range e.series {
		if found[i] == 0 {
			continue
		}
		j.until(s.Metric)
		j.add(s, func() {
			for k, v := range e.row(i)[at : at+n] {
				if !exec.IsAbsent(v) {
					j.arena = append(j.arena, promql.FPoint{T: kept.At(k), F: v})
				}
			}
		})
	}
	j.rest()
	if len(j.out) == 0 {
		return nil
	}
	return j.out
}

func pointsOf(m promql.Matrix) (n int) {
	for _, s := range m {
		n += len(s.Floats)
	}
	return n
}

// joiner merges three lists of series in label order, whose points follow one
// another.
type joiner struct {
	out           promql.Matrix
	arena         []promql.FPoint // has room for all points
	before, after promql.Matrix   // what has not been added
}

// until adds the series of before and after that come before ls.
func (j *joiner) until(ls labels.Labels) {
	for {
		first, ok := j.first()
		if !ok || labels.Compare(first.Metric, ls) >= 0 {
			return
		}
		j.add(first, func() {})
	}
}

// rest adds all that is left.
func (j *joiner) rest() {
	for first, ok := j.first(); ok; first, ok = j.first() {
		j.add(first, func() {})
	}
}

// first returns the series that comes first in before and after.
func (j *joiner) first() (promql.Series, bool) {
	switch {
	case len(j.before) == 0 && len(j.after) == 0:
		return promql.Series{}, false
	case len(j.before) == 0:
		return j.after[0], true
	case len(j.after) == 0 || labels.Compare(j.before[0].Metric, j.after[0].Metric) <= 0:
		return j.before[0], true
	}
	return j.after[0], true
}

// add adds the series s, which comes before or at the first of before and after;
// kept appends its points between theirs.
func (j *joiner) add(s promql.Series, kept func()) {
	from := len(j.arena)
	take := func(m *promql.Matrix) {
		if len(*m) > 0 && labels.Equal((*m)[0].Metric, s.Metric) {
			j.arena = append(j.arena, (*m)[0].Floats...)
			*m = (*m)[1:]
		}
	}
	take(&j.before)
	kept()
	take(&j.after)
	s.Floats = j.arena[from:len(j.arena):len(j.arena)]
	j.out = append(j.out, s)
}

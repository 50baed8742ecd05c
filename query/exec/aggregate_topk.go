package exec

import (
	"context"
	"math"

	"github.com/prometheus/prometheus/promql/parser"
)

// topK is topk and bottomk: a heap for each step of each group.
type topK struct {
	intake
	ranking ranking
	limits  []int64
	groups  []topGroup
	// bounds are the values that are needed to get into the heaps: a point that is
	// not beyond them stays out. NaN where it must be looked at.
	bounds groupColumns[float64]
	result chosen
}

// topGroup has the heap of each step.
type topGroup [][]ranked

func newTopK(in intake) *topK {
	return &topK{intake: in, ranking: ranking(in.expr.Op == parser.BOTTOMK)}
}

func (t *topK) Grid() Grid { return t.grid }

func (t *topK) Series(ctx context.Context) ([]Series, error) {
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	var failed error
	if t.limits, failed = t.parameter.counts(); t.limits == nil {
		if err := t.discard(ctx); err != nil {
			return nil, err
		}
		return nil, failed
	}
	if err := t.run(ctx, t.add); err != nil {
		return nil, err
	}
	if t.grid.Instant() {
		t.ordered()
	} else {
		t.bySeries()
	}
	out := make([]Series, len(t.result.series))
	for i, series := range t.result.series {
		out[i] = t.input[series]
	}
	t.groups, t.input = nil, nil
	return out, nil
}

func (t *topK) Run(ctx context.Context, each Each, sink Sink) error {
	defer t.release()
	return t.query.runRows(ctx, rowsOf{len(t.result.series), t.steps, t.result.fill(t.steps)}, each, sink)
}

// roomMax is how much room a heap gets beforehand.
const roomMax = 16

// grow makes the heaps of a new group.
func (t *topK) grow(group, i int) {
	t.bounds.grow(group, t.steps, len(t.number))
	bounds, most, room := t.bounds.of(group), min(int64(t.sizes[t.groupOf(i)]), roomMax), int64(0)
	for step, k := range t.limits {
		bounds[step] = math.NaN()
		if k < 1 {
			bounds[step] = math.Inf(1)
			if t.ranking {
				bounds[step] = math.Inf(-1)
			}
		}
		room += max(0, min(k, most))
	}
	arena, heaps := make([]ranked, room), make(topGroup, t.steps)
	for step, k := range t.limits {
		k = max(0, min(k, most))
		heaps[step], arena = arena[:0:k], arena[k:]
	}
	t.groups = append(t.groups, heaps)
}

func (t *topK) add(group, i int, row *Row, s shape) error {
	if group == len(t.groups) {
		t.grow(group, i)
	}
	if s.kind == shapeMixed && !t.noted {
		for step, h := range row.Histograms {
			if h != nil && t.limits[step] >= 1 {
				t.ignored()
				break
			}
		}
	}
	bounds, more := t.bounds.of(group), 0
	if t.ranking {
		for step, v := range row.Floats {
			if !(v >= bounds[step]) && t.offer(group, i, step, v) {
				more++
			}
		}
	} else {
		for step, v := range row.Floats {
			if !(v <= bounds[step]) && t.offer(group, i, step, v) {
				more++
			}
		}
	}
	return t.hold(more)
}

// offer gives a point to a heap, and reports whether that is larger now.
func (t *topK) offer(group, i, step int, v float64) bool {
	k := t.limits[step]
	if IsAbsent(v) || k < 1 {
		return false
	}
	heap := &t.groups[group][step]
	point := ranked{v, int32(i)}
	more := int64(len(*heap)) < k
	switch {
	case more:
		*heap = t.ranking.push(*heap, point)
	case t.ranking.beats((*heap)[0].value, v):
		t.ranking.replace(*heap, point)
	default:
		return false
	}
	if int64(len(*heap)) == k {
		t.bounds.of(group)[step] = (*heap)[0].value
	}
	return more
}

// ordered makes the result of an instant: group after group, best first.
func (t *topK) ordered() {
	for _, heaps := range t.groups {
		t.ranking.sort(heaps[0])
		for _, p := range heaps[0] {
			t.result.append(p, nil)
		}
	}
}

// bySeries makes the result in order of series.
func (t *topK) bySeries() {
	rows := make([]int32, len(t.input))
	for _, heaps := range t.groups {
		for _, heap := range heaps {
			for _, p := range heap {
				rows[p.series]++
			}
		}
	}
	// next is where the next point of a row goes.
	var next []int
	points := 0
	for series, n := range rows {
		if n > 0 {
			rows[series] = int32(len(next))
			t.result.series, next = append(t.result.series, int32(series)), append(next, points)
			points += int(n)
		}
	}
	t.result.points = make([]chosenPoint, points)
	for _, heaps := range t.groups {
		for step, heap := range heaps {
			for _, p := range heap {
				at := &next[rows[p.series]]
				t.result.points[*at] = chosenPoint{step: int32(step), value: p.value}
				*at++
			}
		}
	}
	t.result.ends = next
}

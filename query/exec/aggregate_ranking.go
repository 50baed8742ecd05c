package exec

import (
	"math"
	"sort"
)

// ranked is a point of a heap.
type ranked struct {
	value  float64
	series int32
}

// ranking is the order of a heap: smallest first, or largest first if it is true.
// NaN is before everything, another NaN too. The heap works as container/heap
// does, so that points of equal rank end up where Prometheus's engine has them.
type ranking bool

func (r ranking) less(a, b float64) bool {
	switch {
	case math.IsNaN(a):
		return true
	case bool(r):
		return a > b
	}
	return a < b
}

// beats reports whether v takes the place of the first of a heap.
func (r ranking) beats(first, v float64) bool {
	if math.IsNaN(first) {
		return !math.IsNaN(v)
	}
	if r {
		return first > v
	}
	return first < v
}

// push adds a point.
func (r ranking) push(heap []ranked, p ranked) []ranked {
	heap = append(heap, p)
	for at := len(heap) - 1; at > 0; {
		parent := (at - 1) / 2
		if !r.less(heap[at].value, heap[parent].value) {
			break
		}
		heap[parent], heap[at] = heap[at], heap[parent]
		at = parent
	}
	return heap
}

// replace puts p in the place of the first.
func (r ranking) replace(heap []ranked, p ranked) {
	heap[0] = p
	for at := 0; ; {
		child := 2*at + 1
		if child >= len(heap) {
			return
		}
		if right := child + 1; right < len(heap) && r.less(heap[right].value, heap[child].value) {
			child = right
		}
		if !r.less(heap[child].value, heap[at].value) {
			return
		}
		heap[at], heap[child] = heap[child], heap[at]
		at = child
	}
}

// sort puts what a heap has last first.
func (r ranking) sort(heap []ranked) {
	if len(heap) > 1 {
		sort.Sort(sort.Reverse(rankedPoints{r, heap}))
	}
}

type rankedPoints struct {
	ranking
	points []ranked
}

func (p rankedPoints) Len() int           { return len(p.points) }
func (p rankedPoints) Less(i, j int) bool { return p.less(p.points[i].value, p.points[j].value) }
func (p rankedPoints) Swap(i, j int)      { p.points[i], p.points[j] = p.points[j], p.points[i] }

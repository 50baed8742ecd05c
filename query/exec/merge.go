package exec

import (
	"context"
	"math/bits"

	"github.com/prometheus/prometheus/model/labels"
)

// merged returns op with the rows of equal label sets made one. Two of them with
// a point at the same step are an error. Where metric names are removed late, it
// is done for operations that Prometheus's engine evaluates step by step
// (rangeEval), over more than one step; otherwise always.
func (q *Query) merged(op Operator, rangeEval bool) Operator {
	if q.DelayedNames && (!rangeEval || op.Grid().Instant()) {
		return op
	}
	return &merge{query: q, child: op}
}

// merge is what merged returns.
type merge struct {
	query  *Query
	child  Operator
	series []Series
	to     []int   // the series that each of the child's becomes; nil if they are unique
	early  *Matrix // the child's rows, which are needed for the order
}

func (m *merge) Grid() Grid { return m.child.Grid() }

func (m *merge) Series(ctx context.Context) ([]Series, error) {
	series, err := m.child.Series(ctx)
	if err != nil {
		return nil, err
	}
	m.series, m.to = unite(series)
	if m.to == nil {
		return m.series, nil
	}
	// What is made one stands where the first of them that has points stood, and
	// sums add in that order.
	if m.early, err = m.query.collectRows(ctx, m.child, series); err != nil {
		return nil, err
	}
	if m.series, m.to = unite(m.early.Series); m.to == nil {
		m.to = ascending(len(m.series))
	}
	return m.series, nil
}

func ascending(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// unite returns the distinct label sets of series in order of first sight, and
// which of them each is; to is nil if all are distinct. Series in the order of
// their labels, which is that of selections, and stays it when all lose one and
// the same name, are distinct without a look at their hashes.
func unite(series []Series) (distinct []Series, to []int) {
	if inOrder(series) {
		return series, nil
	}
	at := newHashed(len(series))
	for i, s := range series {
		first := at.find(s.Labels.Hash(), len(distinct))
		if first == len(distinct) {
			if to == nil {
				distinct = series[: i+1 : i+1]
				continue
			}
			distinct = append(distinct, s)
		}
		if to == nil { // the first that is there already
			to = append(make([]int, 0, len(series)), ascending(i)...)
		}
		to = append(to, first)
	}
	return distinct, to
}

// inOrder reports whether each label set is above the one before.
func inOrder(series []Series) bool {
	for i := 1; i < len(series); i++ {
		if labels.Compare(series[i-1].Labels, series[i].Labels) >= 0 {
			return false
		}
	}
	return true
}

// hashed numbers hashes; it is a table that is at most half full.
type hashed struct {
	hashes  []uint64
	numbers []int32 // from 1
	shift   uint
}

func newHashed(n int) hashed {
	size := bits.Len(uint(2 * n))
	return hashed{make([]uint64, 1<<size), make([]int32, 1<<size), uint(64 - size)}
}

// find returns the number of a hash, which is next if the hash is new.
func (h hashed) find(hash uint64, next int) int {
	for at := hash >> h.shift; ; at = (at + 1) & uint64(len(h.hashes)-1) {
		switch {
		case h.numbers[at] == 0:
			h.hashes[at], h.numbers[at] = hash, int32(next)+1
			return next
		case h.hashes[at] == hash:
			return int(h.numbers[at]) - 1
		}
	}
}

func (m *merge) Run(ctx context.Context, each Each, sink Sink) error {
	if m.to == nil {
		return m.child.Run(ctx, each, sink)
	}
	rows := make([]Row, len(m.series))
	steps := m.Grid().Count()
	w := &Worker{}
	add := func(i int, row *Row) error {
		into := &rows[m.to[i]]
		if into.Floats == nil {
			*into = w.Row(steps)
		}
		for step := range row.Floats {
			if !row.Has(step) {
				continue
			}
			if into.Has(step) {
				return errSameLabels
			}
			into.Set(step, row.Floats[step], row.Histogram(step))
		}
		return nil
	}
	if err := giveAll(ctx, nil, m.early.Rows, nil, add); err != nil {
		return err
	}
	return giveAll(ctx, w, rows, each, sink)
}

// giveAll passes rows on that are there already.
func giveAll(ctx context.Context, w *Worker, rows []Row, each Each, sink Sink) error {
	for i := range rows {
		if rows[i].Floats == nil {
			continue
		}
		if err := ended(ctx); err != nil {
			return err
		}
		if err := give(w, i, &rows[i], each, sink); err != nil {
			return err
		}
	}
	return nil
}

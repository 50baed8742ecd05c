package exec

import (
	"context"
	"math"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// histogramCall is histogram_quantile, histogram_quantiles or histogram_fraction.
// Classic histograms are groups of series whose labels differ in le alone. Workers
// leave a copy of each bucket's row with its group; whoever brings the last
// evaluates the group. All this is done in Series, since the labels of
// histogram_quantiles are known only then, and Run hands out the rows.
type histogramCall struct {
	query *Query
	call  *parser.Call
	grid  Grid
	child Operator
	of    parser.Expr   // the child's
	args  []Operator    // scalars
	exprs []parser.Expr // theirs

	fraction bool // histogram_fraction
	several  bool // histogram_quantiles

	params  [][]float64    // of args
	columns []bucketColumn // kinds of result series
	at      [][]int32      // the column for each quantile and step
	groups  []bucketGroup  // by order of their first series
	places  []bucketPlace  // of the input series
	ending  []int32        // groups by their last series
	scratch perWorker[*bucketScratch]
	last    *bucketScratch // of sink

	input []Series
	rows  []Row // of the result
}

// bucketColumn is what tells the result series of one group apart: nothing, but
// for histogram_quantiles.
type bucketColumn struct {
	arg   int
	label string // the value of the quantile label
}

// bucketPlace is where a series belongs.
type bucketPlace struct {
	group int32
	slot  int32 // among the buckets; -1: it has no le, or a bad one
	bad   bool  // its floats are no bucket
	plain bool  // it has no le: its histograms compete with the group's buckets
}

// bucketGroup is the series that differ in le alone.
type bucketGroup struct {
	input    Series // labels without le
	bounds   []float64
	series   []int32     // of the buckets; first in order of input, then by bound
	buckets  [][]float64 // rows by slot, nil if there is none
	repeated bool        // two buckets have one bound
	native   []*histogram.FloatHistogram
	nativeAt int32        // the series with the histograms, -1 if there is none
	awaited  atomic.Int32 // series that have not come
	last     int32        // the last of its series
	done     bool
	out      []Row // by column
}

func newHistogramCall(q *Query, e *parser.Call, grid Grid, args []Operator) *histogramCall {
	h := &histogramCall{query: q, call: e, grid: grid}
	vector := 0
	switch e.Func.Name {
	case "histogram_quantile":
		vector = 1
	case "histogram_fraction":
		vector, h.fraction = 2, true
	default:
		h.several = true
	}
	h.child, h.of = args[vector], e.Args[vector]
	for i, arg := range args {
		if i != vector && arg != nil {
			h.args, h.exprs = append(h.args, arg), append(h.exprs, e.Args[i])
		}
	}
	return h
}

func (h *histogramCall) Grid() Grid { return h.grid }

func (h *histogramCall) Series(ctx context.Context) ([]Series, error) {
	// The annotations of the arguments are kept apart: see forced.samples.
	before := h.query.swapNotes(nil)
	err := h.evaluate(ctx)
	of := h.query.swapNotes(before)
	h.query.note(of)
	if err != nil {
		return nil, err
	}
	h.annotate(of)
	return h.list(), nil
}

// evaluate computes the results of all groups.
func (h *histogramCall) evaluate(ctx context.Context) error {
	params, notes, err := h.query.scalars(ctx, h.args)
	if err != nil {
		return err
	}
	if !h.several { // there, the vector is the first argument
		h.query.note(notes)
	}
	h.params = params
	h.makeColumns()
	if h.input, err = h.child.Series(ctx); err != nil {
		return err
	}
	h.group(h.input)
	if err := h.child.Run(ctx, h.arrive, h.pass); err != nil {
		return err
	}
	for i := range h.groups {
		if i%1024 == 1023 {
			if err := ended(ctx); err != nil {
				return err
			}
		}
		if err := h.finish(&h.groups[i], h.last); err != nil {
			return err
		}
	}
	if h.several {
		h.query.note(notes)
	}
	return nil
}

func (h *histogramCall) Run(ctx context.Context, each Each, sink Sink) error {
	return h.query.runRows(ctx, rowsOf{len(h.rows), h.grid.Count(), func(_ *Worker, i int, row *Row) error {
		*row = h.rows[i]
		return nil
	}}, each, sink)
}

// makeColumns finds the distinct quantiles of each argument.
func (h *histogramCall) makeColumns() {
	if !h.several {
		h.columns = []bucketColumn{{}}
		return
	}
	texts := map[float64]string{}
	columns := map[bucketColumn]int32{}
	h.at = make([][]int32, len(h.params))
	for a := range h.params {
		h.at[a] = make([]int32, h.grid.Count())
	}
	for step := range h.grid.Count() {
		for a, qs := range h.params {
			q := qs[step]
			text, known := texts[q]
			switch {
			case math.IsNaN(q):
				text = "NaN"
			case !known:
				text = labels.FormatOpenMetricsFloat(q)
				texts[q] = text
			}
			column := bucketColumn{arg: a, label: text}
			at, known := columns[column]
			if !known {
				at = int32(len(h.columns))
				columns[column] = at
				h.columns = append(h.columns, column)
			}
			h.at[a][step] = at
		}
	}
}

// group finds which series belong together.
func (h *histogramCall) group(input []Series) {
	known := make(map[string]int32, len(input)/8+1)
	h.places = make([]bucketPlace, len(input))
	var first []int32 // series of each group
	var key []byte
	previous := int32(-1)
	var previousKey []byte
	for i, s := range input {
		le := s.Labels.Get(model.BucketLabel)
		p := &h.places[i]
		bound, err := strconv.ParseFloat(le, 64)
		p.bad, p.plain, p.slot = err != nil || math.IsNaN(bound), !s.Labels.Has(model.BucketLabel), -1
		key = s.Labels.BytesWithoutLabels(key, model.BucketLabel)
		at, ok := previous, previous >= 0 && string(key) == string(previousKey)
		if !ok {
			if at, ok = known[string(key)]; !ok {
				at = int32(len(first))
				known[string(key)] = at
				first = append(first, int32(i))
				h.groups = append(h.groups, bucketGroup{nativeAt: -1})
			}
			previous = at
			key, previousKey = previousKey, key
		}
		p.group = at
		g := &h.groups[at]
		g.last = int32(i)
		if !p.bad {
			g.bounds = append(g.bounds, bound)
			g.series = append(g.series, int32(i))
		}
		// A second series of the same labels does not compete any more.
		if p.plain = p.plain && g.nativeAt < 0; p.plain {
			g.nativeAt = int32(i)
		}
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	for k := range h.groups {
		g := &h.groups[k]
		g.input = input[first[k]]
		if g.input.Labels.Has(model.BucketLabel) {
			b.Reset(g.input.Labels)
			b.Del(model.BucketLabel)
			g.input.Labels = b.Labels()
		}
		h.arrange(g)
		h.ending = append(h.ending, int32(k))
	}
	slices.SortFunc(h.ending, func(a, b int32) int { return int(h.groups[a].last) - int(h.groups[b].last) })
	h.last = &bucketScratch{}
}

// arrange sorts the buckets of a group by their bounds.
func (h *histogramCall) arrange(g *bucketGroup) {
	n := len(g.series)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case g.bounds[a] < g.bounds[b]:
			return -1
		case g.bounds[a] > g.bounds[b]:
			return +1
		}
		return 0
	})
	for i := 1; i < n; i++ {
		g.repeated = g.repeated || g.bounds[order[i]] == g.bounds[order[i-1]]
	}
	if g.repeated { // Prometheus's function sorts them, from the order of input
		slices.Sort(order)
	}
	bounds, series := make([]float64, n), make([]int32, n)
	for slot, i := range order {
		bounds[slot], series[slot] = g.bounds[i], g.series[i]
		h.places[series[slot]].slot = int32(slot)
	}
	g.bounds, g.series, g.buckets = bounds, series, make([][]float64, n)
	awaited := int32(n)
	if g.nativeAt >= 0 {
		awaited++
	}
	g.awaited.Store(awaited)
}

// workerScratch returns a worker's memory.
func (h *histogramCall) workerScratch(w *Worker) *bucketScratch {
	s := h.scratch[w.ID]
	if s == nil {
		s = &bucketScratch{}
		h.scratch[w.ID] = s
	}
	return s
}

// arrive takes the row of series i; it is an Each.
func (h *histogramCall) arrive(w *Worker, i int, row *Row) error {
	if row.Floats == nil {
		return nil
	}
	s := h.workerScratch(w)
	p := &h.places[i]
	g := &h.groups[p.group]
	if row.Histograms != nil && !p.plain {
		if err := h.single(i, row, s); err != nil {
			return err
		}
	}
	if p.bad {
		for _, v := range row.Floats {
			if !IsAbsent(v) {
				s.bad = append(s.bad, int32(i))
				break
			}
		}
	}
	switch {
	case p.plain && row.Histograms != nil:
		g.native = slices.Clone(row.Histograms)
	case p.slot >= 0:
		kept := s.take(len(row.Floats))
		copy(kept, row.Floats)
		points := int64(len(kept))
		if err := h.query.holdPoints(points); err != nil {
			return err
		}
		g.buckets[p.slot] = kept
	}
	if p.slot < 0 && !p.plain {
		return nil
	}
	if g.awaited.Add(-1) > 0 {
		return nil
	}
	return h.finish(g, s)
}

// pass ends the groups whose last series has passed, some without a row. It is a
// Sink.
func (h *histogramCall) pass(i int, _ *Row) error {
	for len(h.ending) > 0 {
		g := &h.groups[h.ending[0]]
		if int(g.last) > i {
			return nil
		}
		h.ending = h.ending[1:]
		if err := h.finish(g, h.last); err != nil {
			return err
		}
	}
	return nil
}

// finish evaluates a group, unless that is done, and forgets its rows.
func (h *histogramCall) finish(g *bucketGroup, s *bucketScratch) error {
	if g.done {
		return nil
	}
	g.done = true
	s.evaluate(h, g)
	for slot, kept := range g.buckets {
		if kept != nil {
			s.free = append(s.free, kept)
			h.query.release(int64(len(kept)))
			g.buckets[slot] = nil
		}
	}
	return h.holdResults(g)
}

func (h *histogramCall) holdResults(g *bucketGroup) error {
	for c := range g.out {
		if g.out[c].Floats == nil {
			continue
		}
		if err := h.query.hold(&g.out[c]); err != nil {
			return err
		}
	}
	return nil
}

// single evaluates the histograms of a series that has le, so that no classic
// histogram competes with them.
func (h *histogramCall) single(i int, row *Row, s *bucketScratch) error {
	g := &bucketGroup{input: h.input[i], native: row.Histograms, nativeAt: int32(i)}
	s.evaluate(h, g)
	s.alone = append(s.alone, g)
	return h.holdResults(g)
}

// outcome is a result series and where Prometheus's engine has it in an instant:
// by quantile, histograms before classic ones, in order of input.
type outcome struct {
	column int32
	group  *bucketGroup
	native bool
	order  int32
}

// list makes the result: the rows that have points.
func (h *histogramCall) list() []Series {
	var found []outcome
	add := func(g *bucketGroup, order int32) {
		for c := range g.out {
			if g.out[c].Floats != nil {
				found = append(found, outcome{int32(c), g, g.native != nil && g.native[0] != nil, order})
			}
		}
	}
	for i := range h.groups {
		add(&h.groups[i], int32(i))
	}
	for _, s := range h.scratches() {
		for _, g := range s.alone {
			add(g, g.nativeAt)
		}
	}
	instant := h.grid.Instant()
	for i := range found {
		if o := &found[i]; instant && o.native {
			o.order = o.group.nativeAt
		}
	}
	slices.SortFunc(found, func(a, b outcome) int {
		switch {
		case instant && a.column != b.column:
			return int(a.column - b.column)
		case a.native != b.native && (instant || a.order == b.order):
			return boolOrder(b.native) - boolOrder(a.native)
		case a.order != b.order:
			return int(a.order - b.order)
		}
		return int(a.column - b.column)
	})
	series := make([]Series, len(found))
	h.rows = make([]Row, len(found))
	for i, o := range found {
		series[i] = h.query.withoutName(o.group.input)
		if h.several {
			b := labels.NewBuilder(series[i].Labels)
			b.Set(text(h.call.Args[1]), h.columns[o.column].label)
			series[i].Labels = b.Labels()
		}
		h.rows[i] = o.group.out[o.column]
	}
	h.groups, h.places, h.ending = nil, nil, nil
	return series
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// scratches returns the workers' memory that was used.
func (h *histogramCall) scratches() []*bucketScratch {
	used := []*bucketScratch{h.last}
	for _, s := range h.scratch {
		if s != nil {
			used = append(used, s)
		}
	}
	return used
}

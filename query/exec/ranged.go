package exec

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/query/exec/window"
)

// samples are what a range function sees of a series: no stale markers.
type samples struct {
	window.Samples
	starts     []int64 // empty if none is known
	histograms []promql.HPoint
	histStarts []int64
}

// rangeFunction evaluates a function of a range vector: what of it does not
// depend on where the samples come from.
type rangeFunction struct {
	query *Query
	call  *parser.Call
	grid  Grid
	first int             // the number that step 0 has in the whole grid
	fast  window.Function // nil if there is none

	rescans bool                   // fast may take as long as all windows are
	ctx     context.Context        // of the run
	params  [][]float64            // of the scalar arguments, a value for each step
	args    []Operator             // of these
	vs      *parser.VectorSelector // as Prometheus's function wants to see it
	seen    parser.Expressions     // arguments with vs in place
	series  []Series               // of the input

	argument posrange.PositionRange // of the range vector; subqueries have none

	start, step, span int64 // of the windows: see window.Bounds
	before, beyond    int64 // by how much anchored and smoothed windows are wider
	counted           bool  // samples are counted here
	scratch           perWorker[*rangeScratch]
}

// rangeScratch is a worker's memory.
type rangeScratch struct {
	bounds   window.Bounds
	times    []int64       // that bounds are of
	part     window.Bounds // of bounds
	scratch  window.Scratch
	samples  samples
	points   []promql.FPoint
	helper   promql.EvalNodeHelper
	vectors  []promql.Vector
	matrix   promql.Matrix
	hBounds  window.Bounds
	hTimes   []int64
	noted    string // the metric that was taken for no counter last
	starts   promql.StartTimestamps
	compress struct {
		times  []int64
		values []float64
		starts []int64
	}
}

// rangeCall is a call of a function of a range vector, on a grid. args are the
// operators of its arguments, nil for the range vector.
type rangeCall struct {
	*parser.Call
	grid Grid
	args []Operator
}

// newRangeFunction prepares a call, whose range vector comes from selector vs with
// windows of span.
func newRangeFunction(q *Query, c rangeCall, vs *parser.VectorSelector, span time.Duration) *rangeFunction {
	call, grid, args := c.Call, c.grid, c.args
	f := &rangeFunction{query: q, call: call, grid: grid, span: span.Milliseconds()}
	f.vs = modifiedSelector(vs, grid)
	f.seen = slices.Clone(call.Args)
	for i, arg := range args {
		if arg == nil {
			f.seen[i] = &parser.MatrixSelector{VectorSelector: f.vs, Range: span, EndPos: posrange.Pos(call.Args[i].PositionRange().End)}
			continue
		}
		f.args = append(f.args, arg)
	}
	if !vs.Anchored && !vs.Smoothed {
		f.fast, f.rescans = window.Find(call.Func.Name), window.Rescans(call.Func.Name)
	}
	return f
}

// usesStarts reports whether the function looks at start timestamps.
func (f *rangeFunction) usesStarts() bool {
	switch f.call.Func.Name {
	case "rate", "irate", "increase", "resets":
		return f.query.StartTimestamps
	}
	return false
}

// check refuses modifiers that do not go with the function.
func (f *rangeFunction) check() error {
	name := f.call.Func.Name
	if _, ok := promql.AnchoredSafeFunctions[name]; f.vs.Anchored && !ok {
		return fmt.Errorf("anchored modifier can only be used with: %s - not with %s", strings.Join(slices.Sorted(maps.Keys(promql.AnchoredSafeFunctions)), ", "), name)
	}
	if _, ok := promql.SmoothedSafeFunctions[name]; f.vs.Smoothed && !ok {
		return fmt.Errorf("smoothed modifier can only be used with: %s - not with %s", strings.Join(slices.Sorted(maps.Keys(promql.SmoothedSafeFunctions)), ", "), name)
	}
	return nil
}

// output returns the series of the result.
func (f *rangeFunction) output(input []Series) []Series {
	f.series = input
	if f.keepsName() {
		return input
	}
	out := make([]Series, len(input))
	for i, s := range input {
		out[i] = f.query.withoutName(s)
	}
	return out
}

func (f *rangeFunction) keepsName() bool {
	name := f.call.Func.Name
	return name == "last_over_time" || name == "first_over_time"
}

// prepare evaluates the scalar arguments.
func (f *rangeFunction) prepare(ctx context.Context) error {
	f.ctx = ctx
	for _, arg := range f.args {
		values, err := f.query.scalar(ctx, arg)
		if err != nil {
			return err
		}
		f.params = append(f.params, values)
	}
	return nil
}

func (f *rangeFunction) scratchOf(w *Worker) *rangeScratch {
	s := f.scratch[w.ID]
	if s == nil {
		s = &rangeScratch{vectors: make([]promql.Vector, len(f.params)), matrix: make(promql.Matrix, 1)}
		s.helper.LookbackDelta = time.Duration(f.query.Lookback) * time.Millisecond
		f.scratch[w.ID] = s
	}
	return s
}

// samplesOf returns the floats of c.
func samplesOf(c *chunks.Columns) window.Samples {
	return window.Samples{Times: c.Times, Every: c.Every, First: c.First, Values: c.Values, Known: c.Known}
}

// firstAbsent returns the position of the first of values that is absent, which a
// stale marker is, -1 if none is.
func firstAbsent(values []float64) int {
	i := 0
	for ; i+4 <= len(values); i += 4 {
		if v := values[i : i+4 : i+4]; IsAbsent(v[0]) || IsAbsent(v[1]) || IsAbsent(v[2]) || IsAbsent(v[3]) {
			break
		}
	}
	for ; i < len(values); i++ {
		if IsAbsent(values[i]) {
			return i
		}
	}
	return -1
}

// clean takes the stale markers off c.
func (f *rangeFunction) clean(sc *rangeScratch, from *selection, c *chunks.Columns) (*samples, error) {
	s := &sc.samples
	*s = samples{Samples: samplesOf(c), starts: c.Starts, histograms: s.histograms[:0], histStarts: s.histStarts[:0]}
	at := -1
	if !c.Known.Plain {
		at = firstAbsent(c.Values)
	}
	if at >= 0 {
		k := &sc.compress
		k.times, k.values, k.starts = append(k.times[:0], c.Times[:at]...), append(k.values[:0], c.Values[:at]...), k.starts[:0]
		if len(c.Starts) > 0 {
			k.starts = append(k.starts, c.Starts[:at]...)
		}
		for i := at; i < len(c.Values); i++ {
			if IsAbsent(c.Values[i]) {
				continue
			}
			k.times, k.values = append(k.times, c.Times[i]), append(k.values, c.Values[i])
			if len(c.Starts) > 0 {
				k.starts = append(k.starts, c.Starts[i])
			}
		}
		s.Samples, s.starts = window.Samples{Times: k.times, Values: k.values}, k.starts
		sc.times = nil // the memory is written anew: its address says nothing
	}
	if len(c.Histograms) == 0 {
		return s, nil
	}
	points, err := from.histograms(s.histograms, c.Histograms)
	s.histograms = s.histograms[:0]
	for i, p := range points {
		if !value.IsStaleNaN(p.H.Sum) {
			s.histograms = append(s.histograms, p)
			s.histStarts = append(s.histStarts, c.Histograms[i].Start)
		}
	}
	return s, err
}

// row evaluates the function over s at all steps. bounded says that sc.bounds
// are those of s.Times already if the slice is the same.
func (f *rangeFunction) row(w *Worker, sc *rangeScratch, i int, s *samples, row *Row) error {
	if len(s.Times) == 0 && len(s.histograms) == 0 {
		return nil
	}
	n := f.grid.Count()
	if len(s.Times) > 0 && !sameTimes(sc.times, s.Times) {
		sc.bounds.Set(s.Samples, f.start+f.beyond, f.step, f.span+f.before+f.beyond, n)
		sc.bounds.EvaluatedAt(f.grid.Start, f.grid.Step)
		sc.times = s.Times
	}
	if len(s.histograms) == 0 && f.fast != nil && !(len(s.starts) > 0 && f.usesStarts()) {
		dst := w.Floats(n)
		fast, err := f.fastRow(sc, dst, s.Samples)
		if err != nil {
			return err
		}
		if fast {
			row.Floats = dst
			f.countWindows(&sc.bounds)
			f.noteCounter(sc, i, row)
			return nil
		}
	}
	*row = w.Row(n)
	if err := f.slowRow(sc, i, s, row); err != nil {
		return err
	}
	f.noteCounter(sc, i, row)
	return nil
}

// looksMax is about how many samples may be looked at before the end of the query
// is noticed: some ten milliseconds of the slowest function.
const looksMax = 1 << 20

// fastRow evaluates the function at all steps, in parts if that takes long. It
// returns false if it leaves the series to Prometheus's function.
func (f *rangeFunction) fastRow(sc *rangeScratch, dst []float64, s window.Samples) (bool, error) {
	if sc.bounds.Looked <= looksMax || !f.rescans {
		return f.fast(dst, s, &sc.bounds, f.params, &sc.scratch), nil
	}
	params := make([][]float64, len(f.params))
	for from := 0; from < len(dst); {
		if err := ended(f.ctx); err != nil {
			return false, err
		}
		to, looked := from, int64(0)
		for to < len(dst) && (to == from || looked < looksMax) {
			looked += int64(sc.bounds.To[to] - sc.bounds.From[to])
			to++
		}
		for k, values := range f.params {
			params[k] = values[from:to]
		}
		if !f.fast(dst[from:to], s, sc.bounds.Part(&sc.part, from, to), params, &sc.scratch) {
			return false, nil
		}
		from = to
	}
	return true, nil
}

// countWindows counts the samples that the steps look at.
func (f *rangeFunction) countWindows(b *window.Bounds) {
	if !f.counted {
		return
	}
	if f.query.PerStep == nil {
		f.query.samples.Add(b.Looked)
		return
	}
	for i, from := range b.From {
		f.query.count(f.first+i, int64(b.To[i]-from))
	}
}

// slowRow asks Prometheus's function for each step.
func (f *rangeFunction) slowRow(sc *rangeScratch, i int, s *samples, row *Row) error {
	n := f.grid.Count()
	if len(s.Times) == 0 {
		sc.bounds.Set(window.Samples{}, f.start, f.step, f.span, n)
		sc.times = nil
	}
	sc.points = sc.points[:0]
	for k, t := range s.Times {
		sc.points = append(sc.points, promql.FPoint{T: t, F: s.Values[k]})
	}
	sc.hTimes = sc.hTimes[:0]
	for _, h := range s.histograms {
		sc.hTimes = append(sc.hTimes, h.T)
	}
	sc.hBounds.Set(window.Samples{Times: sc.hTimes}, f.start+f.beyond, f.step, f.span+f.before+f.beyond, n)
	withStarts, looked := f.usesStarts(), int64(0)
	slow := promql.FunctionCalls[f.call.Func.Name]
	sc.helper.StartTimestamps = nil
	sc.matrix[0].Metric = f.series[i].Labels
	for step := range n {
		from, to := sc.bounds.From[step], sc.bounds.To[step]
		hFrom, hTo := sc.hBounds.From[step], sc.hBounds.To[step]
		if from == to && hFrom == hTo {
			continue
		}
		// A histogram takes as long as some hundred floats.
		if looked += int64(to-from) + 256*int64(hTo-hFrom); looked > looksMax {
			if err := ended(f.ctx); err != nil {
				return err
			}
			looked = 0
		}
		sc.matrix[0].Floats, sc.matrix[0].Histograms = sc.points[from:to:to], s.histograms[hFrom:hTo:hTo]
		if withStarts {
			sc.starts.Floats, sc.starts.Histograms = zerosOr(s.starts, len(s.Times))[from:to], zerosOr(s.histStarts, len(s.histograms))[hFrom:hTo]
			sc.helper.StartTimestamps = &sc.starts
		}
		for k := range f.params {
			sc.vectors[k] = append(sc.vectors[k][:0], promql.Sample{F: f.params[k][step]})
		}
		sc.helper.Ts = f.grid.At(step)
		out, notes := slow(sc.vectors, sc.matrix, f.seen, &sc.helper)
		f.query.note(notes)
		if f.counted {
			f.query.count(f.first+step, int64(to-from)+histogramsSize(s.histograms[hFrom:hTo]))
		}
		if len(out) > 0 {
			row.Set(step, out[0].F, out[0].H)
		}
		sc.helper.Out = out[:0]
	}
	return nil
}

func zerosOr(starts []int64, n int) []int64 {
	if len(starts) == n {
		return starts
	}
	return make([]int64, n)
}

func histogramsSize(points []promql.HPoint) (n int64) {
	for _, p := range points {
		n += histogramPoints(p.H.Size())
	}
	return n
}

// noteCounter notes that rate or increase of what is not named like a counter may
// be a mistake.
func (f *rangeFunction) noteCounter(sc *rangeScratch, i int, row *Row) {
	if name := f.call.Func.Name; name != "rate" && name != "increase" {
		return
	}
	name := f.series[i].Labels.Get(model.MetricNameLabel)
	if name == "" || name == sc.noted || strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_sum") ||
		strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_bucket") {
		return
	}
	if slices.ContainsFunc(row.Floats, func(v float64) bool { return !IsAbsent(v) }) {
		sc.noted = name
		f.query.noteError(annotations.NewPossibleNonCounterInfo(name, f.argument))
	}
}

// overSelector is a range function over a selector.
type overSelector struct {
	*rangeFunction
	selection
}

func newOverSelector(q *Query, c rangeCall, ms *parser.MatrixSelector) *overSelector {
	vs := ms.VectorSelector.(*parser.VectorSelector)
	s := &overSelector{
		rangeFunction: newRangeFunction(q, c, vs, ms.Range),
		selection:     selection{query: q, vs: vs, grid: c.grid, span: ms.Range.Milliseconds()},
	}
	s.counted, s.argument = true, c.Args[0].PositionRange()
	s.rangeFunction.start, s.rangeFunction.step = s.reference()
	if vs.Anchored || vs.Smoothed {
		s.before, s.extend = q.Lookback, q.Lookback
	}
	if vs.Smoothed {
		s.beyond, s.selection.after = q.Lookback, q.Lookback
	}
	return s
}

func (s *overSelector) Grid() Grid { return s.rangeFunction.grid }

func (s *overSelector) Series(ctx context.Context) ([]Series, error) {
	series, err := s.begin(ctx)
	return s.output(series), err
}

// begin returns the series of the selector.
func (s *overSelector) begin(ctx context.Context) ([]Series, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	series, err := s.open(ctx)
	s.series = series
	return series, err
}

func (s *overSelector) Run(ctx context.Context, each Each, sink Sink) error {
	defer s.close()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	return s.selection.query.runRows(ctx, rowsOf{s.set.Len(), s.Grid().Count(), s.fill}, each, sink)
}

func (s *overSelector) fill(w *Worker, i int, row *Row) error {
	c, err := s.read(w, i)
	if err != nil {
		return err
	}
	sc := s.scratchOf(w)
	clean, err := s.clean(sc, &s.selection, c)
	if err != nil {
		return err
	}
	return s.row(w, sc, i, clean, row)
}

// overSubquery is a range function over the steps of another operator.
type overSubquery struct {
	*rangeFunction
	child Operator
}

func newOverSubquery(q *Query, c rangeCall, sub *parser.SubqueryExpr, child Operator) (Operator, error) {
	vs := &parser.VectorSelector{OriginalOffset: sub.OriginalOffset, Timestamp: sub.Timestamp}
	s := &overSubquery{rangeFunction: newRangeFunction(q, c, vs, sub.Range), child: child}
	s.start, s.step = (&selection{vs: vs, grid: c.grid, span: s.span}).reference()
	return s, nil
}

func (s *overSubquery) Grid() Grid { return s.grid }

func (s *overSubquery) Series(ctx context.Context) ([]Series, error) {
	series, err := s.child.Series(ctx)
	if err != nil {
		return nil, err
	}
	out := s.output(series)
	return out, nil
}

func (s *overSubquery) Run(ctx context.Context, each Each, sink Sink) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	return s.child.Run(ctx, func(w *Worker, i int, row *Row) error {
		sc := s.scratchOf(w)
		input := s.points(sc, row)
		*row = Row{}
		if err := s.row(w, sc, i, input, row); err != nil {
			return err
		}
		if row.Floats == nil {
			*row = w.Row(s.grid.Count())
		}
		if each == nil {
			return nil
		}
		return each(w, i, row)
	}, sink)
}

// points turns a row of the inner grid into samples.
func (s *overSubquery) points(sc *rangeScratch, row *Row) *samples {
	grid := s.child.Grid()
	k := &sc.compress
	k.times, k.values = k.times[:0], k.values[:0]
	out := &sc.samples
	*out = samples{histograms: out.histograms[:0], histStarts: out.histStarts[:0]}
	for i, v := range row.Floats {
		if !IsAbsent(v) {
			k.times, k.values = append(k.times, grid.At(i)), append(k.values, v)
		} else if h := row.Histogram(i); h != nil {
			out.histograms = append(out.histograms, promql.HPoint{T: grid.At(i), H: withoutHint(h)})
			out.histStarts = append(out.histStarts, 0)
		}
	}
	sc.times = nil
	out.Samples = window.Samples{Times: k.times, Values: k.values}
	if n := len(k.times); n > 1 && k.times[n-1]-k.times[0] == int64(n-1)*grid.Step {
		out.Every, out.First = grid.Step, k.times[0]
	}
	return out
}

// withoutHint returns h without a statement about resets: the sample before it in
// a subquery need not be the one before it in the series.
func withoutHint(h *histogram.FloatHistogram) *histogram.FloatHistogram {
	if h.CounterResetHint != histogram.NotCounterReset && h.CounterResetHint != histogram.CounterReset {
		return h
	}
	plain := *h
	plain.CounterResetHint = histogram.UnknownCounterReset
	return &plain
}

// absentOverTime gives a point where none of the child's series has one.
type absentOverTime struct {
	child  Operator
	series Series
}

func newAbsentOverTime(q *Query, call *parser.Call, child Operator) Operator {
	return &absentOverTime{child: child, series: Series{Labels: absentLabels(call.Args[0]), DropName: true}}
}

func (a *absentOverTime) Grid() Grid { return a.child.Grid() }

func (a *absentOverTime) Series(ctx context.Context) ([]Series, error) {
	_, err := a.child.Series(ctx)
	return []Series{a.series}, err
}

func (a *absentOverTime) Run(ctx context.Context, each Each, sink Sink) error {
	w := &Worker{}
	row := w.Row(a.Grid().Count())
	for i := range row.Floats {
		row.Floats[i] = 1
	}
	err := a.child.Run(ctx, nil, func(_ int, found *Row) error {
		for i := range row.Floats {
			if found.Has(i) {
				row.Floats[i] = Absent
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return give(w, 0, &row, each, sink)
}

// give passes one row on.
func give(w *Worker, i int, row *Row, each Each, sink Sink) error {
	if each != nil {
		if err := each(w, i, row); err != nil {
			return err
		}
	}
	return sink(i, row)
}

package query

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/query/cache"
	"github.com/varve-db/varve/query/exec"
)

// Tracked is storage that tells what changes in it: results of range queries from
// it may be kept. Its queriers may have a method Earliest, that tells from when on
// they read, if that is later than what they were asked for.
type Tracked interface {
	Columnar
	// Changes is always the same, and comparable.
	Changes() Changes
}

// Changes tells what has changed since a moment.
type Changes interface {
	// Mark returns the present moment. It is made before the views of a query.
	Mark() uint64
	// Since returns the earliest time of the samples that came after a mark;
	// math.MaxInt64 if there are none, math.MinInt64 if anything may be different.
	Since(mark uint64) (earliest int64)
}

// results are those of range queries, kept for the next time.
type results struct {
	cache   *cache.Cache
	costMin time.Duration
	metrics *resultMetrics

	mu      sync.Mutex
	sources map[Changes]int // numbers of the storages, for the keys
	number  int             // of the last one
}

// sourcesMax bounds the storages whose numbers are remembered.
const sourcesMax = 1024

func newResults(bytesMax int64, costMin time.Duration, registerer prometheus.Registerer) *results {
	r := &results{cache: cache.New(bytesMax), costMin: costMin, sources: map[Changes]int{}}
	r.metrics = newResultMetrics(registerer, r.cache)
	return r
}

// of returns what there may be to reuse for an evaluation whose view does not exist
// yet; nil if its result is not kept.
func (r *results) of(v *evaluation) *keptResult {
	o := &v.engine.options
	switch {
	case r == nil || v.request.NoCache || v.perStep != nil || v.request.PerStepStats:
		return nil
	case v.statement.Interval == 0 || v.grid.Count() < stepsMin || o.DelayedNameRemoval || o.Claims != nil:
		return nil
	}
	from, ok := v.from.(Tracked)
	if !ok {
		return nil
	}
	plan := cache.NewPlan(v.statement.Expr, v.statement.LookbackDelta)
	if plan == nil {
		r.metrics.unsuited.Inc()
		return nil
	}
	changes := from.Changes()
	return &keptResult{results: r, evaluation: v, plan: plan, key: r.key(changes, v), changes: changes, mark: changes.Mark()}
}

// key names the statement of an evaluation, but for the times at which it begins
// and ends. It has the text as it was sent, as annotations point into that, and as
// it was prepared, with the values of what depends on these times.
func (r *results) key(changes Changes, v *evaluation) string {
	starts := v.engine.options.UseStartTimestamps
	if v.request.UseStartTimestamps != nil {
		starts = *v.request.UseStartTimestamps
	}
	var b strings.Builder
	for _, n := range []int64{int64(r.source(changes)), v.grid.Step, v.grid.Start % v.grid.Step, v.statement.LookbackDelta.Milliseconds()} {
		b.WriteString(strconv.FormatInt(n, 36))
		b.WriteByte(' ')
	}
	b.WriteString(strconv.FormatBool(starts))
	b.WriteByte(' ')
	b.WriteString(strconv.Quote(v.request.Query))
	b.WriteString(v.statement.Expr.String())
	return b.String()
}

// source numbers a storage.
func (r *results) source(changes Changes) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, known := r.sources[changes]
	if !known {
		if len(r.sources) == sourcesMax {
			clear(r.sources)
		}
		r.number++
		n = r.number
		r.sources[changes] = n
	}
	return n
}

// keptResult is the cached part of an evaluation.
type keptResult struct {
	*results
	*evaluation
	plan    *cache.Plan
	key     string
	changes Changes
	mark    uint64 // of this evaluation
}

// stepsMin is how few steps are evaluated at a time: with one, some operators
// order series as for an instant.
const stepsMin = 2

// answer evaluates the steps that the cache does not have.
func (k *keptResult) answer(ctx context.Context) (parser.Value, annotations.Annotations, error) {
	w := &watched{Querier: k.view, ordered: k.plan.Ordered}
	k.view = w
	if k.windows != nil {
		k.windows = watchedWindows{k.windows, w}
		k.key += " " + k.resolved + k.engine.coarsest(k.request).String()
		k.plan.Before += k.margin
	}
	earliest := k.earliest(w.Querier)
	if entry := k.cache.Get(k.key); entry != nil {
		matrix, notes, err := k.extend(ctx, entry, w, earliest)
		if err == nil {
			return matrix, notes, nil
		}
		if ctx.Err() != nil {
			return nil, nil, err
		}
		k.budget.reset()
	}
	k.results.metrics.misses.Inc()
	return k.whole(ctx, w, earliest)
}

// earliest returns the time from which on the view reads, if that is later than
// what the query asks for.
func (k *keptResult) earliest(view exec.Querier) int64 {
	mint, _ := promql.FindMinMaxTime(k.statement)
	if limited, ok := view.(interface{ Earliest() int64 }); ok && limited.Earliest() > mint {
		return limited.Earliest()
	}
	return math.MinInt64
}

// whole evaluates all steps, and keeps the result if it is worth it.
func (k *keptResult) whole(ctx context.Context, w *watched, earliest int64) (parser.Value, annotations.Annotations, error) {
	began := time.Now()
	value, notes, err := k.run(ctx, k.grid)
	took := time.Since(began)
	k.results.metrics.computed.Add(float64(k.grid.Count()))
	if matrix, ok := value.(promql.Matrix); ok && err == nil && k.expensive(took, matrix) {
		k.keep(matrix, notes, w, earliest)
	}
	return value, notes, err
}

// joinCost is about what it takes to give out a point that is kept.
const joinCost = 30 * time.Nanosecond

// expensive reports whether it is cheaper to keep a result than to compute it.
func (k *keptResult) expensive(took time.Duration, m promql.Matrix) bool {
	return k.costMin == 0 || took >= k.costMin+joinCost*time.Duration(pointsOf(m))
}

func pointsOf(m promql.Matrix) (n int) {
	for _, s := range m {
		n += len(s.Floats)
	}
	return n
}

// keep puts a result into the cache, if its points are all that there is to it.
func (k *keptResult) keep(m promql.Matrix, notes annotations.Annotations, w *watched, earliest int64) {
	texts, ok := k.shown(notes)
	if !ok || k.doubtful(w) {
		return
	}
	entry := cache.NewEntry(m, k.grid)
	if entry == nil {
		return
	}
	entry.Mark, entry.Earliest, entry.Notes = k.mark, earliest, texts
	k.cache.Set(k.key, entry)
}

// shown returns annotations as they are shown. ok is false if there is one that
// tells of several steps at once.
func (k *keptResult) shown(notes annotations.Annotations) (texts []string, ok bool) {
	// Those that say the same wherever they occur have this type; the others add up.
	plain := reflect.TypeOf(annotations.NewInvalidQuantileWarning(0, posrange.PositionRange{}))
	for _, note := range notes {
		if reflect.TypeOf(note) != plain {
			return nil, false
		}
	}
	warnings, infos := notes.AsStrings(k.request.Query, 0, 0)
	texts = append(warnings, infos...)
	slices.Sort(texts)
	return texts, true
}

// doubtful reports whether a step's result may depend on what else was read.
func (k *keptResult) doubtful(w *watched) bool {
	return w.dependent.Load() || k.referred.Load() || len(w.Warnings()) > 0
}

// errNotReusable means that what is kept cannot be continued.
var errNotReusable = errors.New("the kept result is of no use")

// extend evaluates the steps that the entry does not have, or whose samples may
// have changed.
func (k *keptResult) extend(ctx context.Context, entry *cache.Entry, w *watched, earliest int64) (promql.Matrix, annotations.Annotations, error) {
	pieces, ok := k.split(entry, max(earliest, entry.Earliest))
	if !ok {
		return nil, nil, errNotReusable
	}
	before, notes, err := k.piece(ctx, pieces.before)
	if err != nil {
		return nil, nil, err
	}
	after, more, err := k.piece(ctx, pieces.after)
	if err != nil {
		return nil, nil, err
	}
	notes.Merge(more)
	texts, ok := k.shown(notes)
	if !ok || k.doubtful(w) {
		return nil, nil, errNotReusable
	}
	// Which of the entry's steps a note is of is not known. If the others have it
	// too it does not matter.
	for _, note := range entry.Notes {
		if _, found := slices.BinarySearch(texts, note); !found {
			return nil, nil, errNotReusable
		}
	}
	matrix := entry.Join(pieces.kept, before, after)
	if limit := k.engine.options.SamplesMax; limit > 0 && pointsOf(matrix) > limit {
		return nil, nil, errNotReusable
	}
	reused, all := pieces.kept.Count(), k.grid.Count()
	k.results.metrics.extended(reused, all)
	if k.worthKeeping(entry, all-reused) {
		k.keep(matrix, notes, w, max(earliest, entry.Earliest))
	}
	return matrix, notes, nil
}

// keptShare is the part of a result that may be new before it is kept again: the
// steps in which samples still arrive would have to be computed anyway.
const keptShare = 32

// worthKeeping reports whether the result, of which so many steps are new, is to
// take the entry's place.
func (k *keptResult) worthKeeping(entry *cache.Entry, fresh int) bool {
	first, last := entry.Span()
	steps := int((last-first)/k.grid.Step) + 1
	// A short look at a part of what is kept must not end the rest.
	return fresh*keptShare > k.grid.Count() && k.grid.Count() >= steps/2
}

// pieces are the parts of a grid; before and after may have no steps.
type pieces struct{ before, kept, after exec.Grid }

// keptMin is the part of a query's steps that must be there for it to be
// extended.
const keptMin = 4

// split divides the steps of the query into those that the entry has and those
// that have to be evaluated.
func (k *keptResult) split(entry *cache.Entry, earliest int64) (pieces, bool) {
	grid := k.grid
	last := grid.At(grid.Count() - 1)
	from, to, ok := k.plan.Steps(grid.Start, last, k.changes.Since(entry.Mark), earliest)
	if !ok {
		return pieces{}, false
	}
	kept, ok := entry.Within(grid, from, to)
	if !ok {
		return pieces{}, false
	}
	if kept.Start > grid.Start {
		kept.Start = max(kept.Start, grid.At(stepsMin))
	}
	if kept.End < last || len(entry.Notes) > 0 {
		kept.End = min(kept.End, last-stepsMin*grid.Step)
	}
	if kept.Count()*keptMin < grid.Count() || kept.Count() == 0 {
		return pieces{}, false
	}
	return pieces{
		before: exec.Grid{Start: grid.Start, End: kept.Start - grid.Step, Step: grid.Step}, kept: kept,
		after: exec.Grid{Start: kept.End + grid.Step, End: last, Step: grid.Step},
	}, true
}

// piece evaluates the steps of a part.
func (k *keptResult) piece(ctx context.Context, grid exec.Grid) (promql.Matrix, annotations.Annotations, error) {
	if grid.Count() == 0 {
		return nil, annotations.New().Merge(nil), nil
	}
	value, notes, err := k.run(ctx, grid)
	if err != nil {
		return nil, nil, err
	}
	matrix := value.(promql.Matrix)
	for _, s := range matrix {
		if len(s.Histograms) > 0 {
			return nil, nil, errNotReusable
		}
	}
	return matrix, notes, nil
}

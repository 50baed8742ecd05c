package exec

import (
	"context"
	"slices"
	"sync/atomic"
)

// sharedRows are the rows of an expression that stands in several places of a
// query. The place that runs first evaluates it, and keeps a copy of each row on
// its way; the others replay them. What was annotated names the place, and rows
// may be too many to keep: then the others evaluate it themselves.
type sharedRows struct {
	query  *Query
	left   int // places that have not run
	told   bool
	series []Series
	noted  bool // the evaluation annotates
	begun  bool
	whole  bool // rows is complete
	rows   []Row

	held  atomic.Int64 // points of rows, charged to the query
	full  atomic.Bool  // no more are kept
	arena perWorker[floats]
}

// shared returns op, which equals the others of a group, as one of its places.
func (b *builder) shared(group int, op Operator) Operator {
	g := b.groups[group]
	if g == nil {
		g = &sharedRows{query: b.query}
		b.groups[group] = g
	}
	g.left++
	return &sharedPlace{rows: g, own: op}
}

// sharedPlace is one place of an expression.
type sharedPlace struct {
	rows *sharedRows
	own  Operator // this place's, to run if rows are not to be had
	told bool     // own has told its series
}

func (p *sharedPlace) Grid() Grid { return p.own.Grid() }

func (p *sharedPlace) Series(ctx context.Context) ([]Series, error) {
	g := p.rows
	if g.told && !g.noted {
		return slices.Clone(g.series), nil
	}
	p.told = true
	if g.told {
		return p.own.Series(ctx)
	}
	var series []Series
	err := g.watch(func() (err error) {
		series, err = p.own.Series(ctx)
		return err
	})
	if err == nil {
		g.told, g.series = true, slices.Clone(series)
	}
	return series, err
}

// watch runs f and sees whether it annotates.
func (g *sharedRows) watch(f func() error) error {
	before := g.query.swapNotes(nil)
	defer func() {
		found := g.query.swapNotes(before)
		g.noted = g.noted || len(found) > 0
		g.query.note(found)
	}()
	return f()
}

func (p *sharedPlace) Run(ctx context.Context, each Each, sink Sink) error {
	g := p.rows
	defer g.ran()
	if g.whole {
		return g.replay(ctx, p.Grid(), each, sink)
	}
	if !p.told {
		p.told = true
		if _, err := p.own.Series(ctx); err != nil {
			return err
		}
	}
	if g.begun || g.noted || g.left < 2 {
		return p.own.Run(ctx, each, sink)
	}
	g.begun = true
	g.rows = make([]Row, len(g.series))
	err := g.watch(func() error { return p.own.Run(ctx, chain(g.keep, each), sink) })
	g.whole = err == nil && !g.noted && !g.full.Load()
	if !g.whole {
		g.drop()
	}
	return err
}

// sharedPart is which part of a query's samples may be kept for replays.
const sharedPart = 4

// keep copies a row, unless there are too many.
func (g *sharedRows) keep(w *Worker, i int, row *Row) error {
	if row.Floats == nil || g.full.Load() || row.Empty() {
		return nil
	}
	if i%64 == 0 && len(g.query.Notes()) > 0 { // since watch began
		g.full.Store(true)
		return nil
	}
	n := row.points()
	held := g.held.Add(n)
	err := g.query.holdPoints(n)
	if most := g.query.SamplesMax; err != nil || most > 0 && held > most/sharedPart {
		g.full.Store(true)
		return nil
	}
	copied := Row{Floats: g.arena[w.ID].take(len(row.Floats)), Histograms: slices.Clone(row.Histograms)}
	copy(copied.Floats, row.Floats)
	g.rows[i] = copied
	return nil
}

// ran counts the places that are through; the last gives the rows back.
func (g *sharedRows) ran() {
	if g.left--; g.left == 0 && g.whole {
		g.drop()
	}
}

// drop gives the rows' memory back.
func (g *sharedRows) drop() {
	g.query.release(g.held.Swap(0))
	g.rows, g.whole, g.arena = nil, false, perWorker[floats]{}
}

// replay gives copies of the rows: whoever takes them may change them.
func (g *sharedRows) replay(ctx context.Context, grid Grid, each Each, sink Sink) error {
	return g.query.runRows(ctx, rowsOf{len(g.rows), grid.Count(), func(w *Worker, i int, row *Row) error {
		kept := &g.rows[i]
		if kept.Floats == nil {
			return nil
		}
		row.Floats, row.Histograms = w.Floats(len(kept.Floats)), slices.Clone(kept.Histograms)
		copy(row.Floats, kept.Floats)
		return nil
	}}, each, sink)
}

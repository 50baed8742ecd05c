package tsdb

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// erasedWindows is a generation of windows that a deletion concerns, and what is to
// take its place, if anything.
type erasedWindows struct {
	old  *heldGeneration
	made *block.Generation
}

// rewriteWindows sees to it that windows know nothing of what is deleted. Those whose
// samples are there go, to be made again. Of others, those that lie in the range go,
// and those on its borders stay as they are: what they are made of is gone.
func (e *erasure) rewriteWindows(ctx context.Context) error {
	v, err := e.db.acquire()
	if err != nil {
		return err
	}
	e.views = append(e.views, v)
	for _, g := range v.derived {
		if found, err := e.concerns(g); err != nil {
			return err
		} else if !found {
			continue
		}
		w := erasedWindows{old: g}
		if g.derivation().Partial {
			if w.made, err = e.rewriteWindowsOf(ctx, g); err != nil {
				return fmt.Errorf("rewrite %s: %w", g.ID, err)
			}
		}
		e.windows = append(e.windows, w)
	}
	return nil
}

// rewriteWindowsOf stores what is left of a generation of windows; nil if that is
// nothing.
func (e *erasure) rewriteWindowsOf(ctx context.Context, g *heldGeneration) (*block.Generation, error) {
	db := e.db
	db.flushMu.Lock()
	id := g.ID
	id.Generation = db.generations.next
	db.generations.next++
	db.flushMu.Unlock()
	writer := block.NewWindowWriter(db.store, id, db.options.Width.Milliseconds(), *g.derivation())
	defer writer.Abandon()
	all := newStoredSeries(block.NewReader(db.store, g.Generation))
	cursor, err := all.NewWindowCursor()
	if err != nil {
		return nil, err
	}
	defer cursor.Close()
	var rows window.Windows
	for {
		ls, ordinal, err := all.next()
		if err != nil {
			return nil, err
		}
		if ls == nil {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows.Reset()
		if err := cursor.Read(ordinal, &rows); err != nil {
			return nil, err
		}
		if e.erasesWindows(ls, &rows, id.WindowWidth().Milliseconds()); rows.Len() == 0 {
			continue
		}
		if err := writer.Add(ls, &rows); err != nil {
			return nil, err
		}
	}
	made, tables, err := writer.Finish()
	if err != nil || made.Flushes[0].NewSeries == 0 {
		return nil, err
	}
	return &made, db.store.Ingest(ctx, tables)
}

// erasesWindows takes the windows that lie in the range out of a series that is
// selected.
func (e *erasure) erasesWindows(ls series.Labels, rows *window.Windows, width int64) {
	if !slices.ContainsFunc(e.Selectors, func(ms []*labels.Matcher) bool { return satisfies(ls, ms) }) {
		return
	}
	before := rows.Len()
	rows.Cut(func(end int64) bool { return end-width+1 >= e.Min && end <= e.Max })
	if before > rows.Len() {
		e.report.Series++
	}
}

// switchWindows adds to batch what makes the rewritten windows readable and the old
// ones not. The caller holds dropMu.
func (e *erasure) switchWindows(batch *kv.Batch) {
	for _, w := range e.windows {
		w.old.DeleteSummaries(batch)
		if w.made != nil && !w.old.dropped.Load() {
			w.made.AddSummary(batch)
		}
	}
}

// showWindows shows readers the windows that were switched to.
func (e *erasure) showWindows() {
	e.db.swapView(func(v *view) {
		for _, w := range e.windows {
			gone := w.old.dropped.Swap(true)
			v.derived = slices.DeleteFunc(v.derived, func(g *heldGeneration) bool { return g.ID == w.old.ID })
			if w.made != nil && !gone {
				v.setGeneration(*w.made)
			}
		}
	})
}

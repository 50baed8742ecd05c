package tsdb

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/varve-db/varve/tsdb/block"
)

// view is what can be read at a moment. It is immutable; readers hold it while
// they read, and what it names is released when no view names it any more.
type view struct {
	refs        atomic.Int64
	epochs      []*heldEpoch      // ascending; the last is open
	generations []*heldGeneration // of samples, in key order
	derived     []*heldGeneration // of windows, in key order
}

// list returns the generations among which id is.
func (v *view) list(id block.ID) *[]*heldGeneration {
	if id.Resolution != block.Raw {
		return &v.derived
	}
	return &v.generations
}

// all returns the generations of samples and those of windows.
func (v *view) all() []*heldGeneration { return slices.Concat(v.generations, v.derived) }

// heldEpoch is an epoch with the number of views that name it.
type heldEpoch struct {
	*openEpoch
	refs *atomic.Int64 // shared by the versions of one epoch
	// flushed: its samples are in partitions too; it is kept because queries
	// for the present mostly want it.
	flushed bool
}

// heldGeneration is a generation with the number of views that name it.
type heldGeneration struct {
	block.Generation
	refs *atomic.Int64 // shared by the versions of one generation
	// dropped is set when the generation leaves the views for good.
	dropped *atomic.Bool
	// What this process has added to a generation that is not sealed, and when it
	// did so last: data time, summed over the flushes.
	gathered time.Duration
	flushed  time.Time
}

func (g *heldGeneration) partition() partition { return partition{g.ID.Tenant, g.ID.Start} }

func (g *heldGeneration) end() int64 { return endOf(g.Generation) }

// endOf returns the end of the generation's window.
func endOf(g block.Generation) int64 { return g.ID.Start + g.Flushes[len(g.Flushes)-1].Width }

// acquire returns the current view, to be given back with release.
func (db *DB) acquire() (*view, error) {
	db.viewMu.Lock()
	defer db.viewMu.Unlock()
	if db.view == nil {
		return nil, ErrClosed
	}
	db.view.refs.Add(1)
	return db.view, nil
}

// release gives a view back.
func (db *DB) release(v *view) {
	if v.refs.Add(-1) > 0 {
		return
	}
	for _, e := range v.epochs {
		if e.refs.Add(-1) == 0 {
			e.Release()
			db.viewMu.Lock()
			delete(db.alive, e.ID)
			db.viewMu.Unlock()
		}
	}
	for _, g := range v.all() {
		if g.refs.Add(-1) == 0 && g.dropped.Load() {
			if err := db.removeRows(context.Background(), g.Generation); err != nil {
				// The rows are unreadable already; the next start removes them.
				db.log.Warn("dropped generation not removed yet", "generation", g.ID.String(), "error", err)
			}
		}
	}
}

// swapView replaces the current view by a changed copy.
func (db *DB) swapView(change func(*view)) {
	db.viewMu.Lock()
	old := db.view
	next := &view{}
	if old != nil {
		next.epochs = slices.Clone(old.epochs)
		next.generations, next.derived = slices.Clone(old.generations), slices.Clone(old.derived)
	}
	change(next)
	next.refs.Store(1)
	for _, e := range next.epochs {
		e.refs.Add(1)
	}
	for _, g := range next.all() {
		g.refs.Add(1)
	}
	db.view = next
	db.viewMu.Unlock()
	if old != nil {
		db.release(old)
	}
}

// inMemory reports whether the view still has the epoch.
func (v *view) inMemory(epoch uint64) bool {
	return slices.ContainsFunc(v.epochs, func(e *heldEpoch) bool { return e.ID == epoch })
}

// setGeneration puts g in the place of its earlier version, or adds it.
func (v *view) setGeneration(g block.Generation) *heldGeneration {
	list := v.list(g.ID)
	i, found := slices.BinarySearchFunc(*list, g.ID, func(h *heldGeneration, id block.ID) int {
		return slices.Compare(h.ID.Prefix(), id.Prefix())
	})
	if found {
		old := (*list)[i]
		(*list)[i] = &heldGeneration{Generation: g, refs: old.refs, dropped: old.dropped, gathered: old.gathered, flushed: old.flushed}
		return (*list)[i]
	}
	added := &heldGeneration{Generation: g, refs: new(atomic.Int64), dropped: new(atomic.Bool)}
	*list = slices.Insert(*list, i, added)
	return added
}

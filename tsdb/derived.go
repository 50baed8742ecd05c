package tsdb

import (
	"slices"
	"time"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/tsdb/block"
)

// derivation returns what a generation of windows was made of.
func (g *heldGeneration) derivation() *block.Derived { return g.Flushes[0].Derived }

// of returns those of a list that belong to a partition.
func (p partition) of(list []*heldGeneration) (out []*heldGeneration) {
	for _, g := range list {
		if g.partition() == p {
			out = append(out, g)
		}
	}
	return out
}

// waiting reports whether samples of a partition, which ends at end, may wait to be
// flushed.
func (v *view) waiting(p partition, end int64) bool {
	return slices.ContainsFunc(v.epochs, func(e *heldEpoch) bool { return !e.flushed && e.touches(p, end) })
}

// touches reports whether the epoch may have samples of a partition. Of one that was
// read from the log only the range of all its samples is known.
func (e *heldEpoch) touches(p partition, end int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.partitions[p]; known || len(e.partitions) > 0 {
		return known
	}
	lo, hi := e.Range()
	return e.Samples() > 0 && lo < end && hi >= p.start
}

// complete reports whether windows are made of all samples that their partition has.
func (v *view) complete(g *heldGeneration) bool {
	p := g.partition()
	for _, raw := range p.of(v.generations) {
		if !slices.Contains(g.derivation().Sources, raw.ID.Generation) {
			return false
		}
	}
	return !v.waiting(p, g.end())
}

// usable reports whether windows may be read: they are complete, or are all that is
// left of samples that were dropped.
func (v *view) usable(g *heldGeneration) bool {
	return g.derivation().Partial || v.complete(g)
}

// rederived returns g as made of other sources.
func rederived(g *heldGeneration, d block.Derived) block.Generation {
	next := block.Generation{ID: g.ID, Flushes: slices.Clone(g.Flushes)}
	next.Flushes[0].Derived = &d
	return next
}

// keepWindows adds to batch what makes windows outlast samples that are dropped for
// their age, and returns the generations that change: those of derived, of whose
// partition inputs leave. In their place result stays, nil for none.
func (v *view) keepWindows(batch *kv.Batch, derived, inputs []*heldGeneration, result *block.ID) (changed []block.Generation) {
	for _, g := range derived {
		d := block.Derived{Partial: true, Histograms: g.derivation().Histograms}
		if v.complete(g) || g.derivation().Partial {
			d.Sources = slices.DeleteFunc(slices.Clone(g.derivation().Sources), func(source uint32) bool {
				return slices.ContainsFunc(inputs, func(in *heldGeneration) bool { return in.ID.Generation == source })
			})
			if result != nil {
				d.Sources = append(d.Sources, result.Generation)
				slices.Sort(d.Sources)
			}
		} else {
			d.Sources = g.derivation().Sources
		}
		next := rederived(g, d)
		next.AddSummary(batch)
		changed = append(changed, next)
	}
	return changed
}

// SetDownsampling says of which widths windows are made of partitions that are over.
// Those that are there already stay.
func (db *DB) SetDownsampling(widths []time.Duration) error {
	widths = slices.Clone(widths)
	slices.Sort(widths)
	for _, width := range widths {
		if err := db.checkWindowWidth(width); err != nil {
			return err
		}
	}
	db.widths.Store(&widths)
	return nil
}

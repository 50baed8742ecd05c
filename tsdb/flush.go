package tsdb

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// flushFrozen flushes the frozen epochs, oldest first.
func (db *DB) flushFrozen(ctx context.Context) error {
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	for {
		v, err := db.acquire()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(v.epochs, func(e *heldEpoch) bool { return !e.flushed })
		var e *heldEpoch
		if i >= 0 && i < len(v.epochs)-1 {
			e = v.epochs[i]
		}
		if e != nil {
			e.active.Wait()
			err = db.flush(ctx, e)
		}
		db.release(v)
		if err != nil || e == nil {
			return err
		}
	}
}

// flush writes a frozen epoch out as chunks of the partitions it touches. All
// of it, and the mark that it is flushed, become durable and visible at once.
func (db *DB) flush(ctx context.Context, e *heldEpoch) error {
	started := db.options.Now()
	parts, err := db.split(e.Epoch)
	if err != nil {
		return fmt.Errorf("flush epoch %d: %w", e.ID, err)
	}
	f := flusher{db: db, epoch: e, writer: block.NewWriter(db.store)}
	defer f.writer.Abandon()
	db.dropMu.Lock()
	err = f.commit(ctx, parts)
	db.dropMu.Unlock()
	if db.unsettled = err != nil; err != nil {
		f.undo()
		return fmt.Errorf("flush epoch %d: %w", e.ID, err)
	}
	if err := db.dropLog(e.ID); err != nil {
		return fmt.Errorf("flush epoch %d: %w", e.ID, err)
	}
	db.generations.trim()
	swept := db.table.Sweep(uint32(db.oldestEpoch()), db.generations.forget)
	took := db.options.Now().Sub(started)
	db.metrics.flushed(&f, took)
	db.log.Info("epoch flushed", "epoch", e.ID, "samples", f.samples, "partitions", len(f.done),
		"chunk_bytes", f.chunkBytes, "conflicts", f.conflicts, "series_swept", swept, "seconds", took.Seconds())
	return nil
}

// dropLog removes the rows of a flushed epoch, and of all before it, from the
// log. It needs no sync: the mark makes recovery skip them. The marks of earlier
// epochs go as well.
func (db *DB) dropLog(epoch uint64) error {
	var batch kv.Batch
	batch.DeleteRange(epochKey(keyspace.WriteAhead, 0), epochKey(keyspace.WriteAhead, epoch+1))
	batch.DeleteRange(epochKey(keyspace.FlushedEpochs, 0), epochKey(keyspace.FlushedEpochs, epoch))
	return db.store.Apply(&batch, kv.NoSync)
}

// oldestEpoch returns the oldest epoch that is in memory, be it for a reader
// with an old view: the series that it names must keep their references.
func (db *DB) oldestEpoch() uint64 {
	db.viewMu.Lock()
	defer db.viewMu.Unlock()
	oldest := uint64(math.MaxUint64)
	for id := range db.alive {
		oldest = min(oldest, id)
	}
	return oldest
}

// part is what an epoch holds of a partition.
type part struct {
	partition
	refs   []index.Ref
	spread head.Spread
}

// split finds the partitions that the epoch touches, in key order, with the
// series that have something in each.
func (db *DB) split(e *head.Epoch) ([]*part, error) {
	width := db.options.Width.Milliseconds()
	parts := map[partition]*part{}
	var times []int64
	var values []float64
	var starts []int64 // the windows of one series
	err := e.Series(func(s *head.Series) error {
		starts = starts[:0]
		add := func(t int64) {
			if n := len(starts); n > 0 && t >= starts[n-1] && t < starts[n-1]+width {
				return
			}
			if start := db.window(t); !slices.Contains(starts, start) {
				starts = append(starts, start)
			}
		}
		if s.Open.Count > 0 {
			add(s.Open.MinTime)
			add(s.Open.MaxTime)
			if len(starts) > 1 { // there may be more in between
				var err error
				times, values, err = chunks.DecodeFloats(times[:0], values[:0], s.Open.Data, s.Open.Count)
				if err != nil {
					return err
				}
				for _, t := range times {
					add(t)
				}
			}
		}
		for _, x := range s.Extra {
			add(x.Time)
		}
		for _, x := range s.Exemplars {
			add(x.Timestamp)
		}
		tenant := db.table.Tenant(s.Ref)
		for _, start := range starts {
			p := parts[partition{tenant, start}]
			if p == nil {
				p = &part{partition: partition{tenant, start}}
				parts[p.partition] = p
			}
			p.refs = append(p.refs, s.Ref)
			p.spread.Add(s, start, start+width)
		}
		return nil
	})
	list := make([]*part, 0, len(parts))
	for _, p := range parts {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *part) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.start, b.start))
	})
	return list, err
}

// flusher writes one epoch.
type flusher struct {
	db         *DB
	epoch      *heldEpoch
	writer     *block.Writer
	done       []*openGeneration // with this flush appended
	samples    uint64
	chunkBytes uint64
	newSeries  uint64
	conflicts  int
}

// commit builds the tables and makes them part of the store. The caller holds
// dropMu, so that the horizon does not move meanwhile.
func (f *flusher) commit(ctx context.Context, parts []*part) error {
	db := f.db
	horizon := db.horizon.Load()
	parts = slices.DeleteFunc(parts, func(p *part) bool {
		return p.start+db.options.Width.Milliseconds() <= horizon // dropped while its samples were in the head
	})
	for _, p := range parts {
		if g := db.generations.get(p.partition); len(g.Flushes) == 0 {
			if err := f.writer.Set(g.ID.DirectoryKey(), nil); err != nil {
				return err
			}
		}
	}
	// A table that spans more would overlap what is in the store's memory, such as
	// the marks that were deleted, and have it write that out.
	if err := f.writer.Cut(); err != nil {
		return err
	}
	mark := epochKey(keyspace.FlushedEpochs, f.epoch.ID)
	if err := f.writer.Set(mark, nil); err != nil {
		return err
	}
	if err := f.writer.Cut(); err != nil { // this table must not span other families
		return err
	}
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.add(p); err != nil {
			return err
		}
	}
	tables, err := f.writer.Tables()
	if err != nil {
		return err
	}
	if err := db.store.Ingest(ctx, tables); err != nil {
		return err
	}
	now := db.options.Now()
	db.swapView(func(v *view) {
		for i, g := range f.done {
			published := g.Generation
			published.Flushes = slices.Clone(published.Flushes)
			held := v.setGeneration(published)
			held.gathered += parts[i].spread.Average()
			held.flushed = now
		}
		kept := v.epochs[:0]
		for _, e := range v.epochs {
			switch {
			case e.ID == f.epoch.ID:
				// Reading it from memory spares queries for the present the
				// disk, until the next one is flushed.
				kept = append(kept, &heldEpoch{openEpoch: e.openEpoch, refs: e.refs, flushed: true})
			case !e.flushed:
				kept = append(kept, e)
			}
		}
		v.epochs = kept
	})
	return nil
}

// add writes the flush of one partition.
func (f *flusher) add(p *part) error {
	g := f.db.generations.get(p.partition)
	flush := block.Flush{
		ID: g.ID, Number: g.nextFlush(), Width: f.db.options.Width.Milliseconds(),
		Epoch: f.epoch.Epoch, Table: f.db.table, First: g.used, Counters: f.epoch.counters,
		Members: make([]block.Member, 0, len(p.refs)),
	}
	for _, ref := range p.refs {
		if ordinal, ok := g.ordinal(ref); ok {
			flush.Members = append(flush.Members, block.Member{Ordinal: ordinal, Ref: ref})
		} else {
			flush.New = append(flush.New, ref)
		}
	}
	slices.SortFunc(flush.Members, func(a, b block.Member) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	f.db.table.SortByLabels(flush.New)
	for _, ref := range flush.New {
		flush.Members = append(flush.Members, block.Member{Ordinal: g.assign(ref), Ref: ref})
	}
	g.Flushes = append(g.Flushes, block.Summary{}) // taken back by undo
	f.done = append(f.done, g)
	summary, conflicts, err := f.writer.AddFlush(&flush)
	if err != nil {
		return err
	}
	g.Flushes[len(g.Flushes)-1] = summary
	f.samples += summary.Samples
	f.chunkBytes += summary.ChunkBytes
	f.newSeries += uint64(summary.NewSeries)
	f.conflicts += conflicts
	return nil
}

// undo closes the generations of a flush that failed, as their ordinals have
// been given out: the next attempt begins new ones.
func (f *flusher) undo() {
	f.db.generations.close(func(g *openGeneration) bool { return slices.Contains(f.done, g) })
}

// epochSeconds is the age of the open epoch, for the metrics.
func (db *DB) epochSeconds() float64 {
	db.epochMu.RLock()
	defer db.epochMu.RUnlock()
	return db.options.Now().Sub(db.epoch.opened).Round(time.Millisecond).Seconds()
}

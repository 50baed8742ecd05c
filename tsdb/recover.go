package tsdb

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// recover brings the database into the state in which its folder was left.
func (db *DB) recover(ctx context.Context) error {
	if err := db.loadNode(ctx); err != nil {
		return err
	}
	if err := db.loadMetadata(); err != nil {
		return err
	}
	if err := db.loadGenerations(ctx); err != nil {
		return err
	}
	flushed, last, err := db.dropFlushedLog()
	if err != nil {
		return err
	}
	replay := replayer{db: db, nextEpoch: last + 1}
	if err := replay.run(ctx, flushed); err != nil {
		return err
	}
	db.epochMu.Lock()
	db.openEpoch(replay.nextEpoch)
	db.epochMu.Unlock()
	if replay.samples > 0 {
		db.log.Info("log replayed", "epochs", replay.epochs, "records", replay.records, "samples", replay.samples, "series", db.table.Len())
	}
	return nil
}

func (db *DB) loadMetadata() error {
	lower := []byte{keyspace.MetricMetadata}
	it, err := db.store.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		tenant, m, err := decodeMetadata(it.Key(), it.Value())
		if err != nil {
			db.log.Warn("metadata left out", "error", err)
			continue
		}
		db.metadata.set(tenant, []series.Metadata{m})
	}
	return it.Err()
}

// loadGenerations lists what can be read, and removes what was left behind by a
// drop that did not come to its end or did not know of it: a flush that was
// reported as failed may be there all the same.
func (db *DB) loadGenerations(ctx context.Context) error {
	listed, err := block.List(ctx, db.store, func(key []byte, err error) {
		db.metrics.damaged.Inc()
		db.log.Error("rows of a partition cannot be read", "behind", fmt.Sprintf("%x", key), "error", err)
	})
	if err != nil {
		return fmt.Errorf("list partitions: %w", err)
	}
	db.generations.next = 1
	orphans := listed.Orphans
	var batch kv.Batch
	for _, g := range listed.Damaged {
		db.generations.next = max(db.generations.next, g.ID.Generation+1)
		if g.ID.Start+db.options.Width.Milliseconds() <= db.horizon.Load() {
			block.Generation{ID: g.ID}.DeleteSummaries(&batch)
			orphans = append(orphans, g.ID)
			continue
		}
		db.unreadable = append(db.unreadable, g.ID)
		db.noteDamage(damage{g.ID, damagedWhole}, g.Err)
	}
	readable := slices.DeleteFunc(listed.Readable, func(g block.Generation) bool {
		if g.ID.Start+g.Flushes[len(g.Flushes)-1].Width > db.horizon.Load() {
			return false
		}
		g.DeleteSummaries(&batch)
		orphans = append(orphans, g.ID)
		return true
	})
	if len(batch.Ops()) > 0 {
		if err := db.store.Apply(&batch, kv.Sync); err != nil {
			return fmt.Errorf("drop partitions below the horizon: %w", err)
		}
	}
	for _, id := range orphans {
		db.generations.next = max(db.generations.next, id.Generation+1)
		lower, upper := id.Span()
		if err := db.store.Excise(ctx, lower, upper); err != nil {
			return fmt.Errorf("remove dropped %s: %w", id, err)
		}
	}
	db.swapView(func(v *view) {
		for _, g := range readable {
			db.generations.next = max(db.generations.next, g.ID.Generation+1)
			v.setGeneration(g)
			db.continueCounter(g)
		}
	})
	return nil
}

// continueCounter goes on counting batches where the generation's end.
func (db *DB) continueCounter(g block.Generation) {
	for _, f := range g.Flushes {
		for _, c := range f.Counters {
			if c.Origin == ownOrigin {
				db.counter.Store(max(db.counter.Load(), c.Last))
			}
		}
	}
}

// dropFlushedLog removes the log rows of epochs that are marked as flushed, then
// all marks but the last, which keeps epoch numbers from being used again.
func (db *DB) dropFlushedLog() (flushed map[uint64]bool, last uint64, err error) {
	flushed = map[uint64]bool{}
	lower := []byte{keyspace.FlushedEpochs}
	it, err := db.store.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return nil, 0, err
	}
	defer it.Close()
	var batch kv.Batch
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		if len(it.Key()) != 9 {
			return nil, 0, fmt.Errorf("mark of a flushed epoch: %w", kv.ErrCorrupt)
		}
		last = binary.BigEndian.Uint64(it.Key()[1:])
		flushed[last] = true
	}
	if err := it.Err(); err != nil || len(flushed) == 0 {
		return flushed, last, err
	}
	for epoch := range flushed {
		batch.DeleteRange(epochKey(keyspace.WriteAhead, epoch), epochKey(keyspace.WriteAhead, epoch+1))
	}
	if err := db.store.Apply(&batch, kv.Sync); err != nil {
		return nil, 0, fmt.Errorf("drop flushed log: %w", err)
	}
	batch.Reset()
	batch.DeleteRange(epochKey(keyspace.FlushedEpochs, 0), epochKey(keyspace.FlushedEpochs, last))
	return flushed, last, db.store.Apply(&batch, kv.NoSync)
}

// replayer appends the log's records to epochs in memory.
type replayer struct {
	db        *DB
	nextEpoch uint64

	epochs  int
	records int
	samples int64

	record  record
	labels  series.Batch
	found   []index.Ref
	refs    []index.Ref             // of the record's rows, in this process
	current map[index.Ref]index.Ref // the log's references, in this epoch
}

func (r *replayer) run(ctx context.Context, flushed map[uint64]bool) error {
	lower := []byte{keyspace.WriteAhead}
	it, err := r.db.store.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return err
	}
	defer it.Close()
	var epoch uint64
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		key := it.Key()
		if len(key) != 17 {
			return fmt.Errorf("log row with a key of %d bytes: %w", len(key), kv.ErrCorrupt)
		}
		id, sequence := binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:])
		if flushed[id] {
			continue
		}
		if r.epochs == 0 || id != epoch {
			epoch = id
			r.begin(id)
		}
		if err := r.apply(it.Value()); err != nil {
			return fmt.Errorf("replay epoch %d, record %d: %w", id, sequence, err)
		}
		r.db.epoch.sequence.Store(sequence)
		if r.records++; r.records%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	for _, e := range r.db.view.epochs {
		r.samples += e.Samples()
	}
	return it.Err()
}

// begin opens the epoch with the given number; the last one is frozen by that.
func (r *replayer) begin(id uint64) {
	r.db.epochMu.Lock()
	r.db.openEpoch(id)
	r.db.epochMu.Unlock()
	r.nextEpoch = max(r.nextEpoch, id+1)
	r.epochs++
	r.current = map[index.Ref]index.Ref{}
}

// apply appends one record.
func (r *replayer) apply(value []byte) error {
	rec := &r.record
	if value == nil {
		return kv.ErrCorrupt
	}
	if err := rec.decode(value); err != nil {
		return err
	}
	db := r.db
	if rec.Clock > db.clock.Load() {
		db.clock.Store(rec.Clock)
	}
	db.counter.Store(max(db.counter.Load(), rec.Counter))
	db.epoch.note(rec.Origin, rec.Counter)
	r.labels.Reset()
	for _, g := range rec.Registrations {
		r.labels.AddEncodedRow(g.Labels)
	}
	epoch := uint32(db.epoch.ID)
	r.found, _ = db.table.Resolve(rec.Tenant, &r.labels, epoch, r.found[:0])
	for i, g := range rec.Registrations {
		r.current[g.Ref] = r.found[i]
	}
	r.refs = r.refs[:0]
	for _, logged := range rec.Refs {
		ref, ok := r.current[logged]
		if !ok {
			return fmt.Errorf("%w: reference %d has no labels in this epoch", errCorruptRecord, logged)
		}
		r.refs = append(r.refs, ref)
	}
	horizon := db.horizon.Load()
	for i := range rec.Batch.Rows {
		// What a drop has passed by meanwhile must not come back.
		row := &rec.Batch.Rows[i]
		if slices.ContainsFunc(rec.Batch.Timestamps[row.Samples.Start:row.Samples.End], func(t int64) bool { return t < horizon }) {
			admitAfter(&rec.Batch, row, horizon)
		}
	}
	db.epoch.Append(&rec.Batch, r.refs)
	return nil
}

// admitAfter leaves the row's samples from horizon on.
func admitAfter(batch *series.Batch, row *series.Row, horizon int64) {
	kept := row.Samples.Start
	for i := row.Samples.Start; i < row.Samples.End; i++ {
		if batch.Timestamps[i] >= horizon {
			batch.Timestamps[kept], batch.Values[kept] = batch.Timestamps[i], batch.Values[i]
			if len(batch.Starts) > 0 {
				batch.Starts[kept] = batch.Starts[i]
			}
			kept++
		}
	}
	row.Samples.End = kept
}

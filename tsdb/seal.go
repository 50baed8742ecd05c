package tsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// SealReport says what a seal did with a partition.
type SealReport struct {
	Tenant     series.TenantID
	Start, End int64 // of the partition, milliseconds
	Inputs     int   // generations that were merged
	Series     uint64
	Samples    uint64
	BytesIn    uint64 // of chunks read
	BytesOut   uint64 // of chunks and timestamps written
	Conflicts  int
	Took       time.Duration
	Waited     time.Duration // of Took, for queries
}

// Seal flushes what is in memory, and merges the generations of every partition
// into one sealed generation. It does not yield to queries, nor does one under way
// that it has to wait for.
func (db *DB) Seal(ctx context.Context) ([]SealReport, error) {
	db.sealsWanted.Add(1)
	defer db.sealsWanted.Add(-1)
	if err := db.Flush(ctx); err != nil {
		return nil, err
	}
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	var list []partition
	for _, g := range v.generations {
		list = append(list, partition{g.ID.Tenant, g.ID.Start})
	}
	db.release(v)
	var reports []SealReport
	var failed error
	for _, p := range slices.Compact(list) {
		r, err := db.sealPartition(ctx, sealPlan{partition: p, all: true, level: column.Balanced})
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
		if r.Inputs > 0 {
			reports = append(reports, r)
		}
	}
	return reports, failed
}

// sealLook is how often RunSeals looks whether something is due.
const sealLook = 5 * time.Second

// RunSeals seals partitions as they become due, until ctx ends.
func (db *DB) RunSeals(ctx context.Context) error {
	tick := time.NewTicker(sealLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := db.SealDue(ctx); err != nil && ctx.Err() == nil {
			db.log.Error("seal failed", "error", err)
		}
	}
}

// SealDue seals the partitions that are due at the present time of the clock. One
// that fails, as for damaged rows, stays as it is, and readable, and is left alone
// for a while; the others do not wait for it.
func (db *DB) SealDue(ctx context.Context) error {
	if s, ok := db.store.(interface{ Full() bool }); ok && s.Full() {
		return nil // a seal needs room for what it writes until its inputs go
	}
	v, err := db.acquire()
	if err != nil {
		return err
	}
	plans := db.planSeals(v, db.options.Now())
	db.release(v)
	var failed error
	for _, p := range plans {
		if ctx.Err() != nil {
			break
		}
		_, err := db.sealPartition(ctx, p)
		if err != nil && !errors.Is(err, errUnsettled) {
			failed = errors.Join(failed, err) // damage in one must not stop the others
		}
	}
	return failed
}

// sealPartition merges the partition's generations, all or those that are not
// sealed yet, into one. At any moment either the inputs or the result can be
// read: the switch is one synced batch.
func (db *DB) sealPartition(ctx context.Context, plan sealPlan) (SealReport, error) {
	db.sealMu.Lock()
	defer db.sealMu.Unlock()
	p := plan.partition
	report := SealReport{Tenant: p.tenant, Start: p.start, End: p.start + db.options.Width.Milliseconds()}
	started := db.options.Now()
	v, id, err := db.beginSeal(p)
	if err != nil {
		return report, err
	}
	defer db.release(v)
	s := sealer{db: db, id: id, report: &report, erased: db.erasedAt(p), pace: pace{started: started, logged: started, background: plan.due}}
	for _, g := range v.generations {
		if g.partition() == p && (plan.all || g.Flushes[0].Sealed == nil) {
			s.inputs = append(s.inputs, sealInput{Reader: block.NewReader(db.store, g.Generation), held: g})
		}
	}
	if len(s.inputs) == 0 || !plan.again && len(s.inputs) == 1 && s.inputs[0].Sealed() && s.inputs[0].held.Flushes[0].Samples > 0 {
		db.lastSeal[p] = started
		return report, nil
	}
	s.writer = block.NewSealWriter(db.store, id, db.options.Width.Milliseconds(), s.plan(), plan.level)
	s.writer.Covers(s.counters())
	defer s.writer.Abandon()
	defer db.sealing.end()
	sealed, err := s.run(ctx)
	if err == nil {
		err = db.commitSeal(ctx, &s, sealed)
	}
	if errors.Is(err, errDropped) {
		return report, nil
	}
	if err != nil {
		if ctx.Err() == nil {
			db.metrics.seals.failures.Inc()
			db.sealRests[p] = started.Add(sealRetry)
		}
		return report, fmt.Errorf("seal %s: %w", id, err)
	}
	delete(db.sealRests, p)
	db.lastSeal[p] = started
	report.Inputs = len(s.inputs)
	report.Series, report.Samples = uint64(sealed.Flushes[0].NewSeries), sealed.Flushes[0].Samples
	report.BytesOut = sealed.Flushes[0].ChunkBytes
	report.Took, report.Waited = db.options.Now().Sub(started), s.pace.waited
	db.metrics.sealed(&report)
	db.log.Info("partition sealed", "generation", id.String(), "level", plan.level.String(), "inputs", report.Inputs, "series", report.Series,
		"samples", report.Samples, "bytes_in", report.BytesIn, "bytes_out", report.BytesOut, "seconds", report.Took.Seconds(), "waited_seconds", report.Waited.Seconds())
	return report, nil
}

// beginSeal closes the partition's open generation, so that nothing is added to
// the inputs any more, and numbers the new one.
func (db *DB) beginSeal(p partition) (*view, block.ID, error) {
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	if db.unsettled {
		return nil, block.ID{}, errUnsettled
	}
	db.generations.close(func(g *openGeneration) bool { return g.partition == p })
	id := block.ID{Tenant: p.tenant, Resolution: block.Raw, Start: p.start, Generation: db.generations.next}
	db.generations.next++
	v, err := db.acquire()
	return v, id, err
}

// commitSeal switches from the inputs to the sealed generation.
func (db *DB) commitSeal(ctx context.Context, s *sealer, sealed block.Generation) error {
	if err := db.store.Ingest(ctx, s.tables); err != nil {
		return err
	}
	return db.switchTo(ctx, []sealResult{{s, sealed}}, func(*kv.Batch) {})
}

// sealResult is a generation that is in the store and to take the place of a
// sealer's inputs.
type sealResult struct {
	sealer     *sealer
	generation block.Generation
}

// empty reports whether nothing is left: then the inputs only go.
func (r *sealResult) empty() bool {
	f := &r.generation.Flushes[0]
	return f.Samples == 0 && f.Exemplars == 0
}

// dropped reports whether retention has dropped inputs meanwhile. The caller holds
// dropMu.
func (s *sealer) dropped() bool {
	return slices.ContainsFunc(s.inputs, func(in sealInput) bool { return in.held.dropped.Load() })
}

// switchTo switches from the inputs of all results to the results, in one synced
// batch, to which more may add. It returns errDropped if retention has dropped all
// of them.
func (db *DB) switchTo(ctx context.Context, results []sealResult, more func(*kv.Batch)) error {
	db.dropMu.Lock()
	defer db.dropMu.Unlock()
	var batch kv.Batch
	kept := results[:0:0]
	for _, r := range results {
		if r.sealer.dropped() {
			lower, upper := r.generation.ID.Span()
			if err := db.store.Excise(ctx, lower, upper); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, r)
		if !r.empty() {
			r.generation.AddSummary(&batch)
		}
		for _, in := range r.sealer.inputs {
			in.held.DeleteSummaries(&batch)
		}
	}
	if len(kept) == 0 && len(results) > 0 {
		return errDropped
	}
	v, err := db.acquire()
	if err != nil {
		return err
	}
	defer db.release(v)
	var outlast []block.Generation
	for _, r := range kept {
		outlast = append(outlast, r.outlasting(v, &batch)...)
	}
	more(&batch)
	if err := db.store.Apply(&batch, kv.Sync); err != nil {
		return err
	}
	gone, written := map[block.ID]bool{}, map[uint64]bool{}
	for _, r := range kept {
		for _, in := range r.sealer.inputs {
			in.held.dropped.Store(true)
			gone[in.held.ID] = true
			for _, f := range in.held.Flushes {
				written[f.Epoch] = true
			}
		}
	}
	db.swapView(func(v *view) {
		// A flushed epoch that is kept for reading would be read twice now.
		v.epochs = slices.DeleteFunc(v.epochs, func(e *heldEpoch) bool { return e.flushed && written[e.ID] })
		v.generations = slices.DeleteFunc(v.generations, func(g *heldGeneration) bool { return gone[g.ID] })
		for _, r := range kept {
			if !r.empty() {
				v.setGeneration(r.generation)
			}
		}
		for _, g := range outlast {
			v.setGeneration(g)
		}
	})
	return nil
}

// outlasting sees to it that windows stay of the samples that a seal took out for
// their age, and returns the generations that change for it.
func (r *sealResult) outlasting(v *view, batch *kv.Batch) []block.Generation {
	if r.sealer.erased == nil {
		return nil
	}
	var inputs []*heldGeneration
	for _, in := range r.sealer.inputs {
		inputs = append(inputs, in.held)
	}
	result := &r.generation.ID
	if r.empty() {
		result = nil
	}
	p := partition{r.generation.ID.Tenant, r.generation.ID.Start}
	return v.keepWindows(batch, p.of(v.derived), inputs, result)
}

var (
	// errDropped means that retention dropped a partition while it was being sealed.
	errDropped = errors.New("the partition was dropped meanwhile")
	// errUnsettled means that a flush failed, and may be stored nevertheless. Its
	// epoch counts as flushed then, so nothing may take those rows away until it
	// has been flushed again.
	errUnsettled = errors.New("a flush has to be tried again first")
)

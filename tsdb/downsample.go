package tsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// DownsampleReport says what was made of a partition.
type DownsampleReport struct {
	Tenant     series.TenantID
	Start, End int64 // of the partition, milliseconds
	Widths     []time.Duration
	Series     uint64 // that have windows
	Samples    uint64 // that were read
	Windows    uint64 // of all widths
	BytesOut   uint64 // of windows and their shapes
	Took       time.Duration
	Waited     time.Duration // of Took, for queries
}

// checkWindowWidth returns an error if there can be no windows of a width.
func (db *DB) checkWindowWidth(width time.Duration) error {
	if _, ok := block.ResolutionOf(width); !ok {
		return fmt.Errorf("windows of %s: there are those of %v", width, block.WindowWidths())
	}
	if db.options.Width%width != 0 {
		return fmt.Errorf("windows of %s do not divide a partition of %s", width, db.options.Width)
	}
	return nil
}

// downsamplePlan is a partition of which windows are to be made.
type downsamplePlan struct {
	partition
	raw    *heldGeneration
	widths []time.Duration
}

// planDownsamples finds what lacks windows: partitions that are over, with nothing
// that waits to be sealed.
func (db *DB) planDownsamples(v *view, now time.Time) (plans []downsamplePlan) {
	widths := db.widths.Load()
	if widths == nil {
		return nil
	}
	for _, g := range v.generations {
		p := g.partition()
		if g.Flushes[0].Sealed == nil || g.end() > now.UnixMilli() || len(p.of(v.generations)) > 1 || v.waiting(p, g.end()) {
			continue
		}
		if plan := (downsamplePlan{p, g, v.missing(p, *widths)}); len(plan.widths) > 0 {
			plans = append(plans, plan)
		}
	}
	return plans
}

// missing returns those of widths of which a partition has no complete windows.
func (v *view) missing(p partition, widths []time.Duration) (missing []time.Duration) {
	derived := p.of(v.derived)
	for _, width := range widths {
		if !slices.ContainsFunc(derived, func(g *heldGeneration) bool { return g.ID.WindowWidth() == width && v.complete(g) }) {
			missing = append(missing, width)
		}
	}
	return missing
}

// Downsample makes the windows that are missing, at the widths of SetDownsampling, of
// the partitions that are over and sealed. Queries do not go first.
func (db *DB) Downsample(ctx context.Context) ([]DownsampleReport, error) {
	return db.downsample(ctx, false)
}

// DownsampleDue is Downsample in the background: queries go first, and a partition
// that failed is left alone for a while. It returns how many it has done.
func (db *DB) DownsampleDue(ctx context.Context) (int, error) {
	if s, ok := db.store.(interface{ Full() bool }); ok && s.Full() {
		return 0, nil
	}
	reports, err := db.downsample(ctx, true)
	return len(reports), err
}

func (db *DB) downsample(ctx context.Context, background bool) (reports []DownsampleReport, failed error) {
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	plans := db.planDownsamples(v, db.options.Now())
	db.release(v)
	for _, plan := range plans {
		if ctx.Err() != nil {
			break
		}
		r, err := db.downsamplePartition(ctx, plan.partition, background)
		failed = errors.Join(failed, err) // damage in one must not stop the others
		if len(r.Widths) > 0 {
			reports = append(reports, r)
		}
	}
	return reports, failed
}

// downsamplePartition makes the missing windows of a partition. It holds sealMu, so
// that nothing takes the samples meanwhile but a drop.
func (db *DB) downsamplePartition(ctx context.Context, p partition, background bool) (DownsampleReport, error) {
	db.sealMu.Lock()
	defer db.sealMu.Unlock()
	started := db.options.Now()
	report := DownsampleReport{Tenant: p.tenant, Start: p.start, End: p.start + db.options.Width.Milliseconds()}
	if background && started.Before(db.downsampleRests[p]) {
		return report, nil
	}
	v, err := db.acquire()
	if err != nil {
		return report, err
	}
	defer db.release(v)
	plans := db.planDownsamples(v, started)
	i := slices.IndexFunc(plans, func(plan downsamplePlan) bool { return plan.partition == p })
	if i < 0 {
		return report, nil
	}
	d := deriver{db: db, view: v, downsamplePlan: plans[i], report: &report}
	d.pace.db, d.pace.report = db, &SealReport{}
	d.pace.pace = pace{started: started, logged: started, background: background}
	err = d.run(ctx)
	if errors.Is(err, errDropped) {
		return report, nil
	}
	if err != nil {
		if ctx.Err() == nil {
			db.metrics.downsamples.failures.Inc()
			db.downsampleRests[p] = started.Add(sealRetry)
		}
		return report, fmt.Errorf("downsample %s: %w", d.raw.ID, err)
	}
	delete(db.downsampleRests, p)
	report.Widths = d.widths
	report.Took, report.Waited = db.options.Now().Sub(started), d.pace.pace.waited
	db.metrics.downsampled(&report)
	db.log.Info("partition downsampled", "generation", d.raw.ID.String(), "widths", fmt.Sprint(d.widths), "series", report.Series,
		"samples", report.Samples, "windows", report.Windows, "bytes_out", report.BytesOut, "seconds", report.Took.Seconds(), "waited_seconds", report.Waited.Seconds())
	return report, nil
}

// nextIDs numbers the generations of windows to come.
func (d *deriver) nextIDs() []block.ID {
	db := d.db
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	var ids []block.ID
	for _, width := range d.widths {
		resolution, _ := block.ResolutionOf(width)
		ids = append(ids, block.ID{Tenant: d.tenant, Resolution: resolution, Start: d.start, Generation: db.generations.next})
		db.generations.next++
	}
	return ids
}

// commit makes the windows that are in the store readable, in one synced batch, and
// those in whose place they are unreadable.
func (d *deriver) commit(ctx context.Context, made []block.Generation) error {
	db := d.db
	db.dropMu.Lock()
	defer db.dropMu.Unlock()
	if d.raw.dropped.Load() {
		return errors.Join(d.abandon(ctx, made), errDropped)
	}
	var batch kv.Batch
	replaced := map[block.ID]bool{}
	for i, g := range made {
		g.AddSummary(&batch)
		if old := d.old[i]; old != nil {
			old.DeleteSummaries(&batch)
			replaced[old.ID] = true
		}
	}
	if err := db.store.Apply(&batch, kv.Sync); err != nil {
		return err
	}
	for _, old := range d.old {
		if old != nil {
			old.dropped.Store(true)
		}
	}
	db.swapView(func(v *view) {
		v.derived = slices.DeleteFunc(v.derived, func(g *heldGeneration) bool { return replaced[g.ID] })
		for _, g := range made {
			v.setGeneration(g)
		}
	})
	return nil
}

// abandon removes what was written for nothing.
func (d *deriver) abandon(ctx context.Context, made []block.Generation) (failed error) {
	for _, g := range made {
		lower, upper := g.ID.Span()
		failed = errors.Join(failed, d.db.store.Excise(ctx, lower, upper))
	}
	return failed
}

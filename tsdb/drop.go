package tsdb

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// Partition describes a partition: a window of a tenant with all its
// generations.
type Partition struct {
	Tenant      series.TenantID
	Resolution  uint8 // block.Raw: as they were written
	Start, End  int64 // milliseconds; End is exclusive
	Generations int
	Flushes     int
	Series      uint64 // of all generations; one that occurs in two counts twice
	Samples     uint64
	Bytes       uint64 // on disk, estimated
}

// Partitions lists the partitions that are on disk, by tenant, resolution and start.
func (db *DB) Partitions() ([]Partition, error) {
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	defer db.release(v)
	all := make([]block.Generation, len(v.generations)+len(v.derived))
	for i, g := range v.all() {
		all[i] = g.Generation
	}
	return describePartitions(db.store, all)
}

// describePartitions describes the partitions of generations, which are in key order.
func describePartitions(store kv.Reader, all []block.Generation) (out []Partition, err error) {
	usage, _ := store.(kv.SpaceUser)
	for _, g := range all {
		if n := len(out); n == 0 || !out[n-1].has(g.ID) {
			out = append(out, Partition{Tenant: g.ID.Tenant, Resolution: g.ID.Resolution, Start: g.ID.Start, End: endOf(g)})
		}
		p := &out[len(out)-1]
		p.Generations++
		p.Flushes += len(g.Flushes)
		for _, f := range g.Flushes {
			p.Series += uint64(f.NewSeries)
			p.Samples += f.Samples
		}
		if usage != nil {
			n, err := usage.Usage(g.ID.Span())
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", g.ID, err)
			}
			p.Bytes += n
		}
	}
	return out, nil
}

// has reports whether a generation belongs to the partition.
func (p *Partition) has(id block.ID) bool {
	return p.Tenant == id.Tenant && p.Resolution == id.Resolution && p.Start == id.Start
}

// Drop drops whole partitions, named by tenant, resolution and start, at once and
// for good: what they hold now. It takes the same time however much that is. Samples
// of which windows are still to be made stay.
func (db *DB) Drop(ctx context.Context, parts []Partition) error {
	if err := db.closeOpen(parts); err != nil {
		return err
	}
	parts, err := db.thinned(parts)
	if err != nil {
		return fmt.Errorf("drop %d partitions: %w", len(parts), err)
	}
	db.dropMu.Lock()
	defer db.dropMu.Unlock()
	named := map[Partition]bool{}
	for _, p := range parts {
		named[Partition{Tenant: p.Tenant, Resolution: p.Resolution, Start: p.Start}] = true
	}
	gone, err := db.dropGenerations(func(g *heldGeneration) bool {
		return named[Partition{Tenant: g.ID.Tenant, Resolution: g.ID.Resolution, Start: g.ID.Start}]
	}, func(*kv.Batch) {})
	if err != nil {
		return fmt.Errorf("drop %d partitions: %w", len(parts), err)
	}
	db.log.Info("partitions dropped", "partitions", len(parts), "generations", gone)
	return nil
}

// thinned returns parts without those of samples of which windows are still to be made
// that are to stay.
func (db *DB) thinned(parts []Partition) ([]Partition, error) {
	widths := db.widths.Load()
	if widths == nil || len(*widths) == 0 {
		return parts, nil
	}
	v, err := db.acquire()
	if err != nil {
		return parts, err
	}
	defer db.release(v)
	goes := map[block.ID]bool{}
	for _, p := range parts {
		goes[block.ID{Tenant: p.Tenant, Resolution: p.Resolution, Start: p.Start}] = true
	}
	return slices.DeleteFunc(slices.Clone(parts), func(p Partition) bool {
		if p.Resolution != block.Raw {
			return false
		}
		staying := slices.DeleteFunc(slices.Clone(*widths), func(width time.Duration) bool {
			resolution, _ := block.ResolutionOf(width)
			return goes[block.ID{Tenant: p.Tenant, Resolution: resolution, Start: p.Start}] // what was made goes too
		})
		return len(v.missing(partition{p.Tenant, p.Start}, staying)) > 0
	}), nil
}

// closeOpen sees to it that no flush adds to what is about to be dropped.
func (db *DB) closeOpen(parts []Partition) error {
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	if db.unsettled {
		return fmt.Errorf("drop %d partitions: %w", len(parts), errUnsettled)
	}
	db.generations.close(func(g *openGeneration) bool {
		return slices.ContainsFunc(parts, func(p Partition) bool { return p.has(g.ID) })
	})
	return nil
}

// DropBefore drops all samples before t, milliseconds: partitions that end at or
// before t leave at once and for good, and samples before t are neither
// accepted nor read any more. t should be the end of a partition.
func (db *DB) DropBefore(ctx context.Context, t int64) error {
	db.dropMu.Lock()
	defer db.dropMu.Unlock()
	if t <= db.horizon.Load() {
		return nil
	}
	gone, err := db.dropGenerations(func(g *heldGeneration) bool { return g.end() <= t }, func(batch *kv.Batch) {
		batch.Set(horizonKey, binary.BigEndian.AppendUint64(nil, uint64(t)))
	})
	if err != nil {
		return fmt.Errorf("drop partitions before %s: %w", formatTime(t), err)
	}
	db.horizon.Store(t)
	if gone > 0 {
		db.log.Info("partitions dropped", "before", formatTime(t), "generations", gone)
	}
	return nil
}

// dropGenerations takes generations out of the store and the view, in one synced
// batch, to which more may add. The caller holds dropMu.
func (db *DB) dropGenerations(goes func(*heldGeneration) bool, more func(*kv.Batch)) (n int, err error) {
	v, err := db.acquire()
	if err != nil {
		return 0, err
	}
	defer db.release(v)
	var batch kv.Batch
	var gone []*heldGeneration
	for _, g := range v.all() {
		if goes(g) {
			g.DeleteSummaries(&batch)
			gone = append(gone, g)
		}
	}
	changed := v.outlasting(&batch, gone)
	more(&batch)
	if len(batch.Ops()) == 0 {
		return 0, nil
	}
	if err := db.store.Apply(&batch, kv.Sync); err != nil {
		return 0, err
	}
	for _, g := range gone {
		g.dropped.Store(true)
	}
	db.swapView(func(v *view) {
		for _, list := range []*[]*heldGeneration{&v.generations, &v.derived} {
			*list = slices.DeleteFunc(*list, func(g *heldGeneration) bool { return g.dropped.Load() })
		}
		for _, g := range changed {
			v.setGeneration(g)
		}
	})
	db.metrics.dropped.Add(float64(len(gone)))
	return len(gone), nil
}

// outlasting sees to it that windows stay whose samples go with the generations of
// gone, and returns those that change for it.
func (v *view) outlasting(batch *kv.Batch, gone []*heldGeneration) (changed []block.Generation) {
	inputs := map[partition][]*heldGeneration{}
	whole := map[block.ID]bool{}
	for _, g := range gone {
		whole[g.ID] = true
		if g.ID.Resolution == block.Raw {
			inputs[g.partition()] = append(inputs[g.partition()], g)
		}
	}
	for p, list := range inputs {
		stay := slices.DeleteFunc(p.of(v.derived), func(g *heldGeneration) bool { return whole[g.ID] })
		changed = append(changed, v.keepWindows(batch, stay, list, nil)...)
	}
	return changed
}

package tsdb

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
)

// Partition describes a partition: a window of a tenant with all its
// generations.
type Partition struct {
	Tenant      series.TenantID
	Start, End  int64 // milliseconds; End is exclusive
	Generations int
	Flushes     int
	Series      uint64 // of all generations; one that occurs in two counts twice
	Samples     uint64
	Bytes       uint64 // on disk, estimated
}

// Partitions lists the partitions that are on disk, by tenant and start.
func (db *DB) Partitions() ([]Partition, error) {
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	defer db.release(v)
	usage, _ := db.store.(kv.SpaceUser)
	var out []Partition
	for _, g := range v.generations {
		if n := len(out); n == 0 || out[n-1].Tenant != g.ID.Tenant || out[n-1].Start != g.ID.Start {
			out = append(out, Partition{Tenant: g.ID.Tenant, Start: g.ID.Start, End: g.end()})
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

// DropBefore drops all samples before t, milliseconds: partitions that end at or
// before t leave at once and for good, and samples before t are neither
// accepted nor read any more. t should be the end of a partition.
func (db *DB) DropBefore(ctx context.Context, t int64) error {
	db.dropMu.Lock()
	defer db.dropMu.Unlock()
	if t <= db.horizon.Load() {
		return nil
	}
	v, err := db.acquire()
	if err != nil {
		return err
	}
	defer db.release(v)
	var batch kv.Batch
	var gone []*heldGeneration
	for _, g := range v.generations {
		if g.end() <= t {
			g.DeleteSummaries(&batch)
			gone = append(gone, g)
		}
	}
	batch.Set(horizonKey, binary.BigEndian.AppendUint64(nil, uint64(t)))
	if err := db.store.Apply(&batch, kv.Sync); err != nil {
		return fmt.Errorf("drop partitions before %s: %w", formatTime(t), err)
	}
	db.horizon.Store(t)
	for _, g := range gone {
		g.dropped.Store(true)
	}
	db.swapView(func(v *view) {
		kept := v.generations[:0]
		for _, g := range v.generations {
			if !g.dropped.Load() {
				kept = append(kept, g)
			}
		}
		v.generations = kept
	})
	if len(gone) > 0 {
		db.log.Info("partitions dropped", "before", formatTime(t), "generations", len(gone))
	}
	db.metrics.dropped.Add(float64(len(gone)))
	return nil
}

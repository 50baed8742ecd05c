package tsdb

import (
	"context"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// LifetimeUse is what a lifetime gives up: of the series whose lifetime it is, what
// they have in partitions that ended before.
type LifetimeUse struct {
	Partitions int
	Series     uint64 // one that is in two generations counts twice
	Samples    uint64
	// BytesEstimated is the share in the generations' space that the samples have in
	// their number.
	BytesEstimated uint64
}

// Expired returns what each lifetime of a list, in force or not, gives up at a time
// of what is on disk. Where a generation's series have several lifetimes it reads
// those of them that have expired.
func (db *DB) Expired(ctx context.Context, list []Lifetime, now time.Time) ([]LifetimeUse, error) {
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	defer db.release(v)
	var all []block.Generation
	for _, g := range v.generations {
		all = append(all, g.Generation)
	}
	return expiredOf(ctx, db.store, all, list, now)
}

// ExpiredIn is Expired for a store that no database has open; what the log holds is
// left out.
func ExpiredIn(ctx context.Context, r kv.Reader, list []Lifetime, now time.Time) ([]LifetimeUse, error) {
	found, err := block.List(ctx, r, func([]byte, error) {})
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	return expiredOf(ctx, r, found.Readable, list, now)
}

// PartitionsIn lists the partitions of a store that no database has open.
func PartitionsIn(ctx context.Context, r kv.Reader) ([]Partition, error) {
	found, err := block.List(ctx, r, func([]byte, error) {})
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	return describePartitions(r, found.Readable)
}

func expiredOf(ctx context.Context, r kv.Reader, all []block.Generation, list []Lifetime, now time.Time) ([]LifetimeUse, error) {
	c := expiredCount{ctx: ctx, store: r, use: make([]LifetimeUse, len(list)+1)}
	for _, g := range all {
		e := expiryBy(list, g.ID.Tenant, g.ID.Resolution, now)
		if err := c.add(g, &e); err != nil {
			return nil, fmt.Errorf("count what has expired of %s: %w", g.ID, err)
		}
	}
	return c.use[:len(list)], nil
}

// expiredCount counts what has expired, by lifetime.
type expiredCount struct {
	ctx   context.Context
	store kv.Reader
	use   []LifetimeUse
	// last are the partitions that were counted last, by lifetime.
	last map[int]block.ID

	sealed block.SealedReader
	chunks []chunks.Chunk
}

// add counts what a generation has.
func (c *expiredCount) add(g block.Generation, e *expiry) error {
	end := endOf(g)
	if end > e.last {
		return nil
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	r := block.NewReader(c.store, g)
	total, err := describePartitions(c.store, []block.Generation{g})
	if err != nil {
		return err
	}
	sets := []*roaring.Bitmap{nil}
	if len(e.rules) > 1 {
		if sets, err = e.split(r); err != nil {
			return err
		}
	}
	for i, set := range sets {
		rule := &e.rules[i]
		if rule.oldest < end || set != nil && set.IsEmpty() {
			continue
		}
		n, samples := total[0].Series, total[0].Samples
		if set != nil && set.GetCardinality() < uint64(r.Series()) {
			n = set.GetCardinality()
			if samples, err = c.samples(g, r, set.ToArray()); err != nil {
				return err
			}
		}
		use := &c.use[rule.number]
		use.Series += n
		use.Samples += samples
		use.BytesEstimated += uint64(float64(total[0].Bytes) * float64(samples) / float64(max(total[0].Samples, 1)))
		c.note(use, rule.number, g.ID)
	}
	return nil
}

// note counts the partition of a generation, once for its neighbours.
func (c *expiredCount) note(use *LifetimeUse, rule int, id block.ID) {
	if c.last == nil {
		c.last = map[int]block.ID{}
	}
	id.Generation, id.Shard = 0, 0
	if before, ok := c.last[rule]; !ok || before != id {
		use.Partitions++
	}
	c.last[rule] = id
}

// samples counts the samples of series of a generation.
func (c *expiredCount) samples(g block.Generation, r *block.Reader, ordinals []uint32) (n uint64, err error) {
	addRow := func(_ int, row []byte) error {
		c.chunks, err = chunks.DecodeList(c.chunks[:0], row, g.ID.Start, 0)
		for _, x := range c.chunks {
			n += uint64(x.Count)
		}
		return err
	}
	// A part at a time, since what is read shares its memory.
	const part = 1024
	for from := 0; from < len(ordinals); from += part {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		some := ordinals[from:min(from+part, len(ordinals))]
		for _, f := range g.Flushes {
			if !r.Sealed() {
				if err := r.Chunks(f.Flush, some, addRow); err != nil {
					return 0, err
				}
				continue
			}
			wanted := block.Range{Min: f.MinTime, Max: f.MaxTime, Charge: func(int64) error { return nil }}
			err := c.sealed.Floats(r, some, wanted, func(_ int, x chunks.Chunk) { n += uint64(x.Count) })
			if err == nil {
				err = c.sealed.Histograms(r, some, wanted, addRow)
			}
			if err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// split returns the series of a generation that each rule has.
func (e *expiry) split(r *block.Reader) ([]*roaring.Bitmap, error) {
	rest := roaring.New()
	rest.AddRange(0, uint64(r.Series()))
	sets := make([]*roaring.Bitmap, 0, len(e.rules))
	for _, rule := range e.rules[:len(e.rules)-1] {
		set := roaring.New()
		for _, ms := range rule.selectors {
			found, pending, err := r.Match(index.Prepare(ms))
			if err != nil {
				return nil, err
			}
			found = roaring.And(found, rest)
			if len(pending) == 0 {
				set.Or(found)
				continue
			}
			ordinals := found.ToArray()
			err = r.Labels(ordinals, func(i int, ls series.Labels) error {
				if block.Accepts(pending, ls) {
					set.Add(ordinals[i])
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		rest.AndNot(set)
		sets = append(sets, set)
	}
	return append(sets, rest), nil
}

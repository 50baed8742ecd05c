package tsdb

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// Queryable returns the tenant's samples as Prometheus's engine wants them.
func (db *DB) Queryable(tenant series.TenantID) storage.Queryable { return queryable{db, tenant} }

type queryable struct {
	db     *DB
	tenant series.TenantID
}

// Querier implements storage.Queryable.
func (q queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	return q.db.Querier(q.tenant, mint, maxt)
}

// ChunkQueryable returns the tenant's samples in Prometheus's chunk encodings.
func (db *DB) ChunkQueryable(tenant series.TenantID) storage.ChunkQueryable {
	return chunkQueryable{db, tenant}
}

type chunkQueryable struct {
	db     *DB
	tenant series.TenantID
}

// ChunkQuerier implements storage.ChunkQueryable.
func (q chunkQueryable) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	querier, err := q.db.Querier(q.tenant, mint, maxt)
	if err != nil {
		return nil, err
	}
	return chunkQuerier{querier}, nil
}

// chunkQuerier is a Querier whose series come as chunks. It encodes them anew:
// Prometheus's chunks hold at most 120 samples and must not overlap.
type chunkQuerier struct{ *Querier }

// Select implements storage.ChunkQuerier.
func (q chunkQuerier) Select(ctx context.Context, sort bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	return storage.NewSeriesSetToChunkSet(q.Querier.Select(ctx, sort, hints, ms...))
}

// Select implements storage.Querier. The series come in label order.
func (q *Querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	mint, maxt, limit := q.mint, q.maxt, 0
	if hints != nil {
		if !hints.DisableTrimming {
			mint, maxt = max(mint, hints.Start), min(maxt, hints.End)
		}
		limit = hints.Limit
	}
	s, err := q.selectSeries(ctx, mint, maxt, ms)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	if hints != nil && hints.ShardCount > 0 {
		s.entries = slices.DeleteFunc(s.entries, func(e entry) bool {
			return labels.StableHash(e.labels)%hints.ShardCount != hints.ShardIndex
		})
	}
	if limit > 0 && len(s.entries) > limit {
		s.entries = s.entries[:limit]
	}
	return &seriesSet{loader: newLoader(ctx, q, s, mint, maxt), at: -1}
}

// seriesSet implements storage.SeriesSet.
type seriesSet struct {
	loader *loader
	at     int
}

func (s *seriesSet) Next() bool {
	s.at++
	return s.at < len(s.loader.selection.entries)
}

func (s *seriesSet) At() storage.Series { return selected{s.loader, s.at} }

func (s *seriesSet) Err() error { return nil }

func (s *seriesSet) Warnings() annotations.Annotations { return s.loader.q.Warnings() }

// selected is one series of a selection.
type selected struct {
	loader *loader
	at     int
}

// Labels implements storage.Series.
func (s selected) Labels() labels.Labels { return s.loader.selection.entries[s.at].labels }

// Iterator implements storage.Series.
func (s selected) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	return s.loader.iterator(s.at, old)
}

// LabelNames implements storage.LabelQuerier.
func (q *Querier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names := map[string]struct{}{}
	if len(ms) > 0 {
		s, err := q.selectSeries(ctx, q.mint, q.maxt, ms)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range s.entries {
			e.labels.Range(func(l labels.Label) { names[l.Name] = struct{}{} })
		}
		return sorted(names, hints), q.Warnings(), nil
	}
	for i := range q.readers {
		if err := q.tolerate(q.readers[i].LabelNames(names), q.readers[i].held.ID, damagedIndex); err != nil {
			return nil, nil, err
		}
	}
	if len(q.memory(math.MinInt64, math.MaxInt64)) > 0 {
		q.db.table.LabelNames(q.tenant, names)
	}
	return sorted(names, hints), q.Warnings(), nil
}

// LabelValues implements storage.LabelQuerier.
func (q *Querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values := map[string]struct{}{}
	for i := range q.readers {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := q.tolerate(q.readerValues(&q.readers[i], name, ms, values), q.readers[i].held.ID, damagedIndex); err != nil {
			return nil, nil, err
		}
	}
	if epochs := q.memory(math.MinInt64, math.MaxInt64); len(epochs) > 0 {
		if len(ms) == 0 {
			q.db.table.LabelValues(q.tenant, name, values)
		} else {
			refs := q.db.table.Match(q.tenant, ms, nil)
			q.db.table.ValuesOf(name, overlapping(epochs, refs, q.mint, q.maxt), values)
		}
	}
	return sorted(values, hints), q.Warnings(), nil
}

// readerValues adds the label's values among the series of a generation that
// satisfy ms.
func (q *Querier) readerValues(r *generationReader, name string, ms []*labels.Matcher, values map[string]struct{}) error {
	if len(ms) == 0 {
		return r.LabelValues(name, nil, values)
	}
	found, pending, err := r.Match(index.Prepare(ms))
	if err != nil {
		return err
	}
	const oneByOne, fewSeries = 128, 4096
	if len(pending) == 0 && found.GetCardinality() > oneByOne {
		if ok, err := r.ValuesWithin(name, found, values); ok || err != nil {
			return err
		}
	}
	if len(pending) > 0 || found.GetCardinality() <= fewSeries {
		return r.Labels(found.ToArray(), func(_ int, ls series.Labels) error {
			if value := ls.Get(name); len(value) > 0 && block.Accepts(pending, ls) {
				values[string(value)] = struct{}{}
			}
			return nil
		})
	}
	return r.LabelValues(name, (*roaring.Bitmap)(found), values)
}

// sorted returns the keys of set in order, at most as many as hints allow.
func sorted(set map[string]struct{}, hints *storage.LabelHints) []string {
	out := slices.Sorted(maps.Keys(set))
	for i := range out {
		out[i] = strings.Clone(out[i])
	}
	limited, _ := hints.ApplyLimit(out)
	return limited
}

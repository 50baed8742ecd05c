package tsdb

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
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
			return labels.StableHash(e.decoded)%hints.ShardCount != hints.ShardIndex
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
func (s selected) Labels() labels.Labels { return s.loader.selection.entries[s.at].decoded }

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
			e.decoded.Range(func(l labels.Label) { names[l.Name] = struct{}{} })
		}
		return sorted(names, hints), q.Warnings(), nil
	}
	for i := range q.readers {
		if err := q.tolerate(q.readers[i].LabelNames(names), q.readers[i].held.ID, -1); err != nil {
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
		if err := q.tolerate(q.readerValues(&q.readers[i], name, ms, values), q.readers[i].held.ID, -1); err != nil {
			return nil, nil, err
		}
	}
	if epochs := q.memory(math.MinInt64, math.MaxInt64); len(epochs) > 0 {
		if len(ms) == 0 {
			q.db.table.LabelValues(q.tenant, name, values)
		} else {
			var buffer []byte
			for _, ref := range q.db.table.Match(q.tenant, ms, nil) {
				buffer = q.db.table.AppendLabels(buffer[:0], ref)
				value := series.Labels(buffer).Get(name)
				if _, known := values[string(value)]; known || len(value) == 0 {
					continue
				}
				if slices.ContainsFunc(epochs, func(e *heldEpoch) bool { return e.Overlaps(ref, q.mint, q.maxt) }) {
					values[string(value)] = struct{}{}
				}
			}
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
	const fewSeries = 4096
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

// ExemplarQueryable returns the tenant's exemplars.
func (db *DB) ExemplarQueryable(tenant series.TenantID) storage.ExemplarQueryable {
	return exemplarQueryable{db, tenant}
}

type exemplarQueryable struct {
	db     *DB
	tenant series.TenantID
}

// ExemplarQuerier implements storage.ExemplarQueryable.
func (q exemplarQueryable) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return exemplarQuerier{q, ctx}, nil
}

type exemplarQuerier struct {
	exemplarQueryable
	ctx context.Context
}

// Select implements storage.ExemplarQuerier.
func (x exemplarQuerier) Select(start, end int64, matchers ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	q, err := x.db.Querier(x.tenant, start, end)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	found := map[string]*exemplarSeries{}
	for _, ms := range matchers {
		if err := q.collectExemplars(x.ctx, ms, found); err != nil {
			return nil, err
		}
	}
	var builder labels.ScratchBuilder
	results := make([]exemplar.QueryResult, 0, len(found))
	for _, f := range found {
		if r, err := f.result(&builder); err != nil {
			return nil, err
		} else if len(r.Exemplars) > 0 {
			results = append(results, r)
		}
	}
	slices.SortFunc(results, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return results, nil
}

// exemplarSeries collects the exemplars of a series.
type exemplarSeries struct {
	labels    labels.Labels
	exemplars []head.Exemplar
}

func (q *Querier) collectExemplars(ctx context.Context, ms []*labels.Matcher, found map[string]*exemplarSeries) error {
	// Exemplars need not lie between the first and the last sample of their
	// series, so the series are selected over everything that is open.
	s, err := q.selectSeries(ctx, math.MinInt64, math.MaxInt64, ms)
	if err != nil {
		return err
	}
	places := make([][]place, len(q.readers))
	for i := range s.entries {
		e := &s.entries[i]
		if _, known := found[string(e.labels)]; known {
			continue // by an earlier set of matchers
		}
		f := &exemplarSeries{labels: e.decoded}
		found[string(e.labels)] = f
		if e.ref != 0 {
			for _, epoch := range q.view.epochs {
				f.exemplars = epoch.Exemplars(e.ref, q.mint, q.maxt, f.exemplars)
			}
		}
		for _, row := range e.rows {
			places[row.reader] = append(places[row.reader], place{row.ordinal, i})
		}
	}
	for r := range q.readers {
		if err := q.readExemplars(&q.readers[r], places[r], s, found); err != nil {
			return err
		}
	}
	return nil
}

func (q *Querier) readExemplars(r *generationReader, places []place, s *selection, found map[string]*exemplarSeries) error {
	slices.SortFunc(places, func(a, b place) int { return int(a.ordinal) - int(b.ordinal) })
	ordinals := make([]uint32, len(places))
	for i, p := range places {
		ordinals[i] = p.ordinal
	}
	for _, f := range r.flushes {
		if f.Exemplars == 0 {
			continue
		}
		err := r.Exemplars(f.Flush, ordinals, q.mint, q.maxt, func(i int, exemplars []head.Exemplar) {
			to := found[string(s.entries[places[i].entry].labels)]
			to.exemplars = append(to.exemplars, exemplars...)
		})
		if err := q.tolerate(err, r.held.ID, int64(f.Flush)); err != nil {
			return err
		}
	}
	return nil
}

// result orders the exemplars by time and drops repeated ones.
func (f *exemplarSeries) result(builder *labels.ScratchBuilder) (exemplar.QueryResult, error) {
	r := exemplar.QueryResult{SeriesLabels: f.labels}
	slices.SortStableFunc(f.exemplars, func(a, b head.Exemplar) int {
		switch {
		case a.Timestamp != b.Timestamp:
			return int(min(max(a.Timestamp-b.Timestamp, -1), 1))
		default:
			return strings.Compare(string(a.Labels), string(b.Labels))
		}
	})
	for _, x := range f.exemplars {
		ls, err := x.Labels.Decode(builder)
		if err != nil {
			return r, err
		}
		e := exemplar.Exemplar{Labels: ls, Value: x.Value, Ts: x.Timestamp, HasTs: true}
		if n := len(r.Exemplars); n == 0 || !r.Exemplars[n-1].Equals(e) {
			r.Exemplars = append(r.Exemplars, e)
		}
	}
	return r, nil
}

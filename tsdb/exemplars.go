package tsdb

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/head"
)

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
		key := string(e.labels.Bytes(nil))
		if _, known := found[key]; known {
			continue // by an earlier set of matchers
		}
		f := &exemplarSeries{labels: e.labels}
		found[key] = f
		if e.ref != 0 {
			for _, epoch := range q.view.epochs {
				f.exemplars = epoch.Exemplars(e.ref, q.oldestOf(e, q.mint), q.maxt, f.exemplars)
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
			e := &s.entries[places[i].entry]
			to, oldest := found[string(e.labels.Bytes(nil))], q.oldestOf(e, q.mint)
			for _, x := range exemplars {
				if x.Timestamp >= oldest {
					to.exemplars = append(to.exemplars, x)
				}
			}
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
	sortExemplars(f.exemplars)
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

// sortExemplars orders exemplars by time, then by labels and value.
func sortExemplars(list []head.Exemplar) {
	slices.SortStableFunc(list, func(a, b head.Exemplar) int {
		return cmp.Or(
			cmp.Compare(a.Timestamp, b.Timestamp),
			bytes.Compare(a.Labels, b.Labels),
			cmp.Compare(math.Float64bits(a.Value), math.Float64bits(b.Value)),
		)
	})
}

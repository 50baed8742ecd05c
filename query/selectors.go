package query

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/series"
)

// Limited returns a view of storage whose selectors read on parts of budget.
// Series are counted as they come out, so that the limit also holds for storage
// that charges nothing.
func Limited(from storage.Queryable, budget *Budget) storage.Queryable {
	return storage.QueryableFunc(func(mint, maxt int64) (storage.Querier, error) {
		q, err := from.Querier(mint, maxt)
		if err != nil {
			return nil, err
		}
		return &limitedQuerier{Querier: q, budget: budget}, nil
	})
}

// LimitedChunks is Limited for storage that is read in chunks.
func LimitedChunks(from storage.ChunkQueryable, budget *Budget) storage.ChunkQueryable {
	return limitedChunks{from, budget}
}

type limitedQuerier struct {
	storage.Querier
	budget *Budget
}

func (q *limitedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	part := &selectorBudget{whole: q.budget, matchers: matchers}
	set := q.Querier.Select(series.WithBudget(ctx, part), sorted, hints, matchers...)
	return &limitedSet[storage.Series]{set: set, budget: part}
}

type limitedChunks struct {
	from   storage.ChunkQueryable
	budget *Budget
}

func (l limitedChunks) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	q, err := l.from.ChunkQuerier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return &limitedChunkQuerier{ChunkQuerier: q, budget: l.budget}, nil
}

type limitedChunkQuerier struct {
	storage.ChunkQuerier
	budget *Budget
}

func (q *limitedChunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.ChunkSeriesSet {
	part := &selectorBudget{whole: q.budget, matchers: matchers}
	set := q.ChunkQuerier.Select(series.WithBudget(ctx, part), sorted, hints, matchers...)
	return &limitedSet[storage.ChunkSeries]{set: set, budget: part}
}

// set is what a SeriesSet and a ChunkSeriesSet have in common.
type set[S any] interface {
	Next() bool
	At() S
	Err() error
	Warnings() annotations.Annotations
}

// limitedSet ends a set once it has given more series than its selector may read.
type limitedSet[S any] struct {
	set    set[S]
	budget *selectorBudget
	seen   int64
	err    error
}

func (s *limitedSet[S]) Next() bool {
	if s.err != nil || !s.set.Next() {
		return false
	}
	s.seen++
	s.err = s.budget.within(s.seen)
	if s.err == nil && s.seen > s.budget.charged.Load() {
		s.budget.charged.Store(s.seen)
		s.budget.whole.series.Add(1)
	}
	return s.err == nil
}

func (s *limitedSet[S]) At() S { return s.set.At() }

func (s *limitedSet[S]) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.set.Err()
}

func (s *limitedSet[S]) Warnings() annotations.Annotations { return s.set.Warnings() }

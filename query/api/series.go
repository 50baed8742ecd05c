package api

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/query"
)

// series lists the label sets of the series that any of several selectors matches.
func (a *API) series(ctx context.Context, c *call) (answer, error) {
	if err := c.params.wellFormed(); err != nil {
		return answer{}, err
	}
	if len(c.params.all("match[]")) == 0 {
		return answer{}, badData(errors.New("no match[] parameter provided"))
	}
	l, err := a.lookup(c.params, func(err error) error { return invalidParam("match[]", err) })
	if err != nil {
		return answer{}, err
	}
	ctx, budget, leave, err := a.deps.Engine.Admit(ctx, l.timeout)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	q, err := query.Limited(c.from.Queryable, budget).Querier(milliseconds(l.start), milliseconds(l.end))
	if err != nil {
		return answer{}, err
	}
	c.atEnd(func() { _ = q.Close() }) // the labels belong to the querier
	limit := a.cap(l)
	hints := &storage.SelectHints{
		Start: milliseconds(l.start),
		End:   milliseconds(l.end),
		Func:  "series", // says that no samples are needed
		Limit: hintLimit(limit),
	}
	var set storage.SeriesSet
	if len(l.selectors) == 1 {
		set = q.Select(ctx, false, hints, l.selectors[0]...)
	} else {
		sets := make([]storage.SeriesSet, 0, len(l.selectors))
		for _, selector := range l.selectors {
			sets = append(sets, q.Select(ctx, true, hints, selector...))
		}
		set = storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	}
	found, warnings, err := collect(set, limit, ctx.Err)
	if err != nil {
		return answer{}, err
	}
	return answer{data: &labelSetsPart{list: found}, warnings: warnings}, nil
}

// collect takes label sets from a set, at most limit unless that is 0, until
// ended says that time is up.
func collect(set storage.SeriesSet, limit int, ended func() error) ([]labels.Labels, annotations.Annotations, error) {
	const between = 128 // series between two looks at the clock
	var found []labels.Labels
	for set.Next() {
		if limit > 0 && len(found) == limit {
			warnings := set.Warnings()
			return found, warnings.Add(errTruncated), nil
		}
		found = append(found, set.At().Labels())
		if len(found)%between == 0 {
			if err := ended(); err != nil {
				return nil, nil, err
			}
		}
	}
	return found, set.Warnings(), set.Err()
}

// labelSetsPart writes an array of label sets.
type labelSetsPart struct {
	list []labels.Labels
	at   int
}

func (p *labelSetsPart) next(dst []byte) ([]byte, bool) {
	if p.at == 0 {
		dst = append(dst, '[')
	}
	for limit := len(dst) + blockBytes; p.at < len(p.list); {
		if p.at > 0 {
			dst = append(dst, ',')
		}
		dst = appendLabels(dst, p.list[p.at])
		p.at++
		if len(dst) > limit && p.at < len(p.list) {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// reference is Prometheus's engine of today over Prometheus's database of today.
type reference struct {
	engine  *promql.Engine
	storage storage.Queryable
}

// newReference loads a recording into a database of its own.
func newReference(t testing.TB, all recording) *reference {
	t.Helper()
	db := teststorage.New(t)
	for _, s := range all {
		app := db.Appender(t.Context())
		if err := appendRecord(app, s); err != nil {
			t.Fatalf("load %s into the reference: %v", nameOf(s.labels), err)
		}
		if err := app.Commit(); err != nil {
			t.Fatalf("load %s into the reference: %v", nameOf(s.labels), err)
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: patience, LookbackDelta: 5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true,
		Parser: parser.NewParser(parser.Options{EnableExperimentalFunctions: true}),
	})
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return &reference{engine, sorted{db}}
}

func appendRecord(app storage.Appender, s *record) error {
	builder := labels.NewScratchBuilder(len(s.labels))
	ls := prompb.TimeSeries{Labels: s.labels}.ToLabels(&builder, nil)
	for _, sample := range s.samples {
		if _, err := app.Append(0, ls, sample.Timestamp, sample.Value); err != nil {
			return err
		}
	}
	for _, h := range s.histograms {
		var err error
		if h.IsFloatHistogram() {
			_, err = app.AppendHistogram(0, ls, h.Timestamp, nil, h.ToFloatHistogram())
		} else {
			_, err = app.AppendHistogram(0, ls, h.Timestamp, h.ToIntHistogram(), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sorted hands out series in the order of their labels, as Varve does: the order
// of additions is part of what a sum of floats is.
type sorted struct{ storage.Queryable }

func (s sorted) Querier(from, to int64) (storage.Querier, error) {
	querier, err := s.Queryable.Querier(from, to)
	return sortedQuerier{querier}, err
}

type sortedQuerier struct{ storage.Querier }

func (q sortedQuerier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return q.Querier.Select(ctx, true, hints, matchers...)
}

// instant answers an instant query.
func (r *reference) instant(query string, at time.Time) (result, error) {
	q, err := r.engine.NewInstantQuery(context.Background(), r.storage, nil, query, at)
	if err != nil {
		return result{}, err
	}
	return runReference(q, query)
}

// ranged answers a range query.
func (r *reference) ranged(query string, start, end time.Time, step time.Duration) (result, error) {
	q, err := r.engine.NewRangeQuery(context.Background(), r.storage, nil, query, start, end, step)
	if err != nil {
		return result{}, err
	}
	return runReference(q, query)
}

func runReference(q promql.Query, text string) (result, error) {
	defer q.Close()
	answer := q.Exec(context.Background())
	if answer.Err != nil {
		return result{}, answer.Err
	}
	r := resultOf(answer.Value)
	r.warnings, r.infos = answer.Warnings.AsStrings(text, 0, 0) // 0 is all of them
	return r, nil
}

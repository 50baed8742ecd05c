package tsdb_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// TestPrometheusScripts runs all of Prometheus's own test scripts on this
// storage; each load is appended, flushed and reopened before it is evaluated.
func TestPrometheusScripts(t *testing.T) {
	for _, mode := range []string{"reopened", "flushed", "memory", "sealed", "sealed once"} {
		t.Run(mode, func(t *testing.T) {
			engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
			promqltest.RunBuiltinTestsWithStorage(t, engine, func(t testing.TB) storage.Storage { return newScriptStorage(t, mode) })
		})
	}
}

// scriptStorage is a DB as Prometheus's test scripts want it.
type scriptStorage struct {
	t     testing.TB
	mode  string
	store *memkv.Store
	db    *tsdb.DB
}

func scriptOptions() tsdb.Options {
	return tsdb.Options{
		Now:      func() time.Time { return time.UnixMilli(0) },
		AheadMax: 200 * 365 * 24 * time.Hour,
		// Scripts load series with a step of days.
		Width: 7 * 24 * time.Hour, EpochPartitionsMax: 1 << 20,
	}
}

func newScriptStorage(t testing.TB, mode string) *scriptStorage {
	s := &scriptStorage{t: t, mode: mode, store: memkv.New(memkv.Options{})}
	s.open()
	return s
}

func (s *scriptStorage) open() {
	db, err := tsdb.Open(context.Background(), s.store, scriptOptions())
	if err != nil {
		s.t.Fatal(err)
	}
	s.db = db
}

func (s *scriptStorage) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.db.Querier(series.DefaultTenant, mint, maxt)
}

func (s *scriptStorage) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) {
	return nil, errors.New("not used by scripts")
}

func (s *scriptStorage) StartTime() (int64, error) { return math.MinInt64, nil }

func (s *scriptStorage) Close() error {
	if n := s.db.Damaged(); n > 0 {
		s.t.Errorf("%d rows were taken for damaged", n)
	}
	if err := s.db.Close(); err != nil {
		return err
	}
	return s.store.Close()
}

func (s *scriptStorage) Appender(context.Context) storage.Appender {
	s.t.Fatal("scripts use AppenderV2")
	return nil
}

func (s *scriptStorage) AppenderV2(context.Context) storage.AppenderV2 {
	return &scriptAppender{storage: s}
}

type scriptAppender struct {
	storage *scriptStorage
	batch   series.Batch
}

func (a *scriptAppender) Append(_ storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	a.batch.AddEncodedRow(series.AppendLabels(nil, ls)) // scripts have series without a metric name
	if h != nil || fh != nil {
		a.batch.AddHistogram(series.Histogram{Timestamp: t, Start: st, Int: h, Float: fh})
	} else {
		a.batch.AddSample(t, st, v)
	}
	return 1, nil
}

func (a *scriptAppender) Commit() error {
	s := a.storage
	ctx := context.Background()
	outcome, err := s.db.Append(ctx, series.DefaultTenant, &a.batch)
	if err != nil {
		return err
	}
	if !outcome.Refused.Empty() {
		return errors.New(outcome.Refused.String())
	}
	if s.mode == "memory" {
		return nil
	}
	if err := s.db.Flush(ctx); err != nil {
		return err
	}
	if s.mode == "sealed" || s.mode == "sealed once" && len(a.batch.Rows)%2 == 0 {
		if _, err := s.db.Seal(ctx); err != nil {
			return err
		}
	}
	if s.mode != "flushed" {
		if err := s.db.Close(); err != nil {
			return err
		}
		s.open()
	}
	return nil
}

func (a *scriptAppender) Rollback() error { return nil }

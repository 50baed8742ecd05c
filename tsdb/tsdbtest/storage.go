package tsdbtest

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// Modes says what happens to samples between being appended and being read.
var Modes = []string{"reopened", "flushed", "memory", "sealed", "sealed once"}

// Storage is a DB as Prometheus's test scripts want it.
type Storage struct {
	t     testing.TB
	mode  string
	store *memkv.Store
	db    *tsdb.DB
}

func options() tsdb.Options {
	return tsdb.Options{
		Now:      func() time.Time { return time.UnixMilli(0) },
		AheadMax: 200 * 365 * 24 * time.Hour,
		// Scripts load series with a step of days.
		Width: 7 * 24 * time.Hour, EpochPartitionsMax: 1 << 20,
	}
}

// New returns an empty storage in one of Modes.
func New(t testing.TB, mode string) *Storage {
	s := &Storage{t: t, mode: mode, store: memkv.New(memkv.Options{})}
	s.open()
	return s
}

// DB returns the database as it is opened now.
func (s *Storage) DB() *tsdb.DB { return s.db }

func (s *Storage) open() {
	db, err := tsdb.Open(context.Background(), s.store, options())
	if err != nil {
		s.t.Fatal(err)
	}
	s.db = db
}

// Querier implements storage.Queryable.
func (s *Storage) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.db.Querier(series.DefaultTenant, mint, maxt)
}

// ChunkQuerier implements storage.ChunkQueryable; scripts do not use it.
func (s *Storage) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) {
	return nil, errors.New("not used by scripts")
}

// StartTime implements storage.Storage.
func (s *Storage) StartTime() (int64, error) { return math.MinInt64, nil }

// Close implements storage.Storage.
func (s *Storage) Close() error {
	if n := s.db.Damaged(); n > 0 {
		s.t.Errorf("%d rows were taken for damaged", n)
	}
	if err := s.db.Close(); err != nil {
		return err
	}
	return s.store.Close()
}

// Appender implements storage.Appendable; scripts do not use it.
func (s *Storage) Appender(context.Context) storage.Appender {
	s.t.Fatal("scripts use AppenderV2")
	return nil
}

// AppenderV2 implements storage.AppendableV2.
func (s *Storage) AppenderV2(context.Context) storage.AppenderV2 {
	return &appender{storage: s}
}

type appender struct {
	storage *Storage
	batch   series.Batch
}

func (a *appender) Append(_ storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	a.batch.AddEncodedRow(series.AppendLabels(nil, ls)) // scripts have series without a metric name
	if h != nil || fh != nil {
		a.batch.AddHistogram(series.Histogram{Timestamp: t, Start: st, Int: h, Float: fh})
	} else {
		a.batch.AddSample(t, st, v)
	}
	return 1, nil
}

func (a *appender) Commit() error {
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

func (a *appender) Rollback() error { return nil }

package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// testNow is what the clock of most tests reads.
var testNow = time.Date(2026, 1, 4, 12, 0, 0, 0, time.UTC)

// testOptions are those of most tests: a fixed clock and fixed randomness.
func testOptions() Options {
	n := uint64(0)
	return Options{Now: func() time.Time { return testNow }, Random: func() uint64 { n++; return n }}
}

// openDB opens a database that is closed at the end of the test.
func openDB(t testing.TB, store kv.Store, o Options) *DB {
	t.Helper()
	db, err := Open(context.Background(), store, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// point is a float sample.
type point struct {
	t int64
	v float64
}

// appendPoints stores points of one series.
func appendPoints(t testing.TB, db *DB, ls labels.Labels, points ...point) {
	t.Helper()
	var b series.Batch
	if reason, detail := b.AddSeries(ls); reason != "" {
		t.Fatal(detail)
	}
	for _, p := range points {
		b.AddSample(p.t, 0, p.v)
	}
	mustAppend(t, db, series.DefaultTenant, &b)
}

// mustAppend stores a batch of which nothing may be refused.
func mustAppend(t testing.TB, db *DB, tenant series.TenantID, b *series.Batch) {
	t.Helper()
	outcome, err := db.Append(context.Background(), tenant, b)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if !outcome.Refused.Empty() {
		t.Fatalf("append: %s", outcome.Refused)
	}
}

func mustFlush(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Flush(context.Background()); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

func matcher(t testing.TB, kind labels.MatchType, name, value string) *labels.Matcher {
	t.Helper()
	m, err := labels.NewMatcher(kind, name, value)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// readSamples drains an iterator.
func readSamples(it chunkenc.Iterator) ([]chunks.Sample, error) {
	var out []chunks.Sample
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		out = append(out, sampleAt(it, kind))
	}
	return out, it.Err()
}

// sampleAt returns the sample on which the iterator stands.
func sampleAt(it chunkenc.Iterator, kind chunkenc.ValueType) chunks.Sample {
	s := chunks.Sample{Start: it.AtST()}
	switch kind {
	case chunkenc.ValFloat:
		t, v := it.At()
		s.Time, s.Bits = t, math.Float64bits(v)
	case chunkenc.ValHistogram:
		t, h := it.AtHistogram(nil)
		s.Time, s.Histogram = t, chunks.AppendHistogram(nil, h)
	case chunkenc.ValFloatHistogram:
		t, h := it.AtFloatHistogram(nil)
		s.Time, s.Histogram = t, chunks.AppendFloatHistogram(nil, h)
	}
	return s
}

// read returns all samples of the matching series by their labels, as text.
func read(q *Querier, ms ...*labels.Matcher) (map[string][]chunks.Sample, error) {
	out := map[string][]chunks.Sample{}
	set := q.Select(context.Background(), true, nil, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		samples, err := readSamples(it)
		if err != nil {
			return nil, err
		}
		name := set.At().Labels().String()
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("series %s comes twice", name)
		}
		if len(samples) > 0 {
			out[name] = samples
		}
	}
	return out, set.Err()
}

// readAll returns all samples of a tenant by their labels.
func readAll(t testing.TB, db *DB, tenant series.TenantID) map[string][]chunks.Sample {
	t.Helper()
	q, err := db.Querier(tenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	out, err := read(q, matcher(t, labels.MatchRegexp, "__name__", ".*"))
	if err != nil {
		t.Fatalf("select: %v", err)
	}
	if warnings := q.Warnings(); len(warnings) > 0 {
		t.Fatalf("select: warnings %v", warnings)
	}
	return out
}

// warningsOf reads everything that a tenant has and returns what is amiss.
func warningsOf(t testing.TB, db *DB) annotations.Annotations {
	t.Helper()
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := read(q, matcher(t, labels.MatchRegexp, "__name__", ".*")); err != nil {
		t.Fatalf("select: %v", err)
	}
	return q.Warnings()
}

// errInjected is what a faultyStore fails with.
var errInjected = errors.New("injected fault")

// faultyStore is a store in memory whose writes fail on demand, before or after
// they took effect.
type faultyStore struct {
	*memkv.Store
	mu    sync.Mutex
	fault func(what string) (before, after bool) // nil: none
}

func (s *faultyStore) setFault(f func(what string) (before, after bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

func (s *faultyStore) do(what string, write func() error) error {
	s.mu.Lock()
	before, after := false, false
	if s.fault != nil {
		before, after = s.fault(what)
	}
	s.mu.Unlock()
	if before {
		return fmt.Errorf("%s: %w", what, errInjected)
	}
	if err := write(); err != nil {
		return err
	}
	if after {
		return fmt.Errorf("%s, after it took effect: %w", what, errInjected)
	}
	return nil
}

func (s *faultyStore) Apply(b *kv.Batch, d kv.Durability) error {
	return s.do("apply", func() error { return s.Store.Apply(b, d) })
}

func (s *faultyStore) Ingest(ctx context.Context, tables []kv.Table) error {
	return s.do("ingest", func() error { return s.Store.Ingest(ctx, tables) })
}

func (s *faultyStore) Excise(ctx context.Context, lower, upper []byte) error {
	return s.do("excise", func() error { return s.Store.Excise(ctx, lower, upper) })
}

var _ Store = (*faultyStore)(nil)

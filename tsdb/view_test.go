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

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// churn stores one sample of n series that nothing else uses.
func churn(t *testing.T, db *DB, name string, n int, at int64, v float64) {
	t.Helper()
	var b series.Batch
	for i := range n {
		if reason, detail := b.AddSeries(labels.FromStrings("__name__", name, "i", fmt.Sprintf("%03d", i))); reason != "" {
			t.Fatal(detail)
		}
		b.AddSample(at, 0, v)
	}
	mustAppend(t, db, series.DefaultTenant, &b)
}

// TestOldViewOutlivesSweep holds a querier while the series that it sees in
// memory are forgotten and their references go to other series.
func TestOldViewOutlivesSweep(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	now := testNow.UnixMilli()
	const n = 400
	churn(t, db, "old", n, now, 1)
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for i := range 4 {
		mustFlush(t, db)
		churn(t, db, fmt.Sprintf("new%d", i), n, now, 2)
	}
	got, err := read(q, matcher(t, labels.MatchEqual, "__name__", "old"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != n {
		t.Errorf("the querier sees %d of %d series that it pinned", len(got), n)
	}
	got, err = read(q, matcher(t, labels.MatchRegexp, "__name__", "new.*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 {
		t.Errorf("%d series that came later have samples in the querier's view", len(got))
	}
	q.Close()
	mustFlush(t, db)
	churn(t, db, "last", 1, now, 3)
	mustFlush(t, db)
	if got := db.Stats(series.DefaultTenant, 1).Series; got > n+1 {
		t.Errorf("%d series are in memory, those of earlier epochs should be gone", got)
	}
}

// slowStore lets a test hold back one commit.
type slowStore struct {
	*memkv.Store
	mu   sync.Mutex
	hold chan struct{} // the next Apply waits for it
	held chan struct{} // closed when it waits
}

func (s *slowStore) Apply(b *kv.Batch, d kv.Durability) error {
	s.mu.Lock()
	hold, held := s.hold, s.held
	s.hold, s.held = nil, nil
	s.mu.Unlock()
	if hold != nil {
		close(held)
		<-hold
	}
	return s.Store.Apply(b, d)
}

// holdNext makes the next Apply wait until release is closed; held tells that
// it does.
func (s *slowStore) holdNext() (held, release chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold, s.held = make(chan struct{}), make(chan struct{})
	return s.held, s.hold
}

// TestCloseWaitsForAppends closes the database while an append of an epoch that
// is just being frozen has not come back.
func TestCloseWaitsForAppends(t *testing.T) {
	store := &slowStore{Store: memkv.New(memkv.Options{})}
	db := openDB(t, store, testOptions())
	now := testNow.UnixMilli()
	appendPoints(t, db, labels.FromStrings("__name__", "m"), point{now, 1})
	held, release := store.holdNext()
	appended := make(chan error, 1)
	go func() {
		var b series.Batch
		b.AddSeries(labels.FromStrings("__name__", "m"))
		b.AddSample(now+1, 0, 2)
		_, err := db.Append(context.Background(), series.DefaultTenant, &b)
		appended <- err
	}()
	<-held
	flushed := make(chan error, 1)
	go func() { flushed <- db.Flush(context.Background()) }()
	for db.frozen() == 0 {
		time.Sleep(time.Millisecond) // until the flush has opened the next epoch
	}
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case <-closed:
		t.Fatal("Close returned while an append was under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := <-appended; err != nil {
		t.Errorf("append: %v", err)
	}
	if err := <-flushed; err != nil && !errors.Is(err, ErrClosed) {
		t.Errorf("flush: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	again := openDB(t, store, testOptions())
	if got := readAll(t, again, series.DefaultTenant)[`{__name__="m"}`]; len(got) != 2 {
		t.Errorf("%d samples after reopening, want 2", len(got))
	}
}

// TestClosed expects a closed database to refuse everything.
func TestClosed(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	appendPoints(t, db, labels.FromStrings("__name__", "m"), point{testNow.UnixMilli(), 1})
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	if err := db.Flush(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("flush: %v", err)
	}
	if err := db.Step(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("step: %v", err)
	}
	if _, err := db.Querier(series.DefaultTenant, 0, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("querier: %v", err)
	}
	if _, err := db.Partitions(); !errors.Is(err, ErrClosed) {
		t.Errorf("partitions: %v", err)
	}
	if err := db.DropBefore(ctx, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("drop: %v", err)
	}
	var b series.Batch
	b.AddSeries(labels.FromStrings("__name__", "m"))
	b.AddSample(testNow.UnixMilli(), 0, 1)
	if _, err := db.Append(ctx, series.DefaultTenant, &b); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
}

// TestLateRequestKeepsSeries lets a request of a frozen epoch name a series
// after a request of the next epoch did: the series must stay for the latter.
func TestLateRequestKeepsSeries(t *testing.T) {
	store := &slowStore{Store: memkv.New(memkv.Options{})}
	db := openDB(t, store, testOptions())
	now := testNow.UnixMilli()
	churn(t, db, "m", 400, now, 1)
	// The request that is held has marked its series already, so the one that
	// follows it within its epoch is made by hand.
	e, err := db.enter()
	if err != nil {
		t.Fatal(err)
	}
	var frozen sync.WaitGroup
	frozen.Go(db.freeze)
	for db.frozen() == 0 {
		time.Sleep(time.Millisecond)
	}
	churn(t, db, "m", 400, now+1, 2)
	var b series.Batch
	for i := range 400 {
		b.AddSeries(labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%03d", i)))
	}
	db.table.Resolve(series.DefaultTenant, &b, uint32(e.ID), nil)
	e.active.Done()
	frozen.Wait()
	for i := range 3 {
		mustFlush(t, db)
		if got := readAll(t, db, series.DefaultTenant); len(got) != 400+i || len(got[`{__name__="m", i="000"}`]) != 2 {
			t.Fatalf("after flush %d: %d series, the first has %d samples, want 2", i, len(got), len(got[`{__name__="m", i="000"}`]))
		}
		appendPoints(t, db, labels.FromStrings("__name__", fmt.Sprint("other", i)), point{now, 1})
	}
}

// TestLostDropOfLog lets the removal of a flushed epoch's log fail: its epoch's
// number must not come back to life.
func TestLostDropOfLog(t *testing.T) {
	store := &faultyStore{Store: memkv.New(memkv.Options{})}
	m := labels.FromStrings("__name__", "m")
	now := testNow.UnixMilli()
	db := openDB(t, store, testOptions())
	appendPoints(t, db, m, point{now, 1})
	failed := false
	store.setFault(func(what string) (bool, bool) {
		failed = failed || what == "apply"
		return what == "apply", false
	})
	if err := db.Flush(context.Background()); err == nil || !failed {
		t.Fatalf("the flush did not meet the fault: %v", err)
	}
	store.setFault(nil)
	appendPoints(t, db, m, point{now + 1, 2})
	mustFlush(t, db)
	want := 2
	for range 4 {
		db.Close()
		db = openDB(t, store, testOptions())
		if got := readAll(t, db, series.DefaultTenant)[`{__name__="m"}`]; len(got) != want {
			t.Fatalf("%d samples, want %d", len(got), want)
		}
		appendPoints(t, db, m, point{now + int64(want), 1})
		want++
	}
}

package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/internal/fault"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// cutStore is a store of which the n-th write fails, before or after it took
// effect, or from which on nothing is written any more, as when a process ends.
type cutStore struct {
	*memkv.Store
	mu    sync.Mutex
	left  int // writes until the fault; negative: none
	kind  cutKind
	met   bool
	where string // what the fault hit
}

type cutKind int

const (
	cutBefore cutKind = iota
	cutAfter
	cutDead
	cutKinds
)

func (s *cutStore) do(what string, write func() error) error {
	s.mu.Lock()
	s.left--
	hit := s.left == 0 || s.kind == cutDead && s.left < 0 && s.met
	if s.left == 0 {
		s.met, s.where = true, what
	}
	kind := s.kind
	s.mu.Unlock()
	if hit && kind != cutAfter {
		return fmt.Errorf("%s: %w", what, errInjected)
	}
	err := write()
	if hit && err == nil {
		return fmt.Errorf("%s, after it took effect: %w", what, errInjected)
	}
	return err
}

// heal ends the faults and reports whether there was one.
func (s *cutStore) heal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	met := s.met
	s.left, s.met = -1, false
	return met
}

func (s *cutStore) Apply(b *kv.Batch, d kv.Durability) error {
	return s.do("apply", func() error { return s.Store.Apply(b, d) })
}

func (s *cutStore) Excise(ctx context.Context, lower, upper []byte) error {
	return s.do("excise", func() error { return s.Store.Excise(ctx, lower, upper) })
}

func (s *cutStore) Ingest(ctx context.Context, tables []kv.Table) error {
	inner := make([]kv.Table, len(tables))
	for i, t := range tables {
		inner[i] = t.(cutTable).Table
	}
	return s.do("ingest", func() error { return s.Store.Ingest(ctx, inner) })
}

func (s *cutStore) NewTable() (t kv.Table, err error) {
	err = s.do("new table", func() error {
		inner, err := s.Store.NewTable()
		t = cutTable{inner, s}
		return err
	})
	return t, err
}

type cutTable struct {
	kv.Table
	store *cutStore
}

func (t cutTable) Set(key, value []byte) error {
	return t.store.do("set", func() error { return t.Table.Set(key, value) })
}

func (t cutTable) Finish() error { return t.store.do("finish", t.Table.Finish) }

// sealContent fills a store with two partitions of flushed, sealed and late data,
// as they are before a seal.
func sealContent(t *testing.T, seed uint64) (*memkv.Store, sealTruth) {
	t.Helper()
	store := memkv.New(memkv.Options{})
	db := openDB(t, store, testOptions())
	start := testNow.Truncate(24 * time.Hour).UnixMilli()
	fleet := newSealFleet(rand.New(rand.NewPCG(seed, 3)), start-600_000)
	truth := sealTruth{}
	for i := range int64(4) {
		for tenant, rows := range fleet.until(start + (i-1)*300_000) {
			truth.join(tenant, rows)
			mustAppend(t, db, tenant, toBatch(rows))
		}
		mustFlush(t, db)
		if i == 1 {
			mustSeal(t, db)
		}
	}
	mustFlush(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return store, truth
}

// TestSealFaults lets every write of a seal fail in turn, in every way.
func TestSealFaults(t *testing.T) {
	Sequential(t)
	content, truth := sealContent(t, 1)
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for kind := range cutKinds {
		hits := map[string]int{}
		for n := 1; ; n += stride {
			store := &cutStore{Store: cloneStore(t, content), left: -1, kind: kind}
			where, met := sealFault(t, store, truth, n)
			if !met {
				break
			}
			hits[where]++
		}
		t.Logf("kind %d: %v", kind, hits)
		for _, where := range []string{"apply", "excise", "ingest", "new table", "set", "finish"} {
			if hits[where] == 0 && stride == 1 {
				t.Errorf("kind %d: no fault hit %s", kind, where)
			}
		}
	}
}

// sealFault seals with a fault at the n-th write, and reports whether there was one.
func sealFault(t *testing.T, store *cutStore, truth sealTruth, n int) (where string, met bool) {
	t.Helper()
	ctx := context.Background()
	what := fmt.Sprintf("kind %d, write %d", store.kind, n)
	db, err := Open(ctx, store, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	store.left = n
	_, err = db.Seal(ctx)
	if err != nil && !errors.Is(err, errInjected) {
		t.Fatalf("%s: %v", what, err)
	}
	mustEqualTruth(t, db, truth, what+", in the process")
	met = store.heal()
	what += " (" + store.where + ")"
	if store.kind != cutDead && n%3 > 0 { // the process goes on
		mustSeal(t, db)
		mustEqualTruth(t, db, truth, what+", sealed again")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(ctx, store, testOptions())
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	defer again.Close()
	listed, err := block.List(ctx, store, func(key []byte, err error) { t.Errorf("%s: damage behind %x: %v", what, key, err) })
	if err != nil || len(listed.Orphans)+len(listed.Damaged) > 0 {
		t.Fatalf("%s: %+v is left, %v", what, listed, err)
	}
	mustEqualTruth(t, again, truth, what+", reopened")
	mustSeal(t, again)
	mustEqualTruth(t, again, truth, what+", reopened and sealed")
	for _, b := range mustBlocks(t, again) {
		if b.State != "sealed" {
			t.Fatalf("%s: %+v is left", what, b)
		}
	}
	mustBeWhole(t, store, what)
	return store.where, met
}

func mustBlocks(t testing.TB, db *DB) []Block {
	t.Helper()
	blocks, err := db.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// mustBeWhole expects a check to find nothing.
func mustBeWhole(t testing.TB, store kv.Reader, when string) CheckReport {
	t.Helper()
	report, err := Check(context.Background(), store, CheckOptions{})
	if err != nil || report.Damaged > 0 {
		t.Fatalf("%s: check: %v, %+v", when, err, report.Damage)
	}
	return report
}

// TestSealPowerLoss crashes the file system at a random moment of a seal.
func TestSealPowerLoss(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	sealedBefore, sealedAfter := 0, 0
	for round := range rounds {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		files := fault.NewCrashableFS()
		store := openCrashable(t, files)
		db := openDB(t, store, testOptions())
		start := testNow.Truncate(24 * time.Hour).UnixMilli()
		fleet := newSealFleet(r, start-300_000)
		truth := sealTruth{}
		for i := range int64(3) {
			for tenant, rows := range fleet.until(start + (i-1)*300_000) {
				truth.join(tenant, rows)
				mustAppend(t, db, tenant, toBatch(rows))
			}
			mustFlush(t, db)
		}
		done := make(chan error, 1)
		go func() {
			_, err := db.Seal(context.Background())
			done <- err
		}()
		time.Sleep(time.Duration(r.IntN(40_000)) * time.Microsecond)
		clone := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		store = openCrashable(t, clone)
		db = openDB(t, store, testOptions())
		for _, b := range mustBlocks(t, db) {
			if b.State == "sealed" {
				sealedAfter++
			} else {
				sealedBefore++
			}
		}
		mustEqualTruth(t, db, truth, fmt.Sprintf("round %d, after the crash", round))
		mustSeal(t, db)
		mustEqualTruth(t, db, truth, fmt.Sprintf("round %d, sealed", round))
		mustBeWhole(t, store, fmt.Sprintf("round %d", round))
	}
	t.Logf("%d generations were found flushed, %d sealed", sealedBefore, sealedAfter)
}

func openCrashable(t *testing.T, files vfs.FS) *pebblekv.Store {
	t.Helper()
	store, err := pebblekv.Open("data", pebblekv.Options{FS: files, Reserve: -1, Fatal: func(err error) { t.Errorf("store failed: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// TestSealWaitsForFlushThatFailed lets a flush fail after it took effect: what it
// stored counts as flushed after a crash, so a seal must not take it away.
func TestSealWaitsForFlushThatFailed(t *testing.T) {
	store := &faultyStore{Store: memkv.New(memkv.Options{})}
	now := testNow
	o := testOptions()
	o.Now = func() time.Time { return now }
	db := openDB(t, store, o)
	m := labels.FromStrings("__name__", "m")
	at := now.UnixMilli()
	appendPoints(t, db, m, point{at, 1})
	mustFlush(t, db)
	if err := db.SealDue(context.Background()); err != nil { // from now on its age is known
		t.Fatal(err)
	}
	appendPoints(t, db, m, point{at + 1, 2})
	store.setFault(func(what string) (bool, bool) { return false, what == "ingest" })
	if err := db.Flush(context.Background()); !errors.Is(err, errInjected) {
		t.Fatalf("flush: %v", err)
	}
	store.setFault(nil)
	now = now.Add(3 * time.Hour)
	if err := db.SealDue(context.Background()); err != nil {
		t.Fatal(err)
	}
	crashed := cloneStore(t, store.Store)
	got := readAll(t, openDB(t, crashed, o), series.DefaultTenant)[m.String()]
	if len(got) != 2 {
		t.Errorf("%d samples after a crash, 2 were acknowledged", len(got))
	}
	mustFlush(t, db)
	if err := db.SealDue(context.Background()); err != nil {
		t.Fatal(err)
	}
	if b := mustBlocks(t, db); len(b) != 1 || b[0].State != "sealed" {
		t.Errorf("after the flush was tried again: %+v", b)
	}
	if got := readAll(t, openDB(t, cloneStore(t, store.Store), o), series.DefaultTenant)[m.String()]; len(got) != 2 {
		t.Errorf("%d samples after the seal, want 2", len(got))
	}
}

// TestSealRestsAfterDamage damages a row of one of two partitions: the other one
// is sealed, and the damaged one is not tried again every minute.
func TestSealRestsAfterDamage(t *testing.T) {
	ctx := context.Background()
	store := memkv.New(memkv.Options{})
	now := testNow
	o := testOptions()
	o.Now = func() time.Time { return now }
	db := openDB(t, store, o)
	today, yesterday := labels.FromStrings("__name__", "today"), labels.FromStrings("__name__", "yesterday")
	appendPoints(t, db, today, point{now.UnixMilli(), 1})
	appendPoints(t, db, yesterday, point{now.UnixMilli() - dayMillis, 2})
	mustFlush(t, db)
	appendPoints(t, db, labels.FromStrings("__name__", "other"), point{now.UnixMilli(), 1}) // so that nothing is read from memory
	mustFlush(t, db)
	key := firstRow(t, store, 'c')
	whole, err := store.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	setRow(t, store, key, whole[:len(whole)-1])

	now = now.Add(24 * time.Hour) // both are closed
	failures := func() float64 { return counterValue(t, db.metrics.seals.failures) }
	states := func() (out string) {
		for _, b := range mustBlocks(t, db) {
			out += b.State + " "
		}
		return out
	}
	if err := db.SealDue(ctx); !block.IsDamage(err) {
		t.Fatalf("the seal did not meet the damage: %v", err)
	}
	if got := states(); got != "flushed sealed " || failures() != 1 {
		t.Fatalf("blocks are %s, %v failures", got, failures())
	}
	for range 59 {
		now = now.Add(time.Minute)
		if err := db.SealDue(ctx); err != nil {
			t.Fatalf("tried again at once: %v", err)
		}
	}
	got, warnings, err := answer(db, 0, 0, now.UnixMilli())
	if err != nil || warnings == 0 || len(got[today.String()]) != 1 {
		t.Errorf("%d warnings, %v, %v", warnings, err, got)
	}
	now = now.Add(2 * time.Minute)
	if err := db.SealDue(ctx); !block.IsDamage(err) || failures() != 2 {
		t.Fatalf("after an hour: %v, %v failures", err, failures())
	}
	setRow(t, store, key, whole)
	now = now.Add(61 * time.Minute)
	if err := db.SealDue(ctx); err != nil {
		t.Fatal(err)
	}
	if got := states(); got != "sealed sealed " {
		t.Errorf("blocks are %s", got)
	}
	if got, _, err := answer(db, 0, 0, now.UnixMilli()); err != nil || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestSealEndsWithTheDatabase closes the database while a seal is under way.
func TestSealEndsWithTheDatabase(t *testing.T) {
	content, truth := sealContent(t, 2)
	store := &slowStore{Store: content}
	db := openDB(t, store, testOptions())
	held, release := store.holdNext()
	sealed := make(chan error, 1)
	go func() {
		_, err := db.Seal(context.Background())
		sealed <- err
	}()
	<-held // the seal is about to switch
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case <-closed:
		t.Fatal("Close returned while a seal was under way")
	case <-time.After(30 * time.Millisecond):
	}
	close(release)
	if err := <-sealed; err != nil && !errors.Is(err, ErrClosed) {
		t.Errorf("seal: %v", err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if _, err := db.Querier(0, 0, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("querier after Close: %v", err)
	}
	mustEqualTruth(t, openDB(t, content, testOptions()), truth, "reopened")
}

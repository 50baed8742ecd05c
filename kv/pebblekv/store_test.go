package pebblekv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/kvtest"
)

const testDir = "data"

// testOptions never end the process.
func testOptions(t testing.TB, files vfs.FS) Options {
	return Options{FS: files, Fatal: func(err error) { t.Errorf("store failed: %v", err) }}
}

func mustOpen(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func closeAtEnd(t testing.TB, s *Store) *Store {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func put(t testing.TB, s kv.Store, durability kv.Durability, key, value string) {
	t.Helper()
	var b kv.Batch
	b.Set([]byte(key), []byte(value))
	if err := s.Apply(&b, durability); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

func wantValue(t testing.TB, s kv.Reader, key, want string) {
	t.Helper()
	got, err := s.Get([]byte(key))
	if err != nil || string(got) != want {
		t.Fatalf("get %q: got %d bytes, %v; want %d bytes", key, len(got), err, len(want))
	}
}

func TestConformanceInMemory(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Store {
		return closeAtEnd(t, mustOpen(t, testDir, testOptions(t, vfs.NewMem())))
	})
}

func TestConformanceOnDisk(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Store {
		return closeAtEnd(t, mustOpen(t, t.TempDir(), testOptions(t, nil)))
	})
}

func TestConformanceWithSyncInterval(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Store {
		o := testOptions(t, vfs.NewMem())
		o.SyncInterval = time.Millisecond
		return closeAtEnd(t, mustOpen(t, testDir, o))
	})
}

func TestReopenKeepsEverything(t *testing.T) {
	dir := t.TempDir() + "/a/b"
	for round := range 4 {
		s := mustOpen(t, dir, testOptions(t, nil))
		for i := range round {
			wantValue(t, s, fmt.Sprintf("log%d", i), "1")
			wantValue(t, s, fmt.Sprintf("table%d", i), "2")
		}
		put(t, s, kv.NoSync, fmt.Sprintf("log%d", round), "1")
		ingestOne(t, s, fmt.Sprintf("table%d", round), "2")
		mustClose(t, s)
	}
	s := closeAtEnd(t, mustOpen(t, dir, Options{ReadOnly: true}))
	wantValue(t, s, "log3", "1")
	var b kv.Batch
	b.Set([]byte("a"), nil)
	if err := s.Apply(&b, kv.Sync); err == nil {
		t.Error("a read-only store took a batch")
	}
	if _, err := s.NewTable(); err == nil {
		t.Error("a read-only store began a table")
	}
}

func TestReadOnlyNeedsAStore(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{ReadOnly: true}); err == nil {
		t.Fatal("an empty folder was opened for reading only")
	}
	if _, err := Open(t.TempDir()+"/missing", Options{ReadOnly: true}); err == nil {
		t.Fatal("a missing folder was opened for reading only")
	}
}

func ingestOne(t testing.TB, s *Store, pairs ...string) {
	t.Helper()
	tbl, err := s.NewTable()
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := tbl.Set([]byte(pairs[i]), []byte(pairs[i+1])); err != nil {
			t.Fatalf("set in table: %v", err)
		}
	}
	if err := tbl.Finish(); err != nil {
		t.Fatalf("finish table: %v", err)
	}
	if err := s.Ingest(t.Context(), []kv.Table{tbl}); err != nil {
		t.Fatalf("ingest: %v", err)
	}
}

func TestTableFilesAreRemoved(t *testing.T) {
	files := vfs.NewMem()
	s := mustOpen(t, testDir, testOptions(t, files))
	ingestOne(t, s, "a", "1")
	ingestOne(t, s)
	abandoned, err := s.NewTable()
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	abandoned.Abandon()
	wantTables := func(want int) {
		t.Helper()
		names, err := files.List(testDir + "/" + tableDir)
		if err != nil || len(names) != want {
			t.Fatalf("table files: got %q, %v; want %d", names, err, want)
		}
	}
	wantTables(0)
	left, err := s.NewTable()
	if err == nil {
		err = left.Set([]byte("b"), nil)
	}
	if err == nil {
		err = left.Finish()
	}
	if err != nil {
		t.Fatalf("build table: %v", err)
	}
	wantTables(1)
	mustClose(t, s)
	closeAtEnd(t, mustOpen(t, testDir, testOptions(t, files)))
	wantTables(0)
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, testOptions(t, nil))
	put(t, s, kv.Sync, "a", "1")
	check := func(err error) {
		t.Helper()
		if !errors.Is(err, kv.ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), adviceInUse) {
			t.Errorf("second open: got %v, want ErrInUse with folder and advice", err)
		}
	}
	_, err := Open(dir, testOptions(t, nil))
	check(err)
	out, err := openInOtherProcess(t, dir)
	if err == nil || !strings.Contains(out, kv.ErrInUse.Error()) {
		t.Errorf("open in another process: got %v and %q, want ErrInUse", err, out)
	}
	mustClose(t, s)
	if out, err := openInOtherProcess(t, dir); err != nil {
		t.Errorf("open in another process after Close: %v: %s", err, out)
	}
}

const childDirVariable = "PEBBLEKV_TEST_OPEN"

// openInOtherProcess runs TestOpenAsChild on dir.
func openInOtherProcess(t *testing.T, dir string) (string, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestOpenAsChild$", "-test.v")
	cmd.Env = append(os.Environ(), childDirVariable+"="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestOpenAsChild(t *testing.T) {
	dir := os.Getenv(childDirVariable)
	if dir == "" {
		t.Skip("only runs as a child of another test")
	}
	s := closeAtEnd(t, mustOpen(t, dir, testOptions(t, nil)))
	wantValue(t, s, "a", "1")
}

func TestCheckpoint(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()+"/backup"
	s := closeAtEnd(t, mustOpen(t, dir, testOptions(t, nil)))
	put(t, s, kv.NoSync, "log", "1")
	ingestOne(t, s, "table", "2")
	if err := s.Checkpoint(backup); err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	put(t, s, kv.Sync, "log", "later")
	copied := closeAtEnd(t, mustOpen(t, backup, testOptions(t, nil)))
	wantValue(t, copied, "log", "1")
	wantValue(t, copied, "table", "2")
	put(t, copied, kv.Sync, "own", "3")
	wantValue(t, s, "log", "later")
	if _, err := s.Get([]byte("own")); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("a write to the checkpoint reached the store: %v", err)
	}
	if err := s.Checkpoint(backup); err == nil {
		t.Error("a checkpoint went into a folder that exists")
	}
}

func TestFiltersServeGets(t *testing.T) {
	s := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, vfs.NewMem())))
	put(t, s, kv.Sync, "a", "1")
	put(t, s, kv.Sync, "z", "1")
	if err := s.db.Flush(); err != nil {
		t.Fatalf("flush: %v", err)
	}
	before := s.db.Metrics()
	if before.Levels[0].TablesCount != 1 {
		t.Fatalf("the first level has %d tables, want 1", before.Levels[0].TablesCount)
	}
	const absent = 1000
	for i := range absent {
		if _, err := s.Get(fmt.Appendf(nil, "m%d", i)); !errors.Is(err, kv.ErrNotFound) {
			t.Fatalf("get: %v", err)
		}
	}
	wantValue(t, s, "a", "1")
	after := s.db.Metrics()
	hits, misses := after.Filter.Hits-before.Filter.Hits, after.Filter.Misses-before.Filter.Misses
	if hits < absent*97/100 || hits+misses != absent+1 {
		t.Errorf("filters saved %d and did not save %d of %d reads of absent keys", hits, misses, absent)
	}
}

// syncCounter counts the fsyncs of log files.
type syncCounter struct {
	vfs.FS
	syncs atomic.Int64
}

type countedFile struct {
	vfs.File
	syncs *atomic.Int64
}

func (c *syncCounter) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return countedFile{f, &c.syncs}, nil
}

func (c *syncCounter) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, category)
	return c.wrap(name, f, err)
}

func (c *syncCounter) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(old, name, category)
	return c.wrap(name, f, err)
}

// pause is a slow disk's fsync: writers come together while it lasts.
const pause = 500 * time.Microsecond

func (f countedFile) Sync() error {
	f.syncs.Add(1)
	time.Sleep(pause)
	return f.File.Sync()
}

func (f countedFile) SyncData() error {
	f.syncs.Add(1)
	time.Sleep(pause)
	return f.File.SyncData()
}

func applyFrom(t *testing.T, s *Store, writers, rounds int) {
	t.Helper()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				var b kv.Batch
				b.Set(fmt.Appendf(nil, "%d/%d", w, i), []byte("v"))
				if err := s.Apply(&b, kv.Sync); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		})
	}
	all.Wait()
}

func TestCommitsShareFsyncs(t *testing.T) {
	counter := &syncCounter{FS: vfs.NewMem()}
	s := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, counter)))
	before := counter.syncs.Load()
	applyFrom(t, s, 1, 20)
	if alone := counter.syncs.Load() - before; alone != 20 {
		t.Fatalf("20 commits of one writer took %d fsyncs", alone)
	}
	before = counter.syncs.Load()
	const writers, rounds = 64, 20
	applyFrom(t, s, writers, rounds)
	if syncs := counter.syncs.Load() - before; syncs > writers*rounds/8 {
		t.Errorf("%d commits of %d writers took %d fsyncs", writers*rounds, writers, syncs)
	}
}

func TestSyncInterval(t *testing.T) {
	counter := &syncCounter{FS: vfs.NewMem()}
	o := testOptions(t, counter)
	o.SyncInterval = 20 * time.Millisecond
	s := closeAtEnd(t, mustOpen(t, testDir, o))
	before := counter.syncs.Load()
	applyFrom(t, s, 1, 500)
	if syncs := counter.syncs.Load() - before; syncs > 100 {
		t.Errorf("500 commits took %d fsyncs", syncs)
	}
	deadline := time.Now().Add(10 * time.Second)
	for s.syncLoop.dirty.Load() || counter.syncs.Load() == before {
		if time.Now().After(deadline) {
			t.Fatal("the log was not fsynced after the interval")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	o := testOptions(t, vfs.NewMem())
	o.Registerer = registry
	for range 2 { // Close unregisters
		s := mustOpen(t, testDir, o)
		applyFrom(t, s, 1, 3)
		families, err := registry.Gather()
		if err != nil {
			t.Fatalf("gather: %v", err)
		}
		got := map[string]float64{}
		for _, f := range families {
			m := f.GetMetric()[0]
			got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
		if got["varve_kv_commits_total"] != 3 || got["varve_kv_fsync_seconds"] < 3 || got["varve_kv_written_bytes_total"] == 0 {
			t.Errorf("metrics: got %v", got)
		}
		for _, name := range []string{"cache_hits_total", "memtable_bytes", "compaction_debt_bytes", "l0_files", "disk_bytes", "free_bytes", "corrupt_tables_total"} {
			if _, ok := got["varve_kv_"+name]; !ok {
				t.Errorf("metric varve_kv_%s is missing", name)
			}
		}
		mustClose(t, s)
	}
}

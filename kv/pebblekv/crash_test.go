package pebblekv

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/varve-db/varve/kv"
)

// crashAmidWrites writes with durability from a few goroutines, crashes the file
// system in the middle, and returns how many acknowledged rows are lost.
func crashAmidWrites(t *testing.T, durability kv.Durability, unsyncedPercent int) (lost int) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	files := vfs.NewCrashableMem()
	s := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, files)))
	const writers, rounds = 8, 60
	var acknowledged [writers]atomic.Int64
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				var b kv.Batch
				b.Set(fmt.Appendf(nil, "%d/%d", w, i), []byte(strings.Repeat("v", 2000)))
				if err := s.Apply(&b, durability); err != nil {
					t.Errorf("apply: %v", err)
				}
				acknowledged[w].Store(int64(i + 1))
			}
		})
	}
	for acknowledged[0].Load() < rounds/2 {
		time.Sleep(50 * time.Microsecond)
	}
	var seen [writers]int64
	for w := range writers {
		seen[w] = acknowledged[w].Load()
	}
	clone := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rand.New(rand.NewPCG(seed, 0))})
	all.Wait()
	after := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, clone)))
	for w := range writers {
		for i := range seen[w] {
			if _, err := after.Get(fmt.Appendf(nil, "%d/%d", w, i)); errors.Is(err, kv.ErrNotFound) {
				lost++
			} else if err != nil {
				t.Fatalf("get: %v", err)
			}
		}
	}
	return lost
}

func TestCrashKeepsSyncedBatches(t *testing.T) {
	for _, percent := range []int{0, 30, 90} {
		for range 3 {
			if lost := crashAmidWrites(t, kv.Sync, percent); lost > 0 {
				t.Errorf("a crash with %d%% of unsynced data lost %d synced batches", percent, lost)
			}
		}
	}
}

// TestCrashLosesUnsyncedBatches shows that the test above can fail. A flush may
// make a few of the batches durable, not all of them every time.
func TestCrashLosesUnsyncedBatches(t *testing.T) {
	for range 20 {
		if crashAmidWrites(t, kv.NoSync, 0) > 0 {
			return
		}
	}
	t.Error("no crash lost any of the batches that were not synced")
}

func TestCrashKeepsTablesAndExcises(t *testing.T) {
	files := vfs.NewCrashableMem()
	s := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, files)))
	put(t, s, kv.NoSync, "early", "1") // the ingest makes it durable, as a later sync would
	ingestOne(t, s, "early2", "1", "m", "1")
	wantValue(t, closeAtEnd(t, mustOpen(t, testDir, testOptions(t, files.CrashClone(vfs.CrashCloneCfg{})))), "m", "1")
	put(t, s, kv.Sync, "m", "2")
	if err := s.Excise(t.Context(), []byte("m"), []byte("n")); err != nil {
		t.Fatalf("excise: %v", err)
	}
	after := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, files.CrashClone(vfs.CrashCloneCfg{}))))
	if _, err := after.Get([]byte("m")); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("an excised key came back after a crash: %v", err)
	}
	wantValue(t, after, "early", "1")
}

func TestSyncLogKeepsUnsyncedBatches(t *testing.T) {
	files := vfs.NewCrashableMem()
	s := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, files)))
	put(t, s, kv.NoSync, "a", "1")
	if err := s.SyncLog(); err != nil {
		t.Fatalf("sync log: %v", err)
	}
	wantValue(t, closeAtEnd(t, mustOpen(t, testDir, testOptions(t, files.CrashClone(vfs.CrashCloneCfg{})))), "a", "1")
}

// quota is a file system with limited space.
type quota struct {
	*vfs.MemFS
	mu        sync.Mutex
	limit     int64
	allocated map[string]int64 // by Preallocate
	failSync  atomic.Bool
}

func newQuota(limit int64) *quota {
	return &quota{MemFS: vfs.NewMem(), limit: limit, allocated: map[string]int64{}}
}

func (q *quota) setLimit(limit int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = limit
}

func (q *quota) usedLocked() int64 {
	var used int64
	for _, dir := range []string{testDir, path.Join(testDir, tableDir)} {
		names, err := q.List(dir)
		if err != nil {
			continue
		}
		for _, name := range names {
			info, err := q.Stat(path.Join(dir, name))
			if err == nil && !info.IsDir() {
				used += max(info.Size(), q.allocated[path.Join(dir, name)])
			}
		}
	}
	return used
}

func (q *quota) take(n int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.usedLocked()+int64(n) > q.limit {
		return syscall.ENOSPC
	}
	return nil
}

func (q *quota) GetDiskUsage(string) (vfs.DiskUsage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	free := uint64(max(q.limit-q.usedLocked(), 0))
	return vfs.DiskUsage{AvailBytes: free, TotalBytes: uint64(q.limit)}, nil
}

func (q *quota) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.MemFS.Create(name, category)
	return quotaFile{f, q, name}, err
}

func (q *quota) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.MemFS.ReuseForWrite(old, name, category)
	return quotaFile{f, q, name}, err
}

type quotaFile struct {
	vfs.File
	quota *quota
	name  string
}

func (f quotaFile) Write(p []byte) (int, error) {
	if err := f.quota.take(len(p)); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f quotaFile) Preallocate(offset, length int64) error {
	if !strings.HasSuffix(f.name, ballastFile) {
		return nil
	}
	if err := f.quota.take(int(length)); err != nil {
		return err
	}
	f.quota.mu.Lock()
	defer f.quota.mu.Unlock()
	f.quota.allocated[f.name] = offset + length
	return nil
}

func (f quotaFile) Sync() error {
	if f.quota.failSync.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func (f quotaFile) SyncData() error { return f.Sync() }

// testClock is advanced by hand.
type testClock struct{ nanos atomic.Int64 }

func (c *testClock) now() time.Time          { return time.Unix(1000, c.nanos.Load()) }
func (c *testClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func TestReserveStopsWrites(t *testing.T) {
	clock := &testClock{}
	disk := newQuota(24 << 20)
	o := testOptions(t, disk)
	o.Now, o.Reserve = clock.now, 8<<20
	s := closeAtEnd(t, mustOpen(t, testDir, o))
	r := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 64<<10)
	written := 0
	var err error
	for ; err == nil && written < 1000; written++ {
		for i := range value {
			value[i] = byte(r.Uint32())
		}
		var b kv.Batch
		b.Set(fmt.Appendf(nil, "k%04d", written), value)
		err = s.Apply(&b, kv.Sync)
		clock.advance(10 * time.Millisecond)
	}
	if !errors.Is(err, kv.ErrFull) || !s.Full() || written < 50 {
		t.Fatalf("after %d writes: got %v, full %v; want ErrFull", written, err, s.Full())
	}
	if usage, _ := disk.GetDiskUsage(""); usage.AvailBytes < 6<<20 {
		t.Errorf("only %d bytes are left", usage.AvailBytes)
	}
	if _, err := s.Get([]byte("k0000")); err != nil {
		t.Errorf("get from a full store: %v", err)
	}
	ingestOne(t, s, "table", "1")
	var relief kv.Batch
	relief.DeleteRange([]byte("k0001"), []byte("k0003"))
	relief.Set([]byte("horizon"), []byte("1"))
	if err := s.Apply(&relief, kv.Sync); err != nil {
		t.Errorf("a batch that frees space: %v", err)
	}
	relief.Set([]byte("big"), value)
	if err := s.Apply(&relief, kv.Sync); !errors.Is(err, kv.ErrFull) {
		t.Errorf("a deletion with a big value: got %v, want ErrFull", err)
	}
	disk.setLimit(17 << 20)
	clock.advance(time.Second)
	if _, err := s.NewTable(); !errors.Is(err, kv.ErrFull) {
		t.Errorf("a table below the floor: got %v, want ErrFull", err)
	}
	disk.setLimit(100 << 20)
	clock.advance(time.Second)
	put(t, s, kv.Sync, "again", "1")
	if s.Full() {
		t.Error("the store says it is full though there is space")
	}
}

func TestBallast(t *testing.T) {
	disk := newQuota(400 << 20)
	o := testOptions(t, disk)
	o.Reserve = -1
	ballast := func() bool {
		_, err := disk.Stat(path.Join(testDir, ballastFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("stat: %v", err)
		}
		return err == nil
	}
	s := mustOpen(t, testDir, o)
	if !ballast() {
		t.Fatal("there is no ballast")
	}
	put(t, s, kv.Sync, "a", "1")
	disk.mu.Lock()
	disk.limit = disk.usedLocked() + 10 // something else fills the disk
	disk.mu.Unlock()
	put(t, s, kv.Sync, "b", strings.Repeat("v", 1000))
	if ballast() {
		t.Error("the ballast is still there though the disk was full")
	}
	if n := s.space.fullEvents.Load(); n != 1 {
		t.Errorf("the disk was full %d times, want once", n)
	}
	mustClose(t, s)
	s = mustOpen(t, testDir, o) // recovery fits into what the ballast left
	wantValue(t, s, "b", strings.Repeat("v", 1000))
	if ballast() {
		t.Error("the ballast was created again without space")
	}
	mustClose(t, s)
	disk.setLimit(400 << 20)
	s = closeAtEnd(t, mustOpen(t, testDir, o))
	wantValue(t, s, "a", "1")
	if !ballast() {
		t.Error("the ballast was not created again")
	}
}

func TestFailedFsyncIsFatal(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Millisecond} {
		disk := newQuota(100 << 20)
		fatal, returned := make(chan error, 1), make(chan error, 1)
		o := Options{FS: disk, Reserve: -1, SyncInterval: interval, Fatal: func(err error) { fatal <- err }}
		s := mustOpen(t, testDir, o)
		put(t, s, kv.Sync, "a", "1")
		disk.failSync.Store(true)
		go func() {
			var b kv.Batch
			b.Set([]byte("b"), []byte("2"))
			returned <- s.Apply(&b, kv.Sync)
		}()
		select {
		case err := <-fatal:
			if !errors.Is(err, syscall.EIO) && !strings.Contains(err.Error(), syscall.EIO.Error()) {
				t.Errorf("fatal: got %v, want the I/O error", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a failed fsync did not become fatal")
		}
		if interval == 0 {
			select {
			case err := <-returned:
				t.Errorf("Apply returned %v after its fsync failed", err)
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err := s.Close(); err == nil {
			t.Error("a failed store was closed without an error")
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		memory          int64
		cores           int
		memtable, cache int64
		compactions     int
	}{
		{0, 0, 64 << 20, 256 << 20, 1},
		{256 << 20, 8, 64 << 20, 160 << 20, 1},
		{8 << 30, 2, 256 << 20, 1536 << 20, 1},
		{64 << 30, 16, 256 << 20, 4<<30 + 512<<20, 8},
	} {
		o := Options{MemoryBytes: c.memory, Cores: c.cores}.withDefaults()
		if o.memtableBytes() != c.memtable || o.cacheBytes() != c.cache || o.compactions() != c.compactions {
			t.Errorf("%d bytes, %d cores: memtable %d, cache %d, compactions %d", c.memory, c.cores,
				o.memtableBytes(), o.cacheBytes(), o.compactions())
		}
	}
	disk := newQuota(40 << 30)
	if s := newSpace(testDir, Options{FS: disk}.withDefaults()); s.reserve != 192<<20+2<<30 {
		t.Errorf("reserve of a 40 GiB disk: %d", s.reserve)
	}
	if s := newSpace(testDir, Options{FS: vfs.NewMem()}.withDefaults()); s.reserve != 512<<20 {
		t.Errorf("reserve of an unknown disk: %d", s.reserve)
	}
}

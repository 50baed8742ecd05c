package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/varve-db/varve/kv"
)

func testGet(t *testing.T, s kv.Store) {
	wantMissing(t, s, "a")
	set(t, s, "a", "1", "b", "")
	wantGet(t, s, "a", "1")
	wantGet(t, s, "b", "")
	wantMissing(t, s, "aa")
	got, err := s.Get([]byte("b"))
	if err != nil || got == nil {
		t.Fatalf("get of an empty value: got %v, %v; want an empty slice", got, err)
	}
	got, _ = s.Get([]byte("a"))
	got[0] = 'x' // a copy: the store must not notice
	wantGet(t, s, "a", "1")
	apply(t, s, kv.Sync, func(b *kv.Batch) { b.Set([]byte("a"), []byte("2")) })
	wantGet(t, s, "a", "2")
	apply(t, s, kv.Sync, func(b *kv.Batch) { b.Delete([]byte("a")); b.Delete([]byte("never")) })
	wantMissing(t, s, "a")
	apply(t, s, kv.Sync, func(*kv.Batch) {}) // an empty batch is fine
}

func testBatchOrder(t *testing.T, s kv.Store) {
	set(t, s, "old", "1")
	apply(t, s, kv.Sync, func(b *kv.Batch) {
		b.Set([]byte("a"), []byte("1"))
		b.Delete([]byte("a"))
		b.Set([]byte("b"), []byte("1"))
		b.Set([]byte("b"), []byte("2"))
		b.Set([]byte("c"), []byte("1"))
		b.DeleteRange([]byte("c"), []byte("p"))
		b.Set([]byte("d"), []byte("1"))
	})
	wantScan(t, s, "", "", "b", "2", "d", "1")
}

func testBatchIsTheCallers(t *testing.T, s kv.Store) {
	key, value := []byte("a"), []byte("1")
	var b kv.Batch
	b.Set(key, value)
	for _, d := range []kv.Durability{kv.Sync, kv.NoSync} {
		if err := s.Apply(&b, d); err != nil {
			t.Fatalf("apply: %v", err)
		}
	}
	key[0], value[0] = 'z', 'z'
	b.Reset()
	wantScan(t, s, "", "", "a", "1")
}

func testDeleteRange(t *testing.T, s kv.Store) {
	set(t, s, "a", "1", "b", "1", "ba", "1", "c", "1")
	apply(t, s, kv.Sync, func(b *kv.Batch) { b.DeleteRange([]byte("b"), []byte("c")) })
	wantScan(t, s, "", "", "a", "1", "c", "1")
	apply(t, s, kv.Sync, func(b *kv.Batch) {
		b.DeleteRange([]byte("a"), []byte("a"))
		b.DeleteRange([]byte("c"), []byte("a"))
	})
	wantScan(t, s, "", "", "a", "1", "c", "1")
	var open kv.Batch
	open.Set([]byte("n"), []byte("1"))
	open.DeleteRange([]byte("a"), nil)
	if err := s.Apply(&open, kv.Sync); err == nil {
		t.Fatal("a range deletion without an upper bound was accepted")
	}
	wantScan(t, s, "", "", "a", "1", "c", "1")
	set(t, s, "b", "2")
	wantGet(t, s, "b", "2")
}

func testScanBounds(t *testing.T, s kv.Store) {
	wantScan(t, s, "", "")
	set(t, s, "b", "1", "c", "2", "d", "3", "e", "4")
	wantScan(t, s, "", "", "b", "1", "c", "2", "d", "3", "e", "4")
	wantScan(t, s, "c", "e", "c", "2", "d", "3")
	wantScan(t, s, "c", "c")
	wantScan(t, s, "x", "")
	lower, upper := []byte("c"), []byte("e")
	it, err := s.Scan(lower, upper)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	defer it.Close()
	lower[0], upper[0] = 'a', 'z' // the bounds are copied
	wantRest(t, it, it.SeekGE([]byte("a")), "c", "2", "d", "3")
	if it.Next() {
		t.Fatal("Next went on after the end")
	}
	wantRest(t, it, it.SeekGE([]byte("cc")), "d", "3")
	wantRest(t, it, it.SeekGE([]byte("d\x00")))
	wantRest(t, it, it.SeekGE([]byte("e")))
	wantRest(t, it, it.SeekGE([]byte("c")), "c", "2", "d", "3")
}

func testBinaryKeys(t *testing.T, s kv.Store) {
	keys := []string{"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "\x7f", "\x80", "\xff", "\xff\x00", "\xff\xff\xff"}
	var want []string
	for _, k := range keys {
		set(t, s, k, "v"+k)
		want = append(want, k, "v"+k)
	}
	wantScan(t, s, "", "", want...)
	wantScan(t, s, "\x00\x01", "\x80", want[4:12]...)
}

func testIteratorIsFrozen(t *testing.T, s kv.Store) {
	set(t, s, "a", "1", "b", "1", "c", "1")
	it, err := s.Scan(nil, nil)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	defer it.Close()
	apply(t, s, kv.Sync, func(b *kv.Batch) {
		b.Set([]byte("a"), []byte("2"))
		b.DeleteRange([]byte("b"), []byte("c"))
		b.Set([]byte("d"), []byte("2"))
	})
	wantRest(t, it, it.SeekGE(nil), "a", "1", "b", "1", "c", "1")
	wantScan(t, s, "", "", "a", "2", "c", "1", "d", "2")
	wantRest(t, it, it.SeekGE([]byte("b")), "b", "1", "c", "1")
}

func testSnapshotIsFrozen(t *testing.T, s kv.Store) {
	set(t, s, "a", "1", "b", "1")
	first := s.Snapshot()
	set(t, s, "a", "2", "c", "2")
	second := s.Snapshot()
	apply(t, s, kv.Sync, func(b *kv.Batch) { b.DeleteRange([]byte("a"), []byte("z")) })
	wantScan(t, first, "", "", "a", "1", "b", "1")
	wantGet(t, first, "a", "1")
	wantMissing(t, first, "c")
	wantScan(t, second, "", "", "a", "2", "b", "1", "c", "2")
	wantScan(t, s, "", "")
	for _, snap := range []kv.Snapshot{first, second} {
		if err := snap.Close(); err != nil {
			t.Fatalf("close snapshot: %v", err)
		}
	}
}

// testBatchesAreAtomic lets writers set two keys to the same value, while
// readers check that no snapshot and no scan sees them differ.
func testBatchesAreAtomic(t *testing.T, s kv.Store) {
	set(t, s, "x", "", "y", "")
	const writers, rounds = 4, 100
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range rounds {
				v := fmt.Appendf(nil, "%d-%d", w, i)
				var b kv.Batch
				b.Set([]byte("x"), v)
				b.Set([]byte("y"), v)
				if err := s.Apply(&b, kv.Durability(i%10 == 0)); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		})
	}
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					readPair(t, s)
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	readPair(t, s)
}

func readPair(t *testing.T, s kv.Store) {
	snap := s.Snapshot()
	x, errX := snap.Get([]byte("x"))
	y, errY := snap.Get([]byte("y"))
	if err := errors.Join(errX, errY, snap.Close()); err != nil || !bytes.Equal(x, y) {
		t.Errorf("a snapshot sees %q and %q, %v", x, y, err)
	}
	it, err := s.Scan([]byte("x"), []byte("z"))
	if err != nil {
		t.Errorf("scan: %v", err)
		return
	}
	if !it.SeekGE([]byte("x")) {
		t.Errorf("seek: %v", it.Err())
	}
	first := bytes.Clone(it.Value())
	if !it.Next() || !bytes.Equal(first, it.Value()) {
		t.Errorf("an iterator sees %q and %q, %v", first, it.Value(), it.Err())
	}
	if err := it.Close(); err != nil {
		t.Errorf("close iterator: %v", err)
	}
}

func testLargeBatch(t *testing.T, s kv.Store) {
	const rows = 2000
	value := bytes.Repeat([]byte("v"), 4096)
	apply(t, s, kv.Sync, func(b *kv.Batch) {
		for i := range rows {
			b.Set(fmt.Appendf(nil, "k%06d", i), value)
		}
		b.Set([]byte("big"), bytes.Repeat(value, 1024))
	})
	it, err := s.Scan([]byte("k"), nil)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	defer it.Close()
	n := 0
	for ok := it.SeekGE([]byte("k")); ok; ok = it.Next() {
		if string(it.Key()) != fmt.Sprintf("k%06d", n) || !bytes.Equal(it.Value(), value) {
			t.Fatalf("row %d is wrong: key %q", n, it.Key())
		}
		n++
	}
	if n != rows || it.Err() != nil {
		t.Fatalf("got %d rows, %v; want %d", n, it.Err(), rows)
	}
	if big, err := s.Get([]byte("big")); err != nil || len(big) != 4<<20 {
		t.Fatalf("big value: got %d bytes, %v", len(big), err)
	}
}

func testClosed(t *testing.T, s kv.Store) {
	set(t, s, "a", "1")
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	var b kv.Batch
	b.Set([]byte("a"), []byte("2"))
	_, getErr := s.Get([]byte("a"))
	_, scanErr := s.Scan(nil, nil)
	for what, err := range map[string]error{"get": getErr, "scan": scanErr, "apply": s.Apply(&b, kv.Sync)} {
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("%s after Close: got %v, want ErrClosed", what, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

package kvtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/varve-db/varve/kv"
)

// Run tests the stores that open returns, each of them new and empty. What open
// registers with t.Cleanup has to close the store.
func Run(t *testing.T, open func(t *testing.T) kv.Store) {
	cases := []struct {
		name string
		run  func(t *testing.T, s kv.Store)
	}{
		{"Get", testGet},
		{"BatchOrder", testBatchOrder},
		{"BatchIsTheCallers", testBatchIsTheCallers},
		{"DeleteRange", testDeleteRange},
		{"ScanBounds", testScanBounds},
		{"BinaryKeys", testBinaryKeys},
		{"IteratorIsFrozen", testIteratorIsFrozen},
		{"SnapshotIsFrozen", testSnapshotIsFrozen},
		{"BatchesAreAtomic", testBatchesAreAtomic},
		{"LargeBatch", testLargeBatch},
		{"Closed", testClosed},
		{"Ingest", testIngest},
		{"IngestRefuses", testIngestRefuses},
		{"Abandon", testAbandon},
		{"Excise", testExcise},
		{"Usage", testUsage},
		{"Random", testRandom},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// apply writes what fill puts into a batch.
func apply(t *testing.T, s kv.Store, durability kv.Durability, fill func(*kv.Batch)) {
	t.Helper()
	var b kv.Batch
	fill(&b)
	if err := s.Apply(&b, durability); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// set writes pairs of key and value.
func set(t *testing.T, s kv.Store, pairs ...string) {
	t.Helper()
	apply(t, s, kv.NoSync, func(b *kv.Batch) {
		for i := 0; i < len(pairs); i += 2 {
			b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
		}
	})
}

// wantGet checks one key; want "" with missing true means that it is not there.
func wantGet(t *testing.T, r kv.Reader, key, want string) {
	t.Helper()
	got, err := r.Get([]byte(key))
	if err != nil || string(got) != want {
		t.Fatalf("get %q: got %q, %v; want %q", key, got, err, want)
	}
}

func wantMissing(t *testing.T, r kv.Reader, key string) {
	t.Helper()
	if got, err := r.Get([]byte(key)); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("get %q: got %q, %v; want ErrNotFound", key, got, err)
	}
}

// wantScan checks all rows in [lower, upper), as key and value in turn; an
// empty upper means no bound.
func wantScan(t *testing.T, r kv.Reader, lower, upper string, want ...string) {
	t.Helper()
	it, err := r.Scan([]byte(lower), bound(upper))
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	wantRest(t, it, it.SeekGE([]byte(lower)), want...)
	if err := it.Close(); err != nil {
		t.Fatalf("close iterator: %v", err)
	}
}

// wantRest checks the rows from the iterator's position on, which is valid if ok.
func wantRest(t *testing.T, it kv.Iterator, ok bool, want ...string) {
	t.Helper()
	var got []string
	for ; ok; ok = it.Next() {
		got = append(got, string(it.Key()), string(it.Value()))
	}
	if err := it.Err(); err != nil {
		t.Fatalf("iterate: %v", err)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Fatalf("iterate: got %q, want %q", got, want)
	}
}

func bound(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

package kvtest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/varve-db/varve/kv"
)

func ingester(t *testing.T, s kv.Store) kv.Ingester {
	t.Helper()
	i, ok := s.(kv.Ingester)
	if !ok {
		t.Skip("the engine does not ingest tables")
	}
	return i
}

// table builds a finished table of pairs of key and value.
func table(t *testing.T, i kv.Ingester, pairs ...string) kv.Table {
	t.Helper()
	tbl, err := i.NewTable()
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	for n := 0; n < len(pairs); n += 2 {
		if err := tbl.Set([]byte(pairs[n]), []byte(pairs[n+1])); err != nil {
			t.Fatalf("set in table: %v", err)
		}
	}
	if err := tbl.Finish(); err != nil {
		t.Fatalf("finish table: %v", err)
	}
	return tbl
}

func ingest(t *testing.T, i kv.Ingester, tables ...kv.Table) {
	t.Helper()
	if err := i.Ingest(context.Background(), tables); err != nil {
		t.Fatalf("ingest: %v", err)
	}
	for _, tbl := range tables {
		tbl.Abandon() // must do nothing any more
	}
}

func testIngest(t *testing.T, s kv.Store) {
	i := ingester(t, s)
	set(t, s, "a", "1", "c", "1", "x", "1")
	it, err := s.Scan(nil, nil)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	ingest(t, i, table(t, i, "m", "2", "n", "2"), table(t, i, "b", "2", "c", "2"), table(t, i))
	wantRest(t, it, it.SeekGE(nil), "a", "1", "c", "1", "x", "1")
	if err := it.Close(); err != nil {
		t.Fatalf("close iterator: %v", err)
	}
	wantScan(t, s, "", "", "a", "1", "b", "2", "c", "2", "m", "2", "n", "2", "x", "1")
	set(t, s, "b", "3")
	apply(t, s, kv.Sync, func(b *kv.Batch) { b.DeleteRange([]byte("c"), []byte("n")) })
	wantScan(t, s, "", "", "a", "1", "b", "3", "n", "2", "x", "1")
	ingest(t, i)
	ingest(t, i, table(t, i, "c", "4"))
	wantGet(t, s, "c", "4")
}

func testIngestRefuses(t *testing.T, s kv.Store) {
	i := ingester(t, s)
	ctx := context.Background()
	tbl, err := i.NewTable()
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	key := []byte("b")
	if err := tbl.Set(key, []byte("1")); err != nil {
		t.Fatalf("set in table: %v", err)
	}
	key[0] = 'a' // the bytes are copied
	if tbl.Set([]byte("b"), nil) == nil {
		t.Error("a table took the same key twice")
	}
	tbl.Abandon()
	unfinished, err := i.NewTable()
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	if i.Ingest(ctx, []kv.Table{unfinished}) == nil {
		t.Error("an unfinished table was ingested")
	}
	unfinished.Abandon()
	overlapping := []kv.Table{table(t, i, "a", "1", "c", "1"), table(t, i, "b", "1")}
	if i.Ingest(ctx, overlapping) == nil {
		t.Error("overlapping tables were ingested")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if i.Ingest(cancelled, []kv.Table{table(t, i, "z", "1")}) == nil {
		t.Error("tables were ingested though the context had ended")
	}
	wantScan(t, s, "", "")
	once := table(t, i, "a", "1")
	ingest(t, i, once)
	if i.Ingest(ctx, []kv.Table{once}) == nil {
		t.Error("a table was ingested twice")
	}
	wantScan(t, s, "", "", "a", "1")
}

func testAbandon(t *testing.T, s kv.Store) {
	i := ingester(t, s)
	half, err := i.NewTable()
	if err != nil {
		t.Fatalf("new table: %v", err)
	}
	if err := half.Set([]byte("a"), []byte("1")); err != nil {
		t.Fatalf("set in table: %v", err)
	}
	if half.Size() == 0 {
		t.Error("a table with a row has size 0")
	}
	half.Abandon()
	half.Abandon()
	whole := table(t, i, "b", "1")
	whole.Abandon()
	if i.Ingest(context.Background(), []kv.Table{whole}) == nil {
		t.Error("an abandoned table was ingested")
	}
	wantScan(t, s, "", "")
}

func testExcise(t *testing.T, s kv.Store) {
	e, ok := s.(kv.Exciser)
	if !ok {
		t.Skip("the engine does not excise")
	}
	excise := func(lower, upper string) {
		if err := e.Excise(context.Background(), []byte(lower), []byte(upper)); err != nil {
			t.Fatalf("excise: %v", err)
		}
	}
	excise("a", "z")
	set(t, s, "a", "1", "b", "1", "bb", "1", "c", "1")
	it, err := s.Scan(nil, nil)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	excise("b", "c")
	wantRest(t, it, it.SeekGE(nil), "a", "1", "b", "1", "bb", "1", "c", "1")
	if err := it.Close(); err != nil {
		t.Fatalf("close iterator: %v", err)
	}
	wantScan(t, s, "", "", "a", "1", "c", "1")
	set(t, s, "b", "2")
	wantScan(t, s, "", "", "a", "1", "b", "2", "c", "1")
	excise("c", "c")
	excise("c", "b")
	wantScan(t, s, "", "", "a", "1", "b", "2", "c", "1")
	if i, ok := s.(kv.Ingester); ok {
		ingest(t, i, table(t, i, "b", "3", "m", "3", "n", "3"))
		excise("m", "n")
		wantScan(t, s, "", "", "a", "1", "b", "3", "c", "1", "n", "3")
	}
	if e.Excise(context.Background(), []byte("a"), nil) == nil {
		t.Error("an excise without an upper bound was accepted")
	}
}

func testUsage(t *testing.T, s kv.Store) {
	u, ok := s.(kv.SpaceUser)
	if !ok {
		t.Skip("the engine does not tell its space")
	}
	i := ingester(t, s)
	big := make([]byte, 1<<20)
	state := uint32(1)
	for n := range big { // bytes that do not compress
		state = state*1664525 + 1013904223
		big[n] = byte(state >> 24)
	}
	ingest(t, i, table(t, i, "a", string(big), "b", "1"), table(t, i, "m", string(bytes.Repeat(big, 2))))
	usage := func(lower, upper string) uint64 {
		n, err := u.Usage([]byte(lower), []byte(upper))
		if err != nil {
			t.Fatalf("usage: %v", err)
		}
		return n
	}
	all, first, second, none := usage("a", "z"), usage("a", "c"), usage("m", "n"), usage("x", "z")
	if none != 0 || first < 1<<20 || second < 2<<20 || first > 2<<20 || all < first+second {
		t.Error(fmt.Sprintf("usage: all %d, first %d, second %d, none %d", all, first, second, none))
	}
}

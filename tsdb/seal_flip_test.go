package tsdb

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// flipOutcome is what reading damaged data came to.
type flipOutcome int

const (
	flipEqual    flipOutcome = iota // what was hit does not matter
	flipReported                    // an error or a warning
	flipSilent                      // a wrong answer that nobody tells of
)

// readFlipped reads everything and judges it.
func readFlipped(t *testing.T, store kv.Store, truth sealTruth) flipOutcome {
	t.Helper()
	db, err := Open(context.Background(), store, testOptions())
	if err != nil {
		if !block.IsDamage(err) {
			t.Fatalf("open: %v", err)
		}
		return flipReported
	}
	defer db.Close()
	outcome := flipEqual
	for tenant := range series.TenantID(2) {
		got, warnings, err := answer(db, tenant, math.MinInt64, math.MaxInt64)
		switch {
		case err != nil && !block.IsDamage(err):
			t.Fatalf("read: %v", err)
		case err != nil || warnings > 0:
			outcome = flipReported
		case outcome == flipEqual && differ(got, truth.all(tenant)) != "":
			outcome = flipSilent
			t.Logf("tenant %d: %s", tenant, differ(got, truth.all(tenant)))
		}
		if x, err := db.ExemplarQueryable(tenant).ExemplarQuerier(context.Background()); err == nil {
			if _, err := x.Select(0, math.MaxInt64); err != nil && !block.IsDamage(err) {
				t.Fatalf("exemplars: %v", err)
			}
		}
	}
	return outcome
}

// TestSealFlippedRows flips bits of stored rows below the store's checksums, as
// no disk can do to a store on disk, which checks every block that it reads.
// Nothing may panic. Columns carry checksums of their own, so a check finds every
// flip in them; the other families have none, and what is promised there is what
// the shape of a row or its neighbours give away.
func TestSealFlippedRows(t *testing.T) {
	Sequential(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	content, truth := sealContent(t, 3)
	flips := 200
	if testing.Short() {
		flips = 40
	}
	rows := map[byte][][]byte{}
	for _, family := range []byte("chmpstvx") {
		// Prometheus's decoder allocates what a histogram chunk's layout asks for.
		if rows[family] = rowsOf(t, content, family); family == 'c' || family == 'h' {
			rows[family] = slices.DeleteFunc(rows[family], func(key []byte) bool { return hasHistograms(t, content, key) })
		}
	}
	tally := map[byte]*[3]int{}
	found := map[byte]int{}
	for range flips {
		family := "cmpstvtvx"[r.IntN(9)]
		if len(rows[family]) == 0 {
			t.Fatalf("no rows of family %c", family)
		}
		key := rows[family][r.IntN(len(rows[family]))]
		store := cloneStore(t, content)
		value, err := store.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		value[r.IntN(len(value))] ^= 1 << r.IntN(8)
		setRow(t, store, key, value)
		report, err := Check(context.Background(), store, CheckOptions{})
		if err != nil {
			t.Fatalf("check: %v", err)
		}
		outcome := readFlipped(t, store, truth)
		if tally[family] == nil {
			tally[family] = new([3]int)
		}
		tally[family][outcome]++
		if report.Damaged > 0 {
			found[family]++
		} else if family == 't' || family == 'v' {
			t.Errorf("the check does not find a flip in row %x", key)
		}
	}
	for family, n := range tally {
		t.Logf("family %c: %d harmless, %d reported, %d silent; the check found %d", family, n[flipEqual], n[flipReported], n[flipSilent], found[family])
	}
}

// hasHistograms reports whether a row of chunks holds native histograms.
func hasHistograms(t *testing.T, store kv.Reader, key []byte) bool {
	t.Helper()
	row, err := store.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return len(row) > 0 && row[0] != 16 && row[0] != 5 // neither floats nor floats with starts
}

// TestSealFlippedFiles flips bits in the table files of a closed store: every
// answer is right or says that something is missing, and a check finds what a
// read met. VARVE_FLIPS sets the number of flips.
func TestSealFlippedFiles(t *testing.T) {
	Sequential(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	flips := 20
	if n, err := strconv.Atoi(os.Getenv("VARVE_FLIPS")); err == nil {
		flips = n
	}
	content, truth := sealContent(t, 4)
	files := vfs.NewMem()
	fillTables(t, files, content)
	tables := tableFiles(t, files)
	var tally [3]int
	found := 0
	for range flips {
		broken := vfs.NewMem()
		if ok, err := vfs.Clone(files, broken, "data", "data", vfs.CloneSync); err != nil || !ok {
			t.Fatal(err)
		}
		name := tables[r.IntN(len(tables))]
		b, err := broken.UnsafeGetFileDataBuffer(path.Join("data", name))
		if err != nil {
			t.Fatal(err)
		}
		at, bit := r.IntN(len(b)), r.IntN(8)
		b[at] ^= 1 << bit
		checked := checkFiles(t, broken)
		outcome := flipReported
		store, err := pebblekv.Open("data", pebblekv.Options{FS: broken, Reserve: -1})
		if err == nil {
			outcome = readFlipped(t, store, truth)
			err = store.Close()
		}
		if err != nil && !block.IsDamage(err) {
			t.Fatalf("%s, byte %d of %d: %v", name, at, len(b), err)
		}
		tally[outcome]++
		if checked {
			found++
		}
		if outcome == flipSilent || outcome == flipReported && !checked {
			t.Errorf("%s, byte %d of %d, bit %d: outcome %d, found by the check: %v", name, at, len(b), bit, outcome, checked)
		}
	}
	t.Logf("%d flips in %d tables: %d harmless, %d reported, %d silent; the check found %d", flips, len(tables), tally[flipEqual], tally[flipReported], tally[flipSilent], found)
	if flips >= 20 && tally[flipReported] < flips/4 {
		t.Errorf("only %d of %d flips were met", tally[flipReported], flips)
	}
}

// fillTables brings the rows of a store into tables of a folder, a table for each
// generation and family.
func fillTables(t *testing.T, files vfs.FS, content kv.Reader) {
	t.Helper()
	store, err := pebblekv.Open("data", pebblekv.Options{FS: files, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	it, err := content.Scan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var tables []kv.Table
	last := ""
	for ok := it.SeekGE(nil); ok; ok = it.Next() {
		part := string(it.Key()[:min(len(it.Key()), familyAt+1)])
		if it.Key()[0] != 'P' {
			part = "others"
		}
		if part != last || len(tables) == 0 {
			table, err := store.NewTable()
			if err != nil {
				t.Fatal(err)
			}
			tables, last = append(tables, table), part
		}
		if err := tables[len(tables)-1].Set(it.Key(), it.Value()); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range tables {
		if err := table.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Ingest(context.Background(), tables); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func tableFiles(t *testing.T, files vfs.FS) (names []string) {
	t.Helper()
	all, err := files.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasSuffix(name, ".sst") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// checkFiles reports whether a check of the folder finds damage, or the folder
// cannot be opened.
func checkFiles(t *testing.T, files vfs.FS) bool {
	t.Helper()
	started := time.Now()
	store, err := pebblekv.Open("data", pebblekv.Options{FS: files, Reserve: -1, ReadOnly: true})
	if err != nil {
		if !block.IsDamage(err) {
			t.Fatalf("open: %v", err)
		}
		return true
	}
	report, err := Check(context.Background(), store, CheckOptions{})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Logf("a check took %s: %+v", took, report.Damage)
	}
	return report.Damaged > 0
}

package pebblekv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/varve-db/varve/kv"
)

// content returns the bytes of a file, which may be changed in place.
func content(t testing.TB, files *vfs.MemFS, name string) []byte {
	t.Helper()
	b, err := files.UnsafeGetFileDataBuffer(path.Join(testDir, name))
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return b
}

func names(t testing.TB, files vfs.FS, match string) []string {
	t.Helper()
	all, err := files.List(testDir)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	var found []string
	for _, name := range all {
		if ok, _ := path.Match(match, name); ok {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no file matches %s among %q", match, all)
	}
	slices.Sort(found)
	return found
}

// copyOf returns a copy of the data folder, so that opening leaves the original
// alone.
func copyOf(t testing.TB, files *vfs.MemFS) *vfs.MemFS {
	t.Helper()
	into := vfs.NewMem()
	if ok, err := vfs.Clone(files, into, testDir, testDir, vfs.CloneSync); err != nil || !ok {
		t.Fatalf("copy folder: %v", err)
	}
	return into
}

func writeFile(t testing.TB, files vfs.FS, name string, b []byte) {
	t.Helper()
	if err := writeWhole(files, path.Join(testDir, name), bytes.Clone(b)); err != nil {
		t.Fatalf("write %s: %v", name, err)
	}
}

func wantRefused(t testing.TB, files vfs.FS, want error, mentions ...string) {
	t.Helper()
	s, err := Open(testDir, testOptions(t, files))
	if err == nil {
		mustClose(t, s)
	}
	if !errors.Is(err, want) {
		t.Fatalf("open: got %v, want %v", err, want)
	}
	for _, m := range mentions {
		if !strings.Contains(err.Error(), m) {
			t.Fatalf("open: %q does not mention %q", err, m)
		}
	}
}

func TestDamagedTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	files := vfs.NewMem()
	s := mustOpen(t, testDir, testOptions(t, files))
	value := func(i int) string { return strings.Repeat(fmt.Sprint(i), 200) }
	const rows = 400
	var pairs []string
	for i := range rows {
		pairs = append(pairs, fmt.Sprintf("a%04d", i), value(i))
	}
	ingestOne(t, s, pairs...)
	ingestOne(t, s, "b", "whole")
	mustClose(t, s)
	victim := names(t, files, "*.sst")[0]
	const flips = 20 // each costs a second: Pebble looks for the bit that flipped
	met := 0
	for range flips {
		broken := copyOf(t, files)
		b := content(t, broken, victim)
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		if readDamaged(t, broken, rows, value) {
			met++
		}
	}
	if met < flips/2 {
		t.Errorf("only %d of %d flips were met by a read", met, flips)
	}
}

// readDamaged checks that every row is right or an error, and reports whether
// there was an error.
func readDamaged(t *testing.T, files vfs.FS, rows int, value func(int) string) (met bool) {
	registry := prometheus.NewRegistry()
	o := testOptions(t, files)
	o.Registerer = registry
	s, err := Open(testDir, o)
	if err != nil {
		if !errors.Is(err, kv.ErrCorrupt) {
			t.Fatalf("open: %v", err)
		}
		return true
	}
	defer mustClose(t, s)
	for i := range rows {
		got, err := s.Get(fmt.Appendf(nil, "a%04d", i))
		if errors.Is(err, kv.ErrCorrupt) {
			met = true
		} else if err != nil || string(got) != value(i) {
			t.Fatalf("row %d: got %d bytes, %v", i, len(got), err)
		}
	}
	it, err := s.Scan([]byte("a"), []byte("b"))
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	n := 0
	for ok := it.SeekGE([]byte("a")); ok; ok = it.Next() {
		if string(it.Value()) != value(n) && it.Err() == nil {
			t.Fatalf("row %d of the scan is wrong", n)
		}
		n++
	}
	if err := it.Err(); err != nil && !errors.Is(err, kv.ErrCorrupt) || err == nil && n != rows {
		t.Fatalf("scan: got %d rows, %v", n, err)
	}
	if err := it.Close(); err != nil {
		t.Fatalf("close iterator: %v", err)
	}
	wantValue(t, s, "b", "whole")
	if corrupt := counter(t, registry, "varve_kv_corrupt_tables_total"); met != (corrupt == 1) {
		t.Fatalf("damage met: %v, tables counted as damaged: %v", met, corrupt)
	}
	return met
}

func counter(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	for _, f := range families {
		if f.GetName() == name && f.GetType() == dto.MetricType_COUNTER {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no counter %s", name)
	return 0
}

// unproven is how many of the last fsyncs in a log that was not closed cannot be
// judged.
const unproven = 8

// loggedFolder is a folder after a crash, with durable records in its newest log,
// each fsynced alone. It returns where those begin that cannot be judged.
func loggedFolder(t *testing.T, records, valueBytes int) (files *vfs.MemFS, log string, safe int) {
	crashable := vfs.NewCrashableMem()
	s := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, crashable)))
	for i := range records {
		if i == records-unproven {
			log = newestLog(t, crashable)
			safe = logEnd(t, crashable, log)
		}
		put(t, s, kv.Sync, fmt.Sprintf("k%04d", i), strings.Repeat("v", valueBytes))
	}
	return crashable.CrashClone(vfs.CrashCloneCfg{}), log, safe
}

func newestLog(t testing.TB, files vfs.FS) string {
	logs := names(t, files, "*.log")
	return logs[len(logs)-1]
}

func logEnd(t testing.TB, files *vfs.MemFS, log string) int {
	return len(bytes.TrimRight(content(t, files, log), "\x00"))
}

func TestDamagedLog(t *testing.T) {
	for _, c := range []struct{ records, valueBytes int }{{30, 50}, {200, 3000}} {
		t.Run(fmt.Sprintf("%dx%d", c.records, c.valueBytes), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 4))
			files, log, safe := loggedFolder(t, c.records, c.valueBytes)
			whole := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, copyOf(t, files))))
			wantValue(t, whole, fmt.Sprintf("k%04d", c.records-1), strings.Repeat("v", c.valueBytes))
			for range 40 {
				broken := copyOf(t, files)
				content(t, broken, log)[r.IntN(safe)] ^= 1 << r.IntN(8)
				wantRefused(t, broken, kv.ErrCorrupt, log, adviceCorrupt)
			}
		})
	}
}

// TestDamagedClosedLog damages what a store left that was closed: there, every
// byte counts.
func TestDamagedClosedLog(t *testing.T) {
	files := vfs.NewMem()
	s := mustOpen(t, testDir, testOptions(t, files))
	for i := range 10 {
		put(t, s, kv.NoSync, fmt.Sprintf("k%d", i), "v")
	}
	mustClose(t, s)
	log := newestLog(t, files)
	for at := range logEnd(t, files, log) - 11 {
		broken := copyOf(t, files)
		content(t, broken, log)[at] ^= 1
		wantRefused(t, broken, kv.ErrCorrupt, log)
	}
}

// TestTornLog cuts the newest log inside its last record: that is what a crash
// may leave, and everything before it has to be there.
func TestTornLog(t *testing.T) {
	const records = 20
	files, log, safe := loggedFolder(t, records, 50)
	b := content(t, files, log)
	end := logEnd(t, files, log)
	record := (end - safe) / unproven
	for _, cut := range []int{end - record + 1, end - record + 20, end - 1} {
		torn := copyOf(t, files)
		writeFile(t, torn, log, append(bytes.Clone(b[:cut]), make([]byte, 1000)...))
		s := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, torn)))
		wantValue(t, s, fmt.Sprintf("k%04d", records-2), strings.Repeat("v", 50))
		_, err := s.Get(fmt.Appendf(nil, "k%04d", records-1))
		if !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("cut at %d of %d: the torn record: %v", cut, end, err)
		}
	}
}

func TestDamagedManifest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 5))
	files := vfs.NewMem()
	s := mustOpen(t, testDir, testOptions(t, files))
	var safe int
	for i := range 20 {
		if i == 19 {
			manifests := names(t, files, "MANIFEST-*")
			safe = len(content(t, files, manifests[len(manifests)-1]))
		}
		ingestOne(t, s, fmt.Sprintf("k%d", i), "v")
	}
	mustClose(t, s)
	manifests := names(t, files, "MANIFEST-*")
	manifest := manifests[len(manifests)-1]
	for range 40 {
		broken := copyOf(t, files)
		content(t, broken, manifest)[r.IntN(safe)] ^= 1 << r.IntN(8)
		wantRefused(t, broken, kv.ErrCorrupt, manifest, adviceCorrupt)
	}
	torn := copyOf(t, files)
	b := content(t, files, manifest)
	writeFile(t, torn, manifest, append(bytes.Clone(b), b[:20]...))
	again := closeAtEnd(t, mustOpen(t, testDir, testOptions(t, torn)))
	wantValue(t, again, "k19", "v")
}

func TestMissingFiles(t *testing.T) {
	files := vfs.NewMem()
	s := mustOpen(t, testDir, testOptions(t, files))
	ingestOne(t, s, "k", "v")
	mustClose(t, s)
	for match, mention := range map[string]string{"*.sst": "sstable", "MANIFEST-*": "MANIFEST-", formatFile: formatFile} {
		broken := copyOf(t, files)
		for _, name := range names(t, broken, match) {
			if err := broken.Remove(path.Join(testDir, name)); err != nil {
				t.Fatalf("remove: %v", err)
			}
		}
		wantRefused(t, broken, kv.ErrCorrupt, mention, adviceCorrupt)
	}
}

func TestFormats(t *testing.T) {
	files := vfs.NewMem()
	s := mustOpen(t, testDir, testOptions(t, files))
	put(t, s, kv.Sync, "a", "1")
	mustClose(t, s)
	if got, want := string(content(t, files, formatFile)), "{\"format\":1,\"engine\":\"pebble\"}\n"; got != want {
		t.Errorf("FORMAT: got %q, want %q", got, want)
	}
	for text, want := range map[string]error{
		`{"format":2}`:                        kv.ErrNewerFormat,
		`{"format":99,"engine":"x","more":1}`: kv.ErrNewerFormat,
		`{"format":0}`:                        kv.ErrCorrupt,
		`{}`:                                  kv.ErrCorrupt,
		``:                                    kv.ErrCorrupt,
		"\x00\x00":                            kv.ErrCorrupt,
	} {
		other := copyOf(t, files)
		writeFile(t, other, formatFile, []byte(text))
		wantRefused(t, other, want, formatFile)
	}
	other := copyOf(t, files)
	marker := names(t, other, "marker.format-version.*")[0]
	newer := marker[:strings.LastIndexByte(marker, '.')+1] + "099"
	if err := other.Rename(path.Join(testDir, marker), path.Join(testDir, newer)); err != nil {
		t.Fatalf("rename: %v", err)
	}
	wantRefused(t, other, kv.ErrNewerFormat, "99", adviceNewer)
	more := copyOf(t, files)
	writeFile(t, more, formatFile, []byte(`{"format":1,"engine":"pebble","more":true}`))
	wantValue(t, closeAtEnd(t, mustOpen(t, testDir, testOptions(t, more))), "a", "1")
}

// FuzzFindDamage feeds the check with files that are no logs.
func FuzzFindDamage(f *testing.F) {
	files := vfs.NewMem()
	s := mustOpen(f, testDir, testOptions(f, files))
	put(f, s, kv.Sync, "a", "1")
	put(f, s, kv.Sync, "b", "2")
	mustClose(f, s)
	f.Add(true, uint32(0), bytes.Clone(content(f, files, names(f, files, "MANIFEST-*")[0])))
	f.Add(false, uint32(4), bytes.Clone(content(f, files, newestLog(f, files))))
	f.Add(false, uint32(1), []byte{})
	f.Fuzz(func(t *testing.T, manifest bool, number uint32, b []byte) {
		at, err := logKind{manifest: manifest, number: number}.findDamage(bytes.NewReader(b))
		if err != nil || at >= int64(max(len(b), 1)) || at < -1 {
			t.Fatalf("got offset %d of %d, %v", at, len(b), err)
		}
	})
}

func FuzzDecodeFormat(f *testing.F) {
	f.Add([]byte(`{"format":1,"engine":"pebble"}`))
	f.Add([]byte(`{"format":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if record, err := decodeFormat(b); err == nil && record.Format < 1 {
			t.Fatalf("format %d was accepted", record.Format)
		}
	})
}

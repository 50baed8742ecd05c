package block

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
)

var goldenID = ID{Tenant: 9, Start: 86400000, Shard: 0, Generation: 3}

const goldenPrefix = "50" + "00000009" + "00" + "8000000005265c00" + "0000" + "00000003"

// TestKeysGolden pins the key of every family.
func TestKeysGolden(t *testing.T) {
	r := NewReader(nil, Generation{ID: goldenID, Flushes: []Summary{{}}})
	for _, c := range []struct {
		name string
		key  []byte
		want string
	}{
		{"prefix", goldenID.Prefix(), ""},
		{"chunks", r.key(familyChunks, 2, 7), "63" + "00000002" + "00000007"},
		{"summary", r.key(familySummary, 2), "6d" + "00000002"},
		{"labels", r.key(familyLabels, 7), "73" + "00000007"},
		{"exemplars", r.key(familyExemplars, 2, 7), "78" + "00000002" + "00000007"},
		{"postings", keyspace.AppendUint32(keyspace.AppendString(keyspace.AppendString(r.key(familyPostings), "job"), "a"), 2),
			"70" + "6a6f620001" + "610001" + "00000002"},
		{"times", r.key(familyTimes, 5), "74" + "00000005"},
		{"values", keyspace.AppendUint16(r.key(familyValues, 7), 1), "76" + "00000007" + "0001"},
		{"histograms", keyspace.AppendUint16(r.key(familyHistograms, 7), 1), "68" + "00000007" + "0001"},
	} {
		if got := hex.EncodeToString(c.key); got != goldenPrefix+c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, goldenPrefix+c.want)
		}
		id, rest, err := cutID(c.key)
		if err != nil || id != goldenID || hex.EncodeToString(rest) != c.want {
			t.Errorf("%s: cut into %+v and %x, %v", c.name, id, rest, err)
		}
	}
}

// TestKeysAscend expects generations to sort by tenant, time and number, with
// times before 1970 first.
func TestKeysAscend(t *testing.T) {
	ids := []ID{
		{Tenant: 0, Start: -86400000}, {Tenant: 0, Start: 0}, {Tenant: 0, Start: 0, Generation: 1},
		{Tenant: 0, Start: 86400000}, {Tenant: 1, Start: -86400000}, {Tenant: 1, Resolution: 1, Start: -86400000},
	}
	for i := range ids[1:] {
		if bytes.Compare(ids[i].Prefix(), ids[i+1].Prefix()) >= 0 {
			t.Errorf("%s does not come before %s", ids[i], ids[i+1])
		}
		if _, upper := ids[i].Span(); bytes.Compare(upper, ids[i+1].Prefix()) > 0 {
			t.Errorf("the span of %s reaches into %s", ids[i], ids[i+1])
		}
	}
}

var goldenSummaries = []struct {
	summary Summary
	row     string
}{
	{Summary{
		Flush: 2, Epoch: 300, Width: 86400000, Shards: 1, FirstOrdinal: 7, NewSeries: 2, Samples: 1000, Exemplars: 1,
		ChunkBytes: 4096, MinTime: 86400000 - 5, MaxTime: 86400000 + 995,
		Counters: []CounterRange{{Origin: 0, First: 10, Last: 20}},
	}, "01" + "ac02" + "80b89929" + "01" + "07" + "02" + "e807" + "01" + "8020" + "09" + "e807" + "01000a0a" + "00"},
	{Summary{
		Width: 86400000, Shards: 1, NewSeries: 2, Samples: 1000, ChunkBytes: 500, MinTime: 86400000, MaxTime: 86401000,
		Sealed: &Sealed{
			Slices: Slices{Start: 86400000, Width: 501, Count: 2}, Columns: 3,
			Digests: []Digest{{Start: 86400000, Sum: [2]uint64{1, 2}}},
			Metrics: []MetricUse{{Name: "up", Series: 2, Samples: 1000, Bytes: 400}},
		},
	}, "01" + "00" + "80b89929" + "01" + "00" + "02" + "e807" + "00" + "f403" + "00" + "e807" + "00" +
		"01" + "00" + "f503" + "02" + "03" +
		"01" + "00" + "0100000000000000" + "0200000000000000" +
		"01" + "027570" + "02" + "e807" + "9003"},
}

func TestSummaryGolden(t *testing.T) {
	for i, c := range goldenSummaries {
		row := c.summary.append(nil, goldenID.Start)
		if got := hex.EncodeToString(row); got != c.row {
			t.Errorf("summary %d: got %s, want %s", i, got, c.row)
		}
		back, err := decodeSummary(row, c.summary.Flush, goldenID.Start)
		if err != nil || !reflect.DeepEqual(back, c.summary) {
			t.Errorf("summary %d: got %+v, %v, want %+v", i, back, err, c.summary)
		}
		for n := range row {
			if _, err := decodeSummary(row[:n], c.summary.Flush, goldenID.Start); !errors.Is(err, ErrCorrupt) {
				t.Errorf("summary %d cut after %d bytes: %v", i, n, err)
			}
		}
		if _, err := decodeSummary(append(row, 0), c.summary.Flush, goldenID.Start); !errors.Is(err, ErrCorrupt) {
			t.Errorf("summary %d with a byte too many: %v", i, err)
		}
	}
}

func FuzzDecodeSummary(f *testing.F) {
	for _, c := range goldenSummaries {
		f.Add(c.summary.append(nil, goldenID.Start))
	}
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, row []byte) {
		s, err := decodeSummary(row, 2, goldenID.Start)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := decodeSummary(s.append(nil, goldenID.Start), 2, goldenID.Start)
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}

// TestList lists readable generations, and those that nothing can read.
func TestList(t *testing.T) {
	store := memkv.New(memkv.Options{})
	a, b, c := goldenID, goldenID, goldenID
	b.Generation, c.Tenant = 4, 10
	var batch kv.Batch
	g := Generation{ID: a, Flushes: []Summary{{Flush: 0, Width: 86400000, MinTime: a.Start, MaxTime: a.Start}, {Flush: 1, Epoch: 1, Width: 86400000, MinTime: a.Start, MaxTime: a.Start}}}
	g.AddSummary(&batch)
	for _, id := range []ID{a, b, c} {
		batch.Set(append(id.Prefix(), familyChunks, 0, 0, 0, 0, 0, 0, 0, 0), []byte("chunk"))
		batch.Set(append(id.Prefix(), familyLabels, 0, 0, 0, 0), nil)
	}
	last := Generation{ID: c, Flushes: []Summary{{Width: 1, MinTime: c.Start, MaxTime: c.Start}}}
	last.AddSummary(&batch)
	if err := store.Apply(&batch, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	if l := list(t, store); !reflect.DeepEqual(l, Listing{Readable: []Generation{g, last}, Orphans: []ID{b}}) {
		t.Fatalf("listed %+v", l)
	}
	batch.Reset()
	g.DeleteSummaries(&batch)
	if err := store.Apply(&batch, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	if l := list(t, store); len(l.Readable) != 1 || len(l.Orphans) != 2 {
		t.Fatalf("after the deletion: %+v", l)
	}
}

// list lists the generations of a store whose keys are all whole.
func list(t testing.TB, r kv.Reader) Listing {
	t.Helper()
	l, err := List(context.Background(), r, func(key []byte, err error) { t.Errorf("damage behind %x: %v", key, err) })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestListDamaged expects what can be read to be listed beside what cannot.
func TestListDamaged(t *testing.T) {
	store := memkv.New(memkv.Options{})
	var batch kv.Batch
	damagedID, whole := goldenID, Generation{ID: goldenID, Flushes: []Summary{{Width: 1, MinTime: goldenID.Start, MaxTime: goldenID.Start}}}
	whole.ID.Generation++
	whole.AddSummary(&batch)
	batch.Set(damagedID.DirectoryKey(), nil)
	batch.Set(append(damagedID.Prefix(), familySummary, 0, 0, 0, 0), []byte{9})
	batch.Set([]byte{'P', 0}, []byte{1})
	if err := store.Apply(&batch, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	strange := 0
	l, err := List(t.Context(), store, func([]byte, error) { strange++ })
	if err != nil || strange != 1 || len(l.Damaged) != 1 || l.Damaged[0].ID != damagedID || !errors.Is(l.Damaged[0].Err, ErrCorrupt) ||
		!reflect.DeepEqual(l.Readable, []Generation{whole}) || len(l.Orphans) != 0 {
		t.Fatalf("%d strange keys, %+v, %v", strange, l, err)
	}
}

package block

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/head"
)

// sealedID is the generation that sealedStore makes.
var sealedID = ID{Tenant: 1, Start: 7_200_000, Generation: 3}

// sealedStore is a store with a sealed generation: two slices, 40 series of two
// metrics, one of histograms, one with start timestamps and exemplars.
func sealedStore(t testing.TB) *memkv.Store {
	t.Helper()
	store := memkv.New(memkv.Options{})
	const width = 7_200_000
	w := NewSealWriter(store, sealedID, width, Slices{Start: sealedID.Start, Width: width / 2, Count: 2}, column.Balanced)
	r := rand.New(rand.NewPCG(1, 9))
	var sets []series.Labels
	for i := range 40 {
		sets = append(sets, encoded("__name__", fmt.Sprint("m", i/30), "i", fmt.Sprint(i)))
	}
	slices.SortFunc(sets, CompareSealed)
	for i, ls := range sets {
		var c chunks.Columns
		var exemplars []head.Exemplar
		for n := range int64(100) {
			at := sealedID.Start + n*70_000 + int64(i/20)
			switch {
			case i == 7:
				h := &histogram.Histogram{Schema: 1, Count: uint64(n), Sum: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{n}}
				c.Histograms = append(c.Histograms, chunks.Sample{Time: at, Histogram: chunks.AppendHistogram(nil, h)})
				continue
			case i == 8:
				c.Starts = append(c.Starts, at-5)
			}
			c.Times, c.Values = append(c.Times, at), append(c.Values, float64(r.IntN(1000))/8)
		}
		if i == 8 {
			exemplars = []head.Exemplar{{Timestamp: sealedID.Start + 5, Value: 1, Labels: encoded("a", "b")}}
		}
		if err := w.Add(ls, &c, exemplars); err != nil {
			t.Fatal(err)
		}
	}
	g, tables, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Ingest(context.Background(), tables); err != nil {
		t.Fatal(err)
	}
	var batch kv.Batch
	g.AddSummary(&batch)
	if err := store.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
	return store
}

func verify(t testing.TB, store kv.Reader) Verified {
	t.Helper()
	v, err := Verify(context.Background(), store, sealedID, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// keyOf builds a key of the sealed generation.
func sealedKey(family byte, rest ...byte) []byte {
	return append(append(sealedID.Prefix(), family), rest...)
}

// plant changes a store that is whole.
type plant func(t *testing.T, store *memkv.Store)

func write(t *testing.T, store kv.Store, key, value []byte) {
	t.Helper()
	var batch kv.Batch
	if value == nil {
		batch.Delete(key)
	} else {
		batch.Set(key, value)
	}
	if err := store.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
}

// change rewrites a row.
func change(key []byte, f func([]byte) []byte) plant {
	return func(t *testing.T, store *memkv.Store) {
		value, err := store.Get(key)
		if err != nil {
			t.Fatalf("row %x: %v", key, err)
		}
		write(t, store, key, f(value))
	}
}

// summary rewrites the summary.
func summaryPlant(f func(*Summary)) plant {
	return change(sealedKey('m', 0, 0, 0, 0), func(row []byte) []byte {
		s, err := decodeSummary(row, 0, sealedID.Start)
		if err != nil {
			panic(err)
		}
		f(&s)
		return s.append(nil, sealedID.Start)
	})
}

func remove([]byte) []byte { return nil }

func TestVerifyFindsPlantedDamage(t *testing.T) {
	whole := verify(t, sealedStore(t))
	if whole.Damaged > 0 || !whole.Sealed || whole.Series != 40 || whole.Samples != 4000 || whole.Exemplars != 1 || whole.Flushes != 1 {
		t.Fatalf("a whole generation: %+v", whole)
	}
	posting := append(keyspace.AppendString(keyspace.AppendString(sealedKey('p'), "__name__"), "m0"), 0, 0, 0, 0)
	labels := func(f func(sets []series.Labels) []series.Labels) plant {
		return change(sealedKey('s', 0, 0, 0, 31), func(row []byte) []byte {
			var sets []series.Labels
			if _, err := eachLabels(row, nil, func(_ int, ls series.Labels) error { sets = append(sets, bytes.Clone(ls)); return nil }); err != nil {
				panic(err)
			}
			var out labelRow
			for _, ls := range f(sets) {
				out.add(ls)
			}
			return out.row
		})
	}
	for _, c := range []struct {
		name   string
		plant  plant
		reason string
	}{
		{"no postings", change(posting, remove), `the postings of __name__="m0" do not name the series that have it: 30 too few`},
		{"too many postings", change(posting, func([]byte) []byte { return postings(t, 1, 2, 3) }), `the postings of __name__="m0"`},
		{"postings of a series that is not there", change(posting, func([]byte) []byte { return postings(t, 40) }), "corrupt"},
		{"postings of nobody", func(t *testing.T, s *memkv.Store) {
			write(t, s, append(keyspace.AppendString(keyspace.AppendString(sealedKey('p'), "no"), "one"), 0, 0, 0, 0), []byte{0})
		}, "name no series"},
		{"postings of another flush", func(t *testing.T, s *memkv.Store) {
			write(t, s, append(keyspace.AppendString(keyspace.AppendString(sealedKey('p'), "i"), "1"), 0, 0, 0, 9), []byte{0, 0, 0})
		}, "a flush without a summary"},
		{"swapped labels", labels(func(s []series.Labels) []series.Labels { s[3], s[4] = s[4], s[3]; return s }), "out of order"},
		{"a label set too few", labels(func(s []series.Labels) []series.Labels { return s[1:] }), "there are no labels of series 0"},
		{"a label set too many", labels(func(s []series.Labels) []series.Labels { return append(s, encoded("__name__", "zz")) }), "labels of series"},
		{"empty label", labels(func(s []series.Labels) []series.Labels { s[0] = append(s[0], 0, 0); return s }), "labels of series 0"},
		{"no labels at the end", change(sealedKey('s', 0, 0, 0, 39), remove), "the postings of"},
		{"other samples", summaryPlant(func(s *Summary) { s.Samples++ }), "tells of 4001 samples, there are 4000"},
		{"other exemplars", summaryPlant(func(s *Summary) { s.Exemplars = 0 }), "tells of 0 exemplars, there are 1"},
		{"other times", summaryPlant(func(s *Summary) { s.MaxTime++ }), "the summary tells of times"},
		{"times outside", summaryPlant(func(s *Summary) { s.MinTime = sealedID.Start - 1 }), "outside of the window"},
		{"other bytes", summaryPlant(func(s *Summary) { s.ChunkBytes++ }), "bytes of chunks"},
		{"other digest", summaryPlant(func(s *Summary) { s.Sealed.Digests[0].Sum[1]++ }), "the digests are not those"},
		{"more series", summaryPlant(func(s *Summary) { s.NewSeries++ }), "there are labels of 40 series, the summaries tell of 41"},
		{"series elsewhere", summaryPlant(func(s *Summary) { s.FirstOrdinal = 1 }), "begins with series 1"},
		{"broken summary", change(sealedKey('m', 0, 0, 0, 0), func(b []byte) []byte { return b[:len(b)-1] }), "summary"},
		{"no timestamps", change(sealedKey('t', 0, 0, 0, 0), remove), "timestamp column 0: corrupt partition row: the row is missing"},
		{"flipped timestamps", change(sealedKey('t', 0, 0, 0, 0), func(b []byte) []byte { b[5] ^= 1; return b }), "corrupt column"},
		{"descending timestamps", change(sealedKey('t', 0, 0, 0, 0), func([]byte) []byte {
			return column.NewEncoder(column.Fast).AppendTimes(nil, []int64{sealedID.Start + 2, sealedID.Start + 1})
		}), "time 7200001 after 7200002"},
		{"flipped cell", flipFirst('v'), "corrupt column"},
		{"cell of another slice", func(t *testing.T, s *memkv.Store) {
			write(t, s, sealedKey('v', 0, 0, 0, 39, 0, 2), []byte{1})
		}, "slice 2 of 2"},
		{"a lost cell", func(t *testing.T, s *memkv.Store) {
			write(t, s, firstRow(t, s, 'v'), nil)
		}, "there are "},
		{"flipped histograms", flipFirst('h'), ""},
		{"histograms of nobody", func(t *testing.T, s *memkv.Store) { write(t, s, sealedKey('h', 0, 0, 1, 0, 0, 0), []byte{1}) }, "series 256 of 40"},
		{"flushed chunks", func(t *testing.T, s *memkv.Store) {
			write(t, s, sealedKey('c', 0, 0, 0, 0, 0, 0, 0, 0), []byte{1})
		}, "key of flushed chunks"},
		{"cut exemplars", change(firstKey('x'), func(b []byte) []byte { return b[:len(b)-1] }), "exemplar"},
		{"an unknown kind", func(t *testing.T, s *memkv.Store) { write(t, s, sealedKey('q', 1), []byte{1}) }, "unknown kind of row"},
	} {
		store := sealedStore(t)
		c.plant(t, store)
		v := verify(t, store)
		if v.Damaged == 0 || !slices.ContainsFunc(v.Damage, func(d Damage) bool { return strings.Contains(d.Reason, c.reason) }) {
			t.Errorf("%s: found %d: %q, want %q", c.name, v.Damaged, v.Damage, c.reason)
		}
	}
	store := sealedStore(t)
	write(t, store, sealedKey('m', 0, 0, 0, 0), nil)
	if v := verify(t, store); v.Readable || v.Damaged > 0 || v.Rows == 0 {
		t.Errorf("without a summary: %+v", v)
	}
}

// firstKey is the key of the exemplars of series 8.
func firstKey(family byte) []byte { return sealedKey(family, 0, 0, 0, 0, 0, 0, 0, 8) }

func firstRow(t *testing.T, store kv.Reader, family byte) []byte {
	t.Helper()
	it, err := store.Scan(sealedKey(family), sealedKey(family+1))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if !it.SeekGE(sealedKey(family)) {
		t.Fatalf("no rows of family %c", family)
	}
	return bytes.Clone(it.Key())
}

// flipFirst flips a bit in the middle of the first row of a family.
func flipFirst(family byte) plant {
	return func(t *testing.T, store *memkv.Store) {
		change(firstRow(t, store, family), func(b []byte) []byte { b[len(b)/2] ^= 16; return b })(t, store)
	}
}

// TestVerifyEnds ends with its context.
func TestVerifyEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, sealedStore(t), sealedID, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

package block

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/head"
)

// floats returns the samples of a list of float chunks, merged.
func floats(t *testing.T, list []chunks.Chunk) (out []chunks.Sample) {
	t.Helper()
	var it chunks.Iterator
	it.Reset(slices.Clone(list), math.MinInt64, math.MaxInt64)
	for it.Next() != 0 {
		at, v := it.At()
		out = append(out, chunks.FloatSample(at, v))
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out
}

// TestCutter compares the part of a series in a window with what filtering its
// samples gives.
func TestCutter(t *testing.T) {
	var cut cutter
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var slabs head.Slabs
		e := head.NewEpoch(1, &slabs)
		var b series.Batch
		b.AddEncodedRow(nil)
		var all []chunks.Sample
		at := int64(50)
		for range 1 + r.IntN(12) {
			if r.IntN(3) > 0 {
				at += r.Int64N(20)
			}
			s := chunks.FloatSample(at-r.Int64N(2)*r.Int64N(40), float64(r.IntN(3)))
			b.AddSample(s.Time, 0, math.Float64frombits(s.Bits))
			all = append(all, s)
		}
		e.Append(&b, []index.Ref{1})
		all, _ = chunks.SortAndJoin(all)
		var one head.Series
		var buffer []byte
		if !e.One(1, &one, &buffer) {
			t.Fatal("the series is missing")
		}
		start := r.Int64N(200)
		end := start + r.Int64N(100)
		list, _, err := cut.window(&one, start, end)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(all, func(s chunks.Sample) bool { return s.Time < start || s.Time >= end })
		got := floats(t, list)
		if !slices.EqualFunc(got, want, func(a, b chunks.Sample) bool { return a.Time == b.Time && a.Bits == b.Bits }) {
			t.Fatalf("seed %d, [%d, %d): got %v, want %v", seed, start, end, got, want)
		}
		for _, c := range list {
			if c.MinTime < start || c.MaxTime >= end || c.Count == 0 {
				t.Fatalf("seed %d, [%d, %d): a chunk of %d samples in [%d, %d]", seed, start, end, c.Count, c.MinTime, c.MaxTime)
			}
		}
		e.Release()
		slabs.Close()
	}
}

// TestWriterWritesWhatReaderReads writes two flushes of a generation.
func TestWriterWritesWhatReaderReads(t *testing.T) {
	store := memkv.New(memkv.Options{})
	table := index.New(index.Options{})
	var slabs head.Slabs
	defer slabs.Close()
	g := Generation{ID: goldenID}
	var ordinals []index.Ref // by ordinal
	for number, names := range [][]string{{"b", "a"}, {"c", "a"}} {
		e := head.NewEpoch(uint64(number+1), &slabs)
		defer e.Release()
		var b series.Batch
		for _, name := range names {
			b.AddEncodedRow(encoded("__name__", name))
			b.AddSample(goldenID.Start+int64(number), 0, float64(number))
			b.AddEncodedExemplar(goldenID.Start+int64(number), 1, nil)
		}
		refs, _ := table.Resolve(0, &b, 1, nil)
		e.Append(&b, refs)
		f := Flush{ID: goldenID, Number: uint32(number), Width: 86400000, Epoch: e, Table: table, First: uint32(len(ordinals))}
		for _, ref := range refs {
			if i := slices.Index(ordinals, ref); i >= 0 {
				f.Members = append(f.Members, Member{uint32(i), ref})
			} else {
				f.New = append(f.New, ref)
			}
		}
		table.SortByLabels(f.New)
		for _, ref := range f.New {
			f.Members = append(f.Members, Member{uint32(len(ordinals)), ref})
			ordinals = append(ordinals, ref)
		}
		w := NewWriter(store)
		if number == 0 { // the caller of AddFlush lists a new generation
			if err := w.Set(goldenID.DirectoryKey(), nil); err != nil {
				t.Fatal(err)
			}
		}
		summary, conflicts, err := w.AddFlush(&f)
		if err != nil || conflicts != 0 {
			t.Fatal(conflicts, err)
		}
		tables, err := w.Tables()
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Ingest(t.Context(), tables); err != nil {
			t.Fatal(err)
		}
		w.Abandon() // after an ingest: nothing
		g.Flushes = append(g.Flushes, summary)
	}
	listed := list(t, store).Readable
	if len(listed) != 1 || !reflect.DeepEqual(listed[0].Flushes, g.Flushes) {
		t.Fatalf("listed %+v, want %+v", listed, g)
	}
	// A reader of the first flush does not see the second.
	old := Generation{ID: g.ID, Flushes: g.Flushes[:1]}
	for _, c := range []struct {
		g       Generation
		matches map[string]int
	}{
		{old, map[string]int{"a": 1, "b": 1, "c": 0, ".*": 2, "[bc]": 1, "b|c": 1}},
		{g, map[string]int{"a": 1, "b": 1, "c": 1, ".*": 3, "[bc]": 2, "b|c": 2}},
	} {
		r := NewReader(store, c.g)
		for value, want := range c.matches {
			ms := index.Prepare([]*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", value)})
			found, pending, err := r.Match(ms)
			if err != nil || int(found.GetCardinality()) != want || len(pending) > 0 {
				t.Errorf("%d flushes: %q matches %v, pending %v, %v; want %d series", len(c.g.Flushes), value, found, pending, err, want)
			}
		}
		names := map[string]struct{}{}
		if err := r.LabelValues("__name__", nil, names); err != nil || len(names) != c.matches[".*"] {
			t.Errorf("%d flushes: values %v, %v", len(c.g.Flushes), names, err)
		}
	}
	r := NewReader(store, g)
	want := []string{"a", "b", "c"}
	if err := r.Labels([]uint32{0, 1, 2}, func(i int, ls series.Labels) error {
		if string(ls.Get("__name__")) != want[i] {
			t.Errorf("ordinal %d is %s", i, ls)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := r.Labels([]uint32{2, 3}, func(int, series.Labels) error { return nil }); !errors.Is(err, ErrCorrupt) {
		t.Errorf("labels of an ordinal that does not exist: %v", err)
	}
	var seen []int
	if err := r.Chunks(1, []uint32{0, 1, 2}, func(i int, _ []byte) error { seen = append(seen, i); return nil }); err != nil || !slices.Equal(seen, []int{0, 2}) {
		t.Errorf("flush 1 has chunks of %v, %v", seen, err)
	}
	n := 0
	if err := r.Exemplars(0, []uint32{0, 1, 2}, math.MinInt64, math.MaxInt64, func(_ int, list []head.Exemplar) { n += len(list) }); err != nil || n != 2 {
		t.Errorf("flush 0 has %d exemplars, %v", n, err)
	}
}

// TestAbandonedWriter leaves nothing behind, and a failing store fails it.
func TestAbandonedWriter(t *testing.T) {
	store := memkv.New(memkv.Options{})
	w := NewWriter(store)
	if err := w.Set([]byte("Pb"), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Set([]byte("Pa"), nil); err == nil {
		t.Error("a key below the last one was taken")
	}
	w.Abandon()
	if _, err := store.Get([]byte("Pb")); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("an abandoned row is there: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := NewWriter(store).Set([]byte("Pa"), nil); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("a writer on a closed store: %v", err)
	}
}

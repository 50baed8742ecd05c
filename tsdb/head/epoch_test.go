package head

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
)

// newEpoch returns an epoch that is released at the end of the test.
func newEpoch(t testing.TB) *Epoch {
	t.Helper()
	var slabs Slabs
	e := NewEpoch(1, &slabs)
	t.Cleanup(func() {
		e.Release()
		slabs.Close()
	})
	return e
}

// add appends float samples of one series.
func add(e *Epoch, ref index.Ref, samples ...chunks.Sample) {
	var b series.Batch
	b.AddEncodedRow(nil)
	for _, s := range samples {
		b.AddSample(s.Time, s.Start, math.Float64frombits(s.Bits))
	}
	e.Append(&b, []index.Ref{ref})
}

// contents returns the samples of a series, and how many lists they came in.
func contents(t testing.TB, e *Epoch, ref index.Ref, mint, maxt int64) (samples []chunks.Sample, lists int) {
	t.Helper()
	list, err := e.Chunks(ref, mint, maxt, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	lists = len(list)
	var it chunks.Iterator
	it.Reset(list, mint, maxt)
	for it.Next() != 0 {
		at, v := it.At()
		samples = append(samples, chunks.Sample{Time: at, Start: it.AtST(), Bits: math.Float64bits(v)})
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return samples, lists
}

func same(a, b []chunks.Sample) bool {
	return slices.EqualFunc(a, b, func(x, y chunks.Sample) bool { return x.Time == y.Time && x.Compare(y) == 0 })
}

// TestOpenChunksOverPages fills chunks sample by sample, of sizes that meet the
// ends of pages in every way, and reads them after each.
func TestOpenChunksOverPages(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		e := newEpoch(t)
		refs := []index.Ref{1, 2, index.PageRefs - 1, index.PageRefs, 5 * index.PageRefs}
		want := map[index.Ref][]chunks.Sample{}
		at := int64(1700000000000)
		for range 150 {
			ref := refs[r.IntN(len(refs))]
			at += 1 + r.Int64N(1<<r.IntN(40))
			bits := math.Float64bits(float64(r.IntN(100)))
			if seed%3 == 0 {
				bits = r.Uint64() >> r.IntN(64)
			}
			s := chunks.Sample{Time: at, Bits: bits}
			add(e, ref, s)
			want[ref] = append(want[ref], s)
			got, lists := contents(t, e, ref, math.MinInt64, math.MaxInt64)
			if !same(got, want[ref]) || lists != 1 {
				t.Fatalf("seed %d: ref %d has %v in %d chunks, want %v", seed, ref, got, lists, want[ref])
			}
		}
		if n := e.Samples(); n != 150 {
			t.Errorf("%d samples are counted", n)
		}
		if lo, hi := e.Range(); lo != slices.MinFunc(slices.Concat(want[1], want[2], want[refs[2]], want[refs[3]], want[refs[4]]), byTime).Time || hi != at {
			t.Errorf("range [%d, %d]", lo, hi)
		}
		var walked []index.Ref
		if err := e.Series(func(s *Series) error {
			walked = append(walked, s.Ref)
			times, _, err := chunks.DecodeFloats(nil, nil, s.Open.Data, s.Open.Count)
			if lo, hi := s.Range(); err != nil || len(times) != len(want[s.Ref]) || lo != times[0] || hi != times[len(times)-1] {
				return fmt.Errorf("ref %d: %v, %v", s.Ref, times, err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if !slices.IsSorted(walked) || len(walked) != len(want) {
			t.Errorf("walked %v", walked)
		}
	}
}

func byTime(a, b chunks.Sample) int { return cmp.Compare(a.Time, b.Time) }

// TestExtras appends late, duplicate and conflicting samples, and ones with a
// start, in random order, and compares with the join.
func TestExtras(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		e := newEpoch(t)
		var sent []chunks.Sample
		for range 1 + r.IntN(1200)/(1+int(seed%7)*(1+int(seed%7))) {
			s := chunks.Sample{Time: r.Int64N(300), Bits: math.Float64bits(float64(r.IntN(3)))}
			if r.IntN(4) == 0 {
				s.Start = r.Int64N(3)
			}
			add(e, 7, s)
			sent = append(sent, s)
			if r.IntN(100) == 0 { // reading joins what there is
				contents(t, e, 7, math.MinInt64, math.MaxInt64)
			}
		}
		want, _ := chunks.SortAndJoin(slices.Clone(sent))
		got, _ := contents(t, e, 7, math.MinInt64, math.MaxInt64)
		if !same(got, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, want)
		}
		lo, hi := r.Int64N(300), r.Int64N(300)
		within := slices.DeleteFunc(want, func(s chunks.Sample) bool { return s.Time < lo || s.Time > hi })
		if got, _ = contents(t, e, 7, lo, hi); !same(got, within) {
			t.Fatalf("seed %d, [%d, %d]: got %v, want %v", seed, lo, hi, got, within)
		}
		if len(within) > 0 && !overlaps(e, 7, lo, hi) {
			t.Fatalf("seed %d: Overlaps denies %d samples in [%d, %d]", seed, len(within), lo, hi)
		}
	}
}

func TestOverlaps(t *testing.T) {
	e := newEpoch(t)
	add(e, 1, chunks.FloatSample(100, 1), chunks.FloatSample(200, 1), chunks.FloatSample(50, 1))
	var b series.Batch
	b.AddEncodedRow(nil)
	b.AddEncodedExemplar(400, 1, nil)
	b.AddEncodedRow(nil)
	b.AddHistogram(series.Histogram{Timestamp: 10, Int: tsdbutil.GenerateTestHistogram(1)})
	e.Append(&b, []index.Ref{2, 3})
	for _, c := range []struct {
		ref        index.Ref
		mint, maxt int64
		want       bool
	}{
		{1, 0, 49, false}, {1, 0, 50, true}, {1, 51, 99, false}, {1, 60, 100, true}, {1, 150, 160, true},
		{1, 200, 300, true}, {1, 201, 300, false}, {2, 0, 399, false}, {2, 400, 400, true},
		{3, 10, 10, true}, {3, 11, 1000, false}, {4, 0, 1000, false}, {9 * index.PageRefs, 0, 1000, false},
	} {
		if got := overlaps(e, c.ref, c.mint, c.maxt); got != c.want {
			t.Errorf("ref %d in [%d, %d]: %v, want %v", c.ref, c.mint, c.maxt, got, c.want)
		}
	}
	if lo, hi := e.Range(); lo != 10 || hi != 400 {
		t.Errorf("range [%d, %d]", lo, hi)
	}
}

// TestConflictsAreCounted also sees that exact duplicates are not.
func TestConflictsAreCounted(t *testing.T) {
	e := newEpoch(t)
	add(e, 1, chunks.FloatSample(1, 1), chunks.FloatSample(2, 1), chunks.FloatSample(2, 1), chunks.FloatSample(1, 5))
	add(e, 1, chunks.FloatSample(1, 5), chunks.FloatSample(1, 4))
	contents(t, e, 1, 0, 10)
	if n := e.Conflicts(); n != 1 {
		t.Errorf("%d conflicts among the extra samples, want 1", n)
	}
	if n := e.Samples(); n != 5 {
		t.Errorf("%d samples, want 5 without the duplicate of the last one", n)
	}
	add(e, 0, chunks.FloatSample(3, 1)) // left out
	if n := e.Samples(); n != 5 {
		t.Errorf("a row without a reference was stored")
	}
}

func TestExemplarLimit(t *testing.T) {
	e := newEpoch(t)
	for i := range int64(exemplarsMax + 10) {
		for range 2 { // the second is a duplicate
			var b series.Batch
			b.AddEncodedRow(nil)
			b.AddEncodedExemplar(i, float64(i), series.AppendLabels(nil, labels.FromStrings("i", fmt.Sprint(i))))
			e.Append(&b, []index.Ref{1})
		}
	}
	got := e.Exemplars(1, math.MinInt64, math.MaxInt64, nil)
	if len(got) != exemplarsMax || got[0].Timestamp != 10 || got[len(got)-1].Timestamp != exemplarsMax+9 {
		t.Errorf("%d exemplars from %d on, want the latest %d", len(got), got[0].Timestamp, exemplarsMax)
	}
	if got := e.Exemplars(1, 20, 29, nil); len(got) != 10 {
		t.Errorf("%d exemplars in a range of 10", len(got))
	}
	if got := e.Exemplars(2, 0, 1000, nil); len(got) != 0 {
		t.Errorf("another series has %v", got)
	}
}

// TestConcurrentAppendAndRead appends ascending numbers to many series while
// readers expect what was appended before they began.
func TestConcurrentAppendAndRead(t *testing.T) {
	e := newEpoch(t)
	const writers, rounds = 3, 300
	refs := make([]index.Ref, 60)
	for i := range refs {
		refs[i] = index.Ref(1 + i*97) // several stripes, shared by the writers
	}
	var done [writers]atomic.Int64
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for k := range int64(rounds) {
				var b series.Batch
				var mine []index.Ref
				for i := w; i < len(refs); i += writers {
					mine = append(mine, refs[i])
					b.AddEncodedRow(nil)
					for _, n := range []int64{2*k + 1, 2 * k} { // the second is late
						b.AddSample(n, 0, float64(n))
					}
				}
				e.Append(&b, mine)
				done[w].Store(k + 1)
			}
		})
	}
	for w := range writers {
		all.Go(func() {
			for i := w; done[w].Load() < rounds; i = (i + writers) % len(refs) {
				w := i % writers
				n := done[w].Load()
				got, _ := contents(t, e, refs[i], math.MinInt64, math.MaxInt64)
				if int64(len(got)) < 2*n {
					t.Errorf("%d samples, want at least %d", len(got), 2*n)
					return
				}
				for k, s := range got[:2*n] {
					if s.Time != int64(k) || s.Bits != math.Float64bits(float64(k)) {
						t.Errorf("sample %d is %v", k, s)
						return
					}
				}
				overlaps(e, refs[i], 0, 10)
				e.Bytes()
			}
		})
	}
	all.Wait()
}

// TestSlabsAreReused expects a released epoch's memory to serve the next, clean.
func TestSlabsAreReused(t *testing.T) {
	var slabs Slabs
	defer slabs.Close()
	for round := range 3 {
		e := NewEpoch(uint64(round), &slabs)
		for ref := index.Ref(1); ref < 2000; ref++ {
			add(e, ref, chunks.FloatSample(int64(ref), float64(round)))
		}
		for ref := index.Ref(1); ref < 2000; ref += 100 {
			if got, _ := contents(t, e, ref, math.MinInt64, math.MaxInt64); len(got) != 1 || got[0].Bits != math.Float64bits(float64(round)) {
				t.Fatalf("round %d, ref %d: %v", round, ref, got)
			}
		}
		if e.Bytes() <= 0 {
			t.Error("an epoch with samples takes no memory")
		}
		e.Release()
	}
	if n := len(slabs.free); n != 1 {
		t.Errorf("%d slabs are held after three epochs of one slab", n)
	}
}

// overlaps reports whether a series may have something in [mint, maxt].
func overlaps(e *Epoch, ref index.Ref, mint, maxt int64) bool {
	var marked [1]bool
	e.MarkOverlapping([]index.Ref{ref}, mint, maxt, marked[:])
	return marked[0]
}

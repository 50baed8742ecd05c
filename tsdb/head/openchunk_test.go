package head

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
)

// grow appends n samples in turn to each of a few series, some of which are noise
// that takes all the bytes there are.
func grow(t *testing.T, r *rand.Rand, e *Epoch, refs []index.Ref, n int) map[index.Ref][]chunks.Sample {
	t.Helper()
	want := map[index.Ref][]chunks.Sample{}
	at := int64(1700000000000)
	for range n {
		at += []int64{15_000, 15_000, 15_000, 14_990, 1 << r.IntN(30)}[r.IntN(5)]
		for k, ref := range refs {
			bits := math.Float64bits(float64(r.IntN(100)))
			if k%2 == 1 {
				bits = r.Uint64() >> r.IntN(64)
			}
			s := chunks.Sample{Time: at, Bits: bits}
			add(e, ref, s)
			want[ref] = append(want[ref], s)
		}
	}
	return want
}

// TestLongOpenChunks reads spans of chunks that have grown to pages of all sizes.
func TestLongOpenChunks(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 3))
		e := newEpoch(t)
		refs := []index.Ref{1, 2, 3, index.PageRefs, index.PageRefs + 9}
		n := 1 + r.IntN(3000)
		want := grow(t, r, e, refs, n)
		for ref, all := range want {
			if got, _ := contents(t, e, ref, math.MinInt64, math.MaxInt64); !same(got, all) {
				t.Fatalf("seed %d: ref %d has other samples than the %d appended", seed, ref, n)
			}
			for range 60 {
				i := r.IntN(n)
				mint := all[i].Time + r.Int64N(3) - 1
				maxt := all[min(n-1, i+1<<r.IntN(12))].Time + r.Int64N(3) - 1
				within := slices.DeleteFunc(slices.Clone(all), func(s chunks.Sample) bool { return s.Time < mint || s.Time > maxt })
				got, _ := contents(t, e, ref, mint, maxt)
				if !same(got, within) {
					t.Fatalf("seed %d: ref %d in [%d, %d] has %d samples, want %d", seed, ref, mint, maxt, len(got), len(within))
				}
			}
		}
	}
}

// TestChunksAtTheEndOfSlabs has chunks go on in the next slab after each of their
// pages.
func TestChunksAtTheEndOfSlabs(t *testing.T) {
	for left := range uint32(2 * runUnits) {
		e := newEpoch(t)
		e.pages.take(1)
		e.pages.used = slabUnits - left
		for ref, all := range grow(t, rand.New(rand.NewPCG(uint64(left), 5)), e, []index.Ref{1, 2}, 700) {
			if got, _ := contents(t, e, ref, math.MinInt64, math.MaxInt64); !same(got, all) {
				t.Fatalf("%d units before the end: ref %d has other samples than were appended", left, ref)
			}
			if got, _ := contents(t, e, ref, all[690].Time, all[695].Time); len(got) != 6 {
				t.Fatalf("%d units before the end: ref %d has %d of 6 samples", left, ref, len(got))
			}
		}
	}
}

// TestShortSpansOfLongChunks expects that of a long chunk little more is copied
// than was asked for, wherever it lies.
func TestShortSpansOfLongChunks(t *testing.T) {
	e := newEpoch(t)
	const n = 5000
	all := grow(t, rand.New(rand.NewPCG(1, 4)), e, []index.Ref{1}, n)[1]
	var scratch Scratch
	for i := 300; i+20 < n; i += 97 {
		scratch.Reset()
		list, err := e.AppendChunks(1, Span{all[i].Time, all[i+20].Time}, 0, &scratch, nil)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		c := list[0]
		if c.Count > 900 || c.MinTime > all[i].Time || c.MaxTime < all[i+20].Time {
			t.Fatalf("for 21 samples from number %d on, %d were copied, with times in [%d, %d]", i, c.Count, c.MinTime, c.MaxTime)
		}
		times, _, err := chunks.DecodeFloats(nil, nil, c.Data, c.Count)
		if err != nil || times[0] != c.MinTime || times[len(times)-1] != c.MaxTime {
			t.Fatalf("the chunk says [%d, %d] and has [%d, %d], %v", c.MinTime, c.MaxTime, times[0], times[len(times)-1], err)
		}
	}
}

// TestShortChunksTakeSmallPages appends as many samples as ten minutes bring to
// many series.
func TestShortChunksTakeSmallPages(t *testing.T) {
	const n, samples = 20_000, 40
	e := newEpoch(t)
	refs := make([]index.Ref, n)
	for i := range refs {
		refs[i] = index.Ref(i + 1)
	}
	for k := range int64(samples) {
		var b series.Batch
		for i := range refs {
			b.AddEncodedRow(nil)
			b.AddSample(1700000000000+k*15_000, 0, float64(i)+float64(k*k%11))
		}
		e.Append(&b, refs)
	}
	if perSeries := float64(e.pages.used) * unitBytes / n; perSeries > 280 {
		t.Errorf("%d samples take %.0f bytes of pages", samples, perSeries)
	}
}

func TestSpread(t *testing.T) {
	e := newEpoch(t)
	if got := e.Spread(); got != 0 {
		t.Errorf("an empty epoch spans %s", got)
	}
	minute := time.Minute.Milliseconds()
	for k := range int64(11) { // ten minutes
		add(e, 1, chunks.FloatSample(k*minute, 1))
		add(e, index.PageRefs, chunks.FloatSample(k*minute, 1))
	}
	if got := e.Spread(); got != 10*time.Minute {
		t.Errorf("two series of ten minutes span %s", got)
	}
	add(e, 1, chunks.FloatSample(-1000*minute, 1)) // late
	add(e, 3, chunks.FloatSample(-1000*minute, 1)) // old and alone
	if got := e.Spread(); got > 10*time.Minute || got < 9*time.Minute {
		t.Errorf("with stray samples the series span %s", got)
	}
	for k := range int64(22) { // with start timestamps, which are no open chunk
		add(e, 4, chunks.Sample{Time: k * 10 * minute, Start: 1})
	}
	if got, want := e.Spread(), 110*time.Minute; got < want-3*time.Minute || got > want {
		t.Errorf("half the samples span ten minutes, half of them 210: %s", got)
	}
	var total Spread
	s := Series{Open: chunks.Chunk{Count: 20, MinTime: 0, MaxTime: 20*minute - 1}}
	total.Add(&s, 10*minute, 30*minute)
	if got := total.Average().Round(time.Second); got != 10*time.Minute {
		t.Errorf("a partition with half of the chunk spans %s", got)
	}
	total.Add(&s, 30*minute, 40*minute)
	total.Add(&Series{}, 0, minute)
	if got := total.Average().Round(time.Second); got != 10*time.Minute {
		t.Errorf("one without a sample makes it %s", got)
	}
}

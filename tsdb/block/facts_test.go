package block

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// fleetStore returns a sealed generation of series with labels of all kinds: on all
// or some of the series, with few values and with many.
func fleetStore(t testing.TB, pods int) (*memkv.Store, Generation) {
	t.Helper()
	store := memkv.New(memkv.Options{})
	var all []series.Labels
	for pod := range pods {
		for metric := range 12 {
			ls := []string{"__name__", fmt.Sprintf("m%02d", metric), "pod", fmt.Sprintf("app-%04d", pod), "zone", fmt.Sprint(pod % 3)}
			if pod%4 == 0 {
				ls = append(ls, "team", fmt.Sprint(pod%5))
			}
			if metric == 3 {
				ls = append(ls, "le", fmt.Sprint(pod%7))
			}
			if metric == 4 {
				ls = append(ls, "unique", fmt.Sprint(pod*31))
			}
			all = append(all, series.AppendLabels(nil, labels.FromStrings(ls...)))
		}
	}
	slices.SortFunc(all, CompareSealed)
	times := []int64{sealedID.Start + 1000, sealedID.Start + 2000}
	w := NewSealWriter(store, sealedID, 86_400_000, PlanSlices(times[0], times[1], 2), column.Fast)
	for i, ls := range all {
		if err := w.Add(ls, &chunks.Columns{Times: times, Values: []float64{float64(i), 1}}, nil); err != nil {
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
	return store, list(t, store).Readable[0]
}

// TestFactsAnswerAlike asks readers with and without facts the same, several times,
// with room for all and for little.
func TestFactsAnswerAlike(t *testing.T) {
	store, g := fleetStore(t, 200)
	plain := NewReader(store, g)
	for _, room := range []int{64 << 20, 60_000, 1000} {
		facts := NewFacts(room)
		r := rand.New(rand.NewPCG(1, uint64(room)))
		for range 400 {
			kept := NewReader(store, g).With(facts)
			sameMatches(t, r, plain, kept)
			sameValues(t, r, plain, kept)
			sameGroups(t, r, plain, kept)
			if held := facts.Bytes(); held > room {
				t.Fatalf("%d bytes are held in %d", held, room)
			}
		}
		if n := len(facts.kept); (n > 0) != (room > 50_000) {
			t.Errorf("%d facts are kept in %d bytes", n, room)
		}
	}
}

func sameMatches(t *testing.T, r *rand.Rand, plain, kept *Reader) {
	t.Helper()
	var ms []*labels.Matcher
	for range 1 + r.IntN(2) {
		name := pickOne(r, "__name__", "pod", "zone", "team", "le", "unique", "none")
		kind := []labels.MatchType{labels.MatchRegexp, labels.MatchNotRegexp, labels.MatchEqual, labels.MatchNotEqual}[r.IntN(4)]
		m, err := labels.NewMatcher(kind, name, pickOne(r, ".*", ".+", "", "m0.*", ".*1.*", "app-00(1|2)4?", "1|2", "0", ".*[13]", "x?"))
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	want, pending, err := plain.Match(index.Prepare(ms))
	got, gotPending, gotErr := kept.Match(index.Prepare(ms))
	if err != nil || gotErr != nil || len(pending) != len(gotPending) || !want.Equals(got) {
		t.Fatalf("%v: %d series and %v, with facts %d and %v", ms, want.GetCardinality(), err, got.GetCardinality(), gotErr)
	}
}

func pickOne(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func sameValues(t *testing.T, r *rand.Rand, plain, kept *Reader) {
	t.Helper()
	within := roaring.New()
	for range r.IntN(50) {
		first := uint64(r.IntN(int(plain.Series())))
		within.AddRange(first, min(first+uint64(r.IntN(40)), uint64(plain.Series())))
	}
	name := pickOne(r, "__name__", "pod", "zone", "team", "le", "unique", "none")
	want, got := map[string]struct{}{}, map[string]struct{}{}
	if err := plain.LabelValues(name, within, want); err != nil {
		t.Fatal(err)
	}
	if ok, err := kept.ValuesWithin(name, within, got); err != nil || ok && !maps.Equal(want, got) {
		t.Fatalf("%s: %d values, with facts %d, %v", name, len(want), len(got), err)
	}
}

// sameGroups compares groups by the labels of each series: they may be numbered
// otherwise.
func sameGroups(t *testing.T, r *rand.Rand, plain, kept *Reader) {
	t.Helper()
	var names []string
	for _, name := range []string{"__name__", "none", "pod", "team", "zone"} {
		if r.IntN(2) == 0 {
			names = append(names, name)
		}
	}
	valuesMax := 10 + r.IntN(400)
	want, wantOk, err := plain.Groups(names, valuesMax)
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := kept.Groups(names, valuesMax)
	if err != nil || ok != wantOk {
		t.Fatalf("groups by %v, at most %d values: %t, with facts %t, %v", names, valuesMax, wantOk, ok, err)
	}
	for i := 0; ok && i < int(plain.Series()); i++ {
		if a, b := want.Labels[want.Of[i]], got.Labels[got.Of[i]]; string(a) != string(b) || want.Rivals(uint32(i)) != got.Rivals(uint32(i)) {
			t.Fatalf("by %v series %d is in group %q, with facts %q", names, i, a, b)
		}
	}
}

// TestFactsOfDamage leaves labels to the postings whose rows cannot all be read.
func TestFactsOfDamage(t *testing.T) {
	store, g := fleetStore(t, 50)
	var key []byte // of the first pod
	it, err := store.Scan(sealedKey(familyPostings), sealedKey(familyPostings+1))
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.SeekGE(sealedKey(familyPostings)); ok; ok = it.Next() {
		if bytes.HasPrefix(it.Key()[len(sealedID.Prefix())+1:], []byte("pod")) && key == nil {
			key = slices.Clone(it.Key())
		}
	}
	it.Close()
	write(t, store, key, []byte{9, 9, 9})
	r := NewReader(store, g).With(NewFacts(1 << 20))
	if c, err := r.column("pod"); c != nil || err != nil {
		t.Errorf("a column of damaged rows: %v, %v", c, err)
	}
	if c, err := r.column("zone"); c == nil || err != nil {
		t.Errorf("no column of rows that are whole: %v", err)
	}
	m := labels.MustNewMatcher(labels.MatchRegexp, "pod", ".*1.*")
	if _, _, err := r.Match(index.Prepare([]*labels.Matcher{m})); err != nil {
		t.Errorf("a row that is not asked for fails the question: %v", err)
	}
	if _, _, err := r.Match(index.Prepare([]*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "pod", ".*0.*")})); !IsDamage(err) {
		t.Errorf("the damaged row is not missed: %v", err)
	}
}

// TestFactsMakeRoom drops what was of use longest ago.
func TestFactsMakeRoom(t *testing.T) {
	f := NewFacts(10 * (factBytes + 101))
	key := func(i int) factKey { return factKey{sealedID, factValues, string(rune('a' + i))} }
	for i := range 10 {
		f.put(key(i), i, 100)
	}
	if f.get(key(0)) != 0 { // from now on 1 is the oldest
		t.Fatal("the first is gone, though there is room for ten")
	}
	if f.put(key(0), 100, 100) != 0 {
		t.Error("what is kept is replaced")
	}
	f.put(key(10), 10, 100)
	if f.get(key(1)) != nil || f.get(key(0)) != 0 || f.get(key(10)) != 10 {
		t.Error("another than the oldest has made room")
	}
	if f.put(key(20), 20, f.max) != 20 || f.get(key(20)) != nil {
		t.Error("what is too large is kept")
	}
	if f.admits(100) {
		t.Error("room is made though all is of use")
	}
	for range factIdle + 20 {
		f.get(key(0))
	}
	if !f.admits(100) || f.admits(f.max) {
		t.Error("no room is made for what is asked for, by what is not")
	}
	f.Forget()
	if f.Bytes() != 0 || f.get(key(0)) != nil {
		t.Error("something is left")
	}
}

// TestFactsTogether uses facts from several goroutines.
func TestFactsTogether(t *testing.T) {
	store, g := fleetStore(t, 40)
	facts := NewFacts(8000)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			r := NewReader(store, g).With(facts)
			for i := range 200 {
				if _, _, err := r.Match(index.Prepare([]*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, []string{"pod", "zone", "team"}[i%3], ".*1.*")})); err != nil {
					t.Error(err)
				}
				ordinal := uint32(i*7+worker) % r.Series()
				r.Ends().Learn(ordinal, g.Flushes[0].MaxTime, g.Flushes[0].MaxTime, false)
				if text := fmt.Sprint(i % 9); r.Selected(text) == nil && r.Keeps(1) {
					r.Keep(text, &Selected{[]uint32{ordinal}, []labels.Labels{labels.FromStrings("a", "b")}})
				}
			}
		})
	}
	all.Wait()
	if facts.Bytes() > 8000 {
		t.Errorf("%d bytes are held", facts.Bytes())
	}
}

func TestEnds(t *testing.T) {
	const newest = int64(10_000_000_000)
	e := &Ends{max: newest}
	fresh := NewReader(memkv.New(memkv.Options{}), Generation{ID: sealedID, Flushes: []Summary{{NewSeries: 4, MaxTime: newest, Sealed: &Sealed{}}}}).With(NewFacts(1 << 20))
	if e = fresh.Ends(); fresh.Ends() != e {
		t.Fatal("what is learned is lost")
	}
	for _, c := range []struct {
		name           string
		t, maxt        int64 // learned
		stale          bool
		from, to       int64 // asked
		present, known bool
	}{
		{"the newest of all", newest, newest, false, newest - 10, newest, true, true},
		{"asked about later", newest, newest + 5, false, newest, newest + 100, true, true},
		{"after all", newest, newest, false, newest + 1, newest + 100, false, true},
		{"stale", newest - 7, newest, true, 0, newest, false, true},
		{"old", newest - 300_000, newest, false, newest - 299_999, newest, false, true},
		{"old enough", newest - 300_000, newest, false, newest - 300_000, newest, true, true},
		{"asked about before", newest - 5, newest, false, 0, newest - 6, false, false},
		{"too old to note", newest - 1<<31, newest, false, 0, newest, false, false},
		{"not of all", newest - 5, newest - 1, false, 0, newest, false, false},
	} {
		e.of[1].Store(0)
		e.Learn(1, c.t, c.maxt, c.stale)
		if present, known := e.Within(1, c.from, c.to); present != c.present || known != c.known {
			t.Errorf("%s: present %t, known %t", c.name, present, known)
		}
		if _, known := e.Within(2, c.from, c.to); known {
			t.Errorf("%s: another series is known", c.name)
		}
	}
	var none *Ends
	none.Learn(1, 1, 1, false)
	if _, known := none.Within(1, 0, 10); known {
		t.Error("nothing knows")
	}
}

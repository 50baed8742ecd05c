package tsdb

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

func TestChanges(t *testing.T) {
	c := newChanges()
	first := c.Mark()
	if got := c.Since(first); got != math.MaxInt64 {
		t.Errorf("nothing has changed since %d", got)
	}
	if c.Mark() != first {
		t.Error("nothing came between two marks that differ")
	}
	c.note(50)
	c.note(70)
	second := c.Mark()
	if c.Since(first) != 50 || c.Since(second) != math.MaxInt64 {
		t.Errorf("%d, %d", c.Since(first), c.Since(second))
	}
	c.note(60)
	if c.Since(first) != 50 || c.Since(second) != 60 {
		t.Errorf("%d, %d", c.Since(first), c.Since(second))
	}
	third := c.Mark()
	c.note(80)
	if c.Since(first) != 50 || c.Since(second) != 60 || c.Since(third) != 80 {
		t.Errorf("%d, %d, %d", c.Since(first), c.Since(second), c.Since(third))
	}
	fourth := c.Mark()
	c.note(10)
	c.Mark()
	for _, mark := range []uint64{first, second, third, fourth} {
		if c.Since(mark) != 10 {
			t.Errorf("since %d: %d", mark, c.Since(mark))
		}
	}
}

// TestChangesForgetSafely compares with a list of all that happened: what is
// remembered of the past reaches back as far or further, never less, and is exact
// for marks that are not old.
func TestChangesForgetSafely(t *testing.T) {
	r := rand.New(rand.NewPCG(rand.Uint64(), 1))
	c := newChanges()
	type moment struct {
		mark uint64
		at   int // into times
	}
	var moments []moment
	var all []int64
	now := int64(0)
	for range 6 * pastChangesMax {
		moments = append(moments, moment{c.Mark(), len(all)})
		for range r.IntN(3) {
			now += int64(r.IntN(100))
			earliest := now
			if r.IntN(300) == 0 {
				earliest -= int64(r.IntN(20000))
			}
			c.note(earliest)
			all = append(all, earliest)
		}
	}
	if len(c.past) > pastChangesMax {
		t.Errorf("%d changes are remembered", len(c.past))
	}
	want := int64(math.MaxInt64)
	at := len(all)
	for i := len(moments) - 1; i >= 0; i-- {
		for ; at > moments[i].at; at-- {
			want = min(want, all[at-1])
		}
		got := c.Since(moments[i].mark)
		if got > want || len(moments)-i < pastChangesMax/4 && got != want {
			t.Fatalf("since moment %d of %d: %d, want %d", i, len(moments), got, want)
		}
	}
}

// TestChangesWhileOthersNote looks for a note that is in no moment: one that came
// when a mark was made.
func TestChangesWhileOthersNote(t *testing.T) {
	c := newChanges()
	var mu sync.Mutex
	readable := map[int64]bool{}
	var group sync.WaitGroup
	for sender := range int64(3) {
		group.Go(func() {
			for i := range int64(3000) {
				n := 1_000_000 - (3*i + sender) // ever earlier
				mu.Lock()
				readable[n] = true
				mu.Unlock()
				c.note(n)
			}
		})
	}
	type look struct {
		mark uint64
		seen int64 // the earliest that could be read
	}
	var looks []look
	group.Go(func() {
		for range 2000 {
			l := look{c.Mark(), math.MaxInt64}
			mu.Lock()
			for n := range readable {
				l.seen = min(l.seen, n)
			}
			clear(readable)
			mu.Unlock()
			looks = append(looks, l)
		}
	})
	group.Wait()
	// What the last look has not seen came after its mark, and so on back.
	late := int64(math.MaxInt64)
	for n := range readable {
		late = min(late, n)
	}
	for i := len(looks) - 1; i >= 0; i-- {
		if got := c.Since(looks[i].mark); got > late {
			t.Fatalf("look %d: since its mark %d, but %d came after it", i, got, late)
		}
		late = min(late, looks[i].seen)
	}
}

func TestChangesOfTenants(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	const other = series.TenantID(7)
	mine, theirs := db.Changes(series.DefaultTenant), db.Changes(other)
	if mine == theirs || db.Changes(other) != theirs {
		t.Fatal("tenants and their changes")
	}
	a, b := mine.Mark(), theirs.Mark()
	at := testNow.UnixMilli()
	appendPoints(t, db, labels.FromStrings("__name__", "m"), point{at, 1}, point{at - 5000, 2})
	if mine.Since(a) != at-5000 || theirs.Since(b) != math.MaxInt64 {
		t.Errorf("%d, %d", mine.Since(a), theirs.Since(b))
	}
	a = mine.Mark()
	mustFlush(t, db)
	if _, err := db.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mine.Since(a) != math.MaxInt64 {
		t.Error("a flush or a seal changed samples")
	}
	db.noteDamage(damage{flush: 3}, nil)
	if mine.Since(a) != math.MinInt64 || theirs.Since(b) != math.MinInt64 {
		t.Error("damage changed nothing")
	}
}

func BenchmarkNoteChange(b *testing.B) {
	var l changeLogs
	for i := range b.N {
		l.Changes(series.DefaultTenant).note(int64(i))
	}
}

package index

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

func TestChurnNamesWhatCame(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 5, 0, 0, time.UTC)
	table := New(Options{Seed: 1, Now: func() time.Time { return now }})
	add := func(tenant series.TenantID, metric, label string, n int) {
		var sets []labels.Labels
		for i := range n {
			sets = append(sets, labels.FromStrings("__name__", metric, "job", "api", label, fmt.Sprint(i)))
		}
		batch := batchOf(t, sets...)
		table.Resolve(tenant, batch, 1, nil)
		table.Resolve(tenant, batch, 1, nil) // known now
	}
	add(0, "a", "pod", 30)
	add(0, "b", "pod", 10)
	add(7, "other", "path", 5)
	check := func(tenant series.TenantID, want string) {
		t.Helper()
		c := table.Churn(tenant, 2)
		if got := fmt.Sprintf("%s %d %v %v %v", c.Since.Format(time.TimeOnly), c.Series, c.SeriesByMetric, c.ValuesByLabel, c.SeriesByPair); got != want {
			t.Errorf("tenant %d at %s: got %s, want %s", tenant, now.Format(time.TimeOnly), got, want)
		}
	}
	check(0, "11:00:00 40 [{a 30} {b 10}] [{pod 30} {__name__ 2}] [{job=api 40} {pod=0 2}]")
	check(7, "11:00:00 5 [{other 5}] [{path 5} {__name__ 1}] [{job=api 5} {path=0 1}]")
	now = now.Add(30 * time.Minute)
	add(0, "c", "pod", 35)
	check(0, "11:30:00 75 [{c 35} {a 30}] [{pod 35} {__name__ 3}] [{job=api 75} {pod=0 3}]")
	now = now.Add(34 * time.Minute)
	check(0, "12:00:00 75 [{c 35} {a 30}] [{pod 35} {__name__ 3}] [{job=api 75} {pod=0 3}]")
	now = now.Add(time.Minute) // what came first is an hour old
	check(0, "12:10:00 35 [{c 35}] [{pod 5} {__name__ 1}] [{job=api 35} {pod=0 1}]")
	now = now.Add(-24 * time.Hour)
	check(0, "12:10:00 0 [] [] []")
}

// TestChurnOfManyIsAboutRight has far more new series in a request than are
// looked at.
func TestChurnOfManyIsAboutRight(t *testing.T) {
	table := New(Options{Seed: 3})
	var sets []labels.Labels
	const n = 10_000
	for i := range n {
		sets = append(sets, labels.FromStrings("__name__", fmt.Sprint("m", i%10), "i", fmt.Sprint(i), "q", fmt.Sprint(i%4)))
	}
	table.Resolve(0, batchOf(t, sets...), 1, nil)
	c := table.Churn(0, 20)
	if c.Series != n || len(c.SeriesByMetric) != 10 {
		t.Fatalf("%+v", c)
	}
	for _, m := range c.SeriesByMetric {
		if m.Value != n/10 {
			t.Errorf("%s: %d, want %d", m.Name, m.Value, n/10)
		}
	}
	for _, p := range c.SeriesByPair[:4] {
		if p.Value < n/8 || p.Value > n/2 {
			t.Errorf("%s: %d, want about %d", p.Name, p.Value, n/4)
		}
	}
}

// TestHeavyCounts compares with exact counts of a skewed stream: nothing is
// overstated, and everything above the bound that the size gives is there.
func TestHeavyCounts(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(random, 1.3, 1, 5000)
	const size, adds = 64, 20_000
	h := newHeavy(size)
	exact := map[string]uint64{}
	for range adds {
		name := fmt.Sprint(zipf.Uint64())
		n := 1 + random.Uint64N(2)
		h.add([]byte(name), n)
		exact[name] += n
	}
	found := map[string]uint64{}
	h.each(func(name string, n uint64) {
		if n > exact[name] {
			t.Errorf("seed %d: %s: %d, there were %d", seed, name, n, exact[name])
		}
		found[name] = n
	})
	if len(found) != size || len(h.at) != size {
		t.Errorf("seed %d: %d names, %d places", seed, len(found), len(h.at))
	}
	for name, n := range exact {
		if _, ok := found[name]; n > 2*adds/size && !ok {
			t.Errorf("seed %d: %s is missing, which came %d times", seed, name, n)
		}
	}
}

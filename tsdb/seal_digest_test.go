package tsdb

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// digestsOf puts samples into a new database in random order and pieces, with
// flushes and seals between, and returns the digests after a last seal.
func digestsOf(t *testing.T, truth sealTruth, byName map[string]labels.Labels, r *rand.Rand) map[string]string {
	t.Helper()
	o := testOptions()
	o.BacklogMax = 1000
	db := openDB(t, memkv.New(memkv.Options{}), o)
	type one struct {
		key modelKey
		s   chunks.Sample
	}
	var all []one
	keys := slices.SortedFunc(maps.Keys(truth), func(a, b modelKey) int {
		if a.tenant != b.tenant {
			return int(a.tenant) - int(b.tenant)
		}
		return slices.Compare([]byte(a.labels), []byte(b.labels))
	})
	for _, key := range keys {
		for _, s := range truth.between(key.tenant, -1<<62, 1<<62, func(name string) bool { return name == key.labels })[key.labels] {
			all = append(all, one{key, s})
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if r.IntN(2) == 0 { // some come twice
		all = append(all, all[:len(all)/3]...)
	}
	for len(all) > 0 {
		n := min(1+r.IntN(len(all)), len(all))
		rows := map[modelKey]*sent{}
		for _, x := range all[:n] {
			if rows[x.key] == nil {
				rows[x.key] = &sent{labels: byName[x.key.labels]}
			}
			rows[x.key].samples = append(rows[x.key].samples, x.s)
		}
		all = all[n:]
		for key, row := range rows {
			mustAppend(t, db, key.tenant, toBatch([]sent{*row}))
		}
		switch r.IntN(4) {
		case 0:
			mustFlush(t, db)
		case 1:
			mustSeal(t, db)
		}
	}
	mustSeal(t, db)
	out := map[string]string{}
	for _, b := range mustBlocks(t, db) {
		for _, d := range b.Digests {
			key := fmt.Sprintf("tenant %d, %s", b.Tenant, time.UnixMilli(d.Start).UTC().Format(time.DateTime))
			if out[key] != "" {
				t.Fatalf("%s has two digests", key)
			}
			out[key] = d.Sum
		}
	}
	return out
}

// TestDigestsTellContents expects equal contents to have equal digests, however
// they were written, and a changed bit to change that of its two hours alone.
func TestDigestsTellContents(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	start := testNow.Truncate(24*time.Hour).UnixMilli() - 3_600_000
	fleet := newSealFleet(r, start)
	truth := sealTruth{}
	for tenant, rows := range fleet.until(start + 20*60_000) {
		truth.join(tenant, rows)
	}
	for tenant, rows := range fleet.until(start + 200*60_000) { // the middle is left out
		for i := range rows {
			rows[i].samples = rows[i].samples[max(0, len(rows[i].samples)-20):]
		}
		truth.join(tenant, rows)
	}
	byName := map[string]labels.Labels{}
	for _, m := range fleet.members {
		byName[m.labels.String()] = m.labels
	}
	want := digestsOf(t, truth, byName, r)
	if len(want) < 2 {
		t.Fatalf("digests %v", want)
	}
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		if got := digestsOf(t, truth, byName, r); !maps.Equal(got, want) {
			t.Fatalf("the same contents have digests\n%v and\n%v", got, want)
		}
	}
	for range rounds {
		changed := maps.Clone(truth)
		keys := slices.Collect(maps.Keys(changed))
		key := keys[r.IntN(len(keys))]
		changed[key] = maps.Clone(changed[key])
		times := slices.Sorted(maps.Keys(changed[key]))
		at := times[r.IntN(len(times))]
		s := changed[key][at]
		switch {
		case s.Histogram != nil:
			s = chunks.Sample{Time: at, Histogram: randomHistogram(r), Start: s.Start}
			if string(canonical(s).Histogram) == string(changed[key][at].Histogram) {
				continue
			}
		case r.IntN(2) == 0:
			s.Bits ^= 1 << r.IntN(64)
		default:
			s.Start = at - 1 - r.Int64N(1000)
			if s.Start == changed[key][at].Start {
				continue
			}
		}
		changed[key][at] = canonical(s)
		got := digestsOf(t, changed, byName, r)
		window := fmt.Sprintf("tenant %d, %s", key.tenant, time.UnixMilli(at-at%(2*3_600_000)).UTC().Format(time.DateTime))
		for name := range want {
			if (got[name] == want[name]) != (name != window) {
				t.Errorf("%s of %s changed to %s: the digest of %s is %s and was %s", describe(truth[key][at]), key.labels, describe(s), name, got[name], want[name])
			}
		}
	}
}

// TestDigestTellsSeries moves a sample to a series with another label.
func TestDigestTellsSeries(t *testing.T) {
	sums := map[string]string{}
	for _, value := range []string{"a", "b", "ab"} {
		db := openDB(t, memkv.New(memkv.Options{}), testOptions())
		appendPoints(t, db, labels.FromStrings("__name__", "m", "l", value), point{testNow.UnixMilli(), 1})
		mustSeal(t, db)
		sum := mustBlocks(t, db)[0].Digests[0].Sum
		if other, twice := sums[sum]; twice {
			t.Errorf("%s and %s have the same digest", value, other)
		}
		sums[sum] = value
	}
}

// TestSealKeepsNoWrongReset seals a native histogram whose chunks tell of a
// counter reset, after a late sample came between: the reset must not be told of
// a sample that does not follow the one against which it was found.
func TestSealKeepsNoWrongReset(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	fleet := &sealFleet{r: r}
	m := &fleetMember{labels: labels.FromStrings("__name__", "h"), kind: kindHistogram}
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	at := testNow.UnixMilli() - 3_600_000
	send := func(samples ...chunks.Sample) {
		mustAppend(t, db, 0, toBatch([]sent{{labels: m.labels, samples: samples}}))
		mustFlush(t, db)
	}
	one := func(offset int64, counts [6]int64) chunks.Sample {
		m.counts = counts
		return chunks.Sample{Time: at + offset, Histogram: fleet.histogram(m)}
	}
	send(one(0, [6]int64{10, 10, 10}), one(1000, [6]int64{20, 20, 20}), one(2000, [6]int64{5, 5, 5}), one(3000, [6]int64{6, 6, 6}))
	send(one(1500, [6]int64{1, 1, 1})) // the reset is here, and none after it
	before := resetHints(t, db)
	if hint := before[at+2000]; hint == "reset" {
		t.Fatalf("unsealed, the sample after a late one is a reset: %v", before)
	}
	for i := range 2 {
		mustSeal(t, db)
		if hints := resetHints(t, db); hints[at+2000] == "reset" {
			t.Errorf("sealed %d times, hints are %v, before they were %v", i+1, hints, before)
		}
		appendPoints(t, db, labels.FromStrings("__name__", "other"), point{at + int64(i), 1})
	}
}

// resetHints returns the counter reset hints of the histograms.
func resetHints(t *testing.T, db *DB) map[int64]string {
	t.Helper()
	q, err := db.Querier(series.DefaultTenant, -1<<60, 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(context.Background(), true, nil, matcher(t, labels.MatchEqual, "__name__", "h"))
	out := map[int64]string{}
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != 0 {
			at, h := it.AtHistogram(nil)
			out[at] = []string{"unknown", "reset", "no reset", "gauge"}[h.CounterResetHint]
		}
	}
	return out
}

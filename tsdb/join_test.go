package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// TestJoinDoesNotDependOnChunks sends conflicting histograms of one count, and a
// stale marker, in every order, with and without flushes between them. Chunks
// change layouts and reset hints; the winner must be the same.
func TestJoinDoesNotDependOnChunks(t *testing.T) {
	h := func(sum float64, offset int32, buckets ...int64) *histogram.Histogram {
		out := &histogram.Histogram{Sum: sum, PositiveSpans: []histogram.Span{{Offset: offset, Length: uint32(len(buckets))}}, PositiveBuckets: buckets}
		at := int64(0)
		for _, d := range buckets {
			at += d
			out.Count += uint64(at)
		}
		return out
	}
	stale := h(math.Float64frombits(staleBits), 0, 9)
	versions := []*histogram.Histogram{h(1, 0, 4), h(2, 0, 1, 2, -3), h(2, 1, 4), stale}
	now := testNow.UnixMilli()
	want := ""
	for order := range 24 {
		for flushes := range 8 {
			db := openDB(t, memkv.New(memkv.Options{}), testOptions())
			left := append([]*histogram.Histogram{}, versions...)
			for i, n := 0, order; len(left) > 0; i++ {
				at := n % len(left)
				n /= len(left)
				var b series.Batch
				b.AddSeries(labels.FromStrings("__name__", "h"))
				if left[at] != versions[0] { // to be followed in a chunk, without a reset
					b.AddHistogram(series.Histogram{Timestamp: now - 1000 - int64(i), Int: &histogram.Histogram{}})
				}
				b.AddHistogram(series.Histogram{Timestamp: now, Int: left[at].Copy()})
				mustAppend(t, db, series.DefaultTenant, &b)
				left = append(left[:at], left[at+1:]...)
				if flushes>>i&1 == 1 {
					mustFlush(t, db)
				}
			}
			got := readAll(t, db, series.DefaultTenant)[`{__name__="h"}`]
			winner := fmt.Sprintf("%x", chunks.CanonicalHistogram(got[len(got)-1].Histogram))
			if want == "" {
				want = winner
			}
			if winner != want {
				t.Errorf("order %d, flushes %03b: %s wins, not %s", order, flushes, winner, want)
			}
			db.Close()
		}
	}
}

// TestMetadataLastWordCounts repeats a metric in one request, the second time
// with what is known already.
func TestMetadataLastWordCounts(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	for _, units := range [][]string{{"a"}, {"b", "a"}, {"c", "b"}} {
		var b series.Batch
		for _, unit := range units {
			b.Metadata = append(b.Metadata, series.Metadata{Metric: "m", Unit: unit})
		}
		mustAppend(t, db, series.DefaultTenant, &b)
		if got, want := db.Metadata(series.DefaultTenant, "m", 0)[0].Unit, units[len(units)-1]; got != want {
			t.Errorf("after %q the unit is %q", units, got)
		}
	}
}

// TestExemplarsOutsideSamples finds exemplars whose times no sample of their
// series or epoch reaches, in memory and in rows.
func TestExemplarsOutsideSamples(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	now := testNow.UnixMilli()
	m := labels.FromStrings("__name__", "m")
	appendPoints(t, db, m, point{now, 1})
	var b series.Batch
	b.AddSeries(m)
	b.AddEncodedExemplar(now-5000, 1, nil)
	b.AddSeries(labels.FromStrings("__name__", "only"))
	b.AddEncodedExemplar(now-5000, 2, nil)
	mustAppend(t, db, series.DefaultTenant, &b)
	for _, where := range []string{"memory", "the flushed epoch", "rows"} {
		q, err := db.ExemplarQueryable(series.DefaultTenant).ExemplarQuerier(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.Select(now-6000, now-4000, []*labels.Matcher{matcher(t, labels.MatchRegexp, "__name__", "m|only")})
		if err != nil || len(got) != 2 {
			t.Errorf("in %s: %v, %v", where, got, err)
		}
		mustFlush(t, db)
		if where == "the flushed epoch" {
			appendPoints(t, db, m, point{now + 1, 1})
			mustFlush(t, db)
		}
	}
}

// TestExemplarsAloneAreFlushed lets an epoch with nothing but exemplars grow old.
func TestExemplarsAloneAreFlushed(t *testing.T) {
	now := testNow
	o := testOptions()
	o.Now = func() time.Time { return now }
	db := openDB(t, memkv.New(memkv.Options{}), o)
	var b series.Batch
	b.AddSeries(labels.FromStrings("__name__", "m"))
	b.AddEncodedExemplar(now.UnixMilli(), 1, nil)
	mustAppend(t, db, series.DefaultTenant, &b)
	now = now.Add(time.Hour)
	if err := db.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
	if parts, err := db.Partitions(); err != nil || len(parts) != 1 {
		t.Errorf("%d partitions, %v; want the exemplar's", len(parts), err)
	}
}

// TestDamageStopsOneSealOnly damages a partition; the others are sealed all the
// same.
func TestDamageStopsOneSealOnly(t *testing.T) {
	store := memkv.New(memkv.Options{})
	now := testNow
	o := testOptions()
	o.Now = func() time.Time { return now }
	db := openDB(t, store, o)
	for day := range int64(3) {
		appendPoints(t, db, labels.FromStrings("__name__", "m"), point{now.UnixMilli() - day*dayMillis, 1})
	}
	mustFlush(t, db)
	parts, err := db.Partitions()
	if err != nil || len(parts) != 3 {
		t.Fatal(parts, err)
	}
	it, err := store.Scan([]byte{keyspace.Partitions}, []byte{keyspace.Partitions + 1})
	if err != nil {
		t.Fatal(err)
	}
	var batch kv.Batch
	for ok := it.SeekGE([]byte{keyspace.Partitions}); ok && len(batch.Ops()) == 0; ok = it.Next() {
		if key := it.Key(); key[20] == 'c' { // chunks of the first partition
			batch.Set(append([]byte(nil), key...), []byte{0xff})
		}
	}
	it.Close()
	if err := store.Apply(&batch, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	now = now.Add(48 * time.Hour)
	if err := db.SealDue(context.Background()); !errors.Is(err, chunks.ErrCorrupt) {
		t.Errorf("the damage is not reported: %v", err)
	}
	blocks, err := db.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	sealed := 0
	for _, b := range blocks {
		if b.State == "sealed" {
			sealed++
		}
	}
	if sealed != 2 || len(blocks) != 3 {
		t.Errorf("%d of %d generations are sealed, want 2 of 3", sealed, len(blocks))
	}
}

// TestDropOfWhatAFailedFlushLeft lets a flush be stored though it was reported
// as failed, and its partition be dropped before the next start.
func TestDropOfWhatAFailedFlushLeft(t *testing.T) {
	store := &faultyStore{Store: memkv.New(memkv.Options{})}
	db := openDB(t, store, testOptions())
	old := testNow.UnixMilli() - 3*dayMillis
	appendPoints(t, db, labels.FromStrings("__name__", "m"), point{old, 1})
	store.setFault(func(what string) (bool, bool) { return false, what == "ingest" })
	if err := db.Flush(context.Background()); !errors.Is(err, errInjected) {
		t.Fatalf("flush: %v", err)
	}
	store.setFault(nil)
	if err := db.DropBefore(context.Background(), db.window(old)+dayMillis); err != nil {
		t.Fatal(err)
	}
	db.Close()
	db = openDB(t, store, testOptions())
	if parts, err := db.Partitions(); err != nil || len(parts) != 0 {
		t.Errorf("partitions %v, %v", parts, err)
	}
	lower := []byte{keyspace.Partitions}
	it, err := store.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if it.SeekGE(lower) {
		t.Errorf("row %x is left", it.Key())
	}
}

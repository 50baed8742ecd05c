package tsdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/bench"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
)

// BenchmarkSealMillionSeries appends three scrapes of a fleet of a million series
// and seals them. It reports the time a series takes, the bytes that index and
// labels take, and how far the heap grows meanwhile.
func BenchmarkSealMillionSeries(b *testing.B) {
	for b.Loop() {
		sealFleetOf(b, 1_000_000)
	}
}

func sealFleetOf(b *testing.B, n int) {
	ctx := context.Background()
	store, err := pebblekv.Open(b.TempDir(), pebblekv.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	now := time.Date(2026, 1, 4, 12, 0, 0, 0, time.UTC)
	db, err := Open(ctx, store, Options{Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	appendFleet(b, db, n, 3, now)
	peak := watchHeap()
	began := time.Now()
	reports, err := db.Seal(ctx)
	took := time.Since(began)
	live, grown := peak()
	if err != nil || len(reports) != 1 {
		b.Fatal(len(reports), err)
	}
	r := reports[0]
	b.ReportMetric(float64(took.Nanoseconds())/float64(r.Series), "seal-ns/series")
	b.ReportMetric(float64(partitionBytes(b, db)-r.BytesOut)/float64(r.Series), "indexB/series")
	b.ReportMetric(float64(live)/(1<<20), "live-MiB")
	b.ReportMetric(float64(grown)/(1<<20), "heap-MiB")
}

// sealHeapMax is what a seal may hold whatever the number of samples and of
// timestamp columns, with some garbage: see what a sealer holds.
const sealHeapMax = 100 << 20

// TestSealHeapIsBounded seals series that share no timestamps, so that the
// dictionary of timestamp columns is filled more than twice, out of two
// generations with the same series.
func TestSealHeapIsBounded(t *testing.T) {
	Sequential(t)
	if !cgoEnabled {
		t.Skip("without cgo the memory of the store is in Go's heap as well")
	}
	if testing.Short() {
		t.Skip("it seals twelve million samples")
	}
	ctx := context.Background()
	store, err := pebblekv.Open(t.TempDir(), pebblekv.Options{Reserve: -1, SyncInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Date(2026, 1, 4, 12, 0, 0, 0, time.UTC)
	options := Options{Now: func() time.Time { return now }}
	const members, samples = 60_000, 100
	for part := range 2 {
		db, err := Open(ctx, store, options)
		if err != nil {
			t.Fatal(err)
		}
		appendApart(t, db, members, samples, now.UnixMilli()-int64(2-part)*4*3_600_000)
		if err := db.Close(); err != nil { // later flushes begin a new generation
			t.Fatal(err)
		}
	}
	db, err := Open(ctx, store, options)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	peak := watchHeap()
	reports, err := db.Seal(ctx)
	live, heap := peak()
	if err != nil || len(reports) != 1 || reports[0].Inputs != 2 || reports[0].Samples != 2*members*samples {
		t.Fatalf("%+v, %v", reports, err)
	}
	t.Logf("%d MiB live, %d MiB with garbage; %.2f bytes a sample", live>>20, heap>>20, float64(reports[0].BytesOut)/(2*members*samples))
	if heap > sealHeapMax {
		t.Errorf("the heap grew by %d MiB, at most %d are allowed", heap>>20, sealHeapMax>>20)
	}
}

// appendApart appends series that are scraped at times of their own, and flushes
// them.
func appendApart(t *testing.T, db *DB, count, samples int, from int64) {
	var batch series.Batch
	r := rand.New(rand.NewPCG(uint64(from), 7))
	for i := range count {
		batch.AddSeries(labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%10), "instance", fmt.Sprintf("10.0.%d.%d", i>>8, i&255), "job", "apart"))
		for n := range samples {
			batch.AddSample(from+int64(n)*100_000+r.Int64N(90_000), 0, float64(n))
		}
		if i%100 < 99 {
			continue
		}
		if outcome, err := db.Append(context.Background(), series.DefaultTenant, &batch); err != nil || !outcome.Refused.Empty() {
			t.Fatal(err, outcome.Refused)
		}
		batch.Reset()
		if i%20_000 == 19_999 {
			if err := db.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// appendFleet appends scrapes of a fleet of n series and flushes them.
func appendFleet(b *testing.B, db *DB, n, scrapes int, until time.Time) {
	scraper := bench.NewScraper(bench.Fleet{Series: n, Seed: 1})
	var batch series.Batch
	var builder labels.ScratchBuilder
	var values []float64
	for pass := range scrapes {
		at := until.Add(-time.Duration(scrapes-pass) * 15 * time.Second).UnixMilli()
		values = scraper.Next(values)
		for from := 0; from < n; from += 10_000 {
			batch.Reset()
			for i := from; i < min(n, from+10_000); i++ {
				builder.Reset()
				for _, l := range scraper.Series[i] {
					builder.Add(l.Name, l.Value)
				}
				batch.AddSeries(builder.Labels())
				batch.AddSample(at+int64(scraper.Target[i]%15_000), 0, values[i])
			}
			if outcome, err := db.Append(context.Background(), series.DefaultTenant, &batch); err != nil || !outcome.Refused.Empty() {
				b.Fatal(err, outcome.Refused)
			}
		}
	}
	if err := db.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// watchHeap watches the heap until the function it returns is called, which
// returns how far what is live, as the last collection found it, and what is
// allocated rose above the beginning.
func watchHeap() (stop func() (live, heap uint64)) {
	read := func() (live, heap uint64) {
		sample := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
		runtimemetrics.Read(sample)
		return sample[0].Value.Uint64(), sample[1].Value.Uint64()
	}
	runtime.GC()
	began, _ := read()
	done, result := make(chan struct{}), make(chan [2]uint64)
	go func() {
		var highest [2]uint64
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			live, heap := read()
			highest = [2]uint64{max(highest[0], live), max(highest[1], heap)}
			select {
			case <-done:
				result <- highest
				return
			case <-tick.C:
			}
		}
	}()
	return func() (live, heap uint64) {
		close(done)
		highest := <-result
		return highest[0] - began, highest[1] - began
	}
}

package tsdb

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// forgetfulStore drops what it is given by Apply, so that what remains to be
// measured is the database's own work.
type forgetfulStore struct{ *memkv.Store }

func (forgetfulStore) Apply(*kv.Batch, kv.Durability) error { return nil }

// steadyLabels are those of series i of a host.
func steadyLabels(set string, i int) labels.Labels {
	return labels.FromStrings("__name__", fmt.Sprintf("node_metric_%03d_total", i%200), "instance", fmt.Sprintf("host-%03d:9100", i/200),
		"job", "node", "set", set)
}

// steadyBatch fills b with a sample of n series, as a scraper repeats them.
func steadyBatch(b *series.Batch, encoded []series.Labels, at int64, v float64) {
	b.Reset()
	for i, ls := range encoded {
		b.AddEncodedRow(ls)
		b.AddSample(at, 0, v+float64(i))
	}
}

func encodedSeries(set string, n int) []series.Labels {
	out := make([]series.Labels, n)
	for i := range out {
		out[i] = series.AppendLabels(nil, steadyLabels(set, i))
	}
	return out
}

// TestSteadyAppendsAllocateNothing expects that appends of known series allocate
// per request, not per sample.
func TestSteadyAppendsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	db := openDB(t, forgetfulStore{memkv.New(memkv.Options{})}, testOptions())
	const n = 1000
	encoded := encodedSeries("a", n)
	var b series.Batch
	at := testNow.UnixMilli() - int64(time.Hour/time.Millisecond)
	send := func() {
		at += 1000
		steadyBatch(&b, encoded, at, float64(at%977))
		if outcome, err := db.Append(context.Background(), series.DefaultTenant, &b); err != nil || outcome.Samples != n {
			t.Fatalf("%d samples, %v", outcome.Samples, err)
		}
	}
	for range 3 { // series, buffers
		send()
	}
	if perSample := testing.AllocsPerRun(200, send) / n; perSample >= 0.01 {
		t.Errorf("%.4f allocations a sample", perSample)
	}
}

// BenchmarkAppendSteady appends a sample of each of 10,000 known series a request.
func BenchmarkAppendSteady(b *testing.B) {
	db := openDB(b, forgetfulStore{memkv.New(memkv.Options{})}, testOptions())
	const n = 10_000
	encoded := encodedSeries("a", n)
	var batch series.Batch
	at := testNow.UnixMilli() - 3*dayMillis/4
	steadyBatch(&batch, encoded, at, 0)
	mustAppend(b, db, series.DefaultTenant, &batch)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		at += 1000
		steadyBatch(&batch, encoded, at, float64(i))
		if i%100 == 99 {
			mustFlush(b, db)
		}
		b.StartTimer()
		if _, err := db.Append(context.Background(), series.DefaultTenant, &batch); err != nil {
			b.Fatal(err)
		}
	}
	reportPerSample(b, n)
}

// BenchmarkAppendNewSeries appends the first sample of 10,000 series a request.
func BenchmarkAppendNewSeries(b *testing.B) {
	db := openDB(b, forgetfulStore{memkv.New(memkv.Options{})}, testOptions())
	const n = 10_000
	var batch series.Batch
	b.ReportAllocs()
	for i := range b.N {
		b.StopTimer()
		steadyBatch(&batch, encodedSeries(fmt.Sprint(i), n), testNow.UnixMilli(), 0)
		if i%20 == 19 { // lets the old ones be forgotten
			mustFlush(b, db)
		}
		b.StartTimer()
		if _, err := db.Append(context.Background(), series.DefaultTenant, &batch); err != nil {
			b.Fatal(err)
		}
	}
	reportPerSample(b, n)
}

// BenchmarkFlush writes out 40 samples of each of 10,000 series.
func BenchmarkFlush(b *testing.B) {
	const n, scrapes = 10_000, 40
	encoded := encodedSeries("a", n)
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		store := forgetfulStore{memkv.New(memkv.Options{})}
		db := openDB(b, store, testOptions())
		fill(b, db, encoded, scrapes)
		b.StartTimer()
		mustFlush(b, db)
		b.StopTimer()
		db.Close()
	}
	reportPerSample(b, n*scrapes)
}

// BenchmarkReplay opens a database with 40 samples of each of 10,000 series in
// its log.
func BenchmarkReplay(b *testing.B) {
	const n, scrapes = 10_000, 40
	store := memkv.New(memkv.Options{})
	db := openDB(b, store, testOptions())
	fill(b, db, encodedSeries("a", n), scrapes)
	db.Close()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		again, err := Open(context.Background(), store, testOptions())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if got := again.Stats(series.DefaultTenant, 0).Samples; got != n*scrapes {
			b.Fatalf("%d samples were replayed, want %d", got, n*scrapes)
		}
		again.Close()
		b.StartTimer()
	}
	reportPerSample(b, n*scrapes)
}

func fill(b *testing.B, db *DB, encoded []series.Labels, scrapes int) {
	b.Helper()
	var batch series.Batch
	for i := range scrapes {
		steadyBatch(&batch, encoded, testNow.UnixMilli()-int64(scrapes-i)*15000, float64(i))
		mustAppend(b, db, series.DefaultTenant, &batch)
	}
}

func reportPerSample(b *testing.B, samples int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(samples), "ns/sample")
}

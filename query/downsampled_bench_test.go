package query

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// BenchmarkNinetyDaysOfWindowsTakeLessThanSamples asks for 90 days by the hour, of ten
// series that came every 15 s, from windows and from samples, and reports the
// processor time of both.
func BenchmarkNinetyDaysOfWindowsTakeLessThanSamples(b *testing.B) {
	db, end := openNinetyDays(b)
	defer end()
	engine, from := New(Options{}), Local(db, series.DefaultTenant)
	for _, query := range []string{`avg_over_time(m[1h])`, `max_over_time(m[1h])`, `rate(c[1h])`, `sum(increase(c[1h]))`} {
		b.Run(query, func(b *testing.B) {
			ask := func(coarsest plan.Coarsest) time.Duration {
				before := processorTime(b)
				result, err := engine.Run(context.Background(), from, Request{
					Query: query, Start: tableEnd.Add(-90 * 24 * time.Hour), End: tableEnd.Truncate(24 * time.Hour), Step: time.Hour, Coarsest: coarsest,
				})
				if err != nil {
					b.Fatal(err)
				}
				if read := result.Work.Windows > 0; read == (coarsest == plan.RawOnly) {
					b.Fatalf("read %d windows", result.Work.Windows)
				}
				result.Close()
				return processorTime(b) - before
			}
			var windows, raw time.Duration
			for range b.N {
				raw += ask(plan.RawOnly)
				for range 10 { // the clock of the processor is coarse
					windows += ask(plan.Auto)
				}
			}
			b.ReportMetric(raw.Seconds()*1e3/float64(b.N), "raw-cpu-ms/op")
			b.ReportMetric(windows.Seconds()*1e2/float64(b.N), "windows-cpu-ms/op")
			b.ReportMetric(10*raw.Seconds()/windows.Seconds(), "times-less")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// openNinetyDays returns storage with ten counters c and ten gauges m of 90 days,
// sealed and downsampled, and what closes it.
func openNinetyDays(b *testing.B) (db *tsdb.DB, end func()) {
	b.Helper()
	store, err := pebblekv.Open("data", pebblekv.Options{FS: vfs.NewMem(), Reserve: -1, MemoryBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	if db, err = tsdb.Open(b.Context(), store, tsdb.Options{Now: func() time.Time { return tableEnd }}); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	var counters, gauges [10]float64
	today := tableEnd.Truncate(24 * time.Hour)
	for from := today.Add(-90 * 24 * time.Hour); from.Before(today); from = from.Add(24 * time.Hour) {
		var batch series.Batch
		for i := range 10 {
			batch.AddSeries(labels.FromStrings("__name__", "c", "h", fmt.Sprint(i)))
			for k := range int64(5760) {
				counters[i] += float64(r.IntN(500))
				batch.AddSample(from.UnixMilli()+k*15_000+int64(i), 0, counters[i])
			}
			batch.AddSeries(labels.FromStrings("__name__", "m", "h", fmt.Sprint(i)))
			for k := range int64(5760) {
				gauges[i] += float64(r.IntN(21)-10) / 10
				batch.AddSample(from.UnixMilli()+k*15_000+int64(i), 0, gauges[i])
			}
		}
		appendBatch(b, db, &batch)
		if err := db.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	_, err = db.Seal(b.Context())
	if err = errors.Join(err, db.SetDownsampling([]time.Duration{5 * time.Minute, time.Hour})); err != nil {
		b.Fatal(err)
	}
	if _, err = db.Downsample(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db, func() {
		if err := errors.Join(db.Close(), store.Close()); err != nil {
			b.Error(err)
		}
	}
}

// processorTime returns what the process has used of processors.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

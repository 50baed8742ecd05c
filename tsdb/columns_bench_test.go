package tsdb

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
)

// benchStore opens a store on a file system in memory.
func benchStore(b *testing.B) *pebblekv.Store {
	b.Helper()
	store, err := pebblekv.Open("data", pebblekv.Options{FS: vfs.NewMem(), Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// fillColumns stores a day of minutes of 10 metrics of 100 hosts; each host has
// its own phase. where says in which state the samples end up.
func fillColumns(b *testing.B, db *DB, where string) {
	b.Helper()
	const hosts, metrics, minutes = 100, 10, 1440
	r := rand.New(rand.NewPCG(1, 1))
	start := testNow.Truncate(24*time.Hour).UnixMilli() - 24*3_600_000
	values := make([]float64, hosts*metrics)
	for from := 0; from < minutes; from += 20 {
		var batch series.Batch
		for i := range values {
			host, metric := i/metrics, i%metrics
			if reason, detail := batch.AddSeries(labels.FromStrings("__name__", "metric_"+strconv.Itoa(metric), "host", fmt.Sprintf("host-%03d", host), "job", "node")); reason != "" {
				b.Fatal(detail)
			}
			for m := from; m < from+20; m++ {
				switch {
				case metric < 5: // a counter
					values[i] += float64(r.IntN(1000))
				case metric < 8: // a gauge
					values[i] = float64(r.IntN(1000)) / 10
				case metric == 8: // seldom changes
					if r.IntN(100) == 0 {
						values[i]++
					}
				}
				batch.AddSample(start+int64(m)*60_000+int64(host)*487, 0, values[i])
			}
		}
		mustAppend(b, db, series.DefaultTenant, &batch)
		if where != "head" && (from+20)%120 == 0 {
			mustFlush(b, db)
		}
	}
	if where == "head" {
		return
	}
	// A flushed epoch stays in memory until the next one is flushed.
	appendPoints(b, db, labels.FromStrings("__name__", "other"), point{start, 1})
	mustFlush(b, db)
	if where == "sealed" {
		if _, err := db.Seal(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkColumns reads 1,000 series of 1,440 samples.
func BenchmarkColumns(b *testing.B) {
	for _, where := range []string{"sealed", "flushed", "head"} {
		db := openDB(b, benchStore(b), testOptions())
		fillColumns(b, db, where)
		ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", "node")}
		run := func(name string, read func(q *Querier) (samples int)) {
			b.Run(where+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				samples := 0
				before := cpuTime()
				for b.Loop() {
					q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
					if err != nil {
						b.Fatal(err)
					}
					samples += read(q)
					q.Close()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(samples), "ns/sample")
				b.ReportMetric(float64(cpuTime()-before)/float64(samples), "cpu-ns/sample")
			})
		}
		run("columns", func(q *Querier) (samples int) {
			set, err := q.SelectColumns(context.Background(), math.MinInt64, math.MaxInt64, ms...)
			if err != nil {
				b.Fatal(err)
			}
			reader := set.Reader()
			defer reader.Close()
			for i := range set.Len() {
				c, err := reader.Read(context.Background(), i)
				if err != nil {
					b.Fatal(err)
				}
				samples += len(c.Times)
			}
			if samples != 1_440_000 {
				b.Fatal(samples)
			}
			return samples
		})
		run("iterators", func(q *Querier) (samples int) {
			set := q.Select(context.Background(), true, nil, ms...)
			var it chunkenc.Iterator
			for set.Next() {
				it = set.At().Iterator(it)
				for it.Next() != chunkenc.ValNone {
					samples++
				}
			}
			return samples
		})
	}
}

package tsdb

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// fillCensus stores a few samples of 200 metrics of so many pods in 200
// namespaces, as targets send them, and returns the time of the last.
func fillCensus(b *testing.B, db *DB, pods int, sealed bool) int64 {
	b.Helper()
	at := testNow.UnixMilli() - 3000
	if sealed {
		at = testNow.Truncate(24 * time.Hour).Add(-6 * time.Hour).UnixMilli()
	}
	for scrape := range int64(3) {
		for pod := range pods {
			var batch series.Batch
			for metric := range 200 {
				reason, detail := batch.AddSeries(labels.FromStrings(
					"__name__", fmt.Sprintf("container_metric_%03d_total", metric), "cluster", "main", "container", "app",
					"instance", fmt.Sprintf("10.0.%d.%d:9090", pod/250, pod%250), "job", fmt.Sprintf("job-%02d", pod%50),
					"namespace", fmt.Sprintf("namespace-%03d", pod%200), "node", fmt.Sprintf("node-%d", pod/30),
					"pod", fmt.Sprintf("app-%05d-x7k2p", pod)))
				if reason != "" {
					b.Fatal(detail)
				}
				batch.AddSample(at-30_000*(2-scrape)-int64(pod%1000), 0, float64(pod*metric)+float64(scrape))
			}
			mustAppend(b, db, series.DefaultTenant, &batch)
		}
	}
	if sealed {
		mustFlush(b, db)
		if _, err := db.Seal(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	return at
}

// BenchmarkCensus counts a million series, all and by namespace.
func BenchmarkCensus(b *testing.B) {
	const pods = 5000
	for _, where := range []string{"head", "sealed"} {
		db := openDB(b, benchStore(b), testOptions())
		at := fillCensus(b, db, pods, where == "sealed")
		for _, names := range [][]string{nil, {"namespace"}, {"pod"}, {"namespace", "pod"}, {"__name__"}} {
			b.Run(fmt.Sprint(where, "/", names), func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime()
				for b.Loop() {
					q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
					if err != nil {
						b.Fatal(err)
					}
					counted, ok, err := q.Census(context.Background(), Census{
						From: at - 300_000, To: at, Names: names, Matchers: []*labels.Matcher{matcher(b, labels.MatchRegexp, "__name__", ".+")},
						Points: censusPoints, Run: runOn(runtime.GOMAXPROCS(0)),
					})
					if err != nil || !ok || counted.Points != 200*pods {
						b.Fatal(counted.Points, ok, err)
					}
					q.Close()
				}
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/1e6, "wall-ms/op")
			})
		}
	}
}

package tsdb

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// benchSeries is how many series the benchmarks of selections have; VARVE_SERIES
// sets it.
func benchSeries() int {
	if n, err := strconv.Atoi(os.Getenv("VARVE_SERIES")); err == nil {
		return n
	}
	return 100_000
}

// fillSeries stores one sample of many series, 200 of each pod.
func fillSeries(b *testing.B, db *DB, where string) {
	b.Helper()
	const perPod = 200
	at := testNow.UnixMilli() - 60_000
	for pod := range benchSeries() / perPod {
		var batch series.Batch
		for metric := range perPod {
			ls := labels.FromStrings("__name__", fmt.Sprintf("metric_%03d", metric), "instance", fmt.Sprintf("10.0.%d.%d:8080", pod/250, pod%250),
				"job", "job-"+strconv.Itoa(pod%20), "namespace", "namespace-"+strconv.Itoa(pod%50), "pod", fmt.Sprintf("pod-%05d-%x", pod, pod*7919))
			if reason, detail := batch.AddSeries(ls); reason != "" {
				b.Fatal(detail)
			}
			batch.AddSample(at, 0, float64(metric))
		}
		mustAppend(b, db, series.DefaultTenant, &batch)
	}
	if where == "head" {
		return
	}
	mustFlush(b, db)
	appendPoints(b, db, labels.FromStrings("__name__", "other"), point{at, 1})
	mustFlush(b, db)
	if where == "sealed" {
		if _, err := db.Seal(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSelect finds series among many, and asks for their newest samples.
func BenchmarkSelect(b *testing.B) {
	for _, where := range []string{"sealed", "head"} {
		b.Run(where, func(b *testing.B) {
			db := openDB(b, benchStore(b), testOptions())
			fillSeries(b, db, where)
			sel := func(name string, ms ...*labels.Matcher) {
				b.Run(name, func(b *testing.B) {
					b.ReportAllocs()
					n := 0
					before := cpuTime()
					for b.Loop() {
						q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
						if err != nil {
							b.Fatal(err)
						}
						set, err := q.SelectColumns(context.Background(), math.MinInt64, math.MaxInt64, ms...)
						if err != nil {
							b.Fatal(err)
						}
						n = set.Len()
						q.Close()
					}
					b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1000, "cpu-us/op")
					b.ReportMetric(float64(n), "series")
				})
			}
			pod := labels.MustNewMatcher(labels.MatchEqual, "pod", fmt.Sprintf("pod-%05d-%x", 300, 300*7919))
			job := labels.MustNewMatcher(labels.MatchEqual, "job", "job-3")
			any := labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")
			sel("pod", pod)
			sel("metric", labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_007"))
			sel("regex", labels.MustNewMatcher(labels.MatchRegexp, "pod", ".*-003[0-9]*7-.*"))
			sel("regexAndMetric", labels.MustNewMatcher(labels.MatchRegexp, "pod", ".*-0.*7-.*"), labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_007"))
			sel("all", any)
			b.Run("values", func(b *testing.B) {
				for b.Loop() {
					q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
					if err != nil {
						b.Fatal(err)
					}
					values, _, err := q.LabelValues(context.Background(), "pod", nil, job)
					if err != nil || len(values) != benchSeries()/200/20 {
						b.Fatal(len(values), err)
					}
					q.Close()
				}
			})
			b.Run("last", func(b *testing.B) { benchLast(b, db, any) })
		})
	}
}

func benchLast(b *testing.B, db *DB, ms ...*labels.Matcher) {
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	set, err := q.SelectColumns(context.Background(), math.MinInt64, math.MaxInt64, ms...)
	if err != nil {
		b.Fatal(err)
	}
	at := testNow.UnixMilli()
	n := 0
	before := cpuTime()
	for b.Loop() {
		reader := set.Reader()
		for i := range set.Len() {
			if _, _, _, ok, err := reader.Last(context.Background(), i, at-300_000, at); err != nil || !ok {
				b.Fatal(ok, err)
			}
			n++
		}
		reader.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/series")
	b.ReportMetric(float64(cpuTime()-before)/float64(n), "cpu-ns/series")
}

package tsdb

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/series"
)

// millionQuestion is a question about a million series. ask returns how many series,
// groups or values are the answer.
type millionQuestion struct {
	name string
	want int
	ask  func(b *testing.B, q *Querier, at int64) int
}

// millionQuestions are those of the benchmarks against other servers.
func millionQuestions(b *testing.B) []millionQuestion {
	count := func(m *labels.Matcher, names ...string) func(*testing.B, *Querier, int64) int {
		return func(b *testing.B, q *Querier, at int64) int {
			counted, ok, err := q.Census(context.Background(), Census{
				From: at - 300_000, To: at, Names: names, Matchers: []*labels.Matcher{m}, Points: censusPoints, Run: runOn(runtime.GOMAXPROCS(0)),
			})
			if err != nil || !ok {
				b.Fatal(ok, err)
			}
			if len(names) > 0 {
				return len(counted.Groups)
			}
			return int(counted.Points)
		}
	}
	all := matcher(b, labels.MatchRegexp, "__name__", ".+")
	return []millionQuestion{
		{"count", 200 * millionPods, count(all)},
		{"count-by-namespace", 200, count(all, "namespace")},
		{"one-pod", 200, func(b *testing.B, q *Querier, at int64) int {
			set, err := q.SelectColumns(context.Background(), at-300_000, at, matcher(b, labels.MatchEqual, "pod", "app-00042-x7k2p"))
			if err != nil {
				b.Fatal(err)
			}
			reader, found := set.Reader(), 0
			defer reader.Close()
			for i := range set.Len() {
				if _, _, _, ok, err := reader.Last(context.Background(), i, at-300_000, at); err != nil || !ok {
					b.Fatal(ok, err)
				}
				found++
			}
			return found
		}},
		{"pods-of-a-job", 100, func(b *testing.B, q *Querier, _ int64) int {
			values, _, err := q.LabelValues(context.Background(), "pod", &storage.LabelHints{}, matcher(b, labels.MatchEqual, "job", "job-07"))
			if err != nil {
				b.Fatal(err)
			}
			return len(values)
		}},
		{"regular-expression", 200 * podsWith("42"), count(matcher(b, labels.MatchRegexp, "pod", ".*42.*"))},
	}
}

// podsWith returns how many pods of fillCensus have a text in their number.
func podsWith(text string) (n int) {
	for pod := range millionPods {
		if strings.Contains(fmt.Sprintf("%05d", pod), text) {
			n++
		}
	}
	return n
}

// millionPods have 200 series each.
const millionPods = 5000

// BenchmarkMillion asks about a million series, in memory and sealed, what overviews
// of a fleet ask: the first time, and then again. The time is the processor's.
func BenchmarkMillion(b *testing.B) {
	for _, where := range []string{"head", "sealed"} {
		b.Run(where, func(b *testing.B) {
			db := openDB(b, benchStore(b), testOptions())
			at := fillCensus(b, db, millionPods, where == "sealed")
			for _, question := range millionQuestions(b) {
				b.Run(question.name, func(b *testing.B) {
					var first, again time.Duration
					for b.Loop() {
						db.facts.Forget()
						first += question.time(b, db, at)
						again += question.time(b, db, at)
					}
					b.ReportMetric(float64(first)/float64(b.N)/1e6, "first-cpu-ms/op")
					b.ReportMetric(float64(again)/float64(b.N)/1e6, "cpu-ms/op")
				})
			}
		})
	}
}

// time asks once, and returns the processor time that it took.
func (m millionQuestion) time(b *testing.B, db *DB, at int64) time.Duration {
	before := cpuTime()
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	if got := m.ask(b, q, at); got != m.want {
		b.Fatalf("%s: %d, want %d", m.name, got, m.want)
	}
	return cpuTime() - before
}

package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// tableRow is a query that dashboards make.
type tableRow struct {
	name, query string
	span, step  time.Duration // no step for an instant query
}

// queryTable is what BenchmarkTable asks of 1,000 series each of a counter c, a
// gauge m and another d, and of a histogram of 3,600 series, all of six hours at
// 15 s.
var queryTable = []tableRow{
	{"sum-rate", `sum(rate(c[5m]))`, 6 * time.Hour, time.Minute},
	{"sum-by-rate", `sum by (h)(rate(c[5m]))`, 6 * time.Hour, time.Minute},
	{"avg-over-time", `avg_over_time(m[1h])`, 6 * time.Hour, time.Hour},
	{"max-over-time", `max_over_time(m[1h])`, 6 * time.Hour, time.Minute},
	{"quantile-over-time", `quantile_over_time(0.95, m[30m])`, 6 * time.Hour, time.Minute},
	{"histogram-quantile", `histogram_quantile(0.99, sum by (le)(rate(b_bucket[5m])))`, 6 * time.Hour, time.Minute},
	{"join", `sum(d * on (h) group_left rate(c[5m]))`, 6 * time.Hour, time.Minute},
	{"avg-by", `avg by (dc)(m)`, 6 * time.Hour, time.Minute},
	{"topk", `topk(10, m)`, 6 * time.Hour, time.Minute},
	{"raw", `m`, 6 * time.Hour, time.Minute},
	{"subquery", `max_over_time(rate(c{dc="dc3"}[5m])[1h:1m])`, 6 * time.Hour, time.Minute},
	{"instant-rate", `rate(c[5m])`, 0, 0},
	{"instant-topk", `topk(5, rate(c[5m]))`, 0, 0},
	{"instant-increase", `sum(increase(c[6h]))`, 0, 0},
	{"one-series", `m{h="host-0007"}`, time.Hour, time.Minute},
}

var tableEnd = time.Date(2026, 3, 4, 18, 0, 0, 0, time.UTC)

// fillTable loads the data of queryTable.
func fillTable(b testing.TB, db *tsdb.DB) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	const hosts, buckets, hist = 1000, 12, 300
	bounds := []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}
	counters, gauges, histograms := make([]float64, hosts), make([]float64, hosts), make([]float64, hist*buckets)
	start := tableEnd.Add(-6 * time.Hour).UnixMilli()
	const perBatch = 120
	for from := 0; from <= 1440; from += perBatch {
		var batch series.Batch
		add := func(i int, next func() float64, pairs ...string) {
			if reason, detail := batch.AddSeries(labels.FromStrings(pairs...)); reason != "" {
				b.Fatal(detail)
			}
			for k := from; k < min(from+perBatch, 1441); k++ {
				batch.AddSample(start+int64(k)*15_000+int64(i%hosts)*15, 0, next())
			}
		}
		for i := range hosts {
			h, dc := fmt.Sprintf("host-%04d", i), fmt.Sprintf("dc%d", i%7)
			add(i, func() float64 { counters[i] += float64(r.IntN(500)); return counters[i] }, "__name__", "c", "h", h, "dc", dc)
			add(i, func() float64 {
				gauges[i] = math.Max(0, math.Min(100, gauges[i]+float64(r.IntN(21)-10)/10))
				return math.Round(gauges[i]*10) / 10
			}, "__name__", "m", "h", h, "dc", dc)
			add(i, func() float64 { return float64(i % 3) }, "__name__", "d", "h", h, "dc", dc, "core", strconv.Itoa(i%16))
		}
		for i := range hist {
			for k := range buckets {
				at := i*buckets + k
				add(i, func() float64 { histograms[at] += float64(r.IntN(3 * (k + 1))); return histograms[at] },
					"__name__", "b_bucket", "h", fmt.Sprintf("host-%04d", i), "le", bounds[k])
			}
		}
		outcome, err := db.Append(context.Background(), series.DefaultTenant, &batch)
		if err != nil || !outcome.Refused.Empty() {
			b.Fatal(err, outcome.Refused.String())
		}
	}
}

// openTable returns storage with the data of queryTable, sealed or as it came, and
// what closes it.
func openTable(b testing.TB, sealed bool) (db *tsdb.DB, end func()) {
	b.Helper()
	store, err := pebblekv.Open("data", pebblekv.Options{FS: vfs.NewMem(), Reserve: -1, MemoryBytes: 4 << 30})
	if err != nil {
		b.Fatal(err)
	}
	db, err = tsdb.Open(context.Background(), store, tsdb.Options{Now: func() time.Time { return tableEnd }})
	if err != nil {
		b.Fatal(err)
	}
	fillTable(b, db)
	if sealed {
		if _, err := db.Seal(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	return db, func() {
		if err := errors.Join(db.Close(), store.Close()); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkTable asks the table on both executors, of sealed samples and of ones
// that were flushed twice and are else in memory.
func BenchmarkTable(b *testing.B) {
	for _, state := range []string{"sealed", "head"} {
		db, end := openTable(b, state == "sealed")
		engine := New(Options{})
		for _, row := range queryTable {
			for _, executor := range []string{"columnar", "reference"} {
				b.Run(state+"/"+row.name+"/"+executor, func(b *testing.B) {
					request := Request{Query: row.query, Start: tableEnd.Add(-row.span), End: tableEnd, Step: row.step, Reference: executor == "reference"}
					b.ReportAllocs()
					for b.Loop() {
						result, err := engine.Run(context.Background(), Local(db, series.DefaultTenant), request)
						if err != nil {
							b.Fatal(err)
						}
						result.Close()
					}
				})
			}
		}
		end()
	}
}

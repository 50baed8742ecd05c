package query

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// BenchmarkRefresh refreshes panels of six hours every minute, after each of which
// samples have come: with the results of the last time, and without. What a panel
// computes with them are the two or three steps at the end.
func BenchmarkRefresh(b *testing.B) {
	db, end := openTable(b, true)
	defer end()
	for _, row := range queryTable {
		if row.span != 6*time.Hour || row.step != time.Minute {
			continue
		}
		for _, kept := range []bool{false, true} {
			name := row.name + "/computed"
			if kept {
				name = row.name + "/kept"
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				refresh(b, db, row, kept)
			})
		}
	}
}

// refresh asks a panel b.N times.
func refresh(b *testing.B, db *tsdb.DB, row tableRow, kept bool) {
	const minutes = 30
	from := Local(db, series.DefaultTenant)
	var engine *Engine
	ask := func(minute int) {
		end := tableEnd.Add(time.Duration(minute-minutes) * time.Minute)
		result, err := engine.Run(context.Background(), from, Request{Query: row.query, Start: end.Add(-row.span), End: end, Step: row.step})
		if err != nil {
			b.Fatal(err)
		}
		result.Close()
	}
	steps := 0.0
	count := func() {
		if kept && engine != nil {
			if counterOf(engine.results.metrics.hits) == 0 {
				b.Skip("its results are not kept")
			}
			steps += counterOf(engine.results.metrics.computed) - float64(row.span/row.step) - 1
		}
	}
	for i := range b.N {
		b.StopTimer()
		minute := i % minutes
		if minute == 0 {
			count()
			o := Options{}
			if kept {
				o.CacheBytes = 64 << 20
			}
			engine = New(o)
			ask(0)
		}
		var batch series.Batch
		batch.AddSeries(labels.FromStrings("__name__", "m", "h", "host-0000", "dc", "dc0"))
		batch.AddSample(tableEnd.Add(time.Duration(minute-minutes)*time.Minute).UnixMilli()+1, 0, 1)
		if _, err := db.Append(context.Background(), series.DefaultTenant, &batch); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		ask(minute + 1)
	}
	if count(); kept {
		b.ReportMetric(steps/float64(b.N), "steps/op")
	}
}

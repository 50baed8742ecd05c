package query

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

func BenchmarkZZ(b *testing.B) {
	store, err := pebblekv.Open("data", pebblekv.Options{FS: vfs.NewMem(), Reserve: -1, MemoryBytes: 4 << 30})
	if err != nil {
		b.Fatal(err)
	}
	db, err := tsdb.Open(context.Background(), store, tsdb.Options{Now: func() time.Time { return tableEnd }})
	if err != nil {
		b.Fatal(err)
	}
	fillTable(b, db)
	if _, err := db.Seal(context.Background()); err != nil {
		b.Fatal(err)
	}
	engine := New(Options{})
	for _, q := range []string{
		`max(rate(c[5m])) - min(rate(c[301s]))`,
		`max(rate(c[5m])) - min(rate(c[5m]))`, 
	} {
		b.Run(q, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				result, err := engine.Run(context.Background(), Local(db, series.DefaultTenant), Request{Query: q, Start: tableEnd.Add(-6 * time.Hour), End: tableEnd, Step: time.Minute})
				if err != nil {
					b.Fatal(err)
				}
				result.Close()
			}
		})
	}
}

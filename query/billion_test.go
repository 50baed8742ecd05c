package query

import (
	"context"
	"fmt"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
	"github.com/varve-db/varve/tsdb/block"
)

const (
	longDay     = 24 * time.Hour
	longPerDay  = 5760 // samples of a series, one every 15 s
	longHeapMax = 256 << 20
)

// longData is series of many samples, sealed day by day.
type longData struct{ series, days int }

func (d longData) samples() int { return d.series * d.days * longPerDay }

// start is the time of the first sample.
func (d longData) start() time.Time {
	return tableEnd.Truncate(longDay).Add(-time.Duration(d.days) * longDay)
}

// value returns series i's counter at sample k of all: every fourth series stands
// still, others rise at every sample, or every hundredth.
func (d longData) value(i, k int) float64 {
	switch i % 4 {
	case 0:
		return float64(i)
	case 1:
		return float64(i + k/100)
	}
	return float64(i + k*(i%4))
}

// write stores the samples as generations that a seal would have written.
func (d longData) write(t testing.TB, store *pebblekv.Store) {
	t.Helper()
	times, values := make([]int64, longPerDay), make([]float64, longPerDay)
	for day := range d.days {
		from := d.start().Add(time.Duration(day) * longDay).UnixMilli()
		for k := range times {
			times[k] = from + int64(k)*15_000
		}
		id := block.ID{Tenant: series.DefaultTenant, Resolution: block.Raw, Start: from, Generation: uint32(day)}
		w := block.NewSealWriter(store, id, longDay.Milliseconds(), block.PlanSlices(times[0], times[longPerDay-1], longPerDay), column.Fast)
		for i := range d.series {
			for k := range values {
				values[k] = d.value(i, day*longPerDay+k)
			}
			ls := series.AppendLabels(nil, labels.FromStrings("__name__", "long_total", "instance", fmt.Sprintf("host-%06d", i), "zone", fmt.Sprint(i%4)))
			if err := w.Add(ls, &chunks.Columns{Times: times, Values: values}, nil); err != nil {
				t.Fatal(err)
			}
		}
		generation, tables, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Ingest(context.Background(), tables); err != nil {
			t.Fatal(err)
		}
		var batch kv.Batch
		generation.AddSummary(&batch)
		if err := store.Apply(&batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBillionSamples asks about many samples: 35 million, or a billion with
// VARVE_BILLION=1; the race detector, which makes each of them dear, sees 5 million. Only the memory is bounded: what is charged for is read.
func TestBillionSamples(t *testing.T) {
	data := longData{series: 1000, days: 6}
	switch {
	case raceEnabled:
		data = longData{series: 400, days: 2}
	case os.Getenv("VARVE_BILLION") != "":
		data = longData{series: 10_000, days: 18}
	}
	store, err := pebblekv.Open("data", pebblekv.Options{FS: vfs.NewMem(), Reserve: -1, MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	data.write(t, store)
	t.Logf("%d samples written in %s", data.samples(), time.Since(began))
	db, err := tsdb.Open(t.Context(), store, tsdb.Options{Now: func() time.Time { return tableEnd }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = db.Close(), store.Close() }()
	engine := New(Options{BytesMax: -1, Timeout: time.Hour})
	last := data.start().Add(time.Duration(data.days) * longDay)
	for _, c := range []struct {
		query string
		// at returns the value of a zone at the step that is that many samples after
		// the first of all; the windows of the steps are full.
		at func(zone, k int) float64
	}{
		{`sum by (zone) (increase(long_total[1h]))`, func(zone, _ int) float64 {
			return float64(data.series/4) * []float64{0, 2.4, 480, 720}[zone]
		}},
		{`max by (zone) (max_over_time(long_total[1h]))`, func(zone, k int) float64 {
			return data.value(data.series-4+zone, k)
		}},
		{`count by (zone) (long_total)`, func(int, int) float64 { return float64(data.series / 4) }},
	} {
		r := Request{Query: c.query, Start: data.start().Add(time.Hour), End: last.Add(-15 * time.Second), Step: time.Hour}
		result, took, grown := runWatched(t, engine, Local(db, series.DefaultTenant), r)
		if decoded := result.Work.Decoded; decoded < int64(data.samples()-data.series*480) {
			t.Errorf("%s: %d samples are read of %d", c.query, decoded, data.samples())
		}
		matrix := result.Value.(promql.Matrix)
		if len(matrix) != 4 {
			t.Fatalf("%s: %d zones", c.query, len(matrix))
		}
		for zone, s := range matrix {
			for step, p := range s.Floats {
				want := c.at(zone, (step+1)*240)
				if zone == 1 && want == float64(data.series/4)*2.4 { // it rises by two or three an hour
					if p.F < want*0.8 || p.F > want*1.3 {
						t.Fatalf("%s: zone %d is %g at step %d", c.query, zone, p.F, step)
					}
				} else if p.F != want {
					t.Fatalf("%s: zone %d is %g at step %d, want %g", c.query, zone, p.F, step, want)
				}
			}
			if len(s.Floats) != data.days*24-1 {
				t.Fatalf("%s: %d steps", c.query, len(s.Floats))
			}
		}
		t.Logf("%s: %d samples read in %s, cores %s, the heap rose by %d MiB, peak %d points", c.query, result.Work.Decoded, took, result.Work.Busy, grown>>20, result.Work.Peak)
		if grown > longHeapMax {
			t.Errorf("%s: the heap rose by %d MiB, more than %d", c.query, grown>>20, longHeapMax>>20)
		}
		result.Close()
	}
}

// runWatched runs r and tells by how much the heap rose meanwhile, garbage included.
func runWatched(t *testing.T, engine *Engine, from Columnar, r Request) (result *Result, took time.Duration, grown int64) {
	t.Helper()
	runtime.GC()
	before := heapBytes()
	most := before
	var watch sync.WaitGroup
	done := make(chan struct{})
	watch.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, heapBytes())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	began := time.Now()
	result = mustRun(t, engine, from, r)
	took = time.Since(began)
	close(done)
	watch.Wait()
	return result, took, most - before
}

func heapBytes() int64 {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtimemetrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

package tsdb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/bench"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
)

// BenchmarkSealWholeStore appends captured metrics scrape by scrape, flushing
// every ten minutes, seals, and reports the bytes a sample takes in the store
// before and after, index included, and the time and the processor time that a
// sample takes to seal. The captures are in the folder VARVE_DATA.
func BenchmarkSealWholeStore(b *testing.B) {
	folder := os.Getenv("VARVE_DATA")
	if folder == "" {
		b.Skip("VARVE_DATA names no folder with captures")
	}
	for _, name := range captureNames {
		b.Run(name, func(b *testing.B) {
			capture := readCapture(b, folder, name)
			for b.Loop() {
				sealCapture(b, capture)
			}
		})
	}
}

// BenchmarkSealFleet seals eight targets like the captured one, as a partition
// mostly has more samples than a capture and a seal costs something of its own.
func BenchmarkSealFleet(b *testing.B) {
	folder := os.Getenv("VARVE_DATA")
	if folder == "" {
		b.Skip("VARVE_DATA names no folder with captures")
	}
	for _, name := range captureNames {
		b.Run(name, func(b *testing.B) {
			fleet := fleetOf(readCapture(b, folder, name), 8)
			for b.Loop() {
				sealCapture(b, fleet)
			}
		})
	}
}

// fleetOf returns n targets like the captured one. Each has the values of another
// hour, so that no two have a column in common.
func fleetOf(capture []bench.Captured, n int) (fleet []bench.Captured) {
	for i := range n {
		for _, c := range capture {
			at := i * len(c.Values) / n
			name, labelled := strings.CutSuffix(strings.TrimSuffix(c.Name, "{}"), "}")
			if labelled {
				name += ","
			} else {
				name += "{"
			}
			fleet = append(fleet, bench.Captured{
				Name:       name + fmt.Sprintf("target=\"%d\"}", i),
				Timestamps: c.Timestamps,
				Values:     slices.Concat(c.Values[at:], c.Values[:at]),
			})
		}
	}
	return fleet
}

// captureNames are the captures in the folder.
var captureNames = []string{"node_1s", "goapp_1s", "node_15s", "goapp_15s", "synth"}

func readCapture(b *testing.B, folder, name string) []bench.Captured {
	f, err := os.Open(filepath.Join(folder, name+".tsd.zst"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	capture, err := bench.ReadCapture(f)
	if err != nil {
		b.Fatal(err)
	}
	return capture
}

func sealCapture(b *testing.B, capture []bench.Captured) {
	ctx := context.Background()
	store, err := pebblekv.Open(b.TempDir(), pebblekv.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	db, err := Open(ctx, store, Options{AheadMax: 100 * 365 * 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	samples := appendCapture(b, db, capture)
	flushed := partitionBytes(b, db)
	before := cpuTime()
	reports, err := db.Seal(ctx)
	if err != nil {
		b.Fatal(err)
	}
	processor := cpuTime() - before
	var took time.Duration
	var chunkBytes, count uint64
	for _, r := range reports {
		took += r.Took
		chunkBytes += r.BytesOut
		count += r.Samples
	}
	sealed := partitionBytes(b, db)
	b.ReportMetric(float64(flushed)/float64(samples), "flushedB/sample")
	b.ReportMetric(float64(sealed)/float64(samples), "sealedB/sample")
	b.ReportMetric(float64(chunkBytes)/float64(samples), "columnB/sample")
	b.ReportMetric(float64(took.Nanoseconds())/float64(count), "seal-ns/sample")
	b.ReportMetric(float64(processor.Nanoseconds())/float64(count), "seal-CPU-ns/sample")
}

func partitionBytes(b *testing.B, db *DB) (n uint64) {
	list, err := db.Partitions()
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range list {
		n += p.Bytes
	}
	return n
}

// appendCapture appends the capture in order of time.
func appendCapture(b *testing.B, db *DB, capture []bench.Captured) (samples int) {
	ctx := context.Background()
	sets := make([]labels.Labels, len(capture))
	next := make([]int, len(capture))
	var times []int64
	for i, c := range capture {
		pairs, err := bench.ParseSeries(c.Name)
		if err != nil {
			b.Fatal(err)
		}
		var builder labels.ScratchBuilder
		for _, l := range pairs {
			builder.Add(l.Name, l.Value)
		}
		builder.Sort()
		sets[i] = builder.Labels()
		times = append(times, c.Timestamps...)
	}
	slices.Sort(times)
	times = slices.Compact(times)
	const step = 60_000
	var batch series.Batch
	flushAt := times[0] + 600_000
	for from := times[0]; from <= times[len(times)-1]; from += step {
		batch.Reset()
		for i := range capture {
			c := &capture[i]
			if next[i] == len(c.Timestamps) || c.Timestamps[next[i]] >= from+step {
				continue
			}
			batch.AddSeries(sets[i])
			for ; next[i] < len(c.Timestamps) && c.Timestamps[next[i]] < from+step; next[i]++ {
				batch.AddSample(c.Timestamps[next[i]], 0, c.Values[next[i]])
				samples++
			}
		}
		if outcome, err := db.Append(ctx, series.DefaultTenant, &batch); err != nil || !outcome.Refused.Empty() {
			b.Fatal(err, outcome.Refused)
		}
		if from >= flushAt {
			if err := db.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			flushAt = from + 600_000
		}
	}
	if err := db.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	return samples
}

package tsdb

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/bench"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
)

// A day of a fleet that is scraped every 15 seconds may write so much to the
// device, log included, and each sample into sealed rows so often.
const (
	dayBytesPerSampleMax = 12
	daySealedTimesMax    = 2
)

// daySeries are as many as Prometheus sends in one request by default. With fewer,
// the pages of the log that each fsync ends count for more.
const daySeries = 2000

// TestDayOfWrites takes in a day in compressed time, with flushes and seals as
// they fall due, and counts what is written to the device for a sample.
func TestDayOfWrites(t *testing.T) {
	Sequential(t)
	if testing.Short() {
		t.Skip("it takes in eleven million samples")
	}
	bytes, sealed := day(t, daySeries)
	total := 0.0
	for _, part := range dayParts {
		total += bytes[part]
	}
	if total > dayBytesPerSampleMax || sealed > daySealedTimesMax || sealed < 1 {
		t.Errorf("%.2f bytes a sample and %.2f times sealed, at most %d and %d are allowed", total, sealed, dayBytesPerSampleMax, daySealedTimesMax)
	}
}

// BenchmarkDayOfWrites reports what TestDayOfWrites bounds.
func BenchmarkDayOfWrites(b *testing.B) {
	for b.Loop() {
		bytes, sealed := day(b, daySeries)
		total := 0.0
		for _, part := range dayParts {
			b.ReportMetric(bytes[part], part+"-B/sample")
			total += bytes[part]
		}
		b.ReportMetric(total, "B/sample")
		b.ReportMetric(sealed, "times-sealed")
	}
}

// dayParts are who writes.
var dayParts = []string{"log", "flush", "seal", "compaction", "other"}

// day returns the bytes a sample that each part wrote, and how often a sample was
// written into sealed rows.
func day(t testing.TB, n int) (bytes map[string]float64, sealed float64) {
	counting := &countingFS{FS: vfs.Default, pages: map[string]int64{}, work: "flush"}
	store, err := pebblekv.Open(t.TempDir(), pebblekv.Options{FS: counting, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC)
	registry := prometheus.NewRegistry()
	db, err := Open(context.Background(), store, Options{Now: func() time.Time { return now }, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	clear(counting.pages) // what an empty store takes
	fleet := newDayFleet(n)
	samples := 0
	for end := now.Add(24 * time.Hour); now.Before(end.Add(30 * time.Minute)); now = now.Add(15 * time.Second) {
		if now.Before(end) {
			fleet.scrape(t, db, now.UnixMilli())
			samples += n
		}
		if err := db.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		if now.Second() != 0 {
			continue
		}
		counting.begin("seal")
		if err := db.SealDue(context.Background()); err != nil {
			t.Fatal(err)
		}
		counting.begin("flush")
	}
	if blocks, err := db.Blocks(); err != nil || len(blocks) != 1 || blocks[0].State != "sealed" || blocks[0].Stats.Samples != uint64(samples) {
		t.Fatalf("after the day there are %+v, %v", blocks, err)
	}
	bytes = counting.perSample(samples)
	for _, part := range dayParts {
		t.Logf("%-10s %6.2f bytes a sample", part, bytes[part])
	}
	sealed = counterOf(t, registry, "varve_tsdb_sealed_samples_total") / float64(samples)
	t.Logf("each sample was written into sealed rows %.2f times", sealed)
	return bytes, sealed
}

func counterOf(t testing.TB, registry *prometheus.Registry, name string) float64 {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// dayFleet is a fleet whose targets are scraped at the same moments.
type dayFleet struct {
	scraper *bench.Scraper
	labels  []series.Labels
	values  []float64
	batch   series.Batch
}

func newDayFleet(n int) *dayFleet {
	f := &dayFleet{scraper: bench.NewScraper(bench.Fleet{Series: n, Seed: 1})}
	var builder labels.ScratchBuilder
	for _, ls := range f.scraper.Series {
		builder.Reset()
		for _, l := range ls {
			builder.Add(l.Name, l.Value)
		}
		f.labels = append(f.labels, series.AppendLabels(nil, builder.Labels()))
	}
	return f
}

func (f *dayFleet) scrape(t testing.TB, db *DB, at int64) {
	f.values = f.scraper.Next(f.values)
	f.batch.Reset()
	for i, ls := range f.labels {
		f.batch.AddEncodedRow(ls)
		f.batch.AddSample(at+int64(f.scraper.Target[i]%15_000), 0, f.values[i])
	}
	if outcome, err := db.Append(context.Background(), series.DefaultTenant, &f.batch); err != nil || !outcome.Refused.Empty() {
		t.Fatal(err, outcome.Refused)
	}
}

// countingFS counts the pages that a device has to write: those between the
// bytes that were synced last and those that are synced now, so that one that is
// appended to again and again counts each time.
type countingFS struct {
	vfs.FS
	mu    sync.Mutex
	work  string // who builds tables
	pages map[string]int64
}

const devicePage = 4096

func (c *countingFS) begin(work string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.work = work
}

func (c *countingFS) perSample(samples int) map[string]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]float64{}
	for part, pages := range c.pages {
		if !slices.Contains(dayParts, part) {
			panic(fmt.Sprintf("nobody knows the part %q", part))
		}
		out[part] = float64(pages*devicePage) / float64(samples)
	}
	return out
}

// part tells who writes a file. Tables that are built apart are linked into the
// store, not written again.
func (c *countingFS) part(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case strings.HasSuffix(name, ".log"):
		return "log"
	case strings.Contains(filepath.Dir(name), "tmp-ingest"):
		return c.work
	case strings.HasSuffix(name, ".sst"):
		return "compaction" // and the flushes of memtables
	default:
		return "other"
	}
}

func (c *countingFS) count(f vfs.File, err error, name string) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &countedFile{File: f, fs: c, part: c.part(name)}, nil
}

func (c *countingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, category)
	return c.count(f, err, name)
}

func (c *countingFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(from, to, category)
	return c.count(f, err, to)
}

type countedFile struct {
	vfs.File
	fs              *countingFS
	part            string
	written, synced int64
}

func (f *countedFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.written += int64(n)
	return n, err
}

func (f *countedFile) settle() {
	if f.written == f.synced {
		return
	}
	pages := (f.written+devicePage-1)/devicePage - f.synced/devicePage
	f.synced = f.written
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.pages[f.part] += pages
}

func (f *countedFile) Sync() error     { f.settle(); return f.File.Sync() }
func (f *countedFile) SyncData() error { f.settle(); return f.File.SyncData() }
func (f *countedFile) Close() error    { f.settle(); return f.File.Close() }

func (f *countedFile) SyncTo(length int64) (bool, error) {
	f.settle()
	return f.File.SyncTo(length)
}

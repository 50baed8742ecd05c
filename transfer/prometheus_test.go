package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
)

// dataStart is when the data of newFolder begins; it ends at midnight.
var dataStart = midnight.Add(-50 * time.Hour)

// newFolder writes a Prometheus's data folder: about two days in blocks, the rest
// in the write-ahead log; floats, stale markers, odd values, histograms of both
// kinds, exemplars and metadata.
func newFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	o := tsdb.DefaultOptions()
	o.EnableExemplarStorage, o.MaxExemplars, o.EnableMetadataWALRecords = true, 1000, true
	db, err := tsdb.Open(folder, nil, nil, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.DisableCompactions()
	for at := dataStart; at.Before(midnight); at = at.Add(10 * time.Minute) {
		app := db.Appender(context.Background())
		appendScrape(t, app, at)
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
		if at.Hour()%12 == 0 && at.Minute() == 0 {
			if err := db.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(db.Blocks()) < 5 {
		t.Fatalf("%d blocks", len(db.Blocks()))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}

// appendScrape adds what a scrape at one time brings.
func appendScrape(t *testing.T, app storage.Appender, at time.Time) {
	n := int(at.Sub(dataStart) / (10 * time.Minute))
	ms := at.UnixMilli()
	check := func(_ storage.SeriesRef, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	odd := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(value.StaleNaN), 1e-300, 0.1, math.MaxFloat64}
	for i := range 20 {
		ls := labels.FromStrings("__name__", "requests_total", "instance", fmt.Sprintf("host-%d", i), "größe", "ü")
		check(app.Append(0, ls, ms, float64(n*i)))
	}
	check(app.Append(0, labels.FromStrings("__name__", "odd"), ms, odd[n%len(odd)]))
	gone := labels.FromStrings("__name__", "gone")
	check(app.Append(0, gone, ms, map[bool]float64{true: math.Float64frombits(value.StaleNaN), false: 1}[n%7 == 3]))
	check(app.AppendHistogram(0, labels.FromStrings("__name__", "latency", "kind", "int"), ms, tsdbutil.GenerateTestHistogram(int64(n)), nil))
	check(app.AppendHistogram(0, labels.FromStrings("__name__", "latency", "kind", "float"), ms, nil, tsdbutil.GenerateTestFloatHistogram(int64(n))))
	check(app.AppendHistogram(0, labels.FromStrings("__name__", "latency", "kind", "custom"), ms, tsdbutil.GenerateTestCustomBucketsHistogram(int64(n)), nil))
	host := labels.FromStrings("__name__", "requests_total", "instance", "host-0", "größe", "ü")
	check(app.AppendExemplar(0, host, exemplar.Exemplar{Labels: labels.FromStrings("trace_id", fmt.Sprint(n)), Value: float64(n), Ts: ms, HasTs: true}))
	if n == 0 {
		check(app.UpdateMetadata(0, host, metadata.Metadata{Type: "counter", Help: "All requests."}))
	}
}

func openFolder(t *testing.T, folder string, f Filter) Source {
	t.Helper()
	s, err := OpenPrometheus(folder, t.TempDir(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestPrometheusFolder imports a data folder, and finds every sample in the server
// with the same bits; then copies that server by remote read and by export.
func TestPrometheusFolder(t *testing.T) {
	folder := newFolder(t)
	before := filesOf(t, folder)
	s := openFolder(t, folder, Filter{})
	n := newNode(t)
	report := mustImport(t, s, n.target(), Options{})
	want := all(t, s)
	const scrapes = 50 * 6
	if report.Samples != scrapes*22 || report.Histograms != scrapes*3 || report.Series != 25 || report.Exemplars == 0 {
		t.Errorf("got %+v", report)
	}
	if !want["metadata {requests_total counter  All requests.}"] {
		t.Error("the metadata was not read")
	}
	n.contents(t).want(t, "import", want.without("exemplar", "metadata"))
	if after := filesOf(t, folder); !slices.Equal(before, after) {
		t.Errorf("the folder was changed: %v, %v", before, after)
	}

	t.Run("again", func(t *testing.T) {
		mustImport(t, s, n.target(), Options{})
		n.contents(t).want(t, "import", want.without("exemplar", "metadata"))
	})
	between := Filter{Start: dataStart, End: midnight}
	t.Run("remote read", func(t *testing.T) {
		second := newNode(t)
		from, err := OpenRemoteRead(n.url+"/api/v1/read", http.DefaultClient, http.Header{}, between)
		if err != nil {
			t.Fatal(err)
		}
		mustImport(t, from, second.target(), Options{})
		second.contents(t).want(t, "remote read", want.without("exemplar", "metadata"))
	})
	t.Run("export", func(t *testing.T) {
		second := newNode(t)
		from, err := OpenVictoria(n.url, http.DefaultClient, http.Header{}, between)
		if err != nil {
			t.Fatal(err)
		}
		report, err := Import(t.Context(), from, second.target(), Options{})
		if err != nil || len(report.Lost) != 1 || report.Lost[0].Reason != "native_histogram" || report.Lost[0].N != scrapes*3 {
			t.Errorf("got %+v, %v", report, err)
		}
		second.contents(t).want(t, "export", want.without("exemplar", "metadata", "histogram"))
	})
	t.Run("selected", func(t *testing.T) {
		second := newNode(t)
		selectors, err := ParseSelectors([]string{`odd`, `latency{kind="int"}`})
		if err != nil {
			t.Fatal(err)
		}
		day := midnight.Add(-24 * time.Hour)
		some := openFolder(t, folder, Filter{Start: day, End: day.Add(time.Hour), Selectors: selectors})
		if r := mustImport(t, some, second.target(), Options{}); r.Samples != 7 || r.Histograms != 7 || r.Series != 2 {
			t.Errorf("got %+v", r)
		}
	})
}

// filesOf lists the files of a folder with their sizes.
func filesOf(t *testing.T, folder string) []string {
	t.Helper()
	var list []string
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			list = append(list, fmt.Sprint(path, info.Size()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestNoFolder(t *testing.T) {
	if _, err := OpenPrometheus(filepath.Join(t.TempDir(), "gone"), t.TempDir(), Filter{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

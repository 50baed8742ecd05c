package scrape

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// rig is a Scraper at work on a database in memory.
type rig struct {
	t        *testing.T
	db       *tsdb.DB
	scraper  *Scraper
	registry *prometheus.Registry
	dir      string
	stop     func()
}

// start runs a Scraper with the scrape_configs in yaml, in which %s stands for
// the addresses in turn. change may change the options.
func start(t *testing.T, yaml string, change func(*Options)) *rig {
	t.Helper()
	db, err := tsdb.Open(context.Background(), memkv.New(memkv.Options{}), tsdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, db: db, registry: prometheus.NewRegistry(), dir: t.TempDir()}
	o := Options{UpdateInterval: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Registerer: r.registry}
	if change != nil {
		change(&o)
	}
	r.scraper = New(db, db.Queryable(series.DefaultTenant), r.parse(yaml), o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.scraper.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		r.stop()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) parse(yaml string) Config {
	r.t.Helper()
	c, err := Parse([]byte(yaml), r.dir, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) apply(yaml string) {
	r.t.Helper()
	if err := r.scraper.Apply(context.Background(), r.parse(yaml)); err != nil {
		r.t.Fatal(err)
	}
}

// point is one sample as the database gives it back.
type point struct {
	at    int64
	v     float64
	start int64
	h     *histogram.FloatHistogram
}

func (p point) stale() bool {
	return p.h == nil && value.IsStaleNaN(p.v) || p.h != nil && value.IsStaleNaN(p.h.Sum)
}

// selected returns the samples that a selector finds, by their labels.
func (r *rig) selected(selector string) map[string][]point {
	r.t.Helper()
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	if err != nil {
		r.t.Fatal(err)
	}
	q, err := r.db.Querier(series.DefaultTenant, 0, math.MaxInt64)
	if err != nil {
		r.t.Fatal(err)
	}
	defer q.Close()
	out := map[string][]point{}
	set := q.Select(context.Background(), true, nil, matchers...)
	for set.Next() {
		name := set.At().Labels().String()
		out[name] = nil
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			p := point{at: it.AtT(), start: it.AtST()}
			switch kind {
			case chunkenc.ValFloat:
				_, p.v = it.At()
			case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
				_, p.h = it.AtFloatHistogram(nil)
			}
			out[name] = append(out[name], p)
		}
	}
	if err := set.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// last returns the newest sample of the one series that a selector finds.
func (r *rig) last(selector string) (point, error) {
	r.t.Helper()
	found := r.selected(selector)
	for _, points := range found {
		if len(found) == 1 && len(points) > 0 {
			return points[len(points)-1], nil
		}
	}
	return point{}, fmt.Errorf("%s finds %d series", selector, len(found))
}

// is returns a check that the newest sample of a selector has a value.
func (r *rig) is(selector string, want float64) func() error {
	return func() error {
		got, err := r.last(selector)
		if err == nil && math.Float64bits(got.v) != math.Float64bits(want) {
			err = fmt.Errorf("%s is %v, want %v", selector, got.v, want)
		}
		return err
	}
}

var staleNaN = math.Float64frombits(value.StaleNaN)

// eventually waits until a check passes.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// page is a target whose text can be changed.
type page struct {
	*httptest.Server
	mu      sync.Mutex
	text    string
	kind    string // content type
	scrapes int
}

func serve(t *testing.T, text string) *page {
	p := &page{text: text, kind: "text/plain; version=0.0.4"}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.scrapes++
		w.Header().Set("Content-Type", p.kind)
		_, _ = w.Write([]byte(p.text))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *page) set(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
}

func (p *page) address() string { return strings.TrimPrefix(p.URL, "http://") }

func write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) file(name string) string { return filepath.Join(r.dir, name) }

// job is a scrape_configs section with one job that is scraped fast.
func job(more string, addresses ...string) string {
	return fmt.Sprintf("scrape_configs:\n- job_name: j\n  scrape_interval: 100ms\n  static_configs: [{targets: ['%s']}]\n%s", strings.Join(addresses, "', '"), more)
}

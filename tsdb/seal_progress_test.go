package tsdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// steppedClock is a clock that goes on whenever it is read.
type steppedClock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration
}

func (c *steppedClock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	return c.now
}

func (c *steppedClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// paced is a database with a partition that is due, and n series in it.
type paced struct {
	*DB
	clock    *steppedClock
	registry *prometheus.Registry
	log      *bytes.Buffer
	n        int
}

func newPaced(t *testing.T, n int, pause func(ctx context.Context) error) *paced {
	t.Helper()
	p := &paced{clock: &steppedClock{now: testNow}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}, n: n}
	o := testOptions()
	o.Now, o.Registerer, o.Yield = p.clock.read, p.registry, pause
	o.Log = slog.New(slog.NewTextHandler(p.log, nil))
	p.DB = openDB(t, memkv.New(memkv.Options{}), o)
	for at := range int64(2) { // two generations with the same series
		var b series.Batch
		for i := range n {
			b.AddSeries(labels.FromStrings("__name__", "paced", "i", fmt.Sprint(i)))
			b.AddSample(testNow.UnixMilli()-60_000+1000*at, 0, float64(i))
		}
		mustAppend(t, p.DB, series.DefaultTenant, &b)
		mustFlush(t, p.DB)
		p.flushMu.Lock()
		p.generations.close(func(*openGeneration) bool { return true })
		p.flushMu.Unlock()
	}
	if err := p.SealDue(context.Background()); err != nil { // learns when it began
		t.Fatal(err)
	}
	p.clock.add(sealEvery)
	return p
}

func (p *paced) sealDue(t *testing.T) {
	t.Helper()
	if err := p.SealDue(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// figure reads a metric without labels.
func (p *paced) figure(t *testing.T, name string) float64 {
	t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "varve_tsdb_"+name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// TestSealProgress looks at the figures while a seal runs.
func TestSealProgress(t *testing.T) {
	const n = 10_000
	var p *paced
	var done []float64
	p = newPaced(t, n, func(context.Context) error {
		p.clock.step = 0 // the figures look at the clock as well
		defer func() { p.clock.step = 2 * time.Second }()
		if running, all, samples := p.figure(t, "seals_running"), p.figure(t, "seal_series"), p.figure(t, "seal_samples"); running != 1 || all != 2*n || samples != 2*n {
			t.Errorf("%v seals are running over %v series and %v samples", running, all, samples)
		}
		if at := p.figure(t, "seal_start_time_seconds"); at < float64(testNow.Unix()) || at > float64(testNow.Unix())+7300 {
			t.Errorf("the seal began at %v", at)
		}
		if series, samples := p.figure(t, "seal_series_done"), p.figure(t, "seal_samples_done"); series != samples {
			t.Errorf("%v series and %v samples are done, each has one in each input", series, samples)
		}
		done = append(done, p.figure(t, "seal_series_done"))
		return nil
	})
	p.clock.step = 2 * time.Second
	p.sealDue(t)
	if len(done) < 3 {
		t.Fatalf("the seal yielded %d times", len(done))
	}
	for i := 1; i < len(done); i++ {
		if done[i] < done[i-1] || done[i] > 2*n {
			t.Errorf("series done: %v", done)
		}
	}
	if last := done[len(done)-1]; last == 0 {
		t.Error("no series was ever done")
	}
	for _, name := range []string{"seals_running", "seal_series", "seal_series_done", "seal_samples", "seal_samples_done", "seal_start_time_seconds"} {
		if v := p.figure(t, name); v != 0 {
			t.Errorf("%s is %v after the seal", name, v)
		}
	}
	if waits, waited := p.figure(t, "seal_waits_total"), p.figure(t, "seal_waited_seconds_total"); waits != float64(len(done)) || waited < 2*waits {
		t.Errorf("%v waits of %v s, want %d", waits, waited, len(done))
	}
	lines := strings.Count(p.log.String(), `msg="partition being sealed"`)
	if lines == 0 || lines > len(done) || !strings.Contains(p.log.String(), fmt.Sprintf("series_all=%d", 2*n)) {
		t.Errorf("%d lines of progress in\n%s", lines, p.log)
	}
}

// TestSealWaitsNoLongerThanItWorks has queries that never end.
func TestSealWaitsNoLongerThanItWorks(t *testing.T) {
	const pause = 10 * time.Second
	var p *paced
	waited := time.Duration(0)
	p = newPaced(t, 20_000, func(context.Context) error {
		p.clock.add(pause)
		waited += pause
		return nil
	})
	p.clock.step = time.Second // of work, between two looks at the clock
	began := p.clock.read()
	p.sealDue(t)
	took := p.clock.read().Sub(began)
	if blocks, err := p.Blocks(); err != nil || len(blocks) != 1 || blocks[0].State != "sealed" {
		t.Fatalf("%+v, %v", blocks, err)
	}
	if waited == 0 || waited > (took-waited)+pause {
		t.Errorf("of %v the seal waited %v", took, waited)
	}
}

// TestSealOnDemandDoesNotWait seals at once when it is asked to.
func TestSealOnDemandDoesNotWait(t *testing.T) {
	waits := 0
	p := newPaced(t, 2000, func(context.Context) error { waits++; return nil })
	mustSeal(t, p.DB)
	if waits > 0 {
		t.Errorf("it waited %d times", waits)
	}
	// One under way stops waiting when another is asked for.
	var q *paced
	q = newPaced(t, 20_000, func(context.Context) error {
		if waits++; waits == 1 {
			q.sealsWanted.Add(1)
		}
		return nil
	})
	q.sealDue(t)
	if waits != 1 {
		t.Errorf("it waited %d times although somebody waits for it", waits)
	}
}

// TestSealEndsWithItsPause gives up when the pause says so, and loses nothing.
func TestSealEndsWithItsPause(t *testing.T) {
	ended := errors.New("no more")
	p := newPaced(t, 2000, func(context.Context) error { return ended })
	if err := p.SealDue(context.Background()); !errors.Is(err, ended) {
		t.Fatalf("got %v", err)
	}
	if got := len(readAll(t, p.DB, series.DefaultTenant)); got != p.n {
		t.Errorf("%d series are left of %d", got, p.n)
	}
	if v := p.figure(t, "seals_running"); v != 0 {
		t.Errorf("%v seals are running", v)
	}
}

// BenchmarkSealBesideQueries seals two million samples, alone and while queries
// run all the time, of which it waits for each 20 ms.
func BenchmarkSealBesideQueries(b *testing.B) {
	for b.Loop() {
		alone := timeSeal(b, nil)
		beside := timeSeal(b, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			return ctx.Err()
		})
		b.ReportMetric(beside.Seconds()/alone.Seconds(), "times-as-long")
	}
}

// timeSeal returns how long a seal that is due takes.
func timeSeal(b *testing.B, pause func(ctx context.Context) error) time.Duration {
	o := testOptions()
	began, ahead := time.Now(), time.Duration(0)
	o.Now, o.Yield = func() time.Time { return testNow.Add(time.Since(began) + ahead) }, pause
	db := openDB(b, memkv.New(memkv.Options{}), o)
	fill(b, db, encodedSeries("a", 10_000), 200)
	mustFlush(b, db)
	sealDue := func() time.Duration {
		from := time.Now()
		if err := db.SealDue(context.Background()); err != nil {
			b.Fatal(err)
		}
		return time.Since(from)
	}
	sealDue() // learns of the partition
	ahead = sealEvery
	took := sealDue()
	if blocks, err := db.Blocks(); err != nil || len(blocks) != 1 || blocks[0].State != "sealed" {
		b.Fatal(blocks, err)
	}
	return took
}

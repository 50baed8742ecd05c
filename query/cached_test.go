package query

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// keptQueries are those of TestKeptResults.
var keptQueries = []string{
	`m`, `rate(c[5m])`, `sum(rate(c[5m]))`, `sum by (h) (rate(c[5m]))`, `rate(m[5m])`,
	`avg by (dc) (m)`, `topk(2, m)`, `bottomk(1, rate(c[2m]))`, `limitk(2, m)`, `limit_ratio(0.5, m)`,
	`quantile(0.9, m)`, `stddev by (dc) (m)`, `count_values("v", round(m))`, `group by (h) (m)`,
	`max_over_time(m[10m])`, `quantile_over_time(0.5, m[7m])`, `max_over_time(rate(c[2m])[10m:1m])`,
	`sum(max_over_time(m[5m:30s]))`, `m offset 10m`, `m offset -3m`, `rate(c[5m] smoothed)`, `m smoothed`,
	`increase(c[5m] anchored)`, `sum(m) - sum(m offset 5m)`, `m - on (h, dc) group_left () d`, `m and c > 50`, `m or d`,
	`c unless m`, `absent(m{h="h1"})`, `absent_over_time(m{h="h9"}[5m])`, `scalar(sum(m)) + time()`,
	`timestamp(m)`, `histogram_quantile(0.9, sum by (le) (rate(b_bucket[5m])))`, `label_replace(m, "x", "$1", "h", "(.*)")`,
	`sort(m)`, `native`, `histogram_quantile(0.5, rate(native[5m]))`, `count(native)`,
	`{__name__=~"m|d"} + 0`, `sum({__name__=~"m|d"})`, `topk(2, sum by (dc) (m))`, `typed`, `sum(rate(typed[5m]))`,
	`m @ 1767225600`, `m - m @ 1767225000`, `sum_over_time(m[1h] @ 1767222000)`, `changes(m[1m]) + hour()`, `nothing`, `vector(1)`,
	`count_over_time(m[30s])`, `m > 5`, `-m`, `deriv(m[10m])`, `m % 7 == bool 3`, `sum(m > 3 and m < 8)`,
	`clamp(m, 1, 4)`, `last_over_time(m[20m] offset 1m)`, `sum without (h) (m)`, `min(m)`, `max by (dc) (-m)`,
}

// kept is a database whose samples come and go at random, and the queries of a few
// dashboards, which are asked with and without the cache.
type kept struct {
	*testing.T
	*rand.Rand
	seed          uint64
	now           time.Time
	db            *tsdb.DB
	cached, plain *Engine
	from          Columnar
	sent          time.Time // until when samples have been sent
	values        map[string]float64
	panels        []Request
	did           []string
	hits, asked   int
}

// blind hides what comes late from those who keep results.
type blind struct{ Columnar }

func (b blind) Changes() Changes { return blindChanges{b.Columnar.(Tracked).Changes()} }

type blindChanges struct{ Changes }

func (b blindChanges) Since(mark uint64) int64 {
	earliest := b.Changes.Since(mark)
	if earliest == math.MaxInt64 {
		return earliest
	}
	return max(earliest, math.MaxInt64/8) // only what comes in the far future
}

func newKept(t *testing.T, seed uint64) *kept {
	k := &kept{
		T: t, Rand: rand.New(rand.NewPCG(seed, 9)), seed: seed, values: map[string]float64{},
		now: time.Unix(1767225600, 0),
	}
	n := seed
	db, err := tsdb.Open(context.Background(), memkv.New(memkv.Options{}), tsdb.Options{
		Now: func() time.Time { return k.now }, Random: func() uint64 { n++; return n },
		Width: 2 * time.Hour, Retention: []time.Duration{0, 3 * time.Hour, 5 * time.Hour}[k.IntN(3)], AheadMax: 20 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	k.db, k.from, k.sent = db, Local(db, series.DefaultTenant), k.now.Add(-2*time.Hour)
	o := Options{Timeout: time.Minute}
	k.plain = New(o)
	o.CacheBytes, o.CacheCostMin = 1<<20, -1
	k.cached = New(o)
	for range 12 {
		k.panels = append(k.panels, Request{
			Query: pick(k.Rand, keptQueries), Step: pick(k.Rand, []time.Duration{15 * time.Second, time.Minute, 37 * time.Second, 5 * time.Minute}),
			End: time.Unix(0, 0).Add(pick(k.Rand, []time.Duration{time.Hour, 30 * time.Minute, 150 * time.Minute, 6 * time.Hour})),
		})
	}
	return k
}

// act does one thing, and says what.
func (k *kept) act() string {
	switch n := k.IntN(100); {
	case n < 30:
		d := pick(k.Rand, []time.Duration{15 * time.Second, time.Minute, 4 * time.Minute})
		if k.IntN(20) == 0 {
			d = time.Hour
		}
		k.now = k.now.Add(d)
		k.send(k.sent, k.now, 15*time.Second, 0.9)
		k.sent = k.now
		return fmt.Sprintf("samples of %s", d)
	case n < 36:
		back := k.now.Add(-time.Duration(k.IntN(150)) * time.Minute)
		k.send(back, back.Add(time.Duration(k.IntN(10))*time.Minute), 13*time.Second, 0.4)
		return "late samples from " + back.UTC().String()
	case n < 38:
		ahead := k.now.Add(time.Duration(k.IntN(10)) * time.Minute)
		k.send(ahead, ahead.Add(time.Minute), 15*time.Second, 0.4)
		return "samples that are ahead"
	case n < 43:
		if err := k.db.Flush(k.Context()); err != nil {
			k.Fatal(err)
		}
		return "flush"
	case n < 46:
		if _, err := k.db.Seal(k.Context()); err != nil {
			k.Fatal(err)
		}
		return "seal"
	case n < 48:
		t := k.now.Add(-time.Duration(30+k.IntN(200)) * time.Minute)
		if err := k.db.DropBefore(k.Context(), t.UnixMilli()); err != nil {
			k.Fatal(err)
		}
		return "drop before " + t.UTC().String()
	case n < 50:
		k.now = k.now.Add(time.Duration(k.IntN(40)) * time.Minute)
		return "the clock goes on"
	case n < 51:
		k.db.SetRetention(pick(k.Rand, []time.Duration{0, 2 * time.Hour, 4 * time.Hour}))
		return "another retention"
	default:
		return k.ask(pick(k.Rand, k.panels))
	}
}

// send appends samples of random series at times from from on.
func (k *kept) send(from, to time.Time, every time.Duration, share float64) {
	var batch series.Batch
	for h := range 4 {
		for name, next := range map[string]func(v float64) float64{
			"c":        func(v float64) float64 { return v + math.Floor(k.ExpFloat64()*20) },
			"m":        func(float64) float64 { return k.NormFloat64() * 10 },
			"d":        func(float64) float64 { return float64(k.IntN(3)) },
			"typed":    func(v float64) float64 { return v + k.ExpFloat64() },
			"b_bucket": func(v float64) float64 { return v + float64(k.IntN(5)) },
			"native":   nil,
		} {
			if k.Float64() > share {
				continue
			}
			k.series(&batch, name, h, next, from, to, every)
		}
	}
	if len(batch.Rows) == 0 {
		return
	}
	if _, err := k.db.Append(k.Context(), series.DefaultTenant, &batch); err != nil {
		k.Fatal(err)
	}
}

func (k *kept) series(batch *series.Batch, name string, h int, next func(float64) float64, from, to time.Time, every time.Duration) {
	ls := []string{"__name__", name, "h", fmt.Sprintf("h%d", h), "dc", fmt.Sprintf("dc%d", h%2)}
	switch name {
	case "typed":
		ls = append(ls, "__type__", pick(k.Rand, []string{"gauge", "counter"}))
	case "b_bucket":
		ls = append(ls, "le", pick(k.Rand, []string{"1", "2", "+Inf"}))
	}
	key := strings.Join(ls, " ")
	batch.AddSeries(labels.FromStrings(ls...))
	for t := from.Add(time.Duration(k.IntN(int(every/time.Millisecond))) * time.Millisecond); t.Before(to); t = t.Add(every) {
		if next == nil {
			var h *histogram.Histogram
			if h = tsdbutil.GenerateTestHistogram(int64(k.IntN(50))); k.IntN(3) == 0 {
				h.CounterResetHint = histogram.CounterReset
			}
			batch.AddHistogram(series.Histogram{Timestamp: t.UnixMilli(), Int: h})
			continue
		}
		v := next(k.values[key])
		k.values[key] = v
		switch k.IntN(60) {
		case 0:
			v = math.Float64frombits(value.StaleNaN)
		case 1:
			v = pick(k.Rand, []float64{math.NaN(), math.Inf(1), math.Copysign(0, -1), 1e300})
		case 2, 3, 4:
			continue
		}
		batch.AddSample(t.UnixMilli(), 0, v)
	}
}

// ask asks a panel as a dashboard does, and compares.
func (k *kept) ask(r Request) string {
	span := r.End.Sub(time.Unix(0, 0))
	r.End = k.now.Add(-time.Duration(k.IntN(2)*k.IntN(3)) * r.Step)
	if k.IntN(8) > 0 {
		r.End = r.End.Truncate(r.Step)
	}
	if k.IntN(10) == 0 {
		r.End = r.End.Add(10 * time.Minute)
	}
	if k.IntN(6) == 0 {
		span /= time.Duration(1 + k.IntN(4))
	}
	r.Start = r.End.Add(-span.Truncate(r.Step))
	before := counterOf(k.cached.results.metrics.hits)
	got, gotErr := k.cached.Run(k.Context(), k.from, r)
	want, wantErr := k.plain.Run(k.Context(), k.from, r)
	k.asked++
	if counterOf(k.cached.results.metrics.hits) > before {
		k.hits++
	}
	did := fmt.Sprintf("ask %s from %s to %s every %s", r.Query, r.Start.UTC(), r.End.UTC(), r.Step)
	if how := exactly(r.Query, want, got, wantErr, gotErr); how != "" {
		panic(keptDifference(did + ": " + how))
	}
	return did
}

// keptDifference ends a run.
type keptDifference string

// run does so many things, and returns how the cache was wrong, nothing if it was
// not.
func (k *kept) run(steps int) (wrong string) {
	defer func() { _ = k.db.Close() }()
	defer func() {
		if d, ok := recover().(keptDifference); ok {
			wrong = string(d)
		}
	}()
	k.send(k.sent, k.now, 15*time.Second, 0.9)
	k.sent = k.now
	for range steps {
		k.did = append(k.did, k.act())
	}
	return ""
}

// TestKeptResults lets samples come in order, late and ahead, flushes, seals, drops
// and lets time pass, and asks dashboards in between: with the cache every answer
// is what it is without. VARVE_CACHE_SECONDS says for how long, VARVE_CACHE_SEED
// repeats one run.
func TestKeptResults(t *testing.T) {
	seconds := 5
	if n, err := strconv.Atoi(os.Getenv("VARVE_CACHE_SECONDS")); err == nil {
		seconds = n
	}
	seed, only := rand.Uint64N(1<<40), false
	if n, err := strconv.ParseUint(os.Getenv("VARVE_CACHE_SEED"), 10, 64); err == nil {
		seed, only = n, true
	}
	hits, asked := 0, 0
	for until := time.Now().Add(time.Duration(seconds) * time.Second); ; seed++ {
		k := newKept(t, seed)
		if wrong := k.run(300); wrong != "" {
			t.Errorf("VARVE_CACHE_SEED=%d: after\n  %s\n%s", seed, strings.Join(k.did[max(0, len(k.did)-20):], "\n  "), wrong)
			break
		}
		hits, asked = hits+k.hits, asked+k.asked
		if only || time.Now().After(until) {
			break
		}
	}
	t.Logf("%d of %d queries were answered from kept results", hits, asked)
	if asked > 500 && hits < asked/8 {
		t.Error("hardly any query was answered from kept results")
	}
}

// TestKeptResultsSeesLateSamples hides late samples from the cache, which must not
// go unnoticed.
func TestKeptResultsSeesLateSamples(t *testing.T) {
	for seed := range uint64(20) {
		k := newKept(t, seed)
		k.from = blind{k.from}
		if k.run(300) != "" {
			return
		}
	}
	t.Error("a cache that does not know of late samples passed")
}

// TestKeptResultsWhileSamplesCome asks while samples are appended; when they have
// come the answers are as without the cache.
func TestKeptResultsWhileSamplesCome(t *testing.T) {
	k := newKept(t, 1)
	defer func() { _ = k.db.Close() }()
	k.db.SetRetention(0)
	k.send(k.sent, k.now, 15*time.Second, 1)
	r := Request{Query: `sum by (h) (count_over_time(m[5m]))`, Start: k.now.Add(-2 * time.Hour), End: k.now, Step: 15 * time.Second}
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				result, err := k.cached.Run(t.Context(), k.from, r)
				if err != nil {
					t.Error(err)
					return
				}
				result.Close()
			}
		})
	}
	var senders sync.WaitGroup
	for sender := range 2 {
		senders.Go(func() {
			random := rand.New(rand.NewPCG(uint64(sender), 3))
			for range 400 {
				var batch series.Batch
				batch.AddSeries(labels.FromStrings("__name__", "m", "h", "x", "dc", strconv.Itoa(sender)))
				batch.AddSample(k.now.UnixMilli()-random.Int64N(7_200_000), 0, 1)
				if _, err := k.db.Append(t.Context(), series.DefaultTenant, &batch); err != nil {
					t.Error(err)
				}
				if random.IntN(50) == 0 {
					if err := k.db.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	senders.Wait()
	close(stop)
	group.Wait()
	got, gotErr := k.cached.Run(t.Context(), k.from, r)
	want, wantErr := k.plain.Run(t.Context(), k.from, r)
	if how := exactly(r.Query, want, got, wantErr, gotErr); how != "" {
		t.Error(how)
	}
}

// TestNoCache leaves the cache alone where a request says so.
func TestNoCache(t *testing.T) {
	k := newKept(t, 1)
	defer func() { _ = k.db.Close() }()
	k.send(k.sent, k.now, 15*time.Second, 1)
	r := Request{Query: `m`, Start: k.now.Add(-time.Hour), End: k.now, Step: time.Minute, NoCache: true}
	for range 2 {
		result, err := k.cached.Run(t.Context(), k.from, r)
		if err != nil || len(result.Value.(promql.Matrix)) == 0 {
			t.Fatal(err)
		}
		result.Close()
	}
	if u := k.cached.results.cache.Usage(); u.Entries != 0 || counterOf(k.cached.results.metrics.misses) != 0 {
		t.Errorf("%+v", u)
	}
}

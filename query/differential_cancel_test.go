package query

import (
	"context"
	"errors"
	"runtime"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/series"
)

// TestCancel ends queries in the middle of what they do: they return at once, and
// leave no goroutine behind.
func TestCancel(t *testing.T) {
	w := wideWorld(100, 2000)
	db := w.load(t)
	defer func() { _ = db.Close() }()
	from := Local(db, series.DefaultTenant)
	for name, text := range map[string]string{
		"windows":        `mad_over_time(memory[4h])`,
		"subquery":       `max_over_time(mad_over_time(memory[4h])[6h:15s])`,
		"aggregation":    `quantile by (zone) (0.9, stddev_over_time(memory[4h]))`,
		"topk":           `topk(5, mad_over_time(memory[4h]))`,
		"binary":         `mad_over_time(memory[4h]) / on (instance) mad_over_time(memory[4h])`,
		"sets":           `mad_over_time(memory[4h]) or mad_over_time(memory[3h])`,
		"map":            `round(mad_over_time(memory[4h]), 0.1)`,
		"label function": `label_replace(mad_over_time(memory[4h]), "a", "$1", "zone", "(.*)")`,
		"absent":         `absent(mad_over_time(memory[4h]))`,
		"count_values":   `count_values("v", mad_over_time(memory[4h]))`,
	} {
		for _, workers := range []int{0, 3} {
			t.Run(name+" "+strconv.Itoa(workers), func(t *testing.T) {
				e := New(Options{SamplesMax: -1})
				e.slots = exec.NewSlots(workers)
				if workers == 0 {
					e.slots = nil
				}
				before := runtime.NumGoroutine()
				took := cancelled(t, e, from, Request{Query: text, Start: time.UnixMilli(w.from), End: time.UnixMilli(w.to), Step: 3 * time.Second})
				if took > cancelMax {
					t.Errorf("it went on for %s after it was cancelled", took)
				}
				for until := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
					if time.Now().After(until) {
						t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
					}
				}
			})
		}
	}
}

// cancelMax is how long a query may go on after it was cancelled.
const cancelMax = 100 * time.Millisecond

// slowness says how many times longer a piece of work takes than it would on a
// machine that has nothing else to do, and without the race detector.
func slowness() float64 {
	const work, best = 1 << 16, 5 * time.Millisecond
	values := make([]float64, work)
	for i := range values {
		values[i] = float64(i * 7919 % work)
	}
	began := time.Now()
	sort.Float64s(values)
	return max(1, float64(time.Since(began))/float64(best))
}

// cancelled starts a query, cancels it and returns how long it went on, at best of
// a few times, on a machine that does nothing else.
func cancelled(t *testing.T, e *Engine, from Columnar, r Request) (took time.Duration) {
	const tries = 5
	for range tries {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			result, err := e.Run(ctx, from, r)
			if err == nil {
				result.Close()
			}
			ended <- err
		}()
		select {
		case <-time.After(150 * time.Millisecond):
		case err := <-ended:
			t.Fatalf("it ended by itself: %v", err)
		}
		at := time.Now()
		cancel()
		err := <-ended
		took = time.Duration(float64(time.Since(at)) / slowness())
		if !errors.As(err, new(promql.ErrQueryCanceled)) {
			t.Fatalf("error %v, want that it was cancelled", err)
		}
		if took <= cancelMax {
			break
		}
	}
	return took
}

// wideWorld is many gauges with many samples, sealed.
func wideWorld(count, samples int) *world {
	w := &world{seed: 1, interval: 15_000, from: 1_700_000_000_000, width: 24 * time.Hour, batches: []afterBatch{thenSeal}}
	w.to = w.from + int64(samples)*w.interval
	for i := range count {
		s := &worldSeries{labels: labels.FromStrings("__name__", "memory", "instance", strconv.Itoa(i), "zone", strconv.Itoa(i%7))}
		for k := range samples {
			s.samples = append(s.samples, worldSample{time: w.from + int64(k)*w.interval + int64(i), value: float64(k*i%997) / 7})
		}
		w.series = append(w.series, s)
	}
	return w
}

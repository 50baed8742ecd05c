package retention

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fakeStore holds partitions and applies DropBefore as its contract says.
type fakeStore struct {
	parts  []Partition
	calls  []int64
	drops  []Partition
	erases int

	believed time.Time
	err      error
	listErr  error
}

func (s *fakeStore) Partitions() ([]Partition, error) {
	if s.listErr != nil {
		return nil, s.listErr
	}
	return slices.Clone(s.parts), nil
}

func (s *fakeStore) DropBefore(_ context.Context, t int64) error {
	s.calls = append(s.calls, t)
	if s.err != nil {
		return s.err
	}
	s.parts = slices.DeleteFunc(s.parts, func(p Partition) bool { return p.End <= t })
	return nil
}

func (s *fakeStore) Drop(_ context.Context, parts []Partition) error {
	s.drops = append(s.drops, parts...)
	if s.err != nil {
		return s.err
	}
	s.parts = slices.DeleteFunc(s.parts, func(p Partition) bool { return slices.Contains(parts, p) })
	return nil
}

func (s *fakeStore) Believe(now time.Time) { s.believed = now }

func (s *fakeStore) Erase(context.Context) (bool, error) {
	s.erases++
	return s.erases == 1, s.err
}

// world is a store with a wall clock and a monotonic clock.
type world struct {
	fakeStore
	wall    time.Time
	elapsed time.Duration
	log     bytes.Buffer
}

func (w *world) job(policy Policy) *Job {
	return New(w, Options{
		Policy: policy, Now: func() time.Time { return w.wall }, Elapsed: func() time.Duration { return w.elapsed },
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
}

// pass lets both clocks go on by d.
func (w *world) pass(d time.Duration) {
	w.wall = w.wall.Add(d)
	w.elapsed += d
}

func (w *world) step(t *testing.T, j *Job) {
	t.Helper()
	if err := j.Step(t.Context(), w.wall); err != nil {
		t.Fatal(err)
	}
}

// fill stores the partitions [from, to).
func (w *world) fill(from, to int) {
	for n := from; n < to; n++ {
		w.parts = append(w.parts, window(n, 100))
	}
}

func TestMonthsOfRetention(t *testing.T) {
	w := &world{wall: epoch}
	registry := prometheus.NewPedanticRegistry()
	j := New(w, Options{
		Policy: Policy{Keep: 30 * day}, Elapsed: func() time.Duration { return w.elapsed }, Metrics: registry,
	})
	for n := range 200 {
		w.fill(n, n+1)
		for range 24 {
			w.step(t, j)
			w.pass(time.Hour)
		}
		// At the end of day n: the days whose end is at most 30 days back.
		if want := min(n+1, 31); len(w.parts) != want && len(w.parts) != want+1 {
			t.Fatalf("day %d: %d partitions, want about %d", n, len(w.parts), want)
		}
		oldest := w.wall.Add(-31*day - 2*time.Hour).UnixMilli()
		if w.parts[0].Start < oldest {
			t.Fatalf("day %d: kept the partition of %s", n, formatTime(w.parts[0].Start))
		}
	}
	if n := len(w.calls); n != 200-31 && n != 200-30 {
		t.Errorf("DropBefore was called %d times, want once a partition", n)
	}
	if got := testutil.ToFloat64(j.metrics.droppedByAge); got != float64(len(w.calls)) {
		t.Errorf("counted %v dropped partitions, want %d", got, len(w.calls))
	}
}

func TestSizeIsHeldOverMonths(t *testing.T) {
	w := &world{wall: epoch}
	j := w.job(Policy{BytesMax: 1000})
	for n := range 100 {
		w.fill(n, n+1)
		w.step(t, j)
		w.pass(day)
		if total := totalBytes(w.parts); total > 1000 {
			t.Fatalf("day %d: %d bytes, the limit is 1000", n, total)
		}
	}
	if len(w.parts) != 10 {
		t.Errorf("%d partitions, want 10", len(w.parts))
	}
}

func TestClockJumpWhileRunning(t *testing.T) {
	w := &world{wall: epoch.Add(60 * day)}
	w.fill(0, 60)
	j := w.job(Policy{Keep: 90 * day})
	w.step(t, j)

	w.wall = w.wall.Add(365 * day) // somebody typed the wrong year
	for range 23 * 60 {
		w.pass(time.Minute)
		w.step(t, j)
	}
	if len(w.calls) != 0 || len(w.parts) != 60 {
		t.Fatalf("a wrong clock dropped data: %v", w.calls)
	}
	if !strings.Contains(w.log.String(), "wall clock jumped ahead") {
		t.Error("nobody was told")
	}
	// The new partitions that the wrong clock makes do not vouch for it.
	w.parts = append(w.parts, window(60+365, 100))
	w.step(t, j)
	if len(w.calls) != 0 {
		t.Fatal("data written under the wrong clock made it believed")
	}
	w.wall = w.wall.Add(-365 * day) // mended in time
	for range 3 * 24 {
		w.pass(time.Hour)
		w.step(t, j)
	}
	if len(w.calls) != 0 {
		t.Fatalf("dropped %v after the clock was mended", w.calls)
	}
	if n := strings.Count(w.log.String(), "jumped ahead"); n != 1 {
		t.Errorf("warned %d times, want once", n)
	}
	if !strings.Contains(w.log.String(), "believed again") {
		t.Error("the end of the doubt was not told")
	}
}

func TestClockJumpThatIsTrue(t *testing.T) {
	// The machine slept for 100 days: the wall clock is right, the monotonic
	// clock stood still. After a steady day the wall clock is believed.
	w := &world{wall: epoch.Add(10 * day)}
	w.fill(0, 10)
	j := w.job(Policy{Keep: 30 * day})
	w.step(t, j)
	w.wall = w.wall.Add(100 * day)
	for range 25 {
		w.step(t, j)
		w.pass(time.Hour)
	}
	if len(w.parts) != 0 {
		t.Errorf("%d partitions are left, a steady day must be enough", len(w.parts))
	}
}

func TestClockThatKeepsJumpingIsNeverBelieved(t *testing.T) {
	w := &world{wall: epoch.Add(10 * day)}
	w.fill(0, 10)
	j := w.job(Policy{Keep: 30 * day})
	w.step(t, j)
	for range 100 {
		w.pass(time.Hour)
		w.wall = w.wall.Add(2 * day) // two days more every hour
		w.step(t, j)
	}
	if len(w.calls) != 0 {
		t.Errorf("dropped %v for a clock that runs wild", w.calls)
	}
}

func TestWrongClockAtStart(t *testing.T) {
	w := &world{wall: epoch.Add(10000 * day)}
	w.fill(0, 60)
	j := w.job(Policy{Keep: 90 * day})
	for range 23 {
		w.step(t, j)
		w.pass(time.Hour)
	}
	if len(w.calls) != 0 {
		t.Fatal("a clock far ahead of the data was believed at the start")
	}
	for range 2 {
		w.step(t, j)
		w.pass(time.Hour)
	}
	if len(w.parts) != 0 {
		t.Errorf("%d partitions are left though the clock was steady for a day", len(w.parts))
	}
}

func TestShortPauseIsNoDoubt(t *testing.T) {
	w := &world{wall: epoch.Add(10*day + 20*time.Hour)} // off for 20 hours
	w.fill(0, 10)
	j := w.job(Policy{Keep: 5 * day})
	w.step(t, j)
	if len(w.parts) != 5 {
		t.Errorf("%d partitions, want 5", len(w.parts))
	}
}

func TestClockBehindKeepsMore(t *testing.T) {
	w := &world{wall: epoch.Add(40 * day)}
	w.fill(0, 40)
	j := w.job(Policy{Keep: 30 * day})
	w.step(t, j)
	kept := len(w.parts)
	w.wall = w.wall.Add(-20 * day)
	for range 10 * 24 {
		w.step(t, j)
		w.pass(time.Hour)
	}
	if len(w.parts) != kept {
		t.Errorf("a clock that is behind dropped %d partitions", kept-len(w.parts))
	}
}

func TestStepReportsFailureAndTriesAgain(t *testing.T) {
	w := &world{wall: epoch.Add(10 * day)}
	w.fill(0, 10)
	j := w.job(Policy{Keep: 5 * day})
	w.err = errors.New("disk on fire")
	if err := j.Step(t.Context(), w.wall); !errors.Is(err, w.err) {
		t.Fatalf("got %v", err)
	}
	w.err, w.listErr = nil, errors.New("no list")
	if err := j.Step(t.Context(), w.wall); !errors.Is(err, w.listErr) {
		t.Fatalf("got %v", err)
	}
	if _, err := j.Plan(w.wall); !errors.Is(err, w.listErr) {
		t.Fatalf("got %v", err)
	}
	w.listErr = nil
	w.step(t, j)
	if len(w.parts) != 5 {
		t.Errorf("%d partitions, want 5", len(w.parts))
	}
}

func TestRunStepsAndStops(t *testing.T) {
	w := &world{wall: epoch.Add(10 * day)}
	w.fill(0, 10)
	j := w.job(Policy{Keep: 5 * day})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(w.parts) != 5 || w.erases != 1 {
		t.Errorf("Run made no step: %d partitions, %d rewrites", len(w.parts), w.erases)
	}
}

func TestPlanAndSetPolicy(t *testing.T) {
	w := &world{wall: epoch.Add(10 * day)}
	w.fill(0, 10)
	j := w.job(Policy{})
	if got, err := j.Plan(w.wall); len(got) != 0 || err != nil {
		t.Fatalf("the zero policy plans %v", got)
	}
	j.SetPolicy(Policy{Keep: 8 * day})
	if got, err := j.Plan(w.wall); err != nil || len(got) != 2 || len(w.parts) != 10 {
		t.Fatalf("planned %v, %d partitions", got, len(w.parts))
	}
	w.step(t, j)
	if len(w.parts) != 8 {
		t.Errorf("%d partitions, want 8", len(w.parts))
	}
}

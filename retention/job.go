package retention

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Store is the database whose partitions are dropped.
type Store interface {
	// Partitions lists what there is, in any order.
	Partitions() ([]Partition, error)
	// DropBefore forgets every partition that ends at t or before, durably.
	DropBefore(ctx context.Context, t int64) error
}

// Options tune a Job. The zero value works.
type Options struct {
	Policy Policy
	// Every is the time between two steps of Run; default one minute.
	Every time.Duration
	// Now is the wall clock and Elapsed the monotonic one, which counts from
	// any moment; defaults: those of the process.
	Now     func() time.Time
	Elapsed func() time.Duration
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Job drops expired partitions.
type Job struct {
	store   Store
	every   time.Duration
	now     func() time.Time
	elapsed func() time.Duration
	log     *slog.Logger
	metrics metrics
	clock   believedClock
	warned  bool

	mu     sync.Mutex
	policy Policy
}

// New returns a job over store.
func New(store Store, o Options) *Job {
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elapsed == nil {
		start := time.Now()
		o.Elapsed = func() time.Duration { return time.Since(start) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Job{
		store: store, every: o.Every, now: o.Now, elapsed: o.Elapsed, log: o.Log,
		metrics: newMetrics(o.Metrics), policy: o.Policy,
	}
}

// SetPolicy changes the policy from the next step on.
func (j *Job) SetPolicy(p Policy) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.policy = p
}

// Plan returns what the policy would give up at the time now. It drops nothing
// and takes now as it is.
func (j *Job) Plan(now time.Time) ([]Partition, error) {
	parts, err := j.store.Partitions()
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	return Expired(parts, j.currentPolicy(), now), nil
}

func (j *Job) currentPolicy() Policy {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.policy
}

// Run steps until ctx ends. A step that fails is logged and counted, and tried
// again by the next.
func (j *Job) Run(ctx context.Context) error {
	ticker := time.NewTicker(j.every)
	defer ticker.Stop()
	for {
		if err := j.Step(ctx, j.now()); err != nil && ctx.Err() == nil {
			j.metrics.failures.Inc()
			j.log.Error("retention step failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Step drops what has expired when the wall clock shows now.
func (j *Job) Step(ctx context.Context, now time.Time) error {
	parts, err := j.store.Partitions()
	if err != nil {
		return fmt.Errorf("list partitions: %w", err)
	}
	believed := j.clock.read(now, j.elapsed(), newestEnd(parts))
	j.noteClock(now, believed)
	byAge, bySize := expired(parts, j.currentPolicy(), believed)
	j.metrics.bytes.Set(float64(totalBytes(parts)))
	if err := j.drop(ctx, byAge, "age", j.metrics.droppedByAge); err != nil {
		return err
	}
	return j.drop(ctx, bySize, "size", j.metrics.droppedBySize)
}

func (j *Job) drop(ctx context.Context, parts []Partition, reason string, count prometheus.Counter) error {
	if len(parts) == 0 {
		return nil
	}
	last := parts[len(parts)-1] // they are sorted by end
	if err := j.store.DropBefore(ctx, last.End); err != nil {
		return fmt.Errorf("drop partitions before %s: %w", formatTime(last.End), err)
	}
	count.Add(float64(len(parts)))
	j.log.Info("partitions dropped", "reason", reason, "partitions", len(parts), "bytes", totalBytes(parts),
		"start", formatTime(parts[0].Start), "end", formatTime(last.End))
	return nil
}

// noteClock tells once when the wall clock is not believed, and once when it
// is again.
func (j *Job) noteClock(wall, believed time.Time) {
	ahead := max(wall.Sub(believed), 0)
	j.metrics.clockAhead.Set(ahead.Seconds())
	switch {
	case ahead > 0 && !j.warned:
		j.log.Warn("wall clock jumped ahead, retention does not follow it yet",
			"wall", wall.UTC().Format(time.RFC3339), "believed", believed.UTC().Format(time.RFC3339), "settles_after", settleAfter)
	case ahead == 0 && j.warned:
		j.log.Info("wall clock is believed again", "wall", wall.UTC().Format(time.RFC3339))
	}
	j.warned = ahead > 0
}

func newestEnd(parts []Partition) time.Time {
	var newest time.Time
	for _, p := range parts {
		if end := time.UnixMilli(p.End); newest.IsZero() || end.After(newest) {
			newest = end
		}
	}
	return newest
}

func totalBytes(parts []Partition) uint64 {
	total := uint64(0)
	for _, p := range parts {
		total += p.Bytes
	}
	return total
}

func formatTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

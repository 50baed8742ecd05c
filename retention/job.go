package retention

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Store is the database whose partitions are dropped.
type Store interface {
	// Partitions lists what there is, in any order.
	Partitions() ([]Partition, error)
	// Drop forgets the partitions, durably.
	Drop(ctx context.Context, parts []Partition) error
	// DropBefore forgets every partition that ends at t or before, durably, and sees
	// to it that none comes again.
	DropBefore(ctx context.Context, t int64) error
	// Believe says what time it is for whatever removes samples for their age.
	Believe(now time.Time)
	// Erase removes the series that have expired from one partition that others are
	// still kept in; false: from none.
	Erase(ctx context.Context) (bool, error)
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
	held    bool // the size is above its bound, and KeepMin keeps what there is

	mu     sync.Mutex
	policy Policy
	time   time.Time // that was believed last
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
		// One partition at a time: a rewrite is work, and what has expired is not read.
		if erased, err := j.store.Erase(ctx); err != nil && ctx.Err() == nil {
			j.metrics.failures.Inc()
			j.log.Error("partition not rewritten without what has expired", "err", err)
		} else if erased {
			j.metrics.erased.Inc()
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
	j.mu.Lock()
	j.time = believed
	j.mu.Unlock()
	j.store.Believe(believed)
	policy := j.currentPolicy()
	byAge, bySize, held := expired(parts, policy, believed)
	j.metrics.bytes.Set(float64(totalBytes(parts)))
	j.noteHeld(held, policy.KeepMin)
	if err := j.dropByAge(ctx, byAge, policy, believed); err != nil {
		return err
	}
	if len(bySize) == 0 {
		return nil
	}
	last := bySize[len(bySize)-1] // they are sorted by end
	if err := j.store.DropBefore(ctx, last.End); err != nil {
		return fmt.Errorf("drop partitions before %s: %w", formatTime(last.End), err)
	}
	j.noteDropped(bySize, "size", j.metrics.droppedBySize)
	return nil
}

// dropByAge drops expired partitions, which are sorted by end. What is older than
// anything is kept goes together: then nothing of that time comes again.
func (j *Job) dropByAge(ctx context.Context, expired []Partition, policy Policy, now time.Time) error {
	n := 0
	if longest := policy.longestOfAll(); longest > 0 {
		for n < len(expired) && expired[n].End <= now.Add(-longest).UnixMilli() {
			n++
		}
	}
	if n > 0 {
		if err := j.store.DropBefore(ctx, expired[n-1].End); err != nil {
			return fmt.Errorf("drop partitions before %s: %w", formatTime(expired[n-1].End), err)
		}
	}
	if n < len(expired) {
		if err := j.store.Drop(ctx, expired[n:]); err != nil {
			return fmt.Errorf("drop %d partitions: %w", len(expired)-n, err)
		}
	}
	if len(expired) > 0 {
		j.noteDropped(expired, "age", j.metrics.droppedByAge)
	}
	return nil
}

func (j *Job) noteDropped(parts []Partition, reason string, count prometheus.Counter) {
	count.Add(float64(len(parts)))
	j.log.Info("partitions dropped", "reason", reason, "partitions", len(parts), "bytes", totalBytes(parts),
		"start", formatTime(parts[0].Start), "end", formatTime(parts[len(parts)-1].End))
}

// noteHeld counts the steps at which partitions stay though they take too much space,
// and tells of the first one.
func (j *Job) noteHeld(bytes uint64, keepMin time.Duration) {
	j.metrics.heldBytes.Set(float64(bytes))
	if bytes > 0 {
		j.metrics.held.Inc()
	}
	if bytes > 0 && !j.held {
		j.log.Warn("partitions take more space than they may, and none is old enough to go", "bytes_above", bytes, "keep_min", keepMin)
	}
	j.held = bytes > 0
}

// Believed returns the time that the last step acted upon; zero before the first one.
func (j *Job) Believed() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.time
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

// BelievedAtStart returns the time that a job which starts now acts upon.
func BelievedAtStart(parts []Partition, now time.Time) time.Time {
	var c believedClock
	return c.read(now, 0, newestEnd(parts))
}

// gapMax is how far a window may lie after all others and still tell when samples came
// last: one that is alone so far ahead was more likely written with a wrong time.
const gapMax = 365 * 24 * time.Hour

// newestEnd returns when the last samples came, as far as windows tell.
func newestEnd(parts []Partition) time.Time {
	var ends []int64
	for _, p := range parts {
		ends = append(ends, p.End)
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)
	n := len(ends) - 1
	for n > 0 && ends[n]-ends[n-1] > gapMax.Milliseconds() {
		n--
	}
	if n < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ends[n])
}

func totalBytes(parts []Partition) uint64 {
	total := uint64(0)
	for _, p := range parts {
		total += p.Bytes
	}
	return total
}

func formatTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

package downsample

import (
	"context"
	"log/slog"
	"time"
)

// Store is the database.
type Store interface {
	// DownsampleDue makes the windows that are missing, and returns of how many
	// partitions. What could not be done is tried again by a later call.
	DownsampleDue(ctx context.Context) (int, error)
}

// Options tune a Job. The zero value works.
type Options struct {
	// Every is the time between two steps of Run; default one minute.
	Every time.Duration
	// Tick tells when a step is due, every so often until ctx ends; the default is a
	// ticker of the process's clock.
	Tick func(ctx context.Context, every time.Duration) <-chan time.Time
	Log  *slog.Logger
}

// Job makes windows as partitions come to their end.
type Job struct {
	store Store
	every time.Duration
	tick  func(ctx context.Context, every time.Duration) <-chan time.Time
	log   *slog.Logger
}

// New returns a job over store.
func New(store Store, o Options) *Job {
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Tick == nil {
		o.Tick = tick
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Job{store: store, every: o.Every, tick: o.Tick, log: o.Log}
}

func tick(ctx context.Context, every time.Duration) <-chan time.Time {
	t := time.NewTicker(every)
	context.AfterFunc(ctx, t.Stop)
	return t.C
}

// Run steps until ctx ends. A step that fails is logged, and tried again by a later
// one.
func (j *Job) Run(ctx context.Context) error {
	due := j.tick(ctx, j.every)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		}
		if _, err := j.store.DownsampleDue(ctx); err != nil && ctx.Err() == nil {
			j.log.Error("downsampling failed", "err", err)
		}
	}
}

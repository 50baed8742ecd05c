package downsample

import (
	"context"
	"errors"
	"testing"
	"time"
)

type fakeStore struct{ calls chan int }

func (s *fakeStore) DownsampleDue(context.Context) (int, error) {
	n := <-s.calls
	s.calls <- n + 1
	return n, errors.New("damaged")
}

// TestRunStepsUntilTheEnd lets time pass three times; failures do not end the job.
func TestRunStepsUntilTheEnd(t *testing.T) {
	store := &fakeStore{make(chan int, 1)}
	store.calls <- 0
	ticks := make(chan time.Time)
	ctx, cancel := context.WithCancel(context.Background())
	job := New(store, Options{Every: time.Hour, Tick: func(_ context.Context, every time.Duration) <-chan time.Time {
		if every != time.Hour {
			t.Errorf("every %s", every)
		}
		return ticks
	}})
	done := make(chan error)
	go func() { done <- job.Run(ctx) }()
	for range 3 {
		ticks <- time.Time{}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := <-store.calls; n != 3 {
		t.Fatalf("%d steps, want 3", n)
	}
}

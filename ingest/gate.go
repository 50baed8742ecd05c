package ingest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// gate bounds the bytes of the requests that are past it. Those that do not fit
// wait in a bounded queue, first come, first served, and not for ever.
type gate struct {
	limit      int64
	waitingMax int
	waitMax    time.Duration
	after      func(time.Duration) <-chan time.Time

	mu      sync.Mutex
	used    int64
	waiting []*waiter
}

type waiter struct {
	bytes  int64
	passed chan struct{} // closed once the bytes are counted as used
}

// pass lets n bytes through and returns how many must be given back by leave;
// an amount beyond the limit is taken for the limit, so that it passes alone.
func (g *gate) pass(ctx context.Context, n int64) (int64, error) {
	n = min(n, g.limit)
	g.mu.Lock()
	if len(g.waiting) == 0 && g.used+n <= g.limit {
		g.used += n
		g.mu.Unlock()
		return n, nil
	}
	if len(g.waiting) >= g.waitingMax {
		g.mu.Unlock()
		return 0, fmt.Errorf("%w: %d requests wait already", ErrOverloaded, g.waitingMax)
	}
	w := &waiter{bytes: n, passed: make(chan struct{})}
	g.waiting = append(g.waiting, w)
	g.mu.Unlock()

	select {
	case <-w.passed:
		return n, nil
	case <-ctx.Done():
		return g.giveUp(w, context.Cause(ctx))
	case <-g.after(g.waitMax):
		return g.giveUp(w, fmt.Errorf("%w: waited %v", ErrOverloaded, g.waitMax))
	}
}

// giveUp takes w out of the queue, unless it was let through meanwhile.
func (g *gate) giveUp(w *waiter, err error) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, w)
	if i < 0 {
		return w.bytes, nil
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	g.admitLocked() // w may have stood in front of smaller ones
	return 0, err
}

// leave gives back n bytes.
func (g *gate) leave(n int64) { g.resize(n, 0) }

// resize makes the bytes held by a request that has passed as many as wanted,
// and returns them. It does not wait, even when that is too much: then the next
// requests do.
func (g *gate) resize(held, wanted int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used += wanted - held
	g.admitLocked()
	return wanted
}

func (g *gate) admitLocked() {
	n := 0
	for ; n < len(g.waiting) && g.used+g.waiting[n].bytes <= g.limit; n++ {
		g.used += g.waiting[n].bytes
		close(g.waiting[n].passed)
	}
	g.waiting = slices.Delete(g.waiting, 0, n)
}

// load returns the bytes in use and the number of requests waiting.
func (g *gate) load() (used int64, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used, len(g.waiting)
}

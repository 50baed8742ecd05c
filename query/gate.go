package query

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// phaseQueue is where a query is that has not got a slot yet.
const phaseQueue = "query queue"

// gate lets a fixed number of queries run and a fixed number wait, in order of
// arrival, for a bounded time.
type gate struct {
	slots      chan struct{}
	waiting    atomic.Int64
	waitersMax int64
	wait       time.Duration
}

func newGate(running, waiters int, wait time.Duration) *gate {
	return &gate{slots: make(chan struct{}, running), waitersMax: int64(waiters), wait: wait}
}

// enter waits for a slot. Whoever entered calls leave once.
func (g *gate) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return atPhase(ctx.Err(), phaseQueue)
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	if g.waiting.Add(1) > g.waitersMax {
		g.waiting.Add(-1)
		return ErrQueueFull
	}
	defer g.waiting.Add(-1)
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return promql.ErrQueryTimeout(phaseQueue)
	case <-ctx.Done():
		return atPhase(ctx.Err(), phaseQueue)
	}
}

func (g *gate) leave() { <-g.slots }

func (g *gate) running() int { return len(g.slots) }

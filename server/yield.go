package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Work in the background pauses while queries run, but never for longer than
// yieldMax at a time: it looks again after each piece of work, and whoever works
// bounds the sum of its pauses.
const (
	yieldMax  = 20 * time.Millisecond
	yieldLook = time.Millisecond
)

// courtesy knows how many queries run, and lets work that can wait go second.
type courtesy struct{ queries atomic.Int64 }

// query counts a handler's requests as queries.
func (c *courtesy) query(handle fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		c.queries.Add(1)
		defer c.queries.Add(-1)
		handle(ctx)
	}
}

// yield returns when no query runs, or after yieldMax.
func (c *courtesy) yield(ctx context.Context) error {
	if c.queries.Load() == 0 {
		return ctx.Err()
	}
	end := time.NewTimer(yieldMax)
	defer end.Stop()
	look := time.NewTicker(yieldLook)
	defer look.Stop()
	for c.queries.Load() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return nil
		case <-look.C:
		}
	}
	return nil
}

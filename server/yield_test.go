package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestYield(t *testing.T) {
	c := &courtesy{}
	yield := func(ctx context.Context) (time.Duration, error) {
		began := time.Now()
		err := c.yield(ctx)
		return time.Since(began), err
	}
	if took, err := yield(context.Background()); err != nil || took >= yieldMax {
		t.Errorf("without queries: %v, %v", took, err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	c.query(func(*fasthttp.RequestCtx) {
		if took, err := yield(context.Background()); err != nil || took < yieldMax {
			t.Errorf("beside a query that goes on: %v, %v", took, err)
		}
		if _, err := yield(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})(nil)
	if n := c.queries.Load(); n != 0 {
		t.Errorf("%d queries are left", n)
	}
	// A query that ends lets the work go on at once.
	ended := make(chan time.Time, 1)
	c.queries.Add(1)
	go func() {
		time.Sleep(2 * yieldLook)
		ended <- time.Now()
		c.queries.Add(-1)
	}()
	if err := c.yield(context.Background()); err != nil {
		t.Error(err)
	}
	if late := time.Since(<-ended); late >= yieldMax {
		t.Errorf("it went on %v after the query", late)
	}
}

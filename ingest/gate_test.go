package ingest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func newGate(limit int64, waiting int) *gate {
	return &gate{limit: limit, waitingMax: waiting, waitMax: time.Hour, after: time.After}
}

func TestGateServesInOrder(t *testing.T) {
	g := newGate(10, 10)
	ctx := context.Background()
	first, err := g.pass(ctx, 25) // taken for 10
	if err != nil || first != 10 {
		t.Fatal(first, err)
	}
	order := make(chan int64, 3)
	for _, n := range []int64{9, 1, 5} {
		_, before := g.load()
		go func() {
			got, err := g.pass(ctx, n)
			if err != nil {
				t.Error(err)
			}
			order <- got
		}()
		for {
			if _, waiting := g.load(); waiting == before+1 {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	g.leave(first)
	if a, b := <-order, <-order; a+b != 10 {
		t.Errorf("%d and %d passed", a, b)
	}
	if used, waiting := g.load(); used != 10 || waiting != 1 {
		t.Errorf("%d used, %d waiting", used, waiting)
	}
	g.resize(9, 3)
	if third := <-order; third != 5 {
		t.Errorf("%d passed third", third)
	}
	if used, _ := g.load(); used != 9 {
		t.Errorf("%d used", used)
	}
}

func TestGateGivesUp(t *testing.T) {
	g := newGate(10, 2)
	if _, err := g.pass(context.Background(), 8); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := g.pass(ctx, 9); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	for {
		if _, waiting := g.load(); waiting == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	passed := make(chan struct{})
	wg.Go(func() {
		if n, err := g.pass(context.Background(), 2); n != 2 || err != nil { // fits, but the queue is kept
			t.Error(n, err)
		}
		close(passed)
	})
	for {
		if _, waiting := g.load(); waiting == 2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := g.pass(context.Background(), 1); !errors.Is(err, ErrOverloaded) {
		t.Errorf("a full queue: %v", err)
	}
	cancel() // the small one behind passes at once
	<-passed
	wg.Wait()
	if used, waiting := g.load(); used != 10 || waiting != 0 {
		t.Errorf("%d used, %d waiting", used, waiting)
	}
}

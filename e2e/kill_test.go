//go:build e2e

package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestKillUnderWriters kills the server time and again while writers write and
// flushes run, and looks for lost and for invented samples.
func TestKillUnderWriters(t *testing.T) {
	t.Parallel()
	random := dice(t)
	n := newNode(t)
	f := startFleet(t, n.url, 4)
	stopFlushes := flushOften(n.url, rand.New(rand.NewPCG(random.Uint64(), 0)))
	defer stopFlushes()
	inRecovery := 0
	for range killRounds(t) {
		f.awaitProgress(n)
		time.Sleep(time.Duration(random.Int64N(int64(400 * time.Millisecond)))) // until any moment
		n.kill()
		for random.IntN(3) == 0 {
			n.start()
			time.Sleep(time.Duration(random.Int64N(int64(300 * time.Millisecond))))
			n.kill()
			inRecovery++
		}
		n.restart()
		f.check(n)
		if t.Failed() {
			return
		}
	}
	f.stop()
	stopFlushes()
	n.kill()
	n.restart()
	found := f.check(n)
	t.Logf("%d samples of %d acknowledged requests are there, and %d requests whose acknowledgement was lost; %d kills during a start",
		found.samples, found.acknowledged, found.unconfirmed, inRecovery)
	if found.halves > 0 {
		t.Errorf("%d requests are there in part", found.halves)
	}
	n.flush()
	n.kill()
	n.restart()
	if again := f.check(n); again != found {
		t.Errorf("flushed and killed, there is %+v, before %+v", again, found)
	}
}

// flushOften asks for flushes at random moments until the function returned is
// called, which may be done twice.
func flushOften(url string, random *rand.Rand) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		for ctx.Err() == nil {
			pause(ctx, time.Duration(random.Int64N(int64(500*time.Millisecond))))
			// The server may be down, or be killed in the middle: so be it.
			_, _ = send(http.MethodPost, url+"/api/v1/admin/tsdb/flush", "", nil)
		}
	})
	return func() { cancel(); ended.Wait() }
}

// TestGracefulStop lets writers write while the server is asked to stop.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	f := startFleet(t, n.url, 4)
	for range 3 {
		f.awaitProgress(n)
		n.stopGracefully()
		n.restart()
		f.check(n)
	}
	f.stop()
	n.stopGracefully()
	n.restart()
	if found := f.check(n); found.halves > 0 || found.acknowledged == 0 {
		t.Errorf("after graceful stops: %+v", found)
	}
}

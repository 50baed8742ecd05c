package tsdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/varve-db/varve/kv/pebblekv"
)

const (
	killFolder  = "VARVE_KILL_FOLDER" // set in the child: where its store is
	killWriters = 3
)

// TestKill lets a process of its own write, kills it without warning, and
// checks what it left: all that it acknowledged, and nothing that was not sent.
// VARVE_KILL_ROUNDS sets the number of rounds.
func TestKill(t *testing.T) {
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv("VARVE_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var batches int64
	for round := range rounds {
		dir := t.TempDir()
		writers := make([]*writer, killWriters)
		for i := range writers {
			writers[i] = &writer{id: i}
		}
		// The same folder is killed twice, so that a recovered database is too.
		for again := range 2 {
			if err := killChild(dir, writers, time.Duration(r.IntN(300))*time.Millisecond); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			for _, problem := range checkKilled(t, dir, writers, again == 1) {
				t.Errorf("round %d, killed %d times: %s", round, again+1, problem)
			}
			if t.Failed() {
				return
			}
		}
		for _, w := range writers {
			batches += w.acknowledged.Load()
		}
	}
	t.Logf("%d rounds, %d batches acknowledged", rounds, batches)
	if batches == 0 {
		t.Error("nothing was acknowledged before the kills")
	}
}

// killChild runs a child for a while after its first acknowledgement, kills it,
// and notes in writers what it acknowledged.
func killChild(dir string, writers []*writer, after time.Duration) error {
	child := exec.Command(os.Args[0], "-test.run=^TestKillChild$", "-test.timeout=60s")
	child.Env = append(os.Environ(), killFolder+"="+dir)
	for _, w := range writers {
		child.Env = append(child.Env, fmt.Sprintf("VARVE_KILL_FROM_%d=%d", w.id, w.acknowledged.Load()))
	}
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	var once sync.Once
	kill := func() { _ = child.Process.Kill() } // SIGKILL
	limit := time.AfterFunc(30*time.Second, kill)
	defer limit.Stop()
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				return err
			}
			break // a line without its end was not an acknowledgement
		}
		var id int
		var k int64
		if n, _ := fmt.Sscanf(line, "ack %d %d\n", &id, &k); n != 2 {
			return fmt.Errorf("child: %s", line)
		}
		writers[id].acknowledged.Store(max(writers[id].acknowledged.Load(), k))
		once.Do(func() { time.AfterFunc(after, kill) })
	}
	if err := child.Wait(); err == nil {
		return errors.New("the child ended by itself")
	}
	return nil
}

// checkKilled opens what the child left.
func checkKilled(t *testing.T, dir string, writers []*writer, last bool) (problems []string) {
	store, err := pebblekv.Open(dir, pebblekv.Options{Reserve: -1})
	if err != nil {
		return []string{err.Error()}
	}
	db, err := Open(context.Background(), store, testOptions())
	if err != nil {
		return []string{err.Error()}
	}
	for _, w := range writers {
		// Each writer waits for its batch, so one more may be stored.
		w.sent.Store(max(w.sent.Load(), w.acknowledged.Load()+1))
		problems = append(problems, checkWriter(db, w, w.acknowledged.Load(), w.sent.Load())...)
	}
	if last && len(problems) == 0 {
		problems = checkGoesOn(db, writers[0])
	}
	if err := errors.Join(db.Close(), store.Close()); err != nil {
		t.Errorf("close: %v", err)
	}
	return problems
}

// TestKillChild is the process that TestKill kills.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killFolder)
	if dir == "" {
		t.Skip("runs as a child of TestKill only")
	}
	store, err := pebblekv.Open(dir, pebblekv.Options{Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	db, err := Open(ctx, store, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for id := range killWriters {
		from, err := strconv.ParseInt(os.Getenv("VARVE_KILL_FROM_"+strconv.Itoa(id)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		w := &writer{id: id}
		w.acknowledged.Store(from)
		all.Go(func() {
			// One write a line: pipes keep short writes whole.
			err := w.run(ctx, db, rand.New(rand.NewPCG(uint64(id), 0)), func(k int64) { fmt.Printf("ack %d %d\n", id, k) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() {
		for n := 0; ; n++ {
			time.Sleep(20 * time.Millisecond)
			if err := db.Flush(ctx); err != nil {
				t.Error(err)
			}
			if n%4 == 3 {
				if _, err := db.Seal(ctx); err != nil {
					t.Error(err)
				}
			}
		}
	})
	all.Wait()
}

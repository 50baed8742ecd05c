package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/internal/fault"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
)

// TestPowerLoss crashes the file system under concurrent writers and a flusher,
// at a random moment and with a random part of what was not synced, opens the
// database again, and checks that it has all that was acknowledged and nothing
// that was not sent. VARVE_POWERLOSS_ROUNDS sets the number of rounds.
func TestPowerLoss(t *testing.T) {
	rounds := 40
	if n, err := strconv.Atoi(os.Getenv("VARVE_POWERLOSS_ROUNDS")); err == nil {
		rounds = n
	}
	first := rand.Uint64()
	t.Logf("%d rounds from seed %d", rounds, first)
	var figures powerLossFigures
	for i := range uint64(rounds) {
		round := powerLossRound{t: t, seed: first + i, figures: &figures}
		if problems := round.run(); len(problems) > 0 {
			t.Fatalf("seed %d: %d problems, the first: %s", round.seed, len(problems), problems[0])
		}
	}
	t.Logf("%+v", figures)
	if figures.Batches == 0 || figures.AfterFlush == 0 || figures.AfterSeal == 0 || figures.Dropped == 0 {
		t.Errorf("the rounds did not cover what they should: %+v", figures)
	}
}

// TestPowerLossFindsUnsyncedCommits shows that the test above can fail.
func TestPowerLossFindsUnsyncedCommits(t *testing.T) {
	seed := rand.Uint64()
	for i := range uint64(20) {
		round := powerLossRound{t: t, seed: seed + i, figures: new(powerLossFigures), unsynced: true}
		if problems := round.run(); len(problems) > 0 {
			t.Logf("round %d: %s", i, problems[0])
			return
		}
	}
	t.Error("commits were not synced, and nobody noticed")
}

// powerLossFigures tell what the rounds covered.
type powerLossFigures struct {
	Batches    int64 // acknowledged before the crash
	AfterFlush int   // rounds with a flush before the crash
	AfterSeal  int   // rounds with a seal before the crash
	Dropped    int   // rounds with a drop before the crash
}

// powerLossRound is one crash.
type powerLossRound struct {
	t        *testing.T
	seed     uint64
	figures  *powerLossFigures
	unsynced bool // plant the bug
}

// unsyncedStore is a store with a bug: its commits do not wait for the disk.
type unsyncedStore struct{ *pebblekv.Store }

func (s unsyncedStore) Apply(b *kv.Batch, _ kv.Durability) error { return s.Store.Apply(b, kv.NoSync) }

func (p *powerLossRound) open(files vfs.FS) (*DB, func()) {
	store, err := pebblekv.Open("data", pebblekv.Options{
		FS: files, Reserve: -1, Fatal: func(err error) { p.t.Errorf("seed %d: store failed: %v", p.seed, err) },
	})
	if err != nil {
		p.t.Fatalf("seed %d: open store: %v", p.seed, err)
	}
	var use kv.Store = store
	if p.unsynced {
		use = unsyncedStore{store}
	}
	db, err := Open(context.Background(), use, testOptions())
	if err != nil {
		p.t.Fatalf("seed %d: open: %v", p.seed, err)
	}
	return db, func() {
		if err := errors.Join(db.Close(), store.Close()); err != nil {
			p.t.Errorf("seed %d: close: %v", p.seed, err)
		}
	}
}

var oldSeries = labels.FromStrings("__name__", "old", "w", "none")

// run does one round and returns what is wrong after the crash.
func (p *powerLossRound) run() (problems []string) {
	r := rand.New(rand.NewPCG(p.seed, 1))
	files := fault.NewCrashableFS()
	db, closeDB := p.open(files)
	// Something for a drop to remove.
	horizon := testNow.Truncate(24*time.Hour).UnixMilli() - 5*dayMillis
	drops := r.IntN(2) == 0
	if drops {
		appendPoints(p.t, db, oldSeries, point{horizon - 1, 1})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	writers := make([]*writer, 1+r.IntN(3))
	for i := range writers {
		writers[i] = &writer{id: i}
		seed := r.Uint64()
		all.Go(func() {
			if err := writers[i].run(ctx, db, rand.New(rand.NewPCG(seed, 2)), nil); err != nil {
				p.t.Errorf("seed %d: writer: %v", p.seed, err)
			}
		})
	}
	var flushes, sealed, dropped atomic.Int64
	flushEvery := r.IntN(4)
	seed := r.Uint64()
	all.Go(func() {
		r := rand.New(rand.NewPCG(seed, 3))
		for ctx.Err() == nil && flushEvery > 0 {
			if err := db.Flush(context.Background()); err != nil {
				p.t.Errorf("seed %d: flush: %v", p.seed, err)
			}
			if r.IntN(4) == 0 {
				if _, err := db.Seal(context.Background()); err != nil {
					p.t.Errorf("seed %d: seal: %v", p.seed, err)
				}
				sealed.Add(1)
			}
			if flushes.Add(1) >= 1 && drops && dropped.Load() == 0 {
				if err := db.DropBefore(context.Background(), horizon); err != nil {
					p.t.Errorf("seed %d: drop: %v", p.seed, err)
				}
				dropped.Store(1)
			}
			time.Sleep(time.Duration(r.IntN(flushEvery*1000)) * time.Microsecond)
		}
	})
	clone, seen := p.crash(files, r, writers, &flushes, &dropped)
	if sealed.Load() > 0 {
		p.figures.AfterSeal++
	}
	cancel()
	all.Wait()
	closeDB()
	return append(problems, p.check(clone, writers, seen, horizon)...)
}

// seenState is what had been acknowledged when the power failed.
type seenState struct {
	acknowledged []int64
	dropped      bool
}

func (p *powerLossRound) crash(files *fault.CrashableFS, r *rand.Rand, writers []*writer, flushes, dropped *atomic.Int64) (*vfs.MemFS, seenState) {
	batches := r.Int64N(40)
	end := time.Now().Add(2 * time.Second)
	for writers[0].acknowledged.Load() < batches && time.Now().Before(end) {
		time.Sleep(50 * time.Microsecond)
	}
	time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
	var seen seenState
	for _, w := range writers {
		n := w.acknowledged.Load()
		seen.acknowledged = append(seen.acknowledged, n)
		p.figures.Batches += n
	}
	seen.dropped = dropped.Load() > 0
	if flushes.Load() > 0 {
		p.figures.AfterFlush++
	}
	if seen.dropped {
		p.figures.Dropped++
	}
	percent := []int{0, 0, 10, 50, 90, 100}[r.IntN(6)]
	if p.unsynced {
		percent = 0
	}
	return files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(p.seed, 4))}), seen
}

// check opens the database after the crash, twice, and returns what is wrong.
func (p *powerLossRound) check(files *vfs.MemFS, writers []*writer, seen seenState, horizon int64) (problems []string) {
	for again := range 2 {
		db, closeDB := p.open(files)
		if p.unsynced {
			// What was not synced may leave rows without those they refer to.
			if warnings := warningsOf(p.t, db); len(warnings) > 0 {
				closeDB()
				return append(problems, fmt.Sprint(warnings))
			}
		}
		for i, w := range writers {
			for _, problem := range checkWriter(db, w, seen.acknowledged[i], w.sent.Load()) {
				problems = append(problems, fmt.Sprintf("opened %d times: %s", again+1, problem))
			}
		}
		if old := readAll(p.t, db, series.DefaultTenant)[oldSeries.String()]; seen.dropped && len(old) > 0 {
			problems = append(problems, "a dropped sample came back")
		}
		if again == 0 && len(problems) == 0 {
			for i, w := range writers {
				// Some of what was under way may be stored; it is sent again.
				w.acknowledged.Store(seen.acknowledged[i])
				problems = append(problems, checkGoesOn(db, w)...)
				seen.acknowledged[i] += 3
				w.sent.Store(max(w.sent.Load(), seen.acknowledged[i]))
			}
		}
		closeDB()
	}
	return problems
}

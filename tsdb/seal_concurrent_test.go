package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// TestSealUnderLoad seals again and again while writers send samples, late ones
// among them, and readers read: nothing that was acknowledged may be missing at
// any moment or be there twice, and a querier that was made before a seal loses
// nothing by it.
func TestSealUnderLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	store := memkv.New(memkv.Options{})
	db := openDB(t, store, testOptions())
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	fail := func(problems ...string) {
		for _, p := range problems {
			t.Error(p)
			cancel()
		}
	}
	writers := make([]*writer, 3)
	for i := range writers {
		writers[i] = &writer{id: i}
		all.Go(func() {
			if err := writers[i].run(ctx, db, rand.New(rand.NewPCG(seed, uint64(i))), nil); err != nil && ctx.Err() == nil {
				fail(err.Error())
			}
		})
	}
	var seals, inputs, reads atomic.Int64
	for n := range 2 { // one seals what is due or not, the other by the rule of a full partition
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(100+n)))
			for ctx.Err() == nil {
				if err := db.Flush(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
					fail(fmt.Sprintf("flush: %v", err))
				}
				if n == 0 || r.IntN(3) > 0 {
					time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
					continue
				}
				reports, err := db.Seal(ctx)
				if err != nil && ctx.Err() == nil {
					fail(fmt.Sprintf("seal: %v", err))
				}
				for _, report := range reports {
					seals.Add(1)
					inputs.Add(int64(report.Inputs))
				}
			}
		})
	}
	for n := range 2 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(200+n)))
			for ctx.Err() == nil {
				w := writers[r.IntN(len(writers))]
				acknowledged := w.acknowledged.Load()
				fail(steadyAnswers(db, w, r)...)
				const meanwhile = 2000 // batches that may come while it reads
				fail(checkWriter(db, w, acknowledged, w.sent.Load()+meanwhile)...)
				reads.Add(1)
			}
		})
	}
	all.Wait()
	mustSeal(t, db)
	for _, w := range writers {
		fail(checkWriter(db, w, w.acknowledged.Load(), w.sent.Load())...)
	}
	t.Logf("%d seals of %d generations, %d reads", seals.Load(), inputs.Load(), reads.Load())
	if seals.Load() == 0 || reads.Load() == 0 {
		t.Error("nothing was sealed or read")
	}
	mustBeWhole(t, store, "at the end")
}

// steadyAnswers reads the same querier twice, with time for seals between, and
// expects what it had, once. It may have more: what came into the open epoch.
func steadyAnswers(db *DB, w *writer, r *rand.Rand) (problems []string) {
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		return []string{err.Error()}
	}
	defer q.Close()
	ms := labels.MustNewMatcher(labels.MatchEqual, "w", strconv.Itoa(w.id))
	first, err := read(q, ms)
	if err != nil {
		return []string{err.Error()}
	}
	time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
	second, err := read(q, ms)
	if err != nil {
		return []string{err.Error()}
	}
	for name, list := range first {
		later := map[int64]chunks.Sample{}
		for _, s := range second[name] {
			later[s.Time] = s
		}
		for _, s := range list {
			if after, ok := later[s.Time]; !ok || compareModel(after, s) < 0 {
				problems = append(problems, fmt.Sprintf("a querier had %s of %s and has %v of %d later", describe(s), name, ok, len(later)))
			}
		}
	}
	for name, list := range second {
		for i := 1; i < len(list); i++ {
			if list[i].Time <= list[i-1].Time {
				problems = append(problems, fmt.Sprintf("series %s has %s after %s", name, describe(list[i]), describe(list[i-1])))
			}
		}
	}
	if len(q.Warnings()) > 0 {
		problems = append(problems, fmt.Sprint(q.Warnings()))
	}
	return problems
}

package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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

// TestReadersSeeAllThatIsAcknowledged runs writers, a flusher and readers
// together. Each writer numbers its samples; a reader must find every number
// that was acknowledged before its querier was made, exactly once.
func TestReadersSeeAllThatIsAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	const writers = 3
	var acknowledged [writers]atomic.Int64
	var all sync.WaitGroup
	fail := func(err error) {
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			cancel()
		}
	}
	for w := range writers {
		all.Go(func() { fail(writeNumbers(ctx, db, rand.New(rand.NewPCG(seed, uint64(w))), w, &acknowledged[w])) })
	}
	for i := range 2 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(100+i)))
			for ctx.Err() == nil {
				w := r.IntN(writers)
				fail(readNumbers(db, r, w, &acknowledged[w]))
			}
		})
	}
	all.Go(func() {
		r := rand.New(rand.NewPCG(seed, 200))
		for ctx.Err() == nil {
			err := db.Flush(ctx)
			if err == nil && r.IntN(6) == 0 {
				_, err = db.Seal(ctx)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				fail(err)
			}
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
	})
	all.Wait()
	for w := range writers {
		if n := acknowledged[w].Load(); n < 5 {
			t.Errorf("writer %d had only %d batches acknowledged", w, n)
		}
		if err := readNumbers(db, rand.New(rand.NewPCG(seed, 300)), w, &acknowledged[w]); err != nil {
			t.Error(err)
		}
	}
}

const (
	numbersPerBatch = 4   // samples of a series in a batch
	numberedSeries  = 40  // series of a writer at a time
	batchesPerSet   = 6   // batches after which a writer goes on to other series
	numbersOldDay   = 100 // every so many batches one goes to the day before
)

// writeNumbers sends batch after batch; batch k holds the numbers of k for each
// of the writer's series, in random order, so that some are late.
func writeNumbers(ctx context.Context, db *DB, r *rand.Rand, w int, acknowledged *atomic.Int64) error {
	for k := 0; ctx.Err() == nil; k++ {
		var b series.Batch
		for i := range numberedSeries {
			b.AddSeries(numberedLabels(w, k/batchesPerSet, i))
			for _, n := range r.Perm(numbersPerBatch) {
				number := k*numbersPerBatch + n
				b.AddSample(numberTime(number), 0, float64(number))
			}
		}
		_, err := db.Append(ctx, series.DefaultTenant, &b)
		switch {
		case errors.Is(err, ErrBacklog):
			k--
			time.Sleep(time.Millisecond)
			continue
		case err != nil:
			return err
		}
		acknowledged.Store(int64(k + 1))
	}
	return nil
}

func numberedLabels(w, set, i int) labels.Labels {
	return labels.FromStrings("__name__", "numbers", "i", strconv.Itoa(i), "set", strconv.Itoa(set), "w", strconv.Itoa(w))
}

// numberTime crosses a midnight back and forth.
func numberTime(number int) int64 {
	at := testNow.UnixMilli() - int64(1e6) + int64(number)
	if number/numbersPerBatch%numbersOldDay == 0 {
		at -= dayMillis
	}
	return at
}

// readNumbers checks what a new querier sees of a writer.
func readNumbers(db *DB, r *rand.Rand, w int, acknowledged *atomic.Int64) error {
	batches := int(acknowledged.Load())
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		return err
	}
	defer q.Close()
	if r.IntN(4) == 0 { // let flushes pass by
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
	}
	ms := []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "numbers"),
		labels.MustNewMatcher(labels.MatchEqual, "w", strconv.Itoa(w)),
	}
	firstSet := max(0, batches/batchesPerSet-r.IntN(20))
	if r.IntN(3) > 0 { // a few sets only
		list := ""
		for set := range 22 {
			list += strconv.Itoa(firstSet+set) + "|"
		}
		ms = append(ms, labels.MustNewMatcher(labels.MatchRegexp, "set", list+"none"))
	} else {
		firstSet = 0
	}
	got, err := read(q, ms...)
	if err != nil {
		return err
	}
	if w := q.Warnings(); len(w) > 0 {
		return fmt.Errorf("warnings %v", w)
	}
	for set := firstSet; set <= (batches-1)/batchesPerSet && batches > 0; set++ {
		for i := range numberedSeries {
			ls := numberedLabels(w, set, i).String()
			if err := checkNumbers(got[ls], set, batches); err != nil {
				return fmt.Errorf("series %s after %d batches: %w", ls, batches, err)
			}
		}
	}
	return nil
}

// checkNumbers expects the samples of a set to be its numbers: all that belong
// to acknowledged batches, and no other than those of its batches.
func checkNumbers(samples []chunks.Sample, set, batches int) error {
	seen := map[int]bool{}
	for _, s := range samples {
		number := int(math.Float64frombits(s.Bits))
		if seen[number] || s.Time != numberTime(number) || number/numbersPerBatch/batchesPerSet != set {
			return fmt.Errorf("sample %v is wrong or there twice", describe(s))
		}
		seen[number] = true
	}
	first := set * batchesPerSet * numbersPerBatch
	for number := first; number < min(batches, (set+1)*batchesPerSet)*numbersPerBatch; number++ {
		if !seen[number] {
			return fmt.Errorf("number %d is missing among %d", number, len(samples))
		}
	}
	return nil
}

// TestConcurrentDrop drops partitions while they are written, flushed and read.
func TestConcurrentDrop(t *testing.T) {
	var nowMillis atomic.Int64
	nowMillis.Store(testNow.UnixMilli())
	o := testOptions()
	o.Now = func() time.Time { return time.UnixMilli(nowMillis.Load()) }
	o.Width = time.Minute
	db := openDB(t, memkv.New(memkv.Options{}), o)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var horizon atomic.Int64
	horizon.Store(math.MinInt64)
	var all sync.WaitGroup
	m := labels.FromStrings("__name__", "m")
	all.Go(func() {
		for ctx.Err() == nil {
			at := nowMillis.Add(7000)
			var b series.Batch
			b.AddSeries(m)
			for i := range int64(20) {
				b.AddSample(at-i*7000, 0, float64(at-i*7000))
			}
			if _, err := db.Append(ctx, series.DefaultTenant, &b); err != nil && !errors.Is(err, ErrBacklog) && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for ctx.Err() == nil {
			if err := db.Flush(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for ctx.Err() == nil {
			at := (nowMillis.Load() - 5*60_000) / 60_000 * 60_000
			if err := db.DropBefore(ctx, at); err != nil {
				t.Error(err)
			}
			horizon.Store(at)
		}
	})
	all.Go(func() {
		for ctx.Err() == nil {
			oldest := horizon.Load()
			q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := read(q, matcher(t, labels.MatchEqual, "__name__", "m"))
			if err != nil {
				t.Error(err)
			}
			samples := got[m.String()]
			if i := slices.IndexFunc(samples, func(s chunks.Sample) bool {
				return s.Time < oldest || math.Float64frombits(s.Bits) != float64(s.Time)
			}); i >= 0 {
				t.Errorf("sample %s with a horizon at %d", describe(samples[i]), oldest)
			}
			q.Close()
		}
	})
	all.Wait()
	// The clock may have run ahead of the last drop.
	if err := db.DropBefore(context.Background(), (nowMillis.Load()-5*60_000)/60_000*60_000); err != nil {
		t.Fatal(err)
	}
	parts, err := db.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) > 7 {
		t.Errorf("%d partitions are left", len(parts))
	}
}

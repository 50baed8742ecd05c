package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/series"
)

// A numbered writer sends samples whose times and values follow from a number,
// so that whoever reads them after a crash can tell what is missing, what is
// wrong and what was never sent.

// writer is one numbered writer.
type writer struct {
	id int
	// sent counts the batches begun, acknowledged those whose Append returned.
	// They are sent one after the other.
	sent, acknowledged atomic.Int64
}

const (
	writerSeries  = 5 // series of a writer
	writerSamples = 3 // samples of a series in a batch
)

// batch returns batch k of a writer.
func (w *writer) batch(k int64) *series.Batch {
	b := new(series.Batch)
	for s := range writerSeries {
		b.AddSeries(w.labels(s))
		for i := range int64(writerSamples) {
			n := k*writerSamples + i
			b.AddSample(writerTime(n), writerStart(n, s), math.Float64frombits(w.bits(n, s)))
		}
	}
	return b
}

func (w *writer) labels(s int) labels.Labels {
	return labels.FromStrings("__name__", "crash", "s", strconv.Itoa(s), "w", strconv.Itoa(w.id))
}

// writerTime lets every seventh sample come late, some of them for the day before.
func writerTime(n int64) int64 {
	at := testNow.UnixMilli() - 50_000_000 + n*1000 // 13:53 hours before, on the day before
	if n%7 == 3 {
		at -= 5500
	}
	if n%31 == 4 {
		at -= dayMillis
	}
	return at
}

func writerStart(n int64, s int) int64 {
	if s == 3 {
		return writerTime(n) - 100
	}
	return 0
}

func (w *writer) bits(n int64, s int) uint64 {
	h := uint64(n)*0x9e3779b97f4a7c15 + uint64(w.id)<<8 + uint64(s)
	switch n % 5 {
	case 0:
		return h // any bits, NaN among them
	case 1:
		return staleBits
	default:
		return math.Float64bits(float64(h >> 40))
	}
}

// run sends batches until ctx ends or the database is closed.
func (w *writer) run(ctx context.Context, db *DB, r *rand.Rand, acknowledge func(k int64)) error {
	for ctx.Err() == nil {
		k := w.acknowledged.Load()
		w.sent.Store(k + 1)
		_, err := db.Append(context.Background(), series.DefaultTenant, w.batch(k))
		switch {
		case errors.Is(err, ErrBacklog):
			time.Sleep(100 * time.Microsecond)
			continue
		case errors.Is(err, ErrClosed):
			return nil
		case err != nil:
			return err
		}
		w.acknowledged.Store(k + 1)
		if acknowledge != nil {
			acknowledge(k + 1)
		}
		if r.IntN(8) == 0 {
			time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
		}
	}
	return nil
}

// checkWriter compares what the database has of a writer with what it should
// have: batches below acknowledged must be there with their bits, none from sent
// on may. It returns what is wrong.
func checkWriter(db *DB, w *writer, acknowledged, sent int64) (problems []string) {
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		complain("querier: %v", err)
		return problems
	}
	defer q.Close()
	got, err := read(q, labels.MustNewMatcher(labels.MatchEqual, "w", strconv.Itoa(w.id)))
	if err != nil {
		complain("select: %v", err)
	}
	if warnings := q.Warnings(); len(warnings) > 0 {
		complain("warnings: %v", warnings)
	}
	for s := range writerSeries {
		want := map[int64]chunks.Sample{} // joined, as two numbers may share a time
		allowed := map[int64][]chunks.Sample{}
		for n := range sent * writerSamples {
			sample := chunks.Sample{Time: writerTime(n), Start: writerStart(n, s), Bits: w.bits(n, s)}
			allowed[sample.Time] = append(allowed[sample.Time], sample)
			if old, ok := want[sample.Time]; n < acknowledged*writerSamples && (!ok || compareModel(old, sample) < 0) {
				want[sample.Time] = sample
			}
		}
		ls := w.labels(s).String()
		for _, sample := range got[ls] {
			known := false
			for _, a := range allowed[sample.Time] {
				known = known || compareModel(a, sample) == 0
			}
			if old, ok := want[sample.Time]; !known || ok && compareModel(old, sample) > 0 {
				complain("series %s has %s, sent were %v", ls, describe(sample), allowed[sample.Time])
			}
			delete(want, sample.Time)
		}
		if len(want) > 0 {
			complain("series %s lacks %d samples of %d acknowledged batches", ls, len(want), acknowledged)
		}
		delete(got, ls)
	}
	for ls := range got {
		complain("series %s was never sent", ls)
	}
	return problems
}

// checkGoesOn writes, flushes and reads after a crash.
func checkGoesOn(db *DB, w *writer) (problems []string) {
	ctx := context.Background()
	before := w.acknowledged.Load()
	for k := before; k < before+3; k++ {
		if _, err := db.Append(ctx, series.DefaultTenant, w.batch(k)); err != nil {
			return []string{fmt.Sprintf("append after the crash: %v", err)}
		}
		if k == before+1 {
			if err := db.Flush(ctx); err != nil {
				return []string{fmt.Sprintf("flush after the crash: %v", err)}
			}
		}
	}
	return checkWriter(db, w, before+3, max(before+3, w.sent.Load()))
}

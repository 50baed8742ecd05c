package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// censusSum returns the sum of a histogram.
func censusSum(record []byte) (float64, error) {
	h, f, err := chunks.DecodeHistogram(record)
	switch {
	case err != nil:
		return 0, err
	case h != nil:
		return h.Sum, nil
	}
	return f.Sum, nil
}

// censusPoints counts 7 points for a histogram.
func censusPoints(record []byte) (int64, error) {
	sum, err := censusSum(record)
	if err != nil || value.IsStaleNaN(sum) {
		return 0, err
	}
	return 7, nil
}

// runOn runs a census on some goroutines.
func runOn(workers int) func(parts int, work func(worker int)) error {
	return func(parts int, work func(worker int)) error {
		var all sync.WaitGroup
		for worker := range min(workers, parts) {
			all.Go(func() { work(worker) })
		}
		all.Wait()
		return nil
	}
}

// listedCensus takes a census by reading the series.
func listedCensus(q *Querier, c Census) (counted Counted, err error) {
	ctx := context.Background()
	set, err := q.SelectColumns(ctx, c.From+1, c.To, c.Matchers...)
	if err != nil {
		return counted, err
	}
	reader := set.Reader()
	defer reader.Close()
	number := map[string]int{}
	for i := range set.Len() {
		_, v, h, ok, err := reader.Last(ctx, i, c.From, c.To)
		if err != nil {
			return counted, err
		}
		points := int64(1)
		if h != nil {
			if points, err = censusPoints(h); err != nil {
				return counted, err
			}
		}
		if !ok || points == 0 || h == nil && value.IsStaleNaN(v) {
			continue
		}
		counted.Points += points
		ls := labels.NewBuilder(set.Labels(i)).Keep(c.Names...).Labels()
		at, known := number[ls.String()]
		if !known {
			at = len(counted.Groups)
			number[ls.String()] = at
			counted.Groups = append(counted.Groups, CensusGroup{Labels: ls})
		}
		counted.Groups[at].Count++
	}
	return counted, nil
}

func equalCounted(a, b Counted) bool {
	return a.Points == b.Points && slices.EqualFunc(a.Groups, b.Groups, func(x, y CensusGroup) bool {
		return x.Count == y.Count && labels.Equal(x.Labels, y.Labels)
	})
}

// countingBudget adds up what is charged, until it refuses.
type countingBudget struct {
	mu            sync.Mutex
	series, most  int
	bytes         int64
	bytesAreSpent bool
}

func (b *countingBudget) ChargeBytes(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes += n; b.bytesAreSpent {
		return errSpent
	}
	return nil
}

func (b *countingBudget) ChargeSeries(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.series += n; b.series > b.most {
		return errSpent
	}
	return nil
}

// compareCensus takes a census both ways; it returns false if there is one only.
func compareCensus(q *Querier, r *rand.Rand, names []string, to int64, ms []*labels.Matcher) (bool, error) {
	c := Census{
		From: to - []int64{1, 1000, 60_000, 300_000, 7_200_000, 5 * dayMillis}[r.IntN(6)], To: to, Matchers: ms,
		Points: censusPoints, Run: runOn(1 + r.IntN(4)),
	}
	for _, name := range names {
		if r.IntN(3) == 0 {
			c.Names = append(c.Names, name)
		}
	}
	slices.Sort(c.Names)
	budget := &countingBudget{most: math.MaxInt}
	got, ok, err := q.Census(series.WithBudget(context.Background(), budget), c)
	if err != nil {
		return ok, err
	}
	if !ok {
		if budget.series > 0 || budget.bytes > 0 {
			return false, fmt.Errorf("%d series are charged for, and not counted", budget.series)
		}
		return false, nil
	}
	want, err := listedCensus(q, c)
	if err != nil {
		return true, err
	}
	if !equalCounted(got, want) {
		return true, fmt.Errorf("by %q of %v in (%d, %d]: %v, want %v", c.Names, ms, c.From, c.To, got, want)
	}
	listed := &countingBudget{most: math.MaxInt}
	set, err := q.SelectColumns(series.WithBudget(context.Background(), listed), c.From+1, c.To, ms...)
	if err != nil || budget.series != listed.series || budget.series != set.Len() {
		return true, fmt.Errorf("%d series are charged for, want %d: %w", budget.series, listed.series, err)
	}
	return true, nil
}

// TestCensusModel takes censuses of databases to which random things happen.
func TestCensusModel(t *testing.T) {
	Sequential(t)
	first := rand.Uint64()
	seeds := 40
	if testing.Short() {
		seeds = 10
	}
	taken := 0
	for i := range uint64(seeds) {
		m := newModel(first + i)
		for step := range 60 {
			if err := m.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v", first+i, step, err)
			}
			for range 4 {
				ok, err := m.compareCensus()
				if err != nil {
					t.Fatalf("seed %d, step %d: %v\nlast steps: %q", first+i, step, err, m.done[max(0, len(m.done)-12):])
				}
				if ok {
					taken++
				}
			}
		}
		m.db.Close()
	}
	if taken < seeds*40 {
		t.Errorf("only %d censuses were taken", taken)
	}
}

func (m *dbModel) compareCensus() (bool, error) {
	q, err := m.db.Querier(series.TenantID(m.r.IntN(3)), math.MinInt64, math.MaxInt64)
	if err != nil {
		return false, err
	}
	defer q.Close()
	ok, err := compareCensus(q, m.r, []string{"__name__", "instance", "job", "zone", "none"}, m.randomTime(), randomMatchers(m.r))
	if w := q.Warnings(); err == nil && len(w) > 0 {
		err = fmt.Errorf("warnings %v", w)
	}
	return ok, err
}

// TestCensusFleet takes censuses of a fleet of targets in all states: of the
// present and of days that are sealed.
func TestCensusFleet(t *testing.T) {
	Sequential(t)
	first := rand.Uint64()
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	sealed, inMemory := 0, 0
	for i := range uint64(seeds) {
		m := newSealModel(t, first+i)
		for step := range 30 {
			if err := m.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v", m.seed, step, err)
			}
			for range 10 {
				to := m.now.UnixMilli() - m.r.Int64N(300_000)
				for old := m.r.IntN(2) == 0; old; old = false {
					to -= m.r.Int64N(3 * dayMillis)
				}
				q, err := m.sealing.Querier(series.TenantID(m.r.IntN(2)), math.MinInt64, math.MaxInt64)
				if err != nil {
					t.Fatal(err)
				}
				ms := []*labels.Matcher{matcher(t, labels.MatchRegexp, "__name__", []string{".+", "[a-m].*", ".*"}[m.r.IntN(3)])}
				ok, err := compareCensus(q, m.r, []string{"__name__", "instance", "job", "le"}, to, ms)
				if err != nil {
					t.Fatalf("seed %d, step %d: %v", m.seed, step, err)
				}
				switch {
				case !ok:
				case len(q.memory(to-1000, to)) > 0:
					inMemory++
				case len(q.readers) > 0:
					sealed++
				}
				q.Close()
			}
		}
		m.close()
	}
	t.Logf("%d in memory, %d sealed or without series", inMemory, sealed)
	if inMemory == 0 || sealed == 0 {
		t.Error("not all states were met")
	}
}

// censusDB has series with many names, in memory and yesterday sealed.
func censusDB(t testing.TB, label string) (db *DB, now, sealed int64) {
	db = openDB(t, memkv.New(memkv.Options{}), testOptions())
	now = testNow.UnixMilli()
	sealed = testNow.Truncate(24 * time.Hour).Add(-6 * time.Hour).UnixMilli()
	for _, at := range []int64{sealed, now} {
		var b series.Batch
		for i := range 6000 {
			ls := labels.FromStrings("__name__", fmt.Sprintf("metric_%02d", i%30), label, fmt.Sprint(i%7), "le", fmt.Sprint(i%11), "n", fmt.Sprint(i))
			if i%30 < 4 { // some metrics have no le
				ls = labels.NewBuilder(ls).Del("le").Labels()
			}
			if i%5 > 0 {
				ls = labels.NewBuilder(ls).Del(label).Labels()
			}
			if reason, detail := b.AddSeries(ls); reason != "" {
				t.Fatal(detail)
			}
			b.AddSample(at-2000, 0, 1)
			if i%3 == 0 {
				b.AddSample(at, 0, 2)
			} else if i%100 == 1 {
				b.AddSample(at-1000, 0, math.Float64frombits(value.StaleNaN))
			}
		}
		mustAppend(t, db, series.DefaultTenant, &b)
		if at == sealed {
			mustFlush(t, db)
			mustSeal(t, db)
		}
	}
	return db, now, sealed
}

// TestCensusLarge takes censuses of series that several workers share.
func TestCensusLarge(t *testing.T) {
	Sequential(t)
	for _, label := range []string{"A", "zone"} {
		censusOfLarge(t, label)
	}
}

func censusOfLarge(t *testing.T, label string) {
	db, now, sealed := censusDB(t, label)
	r := rand.New(rand.NewPCG(1, 2))
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, at := range []int64{now, sealed} {
		taken := 0
		for _, late := range []int64{0, -500, -1500} {
			for _, selector := range []*labels.Matcher{
				matcher(t, labels.MatchRegexp, "__name__", ".+"), matcher(t, labels.MatchEqual, "__name__", "metric_07"),
				matcher(t, labels.MatchNotEqual, "le", "3"), matcher(t, labels.MatchEqual, "none", ""),
			} {
				for range 6 {
					ok, err := compareCensus(q, r, []string{label, "__name__", "le", "n", "none"}, at+late, []*labels.Matcher{selector})
					if err != nil {
						t.Fatal(err)
					}
					if ok {
						taken++
					}
				}
			}
		}
		if taken < 30 {
			t.Errorf("%d censuses were taken at %d", taken, at)
		}
	}
}

// TestCensusEnds spends budgets and ends contexts.
func TestCensusEnds(t *testing.T) {
	db, now, sealed := censusDB(t, "A")
	q, err := db.Querier(series.DefaultTenant, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, at := range []int64{now, sealed} {
		c := Census{From: at - 60_000, To: at, Names: []string{"le"}, Points: censusPoints, Run: runOn(3)}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if _, _, err := q.Census(ended, c); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
		if _, _, err := q.Census(series.WithBudget(context.Background(), &countingBudget{most: 2000}), c); !errors.Is(err, errSpent) {
			t.Errorf("beyond the budget of series: %v", err)
		}
		refused := errors.New("no worker")
		c.Run = func(int, func(int)) error { return refused }
		if _, _, err := q.Census(context.Background(), c); !errors.Is(err, refused) {
			t.Errorf("without workers: %v", err)
		}
	}
	c := Census{From: sealed - 60_000, To: sealed, Points: censusPoints, Run: runOn(3)}
	if _, _, err := q.Census(series.WithBudget(context.Background(), &countingBudget{most: math.MaxInt, bytesAreSpent: true}), c); !errors.Is(err, errSpent) {
		t.Errorf("beyond the budget of bytes: %v", err)
	}
}

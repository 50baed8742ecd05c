package tsdb

import (
	"bytes"
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
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// flatten returns columns as samples in order of time.
func flatten(c *chunks.Columns) ([]chunks.Sample, error) {
	var out []chunks.Sample
	if len(c.Times) != len(c.Values) || len(c.Starts) > 0 && len(c.Starts) != len(c.Times) {
		return nil, fmt.Errorf("%d times, %d values, %d starts", len(c.Times), len(c.Values), len(c.Starts))
	}
	if err := checkClaims(c); err != nil {
		return nil, err
	}
	for i, t := range c.Times {
		s := chunks.Sample{Time: t, Bits: math.Float64bits(c.Values[i])}
		if len(c.Starts) > 0 {
			s.Start = c.Starts[i]
		}
		out = append(out, s)
	}
	for _, h := range c.Histograms {
		out = append(out, chunks.Sample{Time: h.Time, Start: h.Start, Histogram: h.Histogram})
	}
	slices.SortStableFunc(out, func(a, b chunks.Sample) int {
		switch {
		case a.Time < b.Time:
			return -1
		case a.Time > b.Time:
			return 1
		default:
			return 0
		}
	})
	return out, nil
}

// compareColumns expects columns to hold, bit for bit, what the iterators give.
// The order in which they are read is random half the times.
func compareColumns(q *Querier, r *rand.Rand, mint, maxt int64, ms ...*labels.Matcher) error {
	ctx := context.Background()
	set := q.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt}, ms...)
	columns, err := q.SelectColumns(ctx, mint, maxt, ms...)
	if err != nil {
		return err
	}
	var want [][]chunks.Sample
	var it chunkenc.Iterator
	for i := 0; set.Next(); i++ {
		if i >= columns.Len() || labels.Compare(columns.Labels(i), set.At().Labels()) != 0 {
			return fmt.Errorf("%d columns, series %d is not %s", columns.Len(), i, set.At().Labels())
		}
		it = set.At().Iterator(it)
		samples, err := readSamples(it)
		if err != nil {
			return err
		}
		want = append(want, samples)
	}
	if err := set.Err(); err != nil || columns.Len() != len(want) {
		return fmt.Errorf("%d columns, want %d: %w", columns.Len(), len(want), err)
	}
	order := make([]int, len(want))
	for i := range order {
		order[i] = i
	}
	if r.IntN(2) == 0 {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	reader := columns.Reader()
	defer reader.Close()
	if err := expectColumns(columns, reader, order, want); err != nil {
		return err
	}
	return expectLast(columns, r, order, want)
}

// expectLast asks for the newest samples at random instants.
func expectLast(set *ColumnSet, r *rand.Rand, order []int, want [][]chunks.Sample) error {
	reader := set.Reader()
	defer reader.Close()
	for _, i := range order {
		for range 3 {
			from, to := int64(math.MinInt64), int64(math.MaxInt64)
			if n := len(want[i]); n > 0 && r.IntN(4) > 0 {
				to = want[i][n-1-r.IntN(min(n, 5))].Time + r.Int64N(3) - 1
				from = to - r.Int64N(60_000)
			}
			var expected chunks.Sample
			found := false
			for _, s := range want[i] {
				if s.Time > from && s.Time <= to {
					expected, found = s, true
				}
			}
			t, v, h, ok, err := reader.Last(context.Background(), i, from, to)
			if err != nil {
				return err
			}
			got := chunks.Sample{Time: t, Bits: math.Float64bits(v), Histogram: h, Start: expected.Start}
			if ok != found || ok && !equalSamples(got, expected) {
				return fmt.Errorf("series %s: the last in (%d, %d] is %v %s, want %v %s", set.Labels(i), from, to, ok, describe(got), found, describe(expected))
			}
		}
	}
	return nil
}

// expectColumns reads the series in an order.
func expectColumns(set *ColumnSet, reader *ColumnReader, order []int, want [][]chunks.Sample) error {
	var last, copied []int64
	for _, i := range order {
		c, err := reader.Read(context.Background(), i)
		if err != nil {
			return fmt.Errorf("series %s: %w", set.Labels(i), err)
		}
		got, err := flatten(c)
		if err != nil {
			return fmt.Errorf("series %s: %w", set.Labels(i), err)
		}
		if !slices.EqualFunc(got, want[i], equalSamples) {
			return fmt.Errorf("series %s: %s", set.Labels(i), firstDifference(got, want[i]))
		}
		if !slices.Equal(last, copied) {
			return errors.New("timestamps changed that were handed out before")
		}
		if len(c.Times) > 0 {
			if equal := slices.Equal(c.Times, last); equal && &c.Times[0] != &last[0] {
				return fmt.Errorf("series %s: equal timestamps are not the same slice", set.Labels(i))
			}
			last, copied = c.Times, slices.Clone(c.Times)
			for k := range c.Values {
				c.Values[k] = -1 // they are the caller's
			}
		}
	}
	return nil
}

func equalSamples(a, b chunks.Sample) bool {
	return a.Time == b.Time && a.Start == b.Start && a.Bits == b.Bits && bytes.Equal(a.Histogram, b.Histogram)
}

func firstDifference(got, want []chunks.Sample) string {
	for i := range min(len(got), len(want)) {
		if !equalSamples(got[i], want[i]) {
			return fmt.Sprintf("sample %d of %d is %s, want %s", i, len(want), describe(got[i]), describe(want[i]))
		}
	}
	return fmt.Sprintf("%d samples, want %d", len(got), len(want))
}

// TestColumnsModel does random things to databases, and reads them in columns
// and by iterators.
func TestColumnsModel(t *testing.T) {
	Sequential(t)
	first := rand.Uint64()
	seeds := 40
	if testing.Short() {
		seeds = 10
	}
	for i := range uint64(seeds) {
		seed := first + i
		m := newModel(seed)
		for step := range 80 {
			err := m.step()
			if err == nil && step%4 == 0 {
				err = m.checkColumns()
			}
			if err != nil {
				t.Fatalf("seed %d, step %d: %v\nlast steps: %q", seed, step, err, m.done[max(0, len(m.done)-12):])
			}
		}
		m.db.Close()
	}
}

func (m *dbModel) checkColumns() error {
	for tenant := range series.TenantID(3) {
		mint, maxt := m.randomTime(), m.randomTime()
		if mint > maxt {
			mint, maxt = maxt, mint
		}
		if m.r.IntN(3) == 0 {
			mint, maxt = math.MinInt64, math.MaxInt64
		}
		q, err := m.db.Querier(tenant, mint, math.MaxInt64)
		if err != nil {
			return err
		}
		err = compareColumns(q, m.r, mint, maxt, randomMatchers(m.r)...)
		if w := q.Warnings(); err == nil && len(w) > 0 {
			err = fmt.Errorf("warnings %v", w)
		}
		q.Close()
		if err != nil {
			return fmt.Errorf("tenant %d in [%d, %d]: %w", tenant, mint, maxt, err)
		}
	}
	return nil
}

// TestColumnsFleet scrapes a fleet, seals, and reads in columns and by iterators.
func TestColumnsFleet(t *testing.T) {
	Sequential(t)
	first := rand.Uint64()
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for i := range uint64(seeds) {
		m := newSealModel(t, first+i)
		for step := range 30 {
			if err := m.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v", m.seed, step, err)
			}
			from := m.now.UnixMilli() - m.r.Int64N(8*3_600_000)
			to := from + []int64{0, 60_000, 3_600_000, dayMillis}[m.r.IntN(4)]
			if m.r.IntN(4) == 0 {
				from, to = math.MinInt64, math.MaxInt64
			}
			for tenant := range series.TenantID(2) {
				for _, db := range []*DB{m.sealing, m.plain} {
					q, err := db.Querier(tenant, from, math.MaxInt64)
					if err != nil {
						t.Fatal(err)
					}
					err = compareColumns(q, m.r, from, to, matcher(t, labels.MatchRegexp, "__name__", ".+"))
					q.Close()
					if err != nil {
						t.Fatalf("seed %d, step %d, tenant %d in [%d, %d]: %v", m.seed, step, tenant, from, to, err)
					}
				}
			}
		}
		m.close()
	}
}

// TestColumnsTogether reads one set with several readers at once, while samples
// arrive and are flushed and sealed.
func TestColumnsTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	m := newSealModel(t, 12)
	defer m.close()
	for range 6 {
		if err := m.scrape(); err != nil {
			t.Fatal(err)
		}
	}
	mustSeal(t, m.sealing)
	if err := m.scrape(); err != nil {
		t.Fatal(err)
	}
	q, err := m.sealing.Querier(0, math.MinInt64, m.now.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set, err := q.SelectColumns(context.Background(), math.MinInt64, math.MaxInt64, matcher(t, labels.MatchRegexp, "__name__", ".+"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([][]chunks.Sample, set.Len())
	order := make([]int, set.Len())
	reader := set.Reader()
	for i := range want {
		c, err := reader.Read(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		flat, err := flatten(c)
		if err != nil {
			t.Fatal(err)
		}
		for k := range flat {
			flat[k].Histogram = bytes.Clone(flat[k].Histogram)
		}
		want[i], order[i] = flat, i
	}
	reader.Close()
	var all sync.WaitGroup
	for range 4 {
		mine := slices.Clone(order)
		r.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		all.Go(func() {
			for range 5 {
				reader := set.Reader()
				if err := expectColumns(set, reader, mine, want); err != nil {
					t.Error(err)
				}
				reader.Close()
			}
		})
	}
	m.now = m.now.Add(time.Minute)
	for range 5 {
		for tenant, rows := range m.fleet.until(m.now.UnixMilli()) {
			if err := m.send(tenant, rows); err != nil {
				t.Error(err)
			}
		}
		if _, err := m.sealing.Seal(context.Background()); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

// TestColumnsDamaged cuts rows off and flips bits in them. Of a row that is cut
// off, what is missing is warned of, and nothing is made up; a flip may go
// unnoticed, as rows are checked below, but nothing may panic.
func TestColumnsDamaged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	content, truth := sealContent(t, 3)
	warned := map[byte]int{}
	for range 150 {
		family := "ctv"[r.IntN(3)]
		rows := slices.DeleteFunc(rowsOf(t, content, family), func(key []byte) bool { return family == 'c' && hasHistograms(t, content, key) })
		key := rows[r.IntN(len(rows))]
		store := cloneStore(t, content)
		value, err := store.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		cut := r.IntN(2) == 0
		if cut {
			value = value[:1+r.IntN(len(value)-1)]
		} else {
			value[r.IntN(min(len(value), 40))] ^= 1 << r.IntN(8)
		}
		setRow(t, store, key, value)
		db, err := Open(context.Background(), store, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		different, told := readDamaged(t, db, truth, cut)
		if cut && different > 0 && !told {
			t.Errorf("row %x, cut to %d bytes: %d series are not whole, and nobody says so", key, len(value), different)
		}
		if told {
			warned[family]++
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(warned) < 3 {
		t.Errorf("damage was met in rows of %v only", warned)
	}
}

// readDamaged reads all columns. It returns how many series are not what they
// should be, and whether that was told. strict says that there may be no sample
// that nobody sent.
func readDamaged(t *testing.T, db *DB, truth sealTruth, strict bool) (different int, told bool) {
	t.Helper()
	for tenant := range series.TenantID(2) {
		q, err := db.Querier(tenant, math.MinInt64, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		set, err := q.SelectColumns(context.Background(), math.MinInt64, math.MaxInt64, matcher(t, labels.MatchRegexp, "__name__", ".*"))
		if err != nil {
			t.Fatal(err)
		}
		want := truth.all(tenant)
		reader := set.Reader()
		for i := range set.Len() {
			c, err := reader.Read(context.Background(), i)
			if err != nil {
				if !block.IsDamage(err) {
					t.Fatal(err)
				}
				told = true
				continue
			}
			got, err := flatten(c)
			if err != nil {
				t.Fatal(err)
			}
			for k := range got {
				got[k] = canonical(got[k])
			}
			list := want[set.Labels(i).String()]
			equal := func(a, b chunks.Sample) bool { return a.Time == b.Time && compareModel(a, b) == 0 }
			if !slices.EqualFunc(got, list, equal) {
				different++
			}
			for _, s := range got {
				if strict && !slices.ContainsFunc(list, func(o chunks.Sample) bool { return equal(s, o) }) {
					t.Errorf("series %s: nobody sent %s", set.Labels(i), describe(s))
				}
			}
		}
		reader.Close()
		told = told || len(q.Warnings()) > 0
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return different, told
}

// refusing is a budget that is spent after some bytes.
type refusing struct{ left int64 }

var errSpent = errors.New("budget is spent")

func (b *refusing) ChargeBytes(n int64) error {
	if b.left -= n; b.left < 0 {
		return errSpent
	}
	return nil
}

func (b *refusing) ChargeSeries(int) error { return nil }

// TestColumnsBudget reads with a budget, and with a context that ends.
func TestColumnsBudget(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	at := testNow.UnixMilli() - 1000
	for round := range 3 {
		appendPoints(t, db, labels.FromStrings("__name__", "m"), point{at + int64(round), 1}, point{at + 10 + int64(round), 2})
		if round == 0 {
			mustFlush(t, db)
			mustSeal(t, db)
		} else if round == 1 {
			mustFlush(t, db)
		}
		q, err := db.Querier(0, math.MinInt64, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(series.WithBudget(context.Background(), &refusing{left: 8}))
		set, err := q.SelectColumns(ctx, math.MinInt64, math.MaxInt64, matcher(t, labels.MatchEqual, "__name__", "m"))
		if err != nil || set.Len() != 1 {
			t.Fatal(set.Len(), err)
		}
		reader := set.Reader()
		if _, err := reader.Read(ctx, 0); !errors.Is(err, errSpent) {
			t.Errorf("round %d: read beyond the budget: %v", round, err)
		}
		reader.Close()
		cancel()
		reader = set.Reader()
		if _, err := reader.Read(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("round %d: read after the end: %v", round, err)
		}
		reader.Close()
		q.Close()
	}
}

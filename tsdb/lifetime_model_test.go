package tsdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// TestLifetimesModel lets weeks pass with random lifetimes, writes, flushes, seals,
// rewrites, drops, failing stores and restarts, and compares with a plain map.
func TestLifetimesModel(t *testing.T) {
	for seed := range uint64(8) {
		m := newLifetimeModel(seed)
		for i := range 50 {
			if err := m.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
		}
		m.db.Close()
	}
}

type lifetimeModel struct {
	r        *rand.Rand
	store    *faultyStore
	db       *DB
	now      time.Time
	policies []Lifetime
	known    []labels.Labels
	samples  map[string]map[int64]float64 // by labels
}

func newLifetimeModel(seed uint64) *lifetimeModel {
	m := &lifetimeModel{
		r: rand.New(rand.NewPCG(seed, 3)), store: &faultyStore{Store: memkv.New(memkv.Options{})}, now: testNow,
		samples: map[string]map[int64]float64{},
	}
	for i := range 12 {
		ls := labels.FromStrings("__name__", []string{"m", "n"}[i%2], "env", []string{"dev", "prod", "test"}[i%3], "i", strconv.Itoa(i))
		m.known = append(m.known, ls)
	}
	for _, line := range []string{`any {env="dev"} 30h`, `any m 50h`, `any {env=~"t.*"} 80h`, `7 all 1h`, `any n{env="prod"} 0h`} {
		if l, err := parseLifetime(line); err == nil && m.r.IntN(2) == 0 {
			m.policies = append(m.policies, l)
		}
	}
	m.policies = append(m.policies, Lifetime{Keep: time.Duration(m.r.IntN(2)) * 120 * time.Hour})
	m.open()
	return m
}

func (m *lifetimeModel) open() {
	if m.db != nil {
		m.db.Close()
	}
	db, err := Open(context.Background(), m.store, Options{Now: func() time.Time { return m.now }, Random: m.r.Uint64, BacklogMax: 1 << 20})
	if err != nil {
		panic(err)
	}
	db.SetLifetimes(m.policies)
	m.db = db
}

// oldest returns the time before which a series's samples have expired.
func (m *lifetimeModel) oldest(ls labels.Labels) int64 {
	for _, l := range m.policies {
		if l.Applies != nil && !l.Applies(series.DefaultTenant, block.Raw) {
			continue
		}
		met := true
		for _, ms := range l.Selectors {
			for _, x := range ms {
				met = met && x.Matches(ls.Get(x.Name))
			}
		}
		if met && l.Keep > 0 {
			return m.now.Add(-l.Keep).UnixMilli()
		} else if met {
			break
		}
	}
	return forEver
}

func (m *lifetimeModel) step() error {
	ctx := context.Background()
	m.now = m.now.Add(time.Duration(m.r.Int64N(int64(6 * time.Hour))))
	failing := m.r.IntN(4) == 0
	if failing {
		left := m.r.IntN(3)
		m.store.setFault(func(string) (bool, bool) { left--; return left < 0, false })
	}
	var err error
	switch m.r.IntN(6) {
	case 0:
		err = m.db.Flush(ctx)
	case 1:
		_, err = m.db.Seal(ctx)
	case 2:
		m.db.Believe(m.now)
		_, err = m.db.EraseExpired(ctx)
	case 3:
		m.db.Believe(m.now)
		err = m.drop(ctx)
	}
	m.store.setFault(nil)
	if err != nil && !(failing && errors.Is(err, errInjected)) && !errors.Is(err, errUnsettled) {
		return err
	}
	if m.r.IntN(6) == 0 {
		m.open()
	}
	if err := m.write(ctx); err != nil {
		return err
	}
	return m.check(ctx)
}

// drop drops the partitions that have expired whatever their series.
func (m *lifetimeModel) drop(ctx context.Context) error {
	parts, err := m.db.Partitions()
	if err != nil {
		return err
	}
	var gone []Partition
	for _, p := range parts {
		if e := m.db.expiry(p.Tenant, p.Resolution, m.now); p.End <= e.first {
			gone = append(gone, p)
		}
	}
	return m.db.Drop(ctx, gone)
}

// write sends samples of the last days, some of which have expired.
func (m *lifetimeModel) write(ctx context.Context) error {
	var b series.Batch
	stored := 0
	for range 8 {
		ls := m.known[m.r.IntN(len(m.known))]
		if reason, detail := b.AddSeries(ls); reason != "" {
			return errors.New(detail)
		}
		at, v := m.now.Add(-time.Duration(m.r.Int64N(int64(60*time.Hour)))).UnixMilli(), 1.0
		b.AddSample(at, 0, v)
		if at >= m.oldest(ls) {
			stored++
			if m.samples[ls.String()] == nil {
				m.samples[ls.String()] = map[int64]float64{}
			}
			m.samples[ls.String()][at] = v
		}
	}
	outcome, err := m.db.Append(ctx, series.DefaultTenant, &b)
	if err == nil && outcome.Samples != stored {
		err = fmt.Errorf("stored %d samples, want %d: %s", outcome.Samples, stored, outcome.Refused)
	}
	return err
}

// check compares all samples of a random range, read both ways.
func (m *lifetimeModel) check(ctx context.Context) error {
	mint := m.now.Add(-time.Duration(m.r.Int64N(int64(200 * time.Hour)))).UnixMilli()
	q, err := m.db.Querier(series.DefaultTenant, mint, m.now.UnixMilli())
	if err != nil {
		return err
	}
	defer q.Close()
	all, _ := labels.NewMatcher(labels.MatchRegexp, "__name__", ".+")
	found, err := read(q, all)
	if err != nil {
		return err
	}
	set, err := q.SelectColumns(ctx, mint, m.now.UnixMilli(), all)
	if err != nil {
		return err
	}
	columns := map[string]map[int64]float64{}
	r := set.Reader()
	defer r.Close()
	for i := range set.Len() {
		c, err := r.Read(ctx, i)
		if err != nil {
			return err
		}
		columns[set.Labels(i).String()] = map[int64]float64{}
		for k, at := range c.Times {
			columns[set.Labels(i).String()][at] = c.Values[k]
		}
	}
	for _, ls := range m.known {
		want, got := map[int64]float64{}, map[int64]float64{}
		for at, v := range m.samples[ls.String()] {
			if at >= max(mint, m.oldest(ls)) {
				want[at] = v
			}
		}
		for _, s := range found[ls.String()] {
			got[s.Time] = 1
		}
		if !maps.Equal(got, want) || !maps.Equal(columns[ls.String()], want) && len(columns[ls.String()])+len(want) > 0 {
			return fmt.Errorf("%s from %s: %v and %v, want %v", ls, formatTime(mint), got, columns[ls.String()], want)
		}
	}
	return nil
}

// BenchmarkDropIsConstantTime drops a partition of few series and one of many.
func BenchmarkDropIsConstantTime(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				db, err := Open(b.Context(), memkv.New(memkv.Options{}), testOptions())
				if err != nil {
					b.Fatal(err)
				}
				var batch series.Batch
				for i := range n {
					batch.AddSeries(labels.FromStrings("__name__", "m", "i", strconv.Itoa(i)))
					batch.AddSample(testNow.UnixMilli()-1000, 0, float64(i))
				}
				mustAppend(b, db, series.DefaultTenant, &batch)
				if _, err := db.Seal(b.Context()); err != nil {
					b.Fatal(err)
				}
				parts, err := db.Partitions()
				if err != nil {
					b.Fatal(err)
				}
				// A reader holds the rows, which are removed when it goes.
				v, _ := db.acquire()
				b.StartTimer()
				err = db.Drop(b.Context(), parts)
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				db.release(v)
				db.Close()
				b.StartTimer()
			}
		})
	}
}

package tsdb

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// TestSealModel scrapes a fleet under a clock of its own, and expects a database
// that seals, one that never does, and a plain map to answer alike.
func TestSealModel(t *testing.T) {
	first := rand.Uint64()
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	var sealed, folded, multiSlice int
	var deleted uint64
	for i := range uint64(seeds) {
		m := newSealModel(t, first+i)
		for step := range 40 {
			if err := m.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v", m.seed, step, err)
			}
		}
		if err := m.check(); err != nil {
			t.Fatalf("seed %d, at the end: %v", m.seed, err)
		}
		sealed += m.sealed
		folded += m.folded
		multiSlice += m.multiSlice
		deleted += m.deleted
		m.close()
	}
	t.Logf("from seed %d: %d seals, %d of several generations, %d with slices, %d samples deleted", first, sealed, folded, multiSlice, deleted)
	if sealed == 0 || folded == 0 || multiSlice == 0 || deleted == 0 {
		t.Errorf("the seeds did not cover what they should: %d, %d, %d", sealed, folded, multiSlice)
	}
}

type sealModel struct {
	t       *testing.T
	seed    uint64
	r       *rand.Rand
	now     time.Time
	fleet   *sealFleet
	store   *memkv.Store
	sealing *DB
	plain   *DB
	options Options
	truth   sealTruth
	// exemplars sent, by series.
	exemplars map[modelKey]map[modelExemplar]bool
	horizon   int64

	sealed, folded, multiSlice int
	deleted                    uint64
}

func newSealModel(t *testing.T, seed uint64) *sealModel {
	m := &sealModel{
		t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 11)), store: memkv.New(memkv.Options{}), truth: sealTruth{},
		now: time.UnixMilli(10*dayMillis + 20*3_600_000), exemplars: map[modelKey]map[modelExemplar]bool{}, horizon: math.MinInt64,
	}
	m.fleet = newSealFleet(m.r, m.now.UnixMilli())
	m.options = Options{Now: func() time.Time { return m.now }, Random: m.r.Uint64, BacklogMax: 1000}
	if m.r.IntN(2) == 0 {
		m.options.Width = 2 * time.Hour
	}
	m.sealing = m.open(m.store)
	m.plain = m.open(memkv.New(memkv.Options{}))
	return m
}

func (m *sealModel) open(store *memkv.Store) *DB {
	db, err := Open(context.Background(), store, m.options)
	if err != nil {
		m.t.Fatalf("seed %d: open: %v", m.seed, err)
	}
	return db
}

func (m *sealModel) close() {
	m.sealing.Close()
	m.plain.Close()
}

func (m *sealModel) send(tenant series.TenantID, rows []sent) error {
	for _, db := range []*DB{m.sealing, m.plain} {
		outcome, err := db.Append(context.Background(), tenant, toBatch(rows))
		if err != nil || !outcome.Refused.Empty() {
			return fmt.Errorf("append: %v %s", err, outcome.Refused)
		}
	}
	m.truth.join(tenant, rows)
	for _, row := range rows {
		for _, x := range row.exemplars {
			key := modelKey{tenant, row.labels.String()}
			if m.exemplars[key] == nil {
				m.exemplars[key] = map[modelExemplar]bool{}
			}
			m.exemplars[key][x] = true
		}
	}
	return nil
}

func (m *sealModel) step() error {
	ctx := context.Background()
	switch n := m.r.IntN(20); {
	case n < 9:
		return m.scrape()
	case n < 11:
		return m.sendLate()
	case n < 13:
		if m.r.IntN(2) == 0 {
			return m.plain.Flush(ctx)
		}
		return m.sealing.Flush(ctx)
	case n < 14:
		reports, err := m.sealing.Seal(ctx)
		m.note(reports...)
		return err
	case n < 15:
		m.sealing.Close()
		m.sealing = m.open(m.store)
		return nil
	case n < 16:
		return m.drop()
	case n < 17:
		return m.delete()
	default:
		return m.checkSome()
	}
}

func (m *sealModel) note(reports ...SealReport) {
	for _, r := range reports {
		m.sealed++
		if r.Inputs > 1 {
			m.folded++
		}
	}
}

// scrape lets time pass, flushes by age, and seals what is due.
func (m *sealModel) scrape() error {
	ctx := context.Background()
	for range 1 + m.r.IntN(6) {
		m.now = m.now.Add(time.Duration(1+m.r.Int64N(15)) * time.Minute)
		rows := m.fleet.until(m.now.UnixMilli())
		for tenant := range series.TenantID(2) {
			if len(rows[tenant]) > 0 {
				if err := m.send(tenant, rows[tenant]); err != nil {
					return err
				}
			}
		}
		for _, db := range []*DB{m.sealing, m.plain} {
			if err := db.Step(ctx); err != nil {
				return err
			}
		}
		if err := m.sealing.SealDue(ctx); err != nil {
			return err
		}
	}
	v, err := m.sealing.acquire()
	if err != nil {
		return err
	}
	defer m.sealing.release(v)
	for _, g := range v.generations {
		if s := g.Flushes[0].Sealed; s != nil {
			m.sealed++
			if s.Slices.Count > 1 {
				m.multiSlice++
			}
		}
	}
	return nil
}

// sendLate sends samples of the past again, with the same and with other values,
// and some between them.
func (m *sealModel) sendLate() error {
	rows := map[series.TenantID][]sent{}
	oldest := max(m.horizon, m.now.UnixMilli()-8*3_600_000)
	for range 1 + m.r.IntN(5) {
		member := m.fleet.members[m.r.IntN(len(m.fleet.members))]
		row := sent{labels: member.labels}
		at := oldest + m.r.Int64N(m.now.UnixMilli()-oldest)
		for range 1 + m.r.IntN(60) {
			if known, ok := m.truth[modelKey{member.tenant, member.labels.String()}][at]; ok && m.r.IntN(2) == 0 {
				row.samples = append(row.samples, known)
			} else {
				row.samples = append(row.samples, m.fleet.sample(member, at))
			}
			if at += []int64{1, 500, 15_000}[m.r.IntN(3)]; at > m.now.UnixMilli() {
				break
			}
		}
		rows[member.tenant] = append(rows[member.tenant], row)
	}
	for tenant, list := range rows {
		if err := m.send(tenant, list); err != nil {
			return err
		}
	}
	return nil
}

func (m *sealModel) drop() error {
	at := m.now.Add(-time.Duration(4+m.r.IntN(40)) * time.Hour).Truncate(2 * time.Hour)
	if m.options.Width == 0 {
		at = at.Truncate(24 * time.Hour)
	}
	if at.UnixMilli() <= m.horizon {
		return nil
	}
	m.horizon = at.UnixMilli()
	for _, db := range []*DB{m.sealing, m.plain} {
		if err := db.DropBefore(context.Background(), m.horizon); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes a random range of random series, in both databases and the map.
func (m *sealModel) delete() error {
	first := int64(10*dayMillis + 20*3_600_000)
	from := first + m.r.Int64N(m.now.UnixMilli()-first+1)
	d := Deletion{Tenant: series.TenantID(m.r.IntN(2)), Min: from, Max: from + m.r.Int64N(6*3_600_000)}
	for range 1 + m.r.IntN(2) {
		name, value := "instance", []string{"1", "[0-2]", ".*"}[m.r.IntN(3)]
		if m.r.IntN(2) == 0 {
			name, value = "__name__", fmt.Sprintf("metric_%d", m.r.IntN(4))
		}
		d.Selectors = append(d.Selectors, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, name, value)})
	}
	counts := map[*DB]uint64{}
	for _, db := range []*DB{m.sealing, m.plain} {
		r, err := db.Delete(context.Background(), d)
		if err != nil {
			return err
		}
		counts[db] = r.Samples
	}
	if counts[m.sealing] != counts[m.plain] {
		return fmt.Errorf("deleted %d samples and %d", counts[m.sealing], counts[m.plain])
	}
	m.deleted += counts[m.sealing]
	for _, member := range m.fleet.members {
		if member.tenant != d.Tenant || !slices.ContainsFunc(d.Selectors, func(ms []*labels.Matcher) bool { return ms[0].Matches(member.labels.Get(ms[0].Name)) }) {
			continue
		}
		key := modelKey{member.tenant, member.labels.String()}
		maps.DeleteFunc(m.truth[key], func(t int64, _ chunks.Sample) bool { return t >= d.Min && t <= d.Max })
		maps.DeleteFunc(m.exemplars[key], func(x modelExemplar, _ bool) bool { return x.t >= d.Min && x.t <= d.Max })
	}
	return nil
}

func (m *sealModel) check() error {
	for tenant := range series.TenantID(2) {
		if err := m.compare(tenant, math.MinInt64, math.MaxInt64, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")); err != nil {
			return err
		}
	}
	report, err := Check(context.Background(), m.store, CheckOptions{})
	if err != nil || report.Damaged > 0 {
		return fmt.Errorf("check: %v %+v", err, report)
	}
	return nil
}

func (m *sealModel) checkSome() error {
	first := int64(10*dayMillis + 20*3_600_000)
	from := first + m.r.Int64N(m.now.UnixMilli()-first+1)
	to := from + []int64{0, 1000, 60_000, 3_600_000, dayMillis}[m.r.IntN(5)]
	kinds := []labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}
	matcher := labels.MustNewMatcher(kinds[m.r.IntN(4)], []string{"__name__", "instance", "le"}[m.r.IntN(3)], []string{"metric_1", "1", "", "metric_[0-2]", "[0-2]|\\+Inf"}[m.r.IntN(5)])
	return m.compare(series.TenantID(m.r.IntN(2)), from, to, matcher)
}

func (m *sealModel) compare(tenant series.TenantID, from, to int64, matcher *labels.Matcher) error {
	byName := map[string]labels.Labels{}
	for _, member := range m.fleet.members {
		byName[member.labels.String()] = member.labels
	}
	want := m.truth.between(tenant, max(from, m.horizon), to, func(name string) bool { return matcher.Matches(byName[name].Get(matcher.Name)) })
	for name, db := range map[string]*DB{"sealing": m.sealing, "plain": m.plain} {
		got, warnings, err := answer(db, tenant, from, to, matcher)
		if err != nil || warnings > 0 {
			return fmt.Errorf("%s: %d warnings, %w", name, warnings, err)
		}
		if d := differ(got, want); d != "" {
			return fmt.Errorf("%s, tenant %d, %s in [%d, %d]: %s", name, tenant, matcher, from, to, d)
		}
		if err := m.compareExemplars(db, tenant, from, to, matcher); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (m *sealModel) compareExemplars(db *DB, tenant series.TenantID, from, to int64, matcher *labels.Matcher) error {
	q, err := db.ExemplarQueryable(tenant).ExemplarQuerier(context.Background())
	if err != nil {
		return err
	}
	results, err := q.Select(from, to, []*labels.Matcher{matcher})
	if err != nil {
		return err
	}
	var got, want []string
	for _, r := range results {
		for _, x := range r.Exemplars {
			got = append(got, fmt.Sprint(r.SeriesLabels, x.Ts, math.Float64bits(x.Value), x.Labels))
		}
	}
	var builder labels.ScratchBuilder
	for key, all := range m.exemplars {
		for _, member := range m.fleet.members {
			if key.tenant != tenant || member.tenant != tenant || key.labels != member.labels.String() || !matcher.Matches(member.labels.Get(matcher.Name)) {
				continue
			}
			for x := range all {
				ls, err := series.Labels(x.labels).Decode(&builder)
				if err != nil {
					return err
				}
				if x.t >= max(from, m.horizon) && x.t <= to {
					want = append(want, fmt.Sprint(member.labels, x.t, x.bits, ls))
				}
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(got, want) {
		return fmt.Errorf("exemplars\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return nil
}

// TestSealDense seals series with more samples than all slices together hold in
// a column each.
func TestSealDense(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	o := testOptions()
	db := openDB(t, memkv.New(memkv.Options{}), o)
	truth := sealTruth{}
	start := testNow.Truncate(24 * time.Hour).UnixMilli()
	const samples = 30_000 // above slicesMax times column.SamplesMax
	for part := range 3 {
		var rows []sent
		for s := range 3 {
			row := sent{labels: labels.FromStrings("__name__", "dense", "s", fmt.Sprint(s))}
			for i := part * samples / 3; i < (part+1)*samples/3; i++ {
				if s == 2 && i%7 > 0 {
					continue // a sparse one beside them
				}
				one := chunks.FloatSample(start+int64(i)*1000, float64(i%100)/4)
				if s == 1 && i%1000 == 0 {
					one.Bits = r.Uint64()
				}
				row.samples = append(row.samples, one)
			}
			rows = append(rows, row)
		}
		mustAppend(t, db, 0, toBatch(rows))
		truth.join(0, rows)
		mustFlush(t, db)
	}
	mustSeal(t, db)
	blocks, err := db.Blocks()
	if err != nil || len(blocks) != 1 || blocks[0].State != "sealed" {
		t.Fatalf("blocks %+v, %v", blocks, err)
	}
	mustEqualTruth(t, db, truth, "sealed")
	for range 30 {
		from := start + r.Int64N(samples*1000)
		to := from + r.Int64N(3_000_000)
		got, _, err := answer(db, 0, from, to)
		if err != nil {
			t.Fatal(err)
		}
		if d := differ(got, truth.between(0, from, to, func(string) bool { return true })); d != "" {
			t.Fatalf("[%d, %d]: %s", from, to, d)
		}
	}
}

package tsdb

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// downsampleModel is what a database should hold: samples by series and time. Values
// are integers, so that sums do not depend on the order.
type downsampleModel map[string]map[int64]float64

func (m downsampleModel) windows(width time.Duration, mint, maxt int64) map[string][]string {
	out := map[string][]string{}
	ms := width.Milliseconds()
	for name, samples := range m {
		w := &window.Windows{}
		for _, t := range slices.Sorted(maps.Keys(samples)) {
			if end := window.EndOf(t, ms); end >= window.EndOf(mint, ms) && end <= window.EndOf(maxt, ms) {
				w.Append([]int64{t}, []float64{samples[t]}, ms)
			}
		}
		if w.Len() > 0 {
			out[name] = windowRows(w)
		}
	}
	return out
}

func windowRows(w *window.Windows) (rows []string) {
	for i := range w.End {
		rows = append(rows, fmt.Sprint(w.End[i], w.FirstTime[i], w.LastTime[i], w.Stale[i], w.Count[i], w.Sum[i], w.Min[i], w.Max[i], w.First[i], w.Last[i], w.Correction[i]))
	}
	return rows
}

// storedParts picks, of each partition, the width if it has it.
func storedParts(list []Coverage, width time.Duration) (out []StoredWindows) {
	for _, c := range list {
		if slices.Contains(c.Widths, width) {
			out = append(out, StoredWindows{Min: c.Min, Max: c.Max, Width: width})
		}
	}
	return out
}

// expectWindows compares all windows with the model, and returns how many partitions
// were read as windows.
func expectWindows(t testing.TB, db *DB, m downsampleModel, width time.Duration, mint, maxt int64) int {
	t.Helper()
	q, err := db.Querier(series.DefaultTenant, mint-width.Milliseconds(), maxt+width.Milliseconds())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	r := WindowRange{Width: width, Min: mint, Max: maxt, Stored: storedParts(q.Coverage(), width)}
	set, err := q.SelectWindows(context.Background(), r, matcher(t, labels.MatchRegexp, "__name__", ".+"))
	if err != nil {
		t.Fatal(err)
	}
	reader := set.Reader()
	defer reader.Close()
	got := map[string][]string{}
	for i := range set.Len() {
		w, _, err := reader.Read(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		if w.Len() > 0 {
			got[set.Labels(i).Get("__name__")] = windowRows(w)
		}
	}
	if len(q.Warnings()) > 0 {
		t.Fatal(q.Warnings())
	}
	if want := m.windows(width, mint, maxt); !reflect.DeepEqual(got, want) {
		for name := range want {
			if !reflect.DeepEqual(got[name], want[name]) {
				t.Fatalf("windows of %s, %s, are\n%v\nwant\n%v", width, name, got[name], want[name])
			}
		}
		t.Fatalf("series %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	return len(r.Stored)
}

var downsampleWidths = []time.Duration{5 * time.Minute, time.Hour}

func setDownsampling(t testing.TB, db *DB) {
	t.Helper()
	if err := db.SetDownsampling(downsampleWidths); err != nil {
		t.Fatal(err)
	}
}

// appendRandom appends a run of samples of one series, some of them stale markers, in
// the four days before testNow, to the database and the model.
func (m downsampleModel) appendRandom(t testing.TB, db *DB, r *rand.Rand) {
	name := fmt.Sprintf("m%d", r.IntN(6))
	at := testNow.UnixMilli() - r.Int64N(4*24*3600)*1000
	var points []point
	for range 1 + r.IntN(200) {
		v := float64(r.IntN(1000))
		if r.IntN(20) == 0 {
			v = math.Float64frombits(staleBits)
		}
		at += r.Int64N(200_000)
		if r.IntN(10) == 0 {
			at -= at % 3_600_000 // borders
		}
		if at > testNow.UnixMilli() {
			break
		}
		if _, known := m[name][at]; known {
			continue
		}
		if m[name] == nil {
			m[name] = map[int64]float64{}
		}
		m[name][at] = v
		points = append(points, point{at, v})
	}
	if len(points) > 0 {
		appendPoints(t, db, labels.FromStrings("__name__", name), points...)
	}
}

// TestDownsampledIsAggregated compares windows with those of a plain map while random
// samples, late ones too, are written, deleted, sealed, downsampled, and the database
// is opened again.
func TestDownsampledIsAggregated(t *testing.T) {
	ctx := context.Background()
	stored := 0
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 7))
		store, m := memkv.New(memkv.Options{}), downsampleModel{}
		db := openDB(t, store, testOptions())
		setDownsampling(t, db)
		for range 60 {
			switch r.IntN(9) {
			default:
				m.appendRandom(t, db, r)
			case 0:
				mustFlush(t, db)
			case 1, 2:
				if _, err := db.Seal(ctx); err != nil {
					t.Fatal(err)
				}
				fallthrough
			case 3:
				if _, err := db.Downsample(ctx); err != nil {
					t.Fatal(err)
				}
			case 4:
				if r.IntN(3) > 0 {
					continue
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				db = openDB(t, store, testOptions())
				setDownsampling(t, db)
			case 5:
				if r.IntN(3) > 0 {
					continue
				}
				from := testNow.UnixMilli() - r.Int64N(4*24*3600)*1000
				to := from + r.Int64N(24*3600)*1000
				_, err := db.Delete(ctx, Deletion{
					Tenant: series.DefaultTenant, Min: from, Max: to,
					Selectors: [][]*labels.Matcher{{matcher(t, labels.MatchEqual, "__name__", "m1")}},
				})
				if err != nil {
					t.Fatal(err)
				}
				maps.DeleteFunc(m["m1"], func(at int64, _ float64) bool { return at >= from && at <= to })
			}
			mint := testNow.UnixMilli() - r.Int64N(4*24*3600)*1000
			maxt := mint + r.Int64N(testNow.UnixMilli()-mint+1)
			stored += expectWindows(t, db, m, downsampleWidths[r.IntN(2)], mint, maxt)
		}
		report, err := Check(ctx, store, CheckOptions{})
		if err != nil || report.Damaged > 0 {
			t.Fatalf("seed %d: check %+v, %v", seed, report.Damage, err)
		}
	}
	if stored < 100 {
		t.Errorf("windows were read of %d partitions only", stored)
	}
}

// dropRaw drops the samples of all partitions that are over.
func dropRaw(t testing.TB, db *DB) {
	t.Helper()
	parts, err := db.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	parts = slices.DeleteFunc(parts, func(p Partition) bool { return p.Resolution != 0 || p.End > testNow.UnixMilli() })
	if err := db.Drop(context.Background(), parts); err != nil {
		t.Fatal(err)
	}
}

// TestWindowsOutlastSamples drops samples, before and after windows were made, and
// writes late ones into a partition that has windows alone.
func TestWindowsOutlastSamples(t *testing.T) {
	ctx := context.Background()
	store, m := memkv.New(memkv.Options{}), downsampleModel{}
	db := openDB(t, store, testOptions())
	setDownsampling(t, db)
	r := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		m.appendRandom(t, db, r)
	}
	mint, maxt := testNow.Add(-5*24*time.Hour).UnixMilli(), testNow.UnixMilli()
	seal := func() {
		t.Helper()
		if _, err := db.Seal(ctx); err != nil {
			t.Fatal(err)
		}
	}
	seal()
	dropRaw(t, db)
	expectWindows(t, db, m, time.Hour, mint, maxt) // nothing has been dropped yet
	if _, err := db.Downsample(ctx); err != nil {
		t.Fatal(err)
	}
	dropRaw(t, db)
	check := func() {
		t.Helper()
		for _, width := range downsampleWidths {
			if n := expectWindows(t, db, m, width, mint, maxt); n != 4 {
				t.Fatalf("windows of %d partitions, want 4", n)
			}
		}
	}
	check()
	q, err := db.Querier(series.DefaultTenant, mint, maxt)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range q.Coverage() {
		if c.Raw == (c.Max < maxt) {
			t.Errorf("coverage %+v", c)
		}
	}
	q.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, store, testOptions())
	setDownsampling(t, db)
	check()
	from, to := testNow.Add(-80*time.Hour).Truncate(time.Hour).UnixMilli()+1, testNow.Add(-50*time.Hour).Truncate(time.Hour).UnixMilli()
	_, err = db.Delete(ctx, Deletion{
		Tenant: series.DefaultTenant, Min: from, Max: to,
		Selectors: [][]*labels.Matcher{{matcher(t, labels.MatchEqual, "__name__", "m2")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(m["m2"], func(at int64, _ float64) bool { return at >= from && at <= to })
	check()
	// A window that was empty, and a series that was not there.
	at := testNow.Add(-60 * time.Hour).UnixMilli()
	for _, name := range []string{"m1", "m9"} {
		for m[name][at] != 0 {
			at++
		}
		appendPoints(t, db, labels.FromStrings("__name__", name), point{at, 7})
		if m[name] == nil {
			m[name] = map[int64]float64{}
		}
		m[name][at] = 7
	}
	for _, step := range []func(){func() {}, func() { mustFlush(t, db) }, seal, func() {
		if _, err := db.Downsample(ctx); err != nil {
			t.Fatal(err)
		}
	}, func() { dropRaw(t, db) }} {
		step()
		for _, width := range downsampleWidths {
			expectWindows(t, db, m, width, mint, maxt)
		}
	}
}

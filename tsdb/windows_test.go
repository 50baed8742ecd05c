package tsdb

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// selectWindows returns all windows of the matching series, copied, by labels.
func selectWindows(t testing.TB, db *DB, width time.Duration, mint, maxt int64, coarse bool, ms ...*labels.Matcher) map[string]*window.Windows {
	t.Helper()
	q, err := db.Querier(series.DefaultTenant, mint-width.Milliseconds(), maxt+width.Milliseconds())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	r := WindowRange{Width: width, Min: mint, Max: maxt}
	for _, c := range q.Coverage() {
		if coarse && slices.Contains(c.Widths, width) {
			r.Stored = append(r.Stored, StoredWindows{c.Min, c.Max, width})
		}
	}
	set, err := q.SelectWindows(t.Context(), r, ms...)
	if err != nil {
		t.Fatal(err)
	}
	reader := set.Reader()
	defer reader.Close()
	out := map[string]*window.Windows{}
	for i := range set.Len() {
		w, _, err := reader.Read(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if w.Len() > 0 {
			c := &window.Windows{}
			c.Join(w)
			out[set.Labels(i).String()] = c
		}
	}
	if w := q.Warnings(); len(w) > 0 {
		t.Fatal(w)
	}
	return out
}

func TestSelectWindowsOfSamples(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	base := testNow.Add(-time.Hour).UnixMilli()
	minute := time.Minute.Milliseconds()
	appendPoints(t, db, labels.FromStrings("__name__", "a"), point{base + 1, 3}, point{base + 2*minute, 1}, point{base + 5*minute, 4}, point{base + 5*minute + 1, 5})
	mustFlush(t, db)
	appendPoints(t, db, labels.FromStrings("__name__", "a"), point{base + 7*minute, 6}, point{base + 30*minute, 7})
	appendPoints(t, db, labels.FromStrings("__name__", "b"), point{base + 40*minute, 1})
	all := matcher(t, labels.MatchRegexp, "__name__", ".+")
	got := selectWindows(t, db, 5*time.Minute, base+3*minute, base+10*minute, false, all)
	want := &window.Windows{}
	want.Append([]int64{base + 1, base + 2*minute, base + 5*minute, base + 5*minute + 1, base + 7*minute}, []float64{3, 1, 4, 5, 6}, 5*minute)
	joined := &window.Windows{}
	joined.Join(want)
	if len(got) != 1 || !reflect.DeepEqual(got[`{__name__="a"}`], joined) {
		t.Fatalf("got %+v, want %+v", got, joined)
	}
	q, err := db.Querier(series.DefaultTenant, base, base+1)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	day := base - base%(24*time.Hour).Milliseconds()
	if got, want := q.Coverage(), []Coverage{{Min: day, Max: day + (24 * time.Hour).Milliseconds() - 1, Raw: true}}; !reflect.DeepEqual(got, want) {
		t.Fatalf("coverage %+v, want %+v", got, want)
	}
}

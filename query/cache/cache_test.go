package cache

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/varve-db/varve/query/exec"
)

// rows returns series called by their keys, with points at the times given, whose
// values are the times.
func rows(pairs ...any) promql.Matrix {
	var m promql.Matrix
	for i := 0; i < len(pairs); i += 2 {
		s := promql.Series{Metric: labels.FromStrings("a", pairs[i].(string))}
		for _, t := range pairs[i+1].([]int64) {
			s.Floats = append(s.Floats, promql.FPoint{T: t, F: float64(t)})
		}
		m = append(m, s)
	}
	return m
}

type times = []int64

func TestJoin(t *testing.T) {
	grid := exec.Grid{Start: 10, End: 50, Step: 10}
	entry := NewEntry(rows("b", times{10, 20, 50}, "d", times{30}, "e", times{10}), grid)
	for _, c := range []struct {
		name                string
		kept                exec.Grid
		before, after, want promql.Matrix
	}{
		{"all", grid, nil, nil, rows("b", times{10, 20, 50}, "d", times{30}, "e", times{10})},
		{"a part", exec.Grid{Start: 20, End: 30, Step: 10}, nil, nil, rows("b", times{20}, "d", times{30})},
		{"both ends", exec.Grid{Start: 20, End: 30, Step: 10}, rows("a", times{10}, "b", times{10}, "f", times{0}), rows("b", times{40}, "c", times{40}, "f", times{50}),
			rows("a", times{10}, "b", times{10, 20, 40}, "c", times{40}, "d", times{30}, "f", times{0, 50})},
		{"nothing kept", exec.Grid{Start: 40, End: 40, Step: 10}, rows("c", times{10}), rows("a", times{60}), rows("a", times{60}, "c", times{10})},
		{"nothing", exec.Grid{Start: 40, End: 40, Step: 10}, nil, nil, nil},
	} {
		if got := entry.Join(c.kept, c.before, c.after); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWithin(t *testing.T) {
	entry := NewEntry(nil, exec.Grid{Start: 100, End: 205, Step: 10})
	for _, c := range []struct {
		start, end, first, last, from, to int64
		ok                                bool
	}{
		{100, 200, 0, 1000, 100, 200, true},
		{50, 300, 0, 1000, 100, 200, true},
		{150, 170, 0, 1000, 150, 170, true},
		{50, 300, 111, 159, 120, 150, true},
		{50, 300, 111, 119, 0, 0, false},
		{210, 300, 0, 1000, 0, 0, false},
		{0, 95, 0, 1000, 0, 0, false},
		{150, 175, 0, 1000, 150, 170, true},
	} {
		got, ok := entry.Within(exec.Grid{Start: c.start, End: c.end, Step: 10}, c.first, c.last)
		if ok != c.ok || ok && (got.Start != c.from || got.End != c.to) {
			t.Errorf("%+v: %+v, %t", c, got, ok)
		}
	}
}

func TestWhatIsNoEntry(t *testing.T) {
	grid := exec.Grid{Start: 10, End: 50, Step: 10}
	if NewEntry(rows("a", times{10}, "a", times{20}), grid) != nil {
		t.Error("two series have the same labels")
	}
	h := promql.Matrix{{Histograms: []promql.HPoint{{T: 10, H: &histogram.FloatHistogram{}}}}}
	if NewEntry(h, grid) != nil {
		t.Error("there are histograms")
	}
}

func TestCacheIsBounded(t *testing.T) {
	entry := NewEntry(rows("a", times{10}), exec.Grid{Start: 10, End: 1000, Step: 10})
	one := (&held{"00", entry}).bytes()
	c := New(10*one + one/2)
	for i := range 30 {
		c.Set(fmt.Sprintf("%02d", i), entry)
		if c.Get("00") == nil {
			t.Fatal("what was used last is gone")
		}
	}
	if u := c.Usage(); u.Entries != 10 || u.Bytes != 10*one || u.Evicted != 20 {
		t.Errorf("%+v", u)
	}
	if c.Get("29") == nil || c.Get("20") != nil {
		t.Error("it was not the oldest that went")
	}
	large := NewEntry(rows("a", times{10}), exec.Grid{Start: 10, End: 10000, Step: 10})
	c.Set("29", large)
	if u := c.Usage(); c.Get("29") != nil || u.Entries != 9 || u.Bytes != 9*one {
		t.Errorf("an entry larger than a share was kept, or the old one: %+v", u)
	}
}

package tsdb

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// checkClaims returns an error if what columns say about their floats is not true.
func checkClaims(c *chunks.Columns) error {
	if c.Every == 0 && c.First != 0 || c.Every < 0 {
		return fmt.Errorf("times every %d ms from %d on", c.Every, c.First)
	}
	for k, t := range c.Times {
		if c.Every > 0 && t != c.First+int64(k)*c.Every {
			return fmt.Errorf("time %d is %d, should be every %d ms from %d on", k, t, c.Every, c.First)
		}
	}
	for k, v := range c.Values {
		falls := k > 0 && v < c.Values[k-1]
		if c.Known.Plain && v-v != 0 || c.Known.Rising && falls || c.Known.Whole && v != math.Trunc(v) {
			return fmt.Errorf("value %d is %v, but %+v", k, v, c.Known)
		}
	}
	return nil
}

// TestSealedColumnsKnowTheirRhythm reads sealed series in ranges that cut them.
func TestSealedColumnsKnowTheirRhythm(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	const n = 2500
	start := testNow.UnixMilli() - n*15_000
	add := func(name string, time func(k int) int64, value func(k int) float64) {
		points := make([]point, n)
		for k := range points {
			points[k] = point{time(k), value(k)}
		}
		appendPoints(t, db, labels.FromStrings("__name__", name), points...)
	}
	steady := func(k int) int64 { return start + int64(k)*15_000 }
	add("counter", steady, func(k int) float64 { return float64(k * k) })
	add("reset", steady, func(k int) float64 { return float64(k % 1700) })
	add("stale", steady, func(k int) float64 {
		if k == 700 {
			return math.Float64frombits(0x7ff0000000000002)
		}
		return float64(k)
	})
	add("gap", func(k int) int64 { return steady(k) + int64(k/1800)*15_000 }, func(int) float64 { return 0.5 })
	add("jitter", func(k int) int64 { return steady(k) + int64(k%2) }, func(k int) float64 { return float64(k) / 10 })
	if _, err := db.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	steadies := map[string]bool{"counter": true, "reset": true, "stale": true, "gap": false, "jitter": false}
	for _, span := range [][2]int64{{math.MinInt64, math.MaxInt64}, {start + 1, start + n*15_000}, {start + 100*15_000, start + 2000*15_000 - 1}} {
		q, err := db.Querier(series.DefaultTenant, span[0], span[1])
		if err != nil {
			t.Fatal(err)
		}
		set, err := q.SelectColumns(context.Background(), span[0], span[1], labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
		if err != nil {
			t.Fatal(err)
		}
		r := set.Reader()
		for i := range set.Len() {
			name := set.Labels(i).Get("__name__")
			c, err := r.Read(context.Background(), i)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkClaims(c); err != nil {
				t.Errorf("%s in %v: %v", name, span, err)
			}
			if steady := c.Every == 15_000; steady != steadies[name] {
				t.Errorf("%s in %v: every %d ms", name, span, c.Every)
			}
			if c.Known.Rising != (name == "counter" || name == "gap" || name == "jitter") {
				t.Errorf("%s in %v: %+v", name, span, c.Known)
			}
		}
		r.Close()
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

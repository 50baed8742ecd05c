package column

import (
	"fmt"
	"math"
	"testing"
)

// checkFacts returns an error if something in f is not true of values.
func checkFacts(f Facts, values []float64) error {
	if (f.Rising || f.Whole) && !f.Plain {
		return fmt.Errorf("%+v, but not plain", f)
	}
	for k, v := range values {
		switch {
		case f.Plain && (v-v != 0 || v == 0 && math.Signbit(v)):
			return fmt.Errorf("%+v, but value %d is %v", f, k, v)
		case f.Rising && k > 0 && v < values[k-1]:
			return fmt.Errorf("%+v, but value %d falls from %v to %v", f, k, values[k-1], v)
		case f.Whole && (float64(int64(v)) != v || math.Abs(v) > 1<<53):
			return fmt.Errorf("%+v, but value %d is %v", f, k, v)
		}
	}
	return nil
}

// TestFactsAreTrue encodes columns of all families, and expects the facts of each
// to be true, and to be known where they should be.
func TestFactsAreTrue(t *testing.T) {
	var e Encoder
	var d Decoder
	known := map[Facts]int{}
	for _, family := range append(families(), edges()...) {
		for round, n := range []int{1, 2, 64, 257, 1024} {
			values := family.make(newRand(round, n), n)
			got := make([]float64, n)
			src := e.AppendValues(nil, values)
			if err := d.Values(got, src); err != nil {
				t.Fatal(err)
			}
			if err := checkFacts(d.Facts(), got); err != nil {
				t.Errorf("%s, %d values: %v", family.name, n, err)
			}
			known[d.Facts()]++
		}
	}
	for _, f := range []Facts{{}, {Plain: true}, {Plain: true, Rising: true}, {Plain: true, Whole: true}, {true, true, true}} {
		if known[f] == 0 {
			t.Errorf("no column has %+v", f)
		}
	}
}

func TestFactsOfColumnsInARow(t *testing.T) {
	all := Facts{true, true, true}
	for _, c := range []struct {
		before, next Facts
		last, first  float64
		want         Facts
	}{
		{all, all, 1, 1, all},
		{all, all, 1, 0, Facts{Plain: true, Whole: true}},
		{all, Facts{Plain: true, Rising: true}, 1, 1.5, Facts{Plain: true, Rising: true}},
		{all, Facts{}, 1, 2, Facts{}},
		{Facts{Plain: true}, all, 1, 2, Facts{Plain: true}},
	} {
		if got := c.before.Before(c.next, c.last, c.first); got != c.want {
			t.Errorf("%+v before %+v: %+v, want %+v", c.before, c.next, got, c.want)
		}
	}
}

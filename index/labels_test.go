package index

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// TestEachLabels reads more label sets than are read at once, and their values.
func TestEachLabels(t *testing.T) {
	table := New(Options{Seed: 3})
	var batch series.Batch
	const n = 2*labelsAtOnce + 7
	for i := range n {
		ls := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "same", fmt.Sprint(i%10))
		if i%3 == 0 {
			ls = labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
		}
		if reason, detail := batch.AddSeries(ls); reason != "" {
			t.Fatal(detail)
		}
	}
	refs, _ := table.Resolve(0, &batch, 1, nil)
	slices.Reverse(refs)
	seen := 0
	err := table.EachLabels(refs, func(i int, ls series.Labels) error {
		if want := batch.Labels(n - 1 - i); i != seen || string(ls) != string(want) {
			return fmt.Errorf("set %d (%d) is %s, want %s", i, seen, ls, want)
		}
		seen++
		return nil
	})
	if err != nil || seen != n {
		t.Fatalf("%d of %d sets: %v", seen, n, err)
	}
	stop := errors.New("stop")
	if err := table.EachLabels(refs, func(int, series.Labels) error { return stop }); err != stop {
		t.Fatalf("the visitor's error is lost: %v", err)
	}
	values := map[string]struct{}{}
	table.ValuesOf("same", refs[:30], values)
	table.ValuesOf("none", refs, values)
	want := map[string]struct{}{}
	for i := n - 30; i < n; i++ {
		if i%3 != 0 {
			want[fmt.Sprint(i%10)] = struct{}{}
		}
	}
	if !maps.Equal(values, want) {
		t.Fatalf("values %v, want %v", values, want)
	}
}

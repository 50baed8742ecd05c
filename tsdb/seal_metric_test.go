package tsdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// metricOf makes up a label set of a metric; the name may be absent, and labels
// sort before and after those that have places of their own.
func metricOf(r *rand.Rand, name string) series.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set("__name__", name)
	for _, l := range []string{"A", "__a__", "instance", "job", "la", "le", "lee", "z"} {
		switch {
		case r.IntN(3) == 0:
		case l == "le":
			b.Set(l, []string{"1", "2", "10", "1e1", "+Inf", "NaN", "-3", "x", "xx", "1e999", "0x1p1"}[r.IntN(11)])
		default:
			b.Set(l, fmt.Sprint(r.IntN(4)))
		}
	}
	return series.AppendLabels(nil, b.Labels())
}

// TestSealMetricOrder expects sets to come in the order of block.CompareSealed,
// equal ones together and in the order of their inputs, and to come back as they
// were added, also when the memory is used again.
func TestSealMetricOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var m sealMetric
	merged := 0
	for round := range 300 {
		names := [][]string{{"requests"}, {"a"}, {""}, {"", "A", "a", "le", "requests"}}[round%4]
		m.reset(r.IntN(10))
		type member struct {
			input   int
			ordinal uint32
			labels  series.Labels
		}
		var want []member
		for input := range 1 + r.IntN(4) {
			known := map[string]bool{}
			for ordinal := range uint32(r.IntN(60)) {
				ls := metricOf(r, names[r.IntN(len(names))])
				if len(want) > 0 && r.IntN(4) == 0 {
					ls = want[r.IntN(len(want))].labels // as an earlier input may have it
				}
				if known[string(ls)] {
					continue // an input has a set once
				}
				known[string(ls)] = true
				m.add(input, ordinal, ls)
				want = append(want, member{input, ordinal, ls})
			}
		}
		m.sort()
		slices.SortStableFunc(want, func(a, b member) int { return block.CompareSealed(a.labels, b.labels) })
		for i := range m.all {
			got := &m.all[i]
			if ls := m.appendLabels(nil, got); !bytes.Equal(ls, want[i].labels) || got.input != uint32(want[i].input) || got.ordinal != want[i].ordinal {
				t.Fatalf("round %d: member %d is %s of input %d, want %s of input %d", round, i, ls, got.input, want[i].labels, want[i].input)
			}
		}
		for from := 0; from < len(want); {
			n := 1
			for from+n < len(want) && bytes.Equal(want[from].labels, want[from+n].labels) {
				n++
			}
			if got := m.same(m.all[from:]); got != n {
				t.Fatalf("round %d: %d members have the labels %s, want %d", round, got, want[from].labels, n)
			}
			from += n
			merged += n - 1
		}
	}
	if merged == 0 {
		t.Error("no label set came twice")
	}
}

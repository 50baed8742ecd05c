package exec

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

// uniteByMap is unite, plainly.
func uniteByMap(series []Series) (distinct []Series, to []int) {
	at := map[string]int{}
	for _, s := range series {
		first, known := at[s.Labels.String()]
		if !known {
			first = len(distinct)
			at[s.Labels.String()] = first
			distinct = append(distinct, s)
		}
		to = append(to, first)
	}
	if len(distinct) == len(series) {
		to = nil
	}
	return distinct, to
}

// TestUnite compares the merging of label sets with a plain one: in order and
// not, with repetitions and without.
func TestUnite(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 60 {
		for _, variety := range []int{1, n/2 + 1, 1 << 30} {
			series := make([]Series, n)
			for i := range series {
				series[i].Labels = labels.FromStrings("h", fmt.Sprint(r.IntN(variety)), "j", "x")
			}
			if n%2 == 0 {
				slices.SortFunc(series, func(a, b Series) int { return labels.Compare(a.Labels, b.Labels) })
			}
			before := slices.Clone(series)
			distinct, to := unite(series)
			wantDistinct, wantTo := uniteByMap(before)
			same := func(a, b Series) bool { return labels.Equal(a.Labels, b.Labels) }
			if !slices.EqualFunc(distinct, wantDistinct, same) || !slices.Equal(to, wantTo) {
				t.Fatalf("unite(%v) = %v, %v; want %v, %v", before, distinct, to, wantDistinct, wantTo)
			}
			if !slices.EqualFunc(series, before, same) {
				t.Fatalf("unite changed its argument %v to %v", before, series)
			}
		}
	}
}

// BenchmarkUniteSeries looks for equal label sets among ten thousand: of a
// selection, and in no order.
func BenchmarkUniteSeries(b *testing.B) {
	series := make([]Series, 10_000)
	for i := range series {
		series[i].Labels = labels.FromStrings("dc", "dc1", "h", fmt.Sprintf("host-%05d", i), "job", "node")
	}
	shuffled := slices.Clone(series)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
	for name, list := range map[string][]Series{"in order": series, "in no order": shuffled} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				unite(list)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(list)), "ns/series")
		})
	}
}

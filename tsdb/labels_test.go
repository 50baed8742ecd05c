package tsdb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// TestLabelArena compares the sets that the arena makes with those of the builder,
// long names and values among them.
func TestLabelArena(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	var arena labelArena
	var got, want []labels.Labels
	var encoded series.Labels
	for range 2000 {
		b := labels.NewBuilder(labels.EmptyLabels())
		for range r.IntN(8) {
			name := fmt.Sprintf("n%d", r.IntN(50))
			value := strings.Repeat("é", 1+r.IntN(20))
			switch r.IntN(30) {
			case 0:
				name = strings.Repeat("n", 120+r.IntN(200))
			case 1:
				value = strings.Repeat("v", 120+r.IntN(300))
			case 2:
				value = strings.Repeat("v", 126+r.IntN(4))
			}
			b.Set(name, value)
		}
		ls := b.Labels()
		encoded = series.AppendLabels(encoded[:0], ls)
		decoded, err := arena.decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		clear(encoded) // the arena keeps a copy
		got, want = append(got, decoded), append(want, ls)
	}
	for i := range got {
		if !labels.Equal(got[i], want[i]) || got[i].String() != want[i].String() || got[i].Hash() != want[i].Hash() {
			t.Fatalf("set %d is %s, want %s", i, got[i], want[i])
		}
	}
}

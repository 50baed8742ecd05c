package block

import (
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

// TestOrdinalSet compares sets of bits with roaring bitmaps.
func TestOrdinalSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		limit := uint32(1 + r.IntN(5000))
		set, want := newOrdinalSet(limit), roaring.New()
		for range 1 + r.IntN(4) {
			var one runs
			step := uint32(1 + r.IntN(40))
			for ordinal := r.Uint32N(limit); ordinal < limit; ordinal += 1 + r.Uint32N(step) {
				one.add(ordinal)
			}
			row, err := one.append(nil)
			if err != nil {
				t.Fatal(err)
			}
			alone := roaring.New()
			if err := addPostings(alone, row, limit); err != nil {
				t.Fatal(err)
			}
			met, err := set.meets(row, limit)
			if err != nil || met != want.Intersects(alone) {
				t.Fatalf("meets says %v, %v", met, err)
			}
			want.Or(alone)
			if err := set.add(row, limit); err != nil {
				t.Fatal(err)
			}
			if last := uint32(alone.Maximum()); set.add(row, last) == nil {
				t.Fatalf("a row with ordinal %d is accepted below a limit of %d", last, last)
			}
		}
		if again := ordinalSetOf(want, limit); !again.bitmap().Equals(want) || !set.bitmap().Equals(want) {
			t.Fatal("the sets differ")
		}
	}
}

package window

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestNewestDecidesPositions compares the positions of samples with the same Newest.
func TestNewestDecidesPositions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	type known struct {
		at       []int32
		lookback int64
	}
	seen, repeated := map[Newest]known{}, 0
	for range 60_000 {
		every := []int64{1, 3, 5}[r.IntN(3)]
		s := Samples{Every: every, First: r.Int64N(40) - 20, Times: make([]int64, 1+r.IntN(6))}
		for k := range s.Times {
			s.Times[k] = s.First + int64(k)*every
		}
		start, step, lookback, n := r.Int64N(40)-20, 1+r.Int64N(8), 6*every, 1+r.IntN(6)
		if r.IntN(10) == 0 {
			lookback = 1 + r.Int64N(every)
		}
		newest, ok := s.Newest(start, step, lookback, n)
		if !ok {
			continue
		}
		at := make([]int32, n)
		for i := range at {
			ref := start + int64(i)*step
			at[i] = -1
			for k, time := range s.Times {
				if time <= ref && time > ref-lookback {
					at[i] = int32(k)
				}
			}
		}
		before, found := seen[newest]
		if !found {
			seen[newest] = known{at, lookback}
			continue
		}
		repeated++
		if !slices.Equal(before.at, at) {
			t.Fatalf("%+v: %v with a lookback of %d, %v with %d", newest, before.at, before.lookback, at, lookback)
		}
	}
	if repeated < 1000 {
		t.Errorf("only %d of the shapes came again", repeated)
	}
}

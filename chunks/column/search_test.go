package column

import (
	"math"
	"testing"
)

// costOf is what the windows take with by.
func costOf(v []float64, starts []int, by scaling) (cost int, exact, near bool) {
	exact, near = true, true
	for _, start := range starts {
		cost += by.mixedCost(v[start:min(start+windowSize, len(v))], &exact, &near)
	}
	return cost, exact, near
}

// leastCost tries the exponents one after the other, up to the first with which no
// correction is needed.
func leastCost(v []float64, starts []int) int {
	least := math.MaxInt
	for e := range uint8(exponentMax + 1) {
		rules := []uint8{ruleQuotient}
		cost, exact, near := costOf(v, starts, scaling{exponent: e})
		least = min(least, cost)
		if near && e > 0 {
			rules = append(rules, ruleProduct)
		}
		if near && e == twiceExponent {
			rules = append(rules, ruleTwice)
		}
		for _, rule := range rules[1:] {
			if !exact {
				cost, exact, _ = costOf(v, starts, scaling{exponent: e, rule: rule})
				least = min(least, cost)
			}
		}
		if exact {
			break
		}
	}
	return least
}

// TestSearchMissesNothing compares the search with trying everything. Only where
// no scaling fits may it be a little worse.
func TestSearchMissesNothing(t *testing.T) {
	r := newRand(3, 9)
	for _, f := range families() {
		for _, n := range []int{1, 2, 23, 24, 25, 60, 150, 1024} {
			v := f.make(r, n)
			starts := windowStarts(n)
			by, cost := bestScaling(v, starts)
			if again, _, _ := costOf(v, starts, by); again != cost {
				t.Errorf("%s, %d samples: cost %d of %+v is %d", f.name, n, cost, by, again)
			}
			least := leastCost(v, starts)
			s := search{v: v, starts: starts, size: windowSize}
			if hopeless := s.firstNear() > exponentMax; hopeless {
				least += least / 10
			}
			if cost > least {
				t.Errorf("%s, %d samples: cost %d with %+v, %d is possible", f.name, n, cost, by, least)
			}
		}
	}
}

// TestSplitPlain compares the split of many values with that of each.
func TestSplitPlain(t *testing.T) {
	r := newRand(4, 4)
	var x, ulps [SamplesMax]int64
	plain := 0
	for _, f := range families() {
		v := f.make(r, 256)
		for e := range uint8(exponentMax + 1) {
			for rule := range uint8(ruleTwice + 1) {
				by := scaling{exponent: e, rule: rule}
				if !by.valid() || !by.splitPlain(x[:], ulps[:], v) {
					continue
				}
				plain++
				for i, value := range v {
					if wantX, wantUlps, ok := by.split(value); !ok || x[i] != wantX || ulps[i] != wantUlps {
						t.Fatalf("%s: %v under %+v is %d and %d, want %d and %d", f.name, value, by, x[i], ulps[i], wantX, wantUlps)
					}
				}
			}
		}
	}
	if plain == 0 {
		t.Error("no values were plain")
	}
}

// TestGlanceLosesLittle compares the plans with those made from looking at
// all residuals of all predictors.
func TestGlanceLosesLittle(t *testing.T) {
	r := newRand(8, 1)
	planned, least := 0, 0
	for _, f := range families() {
		for _, n := range []int{63, 64, 150, 400, 1024} {
			v := f.make(r, n)
			e := NewEncoder(Balanced)
			e.scale(v, scaling{})
			x := e.x[:n]
			bits := math.MaxInt
			for predictor := range 4 {
				bits = min(bits, e.planPredictor(x, predictor, false).bits)
			}
			p := e.planInts(x)
			if p.bits > bits+bits/16+16 {
				t.Errorf("%s, %d samples: %d bits, %d are possible", f.name, n, p.bits, bits)
			}
			planned += p.bits
			least += bits
		}
	}
	if planned > least+least/100 {
		t.Errorf("%d bits in all, %d are possible", planned, least)
	}
}

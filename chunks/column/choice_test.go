package column

import "testing"

// TestChoices holds the encoder to the form that each kind of data is for.
func TestChoices(t *testing.T) {
	byName := make(map[string]family)
	for _, f := range families() {
		byName[f.name] = f
	}
	for _, c := range []struct {
		family  string
		kind    byte
		scaling scaling
		bytes   int // most bytes for 1,024 samples
	}{
		{"zero", kindConstInt, scaling{}, 2},
		{"line", kindDecimal, scaling{}, 24},
		{"square", kindDecimal, scaling{}, 24},
		{"counter", kindDecimal, scaling{}, 930},
		{"gauge2", kindDecimal, scaling{exponent: 2}, 1820},
		{"milli", kindDecimal, scaling{exponent: 3, rule: ruleProduct}, 2600},
		{"micro twice", kindDecimal, scaling{exponent: 6, rule: ruleTwice}, 3900},
		{"pages", kindDecimal, scaling{}, 2620},
		{"few", kindDict, scaling{}, 450},
		{"seldom", kindDecimal, scaling{}, 90},
		{"sum of decimals", kindDecimal, scaling{exponent: 3}, 2300},
		{"bits", kindRaw, scaling{}, 8240},
	} {
		t.Run(c.family, func(t *testing.T) {
			v := byName[c.family].make(newRand(5, 6), 1024)
			e := NewEncoder(Fast)
			p := e.plan(v)
			src := e.AppendValues(nil, v)
			if kind := src[0] & kindMask; kind != c.kind || len(src) > c.bytes {
				t.Errorf("kind %d, %d bytes, want kind %d, %d bytes", kind, len(src), c.kind, c.bytes)
			}
			if c.kind == kindDecimal && p.scaling != c.scaling {
				t.Errorf("scaling %+v, want %+v", p.scaling, c.scaling)
			}
		})
	}
}

// TestHigherLevelsAreNotLarger holds the levels to their order on real data.
func TestHigherLevelsAreNotLarger(t *testing.T) {
	for _, name := range []string{"node_1s", "goapp_1s"} {
		series := dataSet(t, name)
		before := 1 << 62
		for _, level := range levels {
			s := seal(t, series, level)
			if s.bytes() > before {
				t.Errorf("%s: %v takes %d bytes, the level below %d", name, level, s.bytes(), before)
			}
			before = s.bytes()
		}
	}
}

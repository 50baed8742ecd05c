package tsdb

import (
	"testing"
	"time"
)

// TestFreezeDue decides about epochs with the default limits.
func TestFreezeDue(t *testing.T) {
	const m, h = time.Minute, time.Hour
	o := Options{}.withDefaults()
	for _, c := range []struct {
		name         string
		age          time.Duration
		bytes        int64
		span, spread time.Duration
		want         bool
	}{
		{"live", 9 * m, 1 << 20, 10 * m, 9 * m, false},
		{"old", 10 * m, 1 << 20, 10 * m, 10 * m, true},
		{"large", m, 256 << 20, m, m, true},
		{"live with a stray sample", 9 * m, 1 << 20, 30 * 24 * h, 9 * m, false},
		{"an import has just begun", 4 * time.Second, 1 << 20, 6 * h, 6 * h, false},
		{"import", 5 * time.Second, 1 << 20, 6 * h, 2*h + 5*time.Second, true},
		{"import of less", 5 * time.Second, 1 << 20, 6 * h, 2 * h, false},
		{"catching up", 30 * time.Second, 1 << 20, 31 * m, 30*m + 30*time.Second, true},
		{"catching up, a little", 9 * m, 1 << 20, 38 * m, 38 * m, false},
		{"half the series catch up", 5 * m, 1 << 20, 6 * h, 3 * h, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := epochState{age: c.age, bytes: c.bytes, span: c.span, spread: func() time.Duration { return c.spread }}
			if got := e.due(&o); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestFreezeLooksSeldom expects that nobody walks the series while no epoch can be
// ahead of the clock.
func TestFreezeLooksSeldom(t *testing.T) {
	o := Options{}.withDefaults()
	for age := time.Duration(0); age < o.EpochAgeMax; age += time.Second {
		e := epochState{age: age, span: age + 20*time.Minute, spread: func() time.Duration {
			t.Fatal("the series were walked")
			return 0
		}}
		e.due(&o)
	}
}

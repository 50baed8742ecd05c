package retention

import (
	"slices"
	"testing"
	"time"
)

const day = 24 * time.Hour

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// window returns the one-day partition n days after epoch.
func window(n int, bytes uint64) Partition {
	start := epoch.Add(time.Duration(n) * day)
	return Partition{Start: start.UnixMilli(), End: start.Add(day).UnixMilli(), Bytes: bytes}
}

func TestExpired(t *testing.T) {
	days := func(n ...int) []Partition {
		var parts []Partition
		for _, d := range n {
			parts = append(parts, window(d, 100))
		}
		return parts
	}
	cases := []struct {
		name   string
		parts  []Partition
		policy Policy
		now    time.Time
		want   []Partition
	}{
		{"nothing there", nil, Policy{Keep: day, BytesMax: 1}, epoch, nil},
		{"zero policy keeps everything", days(0, 1, 2), Policy{}, epoch.Add(1000 * day), nil},
		{"a partition goes when its end is as old as keep", days(0, 1, 2), Policy{Keep: 2 * day}, epoch.Add(3 * day), days(0)},
		{"and not a millisecond before", days(0, 1, 2), Policy{Keep: 2 * day}, epoch.Add(3*day - time.Millisecond), nil},
		{"age may take all", days(0, 1, 2), Policy{Keep: day}, epoch.Add(100 * day), days(0, 1, 2)},
		{"unsorted input, oldest first", days(2, 0, 1), Policy{Keep: day}, epoch.Add(3 * day), days(0, 1)},
		{"size drops the oldest until the rest fits", days(0, 1, 2, 3), Policy{BytesMax: 250}, epoch, days(0, 1)},
		{"a total that just fits stays", days(0, 1, 2), Policy{BytesMax: 300}, epoch, nil},
		{"size never takes the newest", days(0, 1, 2), Policy{BytesMax: 1}, epoch, days(0, 1)},
		{"size counts what age leaves", days(0, 1, 2, 3), Policy{Keep: 2 * day, BytesMax: 200}, epoch.Add(4 * day), days(0, 1)},
		{"size takes windows as a whole", days(0, 0, 1, 1, 2), Policy{BytesMax: 450}, epoch, days(0, 0)},
		{"size takes no part of the newest window", days(0, 1, 1, 1), Policy{BytesMax: 1}, epoch, days(0)},
		{"both rules", days(0, 1, 2, 3), Policy{Keep: 2 * day, BytesMax: 100}, epoch.Add(4 * day), days(0, 1, 2)},
		{"partitions in the future stay", days(50), Policy{Keep: day}, epoch, nil},
	}
	for _, c := range cases {
		before := slices.Clone(c.parts)
		got := Expired(c.parts, c.policy, c.now)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if !slices.Equal(before, c.parts) {
			t.Errorf("%s: the input was changed", c.name)
		}
	}
}

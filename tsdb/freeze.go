package tsdb

import (
	"math"
	"time"
)

// Samples that arrive faster than the clock goes, as in an import or when a sender
// catches up, are not kept in memory as long as others: queries for hours would
// read them slowly. An epoch that is ahead of the clock by so much data time is
// frozen after so much time of the clock.
var aheadMax = [...]struct{ data, clock time.Duration }{
	{sealEvery, 5 * time.Second},
	{sealAhead, 30 * time.Second},
}

// epochState is what is known of the open epoch.
type epochState struct {
	age    time.Duration
	bytes  int64
	span   time.Duration        // from its first sample to its last
	spread func() time.Duration // see head.Epoch; at most about span
}

// state returns what is known of the epoch at a moment.
func (e *openEpoch) state(now time.Time) epochState {
	s := epochState{age: now.Sub(e.opened), bytes: e.Bytes(), spread: e.Spread}
	if first, last := e.Range(); first <= last {
		s.span = time.Duration(min(last-first, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	}
	return s
}

// due reports whether the epoch is to be frozen.
func (e epochState) due(o *Options) bool {
	if e.age >= o.EpochAgeMax || e.bytes >= o.EpochBytesMax {
		return true
	}
	for _, m := range aheadMax {
		if e.age >= m.clock && e.span-e.age >= m.data && e.spread()-e.age >= m.data {
			return true
		}
	}
	return false
}

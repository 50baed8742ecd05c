package tsdb

import (
	"testing"
	"time"
)

func TestSealNeed(t *testing.T) {
	const m, h, long = time.Minute, time.Hour, 100 * time.Hour
	for _, c := range []struct {
		name string
		s    partitionState
		want sealNeed
	}{
		{"nothing", partitionState{quiet: long}, sealNothing},
		{"live, young", partitionState{since: 110 * m, open: 1, flushes: 11, openSamples: 11, gathered: 108 * m}, sealNothing},
		{"live, two hours", partitionState{since: 2 * h, open: 1, flushes: 11, openSamples: 11, gathered: 108 * m}, sealUnsealed},
		{"live, twelve flushes", partitionState{since: 119 * m, open: 1, flushes: 12, openSamples: 12, gathered: 118 * m}, sealUnsealed},
		{"sealed already", partitionState{since: 5 * h, sealed: 2, sealedSamples: 10}, sealNothing},

		{"import into today", partitionState{since: m, open: 1, flushes: 1, openSamples: 100, gathered: 6 * h}, sealUnsealed},
		{"more of it", partitionState{since: m, open: 1, flushes: 1, openSamples: 100, gathered: 2 * h, sealed: 1, sealedSamples: 800}, sealUnsealed},
		{"little more of it", partitionState{since: m, open: 1, flushes: 1, openSamples: 99, gathered: 2 * h, sealed: 1, sealedSamples: 800}, sealNothing},
		{"little more in many flushes", partitionState{since: m, open: 1, flushes: 40, openSamples: 99, gathered: 80 * h, sealed: 1, sealedSamples: 800}, sealNothing},
		{"the rest of it, perhaps not all", partitionState{since: m, quiet: 29 * time.Second, open: 1, flushes: 1, openSamples: 100, gathered: 31 * m, sealed: 1, sealedSamples: 800}, sealNothing},
		{"the rest of it", partitionState{since: m, quiet: 30 * time.Second, open: 1, flushes: 1, openSamples: 100, gathered: 31 * m, sealed: 1, sealedSamples: 800}, sealUnsealed},
		{"live in the meantime", partitionState{since: 100 * m, quiet: 9 * m, open: 1, flushes: 10, openSamples: 100, gathered: 120*m - 1, sealed: 1, sealedSamples: 800}, sealNothing},
		{"little more, hours later", partitionState{since: 2 * h, open: 1, flushes: 1, openSamples: 1, gathered: m, sealed: 1, sealedSamples: 800}, sealUnsealed},

		{"day over", partitionState{ended: true, quiet: 5 * m, since: m, open: 1, flushes: 3, openSamples: 3, sealed: 12, sealedSamples: 140}, sealAll},
		{"day over, all sealed", partitionState{ended: true, quiet: long, since: m, sealed: 12, sealedSamples: 140}, sealAll},
		{"day over and merged", partitionState{ended: true, quiet: long, since: m, sealed: 1, sealedSamples: 140}, sealNothing},
		{"old day, import under way", partitionState{ended: true, quiet: 29 * time.Second, since: m, open: 1, flushes: 1, openSamples: 10, gathered: h}, sealNothing},
		{"old day, much came", partitionState{ended: true, quiet: 5 * time.Second, since: m, open: 1, flushes: 1, openSamples: 10, gathered: 24 * h}, sealNothing},
		{"old day, it does not end", partitionState{ended: true, quiet: 5 * time.Second, since: m, open: 1, flushes: 12, openSamples: 10, gathered: 24 * h}, sealUnsealed},
		{"old day, import over", partitionState{ended: true, quiet: 30 * time.Second, since: m, open: 1, flushes: 1, openSamples: 10, gathered: h}, sealAll},
		{"old day, pieces of an import", partitionState{ended: true, quiet: 30 * time.Second, since: m, sealed: 3, sealedSamples: 300}, sealAll},
		{"late, little", partitionState{ended: true, quiet: long, since: h, open: 1, flushes: 1, openSamples: 6, gathered: 3 * h, sealed: 1, sealedSamples: 100}, sealNothing},
		{"late, more", partitionState{ended: true, quiet: long, since: h, open: 1, flushes: 1, openSamples: 7, sealed: 1, sealedSamples: 100}, sealAll},
		{"late, little and long ago", partitionState{ended: true, quiet: long, since: 24 * h, open: 1, flushes: 1, openSamples: 6, sealed: 1, sealedSamples: 100}, sealAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.s.need(); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

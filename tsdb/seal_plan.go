package tsdb

import (
	"time"

	"github.com/varve-db/varve/chunks/column"
)

// When partitions are sealed by themselves.
const (
	sealEvery   = 2 * time.Hour    // what an open partition has gathered
	sealFlushes = 12               // or so many flushes
	sealGrace   = 15 * time.Minute // after a partition's end, for late samples
	lateShare   = 16               // late samples are folded in above one in so many
	lateAge     = 24 * time.Hour   // or after this time
	sealRetry   = time.Hour        // after a seal that failed
)

// sealPlan is a partition that is due.
type sealPlan struct {
	partition
	all   bool // merge the sealed generations too
	level column.Level
	due   bool // by itself, so that queries go first
}

// planSeals decides which partitions of the view are due.
func (db *DB) planSeals(v *view, now time.Time) []sealPlan {
	db.sealMu.Lock()
	defer db.sealMu.Unlock()
	var plans []sealPlan
	for i := 0; i < len(v.generations); {
		p := partition{v.generations[i].ID.Tenant, v.generations[i].ID.Start}
		var open, sealed, flushes int
		var openSamples, sealedSamples uint64
		for ; i < len(v.generations) && v.generations[i].ID.Tenant == p.tenant && v.generations[i].ID.Start == p.start; i++ {
			g := v.generations[i]
			for _, f := range g.Flushes {
				if f.Sealed != nil {
					sealed++
					sealedSamples += f.Samples
				} else {
					flushes++
					openSamples += f.Samples
				}
			}
			if g.Flushes[0].Sealed == nil {
				open++
			}
		}
		last, known := db.lastSeal[p]
		if !known {
			last = now
			db.lastSeal[p] = now
		}
		if now.Before(db.sealRests[p]) {
			continue
		}
		closed := now.UnixMilli() >= p.start+db.options.Width.Milliseconds()+sealGrace.Milliseconds()
		switch {
		case !closed && open > 0 && (now.Sub(last) >= sealEvery || flushes >= sealFlushes):
			plans = append(plans, sealPlan{p, false, column.Fast, true})
		case closed && (sealed > 1 || open > 0 && sealed == 0):
			plans = append(plans, sealPlan{p, true, column.Balanced, true})
		case closed && open > 0 && (openSamples*lateShare >= sealedSamples || flushes >= sealFlushes || now.Sub(last) >= lateAge):
			plans = append(plans, sealPlan{p, true, column.Balanced, true})
		}
	}
	return plans
}

package tsdb

import (
	"time"

	"github.com/varve-db/varve/chunks/column"
)

// When partitions are sealed by themselves.
const (
	sealEvery   = 2 * time.Hour    // what an open partition has gathered, by the clock or in data time
	sealFlushes = 12               // or so many flushes
	sealShare   = 8                // before sealEvery by the clock only above one in so many of what is sealed
	sealAhead   = 30 * time.Minute // so much more data time than passed by the clock is the rest of an import
	sealGrace   = 15 * time.Minute // after a partition's end, for late samples
	sealQuiet   = 30 * time.Second // after a flush that may be part of an import
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
	again bool // even if there is nothing to merge
}

// sealNeed is what a partition needs.
type sealNeed int

const (
	sealNothing  sealNeed = iota
	sealUnsealed          // what is not sealed, into one more sealed generation, fast
	sealAll               // everything into one
)

// partitionState is what decides about a partition.
type partitionState struct {
	ended    bool          // so long ago that no more samples are expected
	since    time.Duration // the last seal
	quiet    time.Duration // since the last flush, as far as that is known
	gathered time.Duration // data time in what is not sealed, see head.Epoch.Spread

	open, sealed               int // generations
	flushes                    int // that are not sealed
	openSamples, sealedSamples uint64
}

// add counts a generation in.
func (s *partitionState) add(g *heldGeneration, now time.Time) {
	if g.Flushes[0].Sealed != nil {
		s.sealed++
	} else {
		s.open++
		s.gathered += g.gathered
		if !g.flushed.IsZero() {
			s.quiet = min(s.quiet, now.Sub(g.flushed))
		}
	}
	for _, f := range g.Flushes {
		if f.Sealed != nil {
			s.sealedSamples += f.Samples
		} else {
			s.flushes++
			s.openSamples += f.Samples
		}
	}
}

// need decides. Each sample is sealed fast at most once, and then when everything
// is merged, which waits until nothing more seems to come. Before sealEvery by the
// clock a seal needs enough samples, so that the sealed generations of an import
// grow with it and remain few.
func (s *partitionState) need() sealNeed {
	enough := s.openSamples*sealShare >= s.sealedSamples
	imported := s.gathered >= sealEvery || s.gathered-s.since >= sealAhead && s.quiet >= sealQuiet
	switch {
	case s.ended && s.quiet >= sealQuiet:
		late := s.open > 0 && (s.openSamples*lateShare >= s.sealedSamples || s.flushes >= sealFlushes || s.since >= lateAge)
		if s.sealed > 1 || s.open > 0 && s.sealed == 0 || late {
			return sealAll
		}
	case s.open > 0 && (s.since >= sealEvery || enough && (s.flushes >= sealFlushes || !s.ended && imported)):
		return sealUnsealed
	}
	return sealNothing
}

// planSeals decides which partitions of the view are due.
func (db *DB) planSeals(v *view, now time.Time) []sealPlan {
	db.sealMu.Lock()
	defer db.sealMu.Unlock()
	var plans []sealPlan
	for i := 0; i < len(v.generations); {
		p := v.generations[i].partition()
		last, known := db.lastSeal[p]
		if !known {
			last = now
			db.lastSeal[p] = now
		}
		s := partitionState{
			ended: now.UnixMilli() >= p.start+db.options.Width.Milliseconds()+sealGrace.Milliseconds(),
			since: now.Sub(last), quiet: sealQuiet,
		}
		for ; i < len(v.generations) && v.generations[i].partition() == p; i++ {
			s.add(v.generations[i], now)
		}
		if now.Before(db.sealRests[p]) {
			continue
		}
		switch s.need() {
		case sealUnsealed:
			plans = append(plans, sealPlan{partition: p, level: column.Fast, due: true})
		case sealAll:
			plans = append(plans, sealPlan{partition: p, all: true, level: column.Balanced, due: true})
		}
	}
	return plans
}

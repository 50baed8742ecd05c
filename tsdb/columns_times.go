package tsdb

import (
	"slices"
	"unsafe"

	"github.com/varve-db/varve/chunks"
)

// sharedTimes hands out timestamps: equal ones that follow each other as one
// slice. What it has handed out it never changes.
type sharedTimes struct {
	last    []int64 // handed out
	every   int64   // their distance and the first, 0 if it differs or is not known
	first   int64
	scratch []int64 // to decode into

	known     map[timesSketch][]int64 // given away
	knownHeld int
}

// timesSketch is by what timestamps are found.
type timesSketch struct {
	n                   int
	first, middle, last int64
}

// timesCacheBytes bounds the decoded timestamps of sealed generations that a
// database keeps for all its readers; knownTimesMax the timestamps of other
// samples that one reader keeps.
const (
	timesCacheBytes = 64 << 20
	knownTimesMax   = 2 << 20
)

// settle returns the slice handed out last, if the times of c are equal to it.
func (s *sharedTimes) settle(c *chunks.Columns) []int64 {
	if len(c.Times) == 0 {
		return c.Times
	}
	if !s.repeats(c) {
		s.last, s.every, s.first = c.Times, c.Every, c.First
	}
	return s.last
}

// repeats reports whether the times of c, of which there are some, are those handed
// out last.
func (s *sharedTimes) repeats(c *chunks.Columns) bool {
	n := len(c.Times)
	switch {
	case n != len(s.last):
		return false
	case unsafe.SliceData(c.Times) == unsafe.SliceData(s.last):
		return true
	case c.Every != 0 && s.every != 0:
		return c.First == s.first && (n == 1 || c.Every == s.every) // one has no distance
	default:
		return c.Times[0] == s.last[0] && c.Times[n-1] == s.last[n-1] && slices.Equal(c.Times, s.last)
	}
}

// buffer returns an empty slice with room for n timestamps.
func (s *sharedTimes) buffer(n int) []int64 {
	if cap(s.scratch) < n {
		s.scratch = make([]int64, 0, n)
	}
	return s.scratch[:0]
}

// keep is settle for timestamps in the scratch, which is given away if they are
// new. Series of one target come again and again, so what was handed out is
// looked for by a few of its timestamps.
func (s *sharedTimes) keep(times []int64) []int64 {
	n := len(times)
	if n == 0 {
		return times
	}
	if s.repeats(&chunks.Columns{Times: times}) {
		return s.last
	}
	key := timesSketch{n, times[0], times[n/2], times[n-1]}
	if known := s.known[key]; known != nil && slices.Equal(known, times) {
		s.last, s.every, s.first = known, 0, 0
		return known
	}
	if s.knownHeld += cap(s.scratch); s.known == nil || s.knownHeld > knownTimesMax {
		s.known, s.knownHeld = map[timesSketch][]int64{}, cap(s.scratch)
	}
	s.known[key] = times
	s.last, s.every, s.first, s.scratch = times, 0, 0, nil
	return times
}

package tsdb

import (
	"slices"
	"unsafe"

	"github.com/varve-db/varve/tsdb/block"
)

// sharedTimes hands out timestamps: equal ones that follow each other as one
// slice. What it has handed out it never changes.
type sharedTimes struct {
	last    []int64 // handed out
	scratch []int64 // to decode into
	shared  *block.TimesCache
	pieces  [][]int64 // that were joined last
	joined  []int64

	known     map[timesSketch][]int64 // given away
	knownHeld int
}

// timesSketch is by what timestamps are found.
type timesSketch struct {
	n                   int
	first, middle, last int64
}

// same reports whether two slices, which are not empty, are the same memory.
func same(a, b []int64) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// concat returns pieces, which never change, one after the other. Equal pieces
// give the very same slice.
func (s *sharedTimes) concat(pieces [][]int64) []int64 {
	if len(pieces) == 1 {
		return pieces[0]
	}
	if !slices.EqualFunc(s.pieces, pieces, same) {
		s.pieces = append(s.pieces[:0], pieces...)
		s.joined = s.shared.Join(pieces)
	}
	return s.joined
}

// timesCacheBytes bounds the decoded timestamps of sealed generations that a
// database keeps for all its readers; knownTimesMax the timestamps of other
// samples that one reader keeps.
const (
	timesCacheBytes = 64 << 20
	knownTimesMax   = 2 << 20
)

// settle returns the slice handed out last, if times are equal to it.
func (s *sharedTimes) settle(times []int64) []int64 {
	if len(times) == 0 {
		return times
	}
	if !s.repeats(times) {
		s.last = times
	}
	return s.last
}

// repeats reports whether times are those handed out last.
func (s *sharedTimes) repeats(times []int64) bool {
	n := len(times)
	if n != len(s.last) || times[0] != s.last[0] || times[n-1] != s.last[n-1] {
		return false
	}
	return unsafe.SliceData(times) == unsafe.SliceData(s.last) || slices.Equal(times, s.last)
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
	if s.repeats(times) {
		return s.last
	}
	key := timesSketch{n, times[0], times[n/2], times[n-1]}
	if known := s.known[key]; known != nil && slices.Equal(known, times) {
		s.last = known
		return known
	}
	if s.knownHeld += cap(s.scratch); s.known == nil || s.knownHeld > knownTimesMax {
		s.known, s.knownHeld = map[timesSketch][]int64{}, cap(s.scratch)
	}
	s.known[key] = times
	s.last, s.scratch = times, nil
	return times
}

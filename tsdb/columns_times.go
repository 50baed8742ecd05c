package tsdb

import (
	"slices"
	"unsafe"
)

// sharedTimes hands out timestamps: equal ones that follow each other as one
// slice. What it has handed out it never changes.
type sharedTimes struct {
	last    []int64 // handed out
	scratch []int64 // to decode into
	joined  map[uint64]*joinedTimes
	recent  *joinedTimes
	held    int // timestamps in joined

	known     map[timesSketch][]int64 // given away
	knownHeld int
}

// timesSketch is by what timestamps are found.
type timesSketch struct {
	n                   int
	first, middle, last int64
}

// joinedTimes are slices of timestamps one after the other.
type joinedTimes struct {
	pieces [][]int64
	times  []int64
}

func (j *joinedTimes) is(pieces [][]int64) bool {
	return slices.EqualFunc(j.pieces, pieces, same)
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
	if s.recent != nil && s.recent.is(pieces) {
		return s.recent.times
	}
	hash := uint64(len(pieces))
	total := 0
	for _, p := range pieces {
		hash = (hash^uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))))*0x9e3779b97f4a7c15 + uint64(len(p))
		total += len(p)
	}
	if j := s.joined[hash]; j != nil && j.is(pieces) {
		s.recent = j
		return j.times
	}
	if s.held += total; s.joined == nil || s.held > joinedTimesMax {
		s.joined, s.held = map[uint64]*joinedTimes{}, total
	}
	j := &joinedTimes{pieces: slices.Clone(pieces), times: make([]int64, 0, total)}
	for _, p := range pieces {
		j.times = append(j.times, p...)
	}
	s.joined[hash], s.recent = j, j
	return j.times
}

// joinedTimesMax bounds the timestamps that a reader keeps in one piece.
const joinedTimesMax = 2 << 20

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
	if s.knownHeld += cap(s.scratch); s.known == nil || s.knownHeld > joinedTimesMax {
		s.known, s.knownHeld = map[timesSketch][]int64{}, cap(s.scratch)
	}
	s.known[key] = times
	s.last, s.scratch = times, nil
	return times
}

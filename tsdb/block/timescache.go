package block

import (
	"slices"
	"sync"
	"unsafe"
)

// TimesCache holds decoded timestamps that many queries read: the columns of
// sealed generations, and whole series' made of several of them. Its slices never
// change. It may be used by several goroutines.
type TimesCache struct {
	max int // timestamps

	mu      sync.RWMutex
	columns map[columnKey][]int64
	joined  map[uint64]joinedTimes
	held    int
}

// columnKey names a timestamp column of a store.
type columnKey struct {
	id     ID
	column uint32
}

// joinedTimes are slices of columns one after the other.
type joinedTimes struct {
	pieces [][]int64
	times  []int64
}

// NewTimesCache returns a cache that holds so many bytes.
func NewTimesCache(bytes int) *TimesCache {
	c := &TimesCache{max: bytes / 8}
	c.reset()
	return c
}

func (c *TimesCache) reset() {
	c.columns, c.joined, c.held = map[columnKey][]int64{}, map[uint64]joinedTimes{}, 0
}

// Bytes returns what the cache holds.
func (c *TimesCache) Bytes() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.held * 8
}

func (c *TimesCache) column(key columnKey) []int64 {
	if c == nil {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.columns[key]
}

// admit makes room for n timestamps; mu is held. When the cache is full it starts
// anew: what is in use comes back at once.
func (c *TimesCache) admit(n int) bool {
	if n > c.max/4 {
		return false
	}
	if c.held+n > c.max {
		c.reset()
	}
	c.held += n
	return true
}

func (c *TimesCache) putColumn(key columnKey, times []int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.columns[key]; !known && c.admit(len(times)) {
		c.columns[key] = times
	}
}

// Join returns pieces, none of which is empty or ever changes, one after the
// other. The same pieces mostly give the very same slice.
func (c *TimesCache) Join(pieces [][]int64) []int64 {
	hash := uint64(len(pieces))
	total := 0
	for _, p := range pieces {
		hash = (hash^uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))))*0x9e3779b97f4a7c15 + uint64(len(p))
		total += len(p)
	}
	c.mu.RLock()
	known := c.joined[hash]
	c.mu.RUnlock()
	if slices.EqualFunc(known.pieces, pieces, sameSlice) {
		return known.times
	}
	j := joinedTimes{pieces: slices.Clone(pieces), times: make([]int64, 0, total)}
	for _, p := range pieces {
		j.times = append(j.times, p...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admit(total) {
		c.joined[hash] = j
	}
	return j.times
}

// sameSlice reports whether two slices, which are not empty, are the same memory.
func sameSlice(a, b []int64) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

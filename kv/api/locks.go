package api

import (
	"slices"
	"sync"

	"github.com/zeebo/xxh3"
)

// stripes is how many locks the keys share. A lock is held during an fsync, so
// there are enough that requests in flight rarely meet.
const stripes = 1024

type locks struct{ stripe [stripes]sync.Mutex }

// lock locks rows, in an order that all callers share, and returns what unlocks
// them.
func (l *locks) lock(rows ...[]byte) (unlock func()) {
	held := make([]int, len(rows))
	for i, row := range rows {
		held[i] = int(xxh3.Hash(row) % stripes)
	}
	slices.Sort(held)
	held = slices.Compact(held)
	for _, i := range held {
		l.stripe[i].Lock()
	}
	return func() {
		for _, i := range held {
			l.stripe[i].Unlock()
		}
	}
}

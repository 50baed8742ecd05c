package block

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/varve-db/varve/chunks"
)

// TimesCache holds decoded timestamps that many queries read: the columns of
// sealed generations, and whole series' made of several of them. Its slices never
// change. It may be used by several goroutines.
type TimesCache struct {
	max int // timestamps

	mu          sync.Mutex
	generations map[ID]*timesTable
	held        int
}

// Times are ascending timestamps that never change.
type Times struct {
	All []int64
	// Every is the distance of neighbours where it is the same for all; else 0.
	Every int64
	// First is that of All, which need not be looked at for it.
	First int64
}

// At returns timestamp k.
func (t *Times) At(k int) int64 {
	if t.Every > 0 {
		return t.First + int64(k)*t.Every
	}
	return t.All[k]
}

// UpTo returns how many of the timestamps are not after ms.
func (t *Times) UpTo(ms int64) int {
	if t.Every > 0 {
		return chunks.UpTo(ms, t.First, t.Every, len(t.All))
	}
	return sort.Search(len(t.All), func(i int) bool { return t.All[i] > ms })
}

// Span returns the first and the last timestamp.
func (t *Times) Span() (first, last int64) { return t.First, t.At(len(t.All) - 1) }

// slice returns timestamps [from, to), of which there is one at least.
func (t *Times) slice(from, to int) Times {
	out := Times{t.All[from:to:to], t.Every, t.First + int64(from)*t.Every}
	if from > 0 && t.Every == 0 {
		out.First = out.All[0]
	}
	return out
}

// timesTable is what the cache holds of one generation: the columns by number, and
// what else every reader asks first. Readers look things up without a lock.
type timesTable struct {
	cache      *TimesCache
	id         ID
	columns    []atomic.Pointer[timesColumn]
	histograms atomic.Int32 // whether there are any: 0 not known yet, 1 no, 2 yes
}

// timesColumn is a column, and the timestamps of series that begin with it.
type timesColumn struct {
	Times
	joined atomic.Pointer[joinedTimes]
}

// joinedTimes are slices of columns one after the other.
type joinedTimes struct {
	pieces [][]int64
	whole  Times
	older  *joinedTimes
}

// NewTimesCache returns a cache that holds so many bytes.
func NewTimesCache(bytes int) *TimesCache {
	c := &TimesCache{max: bytes / 8}
	c.reset()
	return c
}

func (c *TimesCache) reset() { c.generations, c.held = map[ID]*timesTable{}, 0 }

// Bytes returns what the cache holds.
func (c *TimesCache) Bytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held * 8
}

// table returns the table of a generation with so many columns, one without any
// if there are more than the cache may hold or there is no cache.
func (c *TimesCache) table(id ID, columns int) *timesTable {
	if c == nil {
		return &timesTable{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.generations[id]; t != nil {
		return t
	}
	t := &timesTable{cache: c, id: id}
	if c.admitLocked(columns) {
		t.columns = make([]atomic.Pointer[timesColumn], columns)
		c.generations[id] = t
	}
	return t
}

// admitLocked makes room for n timestamps. When the cache is full it starts anew:
// what is in use comes back at once.
func (c *TimesCache) admitLocked(n int) bool {
	if n > c.max/4 {
		return false
	}
	if c.held+n > c.max {
		c.reset()
	}
	c.held += n
	return true
}

// column returns a column, nil if it is not there.
func (t *timesTable) column(number uint32) *timesColumn {
	if uint64(number) >= uint64(len(t.columns)) {
		return nil
	}
	return t.columns[number].Load()
}

// put keeps a column if there is room.
func (t *timesTable) put(number uint32, column *timesColumn) (kept bool) {
	if uint64(number) >= uint64(len(t.columns)) {
		return false
	}
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	if kept = t.admitLocked(len(column.All)); kept {
		t.columns[number].Store(column)
	}
	return kept
}

// admitLocked makes room for n timestamps in the cache, if the table is part of it
// before and after. The lock is the cache's.
func (t *timesTable) admitLocked(n int) bool {
	c := t.cache
	return c.generations[t.id] == t && c.admitLocked(n) && c.generations[t.id] == t
}

// Join returns the timestamps of runs of one series, one after the other; there
// is at least one. The same runs mostly give the very same slice.
func Join(runs []*SealedEntry) Times {
	first := runs[0]
	if len(runs) == 1 {
		return first.Times
	}
	for j := first.column.joined.Load(); j != nil; j = j.older {
		if j.of(runs) {
			return j.whole
		}
	}
	j := &joinedTimes{whole: Times{Every: first.Every, First: first.First}}
	for i, run := range runs {
		j.pieces = append(j.pieces, run.All)
		if i > 0 {
			if _, before := runs[i-1].Span(); run.Every != first.Every || run.First-before != first.Every {
				j.whole.Every = 0
			}
		}
	}
	j.whole.All = slices.Concat(j.pieces...)
	first.table.join(first.column, j)
	return j.whole
}

// joinedMax is how many joins that begin with the same column are kept.
const joinedMax = 4

// join keeps j, which begins with column, if there is room.
func (t *timesTable) join(column *timesColumn, j *joinedTimes) {
	if t.cache == nil {
		return
	}
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	if !t.admitLocked(len(j.whole.All)) {
		return
	}
	// Readers may be on the list: it is copied.
	n := 1
	for old, at := column.joined.Load(), j; old != nil; old = old.older {
		if n++; n > joinedMax {
			t.cache.held -= len(old.whole.All)
			break
		}
		at.older = &joinedTimes{pieces: old.pieces, whole: old.whole}
		at = at.older
	}
	column.joined.Store(j)
}

// of reports whether j was made of the timestamps of runs.
func (j *joinedTimes) of(runs []*SealedEntry) bool {
	if len(j.pieces) != len(runs) {
		return false
	}
	for i, piece := range j.pieces {
		if !sameSlice(piece, runs[i].All) {
			return false
		}
	}
	return true
}

// sameSlice reports whether two slices, which are not empty, are the same memory.
func sameSlice(a, b []int64) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// newTimesColumn describes timestamps, of which there are some.
func newTimesColumn(all []int64) *timesColumn {
	c := &timesColumn{Times: Times{All: all}}
	if len(all) > 0 {
		c.First = all[0]
	}
	if len(all) > 1 {
		c.Every = all[1] - all[0]
		for i := 2; i < len(all); i++ {
			if all[i]-all[i-1] != c.Every {
				c.Every = 0
				break
			}
		}
	}
	return c
}

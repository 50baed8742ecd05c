package tsdb

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/varve-db/varve/series"
)

// Changes tells what has changed among a tenant's samples since a moment, for
// those who keep results of earlier queries. Flushes and seals change nothing:
// they move samples, and the set of them stays. What retention takes away is not a
// change either: a Querier says from when on it reads. It may be used by several
// goroutines.
type Changes struct {
	open atomic.Pointer[change]

	mu sync.Mutex // one mark at a time
	// past has what happened before open began, in order of number, and with
	// ascending times: a change after which there was one that reaches further back
	// is not needed.
	past []pastChange
}

// change gathers what is appended between two marks.
type change struct {
	number   uint64
	earliest atomic.Int64 // time of the samples; MaxInt64 if there are none
}

type pastChange struct {
	number   uint64
	earliest int64
}

// pastChangesMax bounds what a Changes remembers. Beyond it neighbours are made
// one, which then reaches back as far as the earlier of them.
const pastChangesMax = 1024

func newChanges() *Changes {
	c := &Changes{}
	c.open.Store(newChange(1))
	return c
}

func newChange(number uint64) *change {
	c := &change{number: number}
	c.earliest.Store(math.MaxInt64)
	return c
}

// note is called when samples from earliest on have become readable. A mark made
// meanwhile begins a new change: then that has to know as well, as its queries may
// have read before.
func (c *Changes) note(earliest int64) {
	for {
		open := c.open.Load()
		lowerTo(&open.earliest, earliest)
		if c.open.Load() == open {
			return
		}
	}
}

// Mark returns the present moment, for Since. It is made before the view of a
// query.
func (c *Changes) Mark() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	open := c.open.Load()
	if open.earliest.Load() == math.MaxInt64 {
		return open.number
	}
	next := newChange(open.number + 1)
	c.open.Store(next)
	earliest := open.earliest.Load() // what comes to it from now on comes to next as well
	for n := len(c.past); n > 0 && c.past[n-1].earliest >= earliest; n-- {
		c.past = c.past[:n-1]
	}
	c.past = append(c.past, pastChange{open.number, earliest})
	if len(c.past) > pastChangesMax {
		c.fold()
	}
	return next.number
}

// fold makes pairs of the older half of the past one.
func (c *Changes) fold() {
	half := len(c.past) / 2 &^ 1
	kept := c.past[:0]
	for i := 0; i < half; i += 2 {
		kept = append(kept, pastChange{c.past[i+1].number, c.past[i].earliest})
	}
	c.past = append(kept, c.past[half:]...)
}

// Since returns the earliest time of the samples that came after a mark, or which
// the queries made at it may not have seen; math.MaxInt64 if there are none, and
// math.MinInt64 if more may have changed than samples that came.
func (c *Changes) Since(mark uint64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	earliest := c.open.Load().earliest.Load()
	i, _ := slices.BinarySearchFunc(c.past, mark, func(p pastChange, mark uint64) int {
		if p.number < mark {
			return -1
		}
		return 1
	})
	if i < len(c.past) {
		earliest = min(earliest, c.past[i].earliest)
	}
	return earliest
}

func lowerTo(a *atomic.Int64, v int64) {
	for old := a.Load(); v < old && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}

// changeLogs has the Changes of each tenant.
type changeLogs struct {
	byTenant sync.Map // series.TenantID to *Changes
}

// Changes returns the tenant's; it is always the same.
func (l *changeLogs) Changes(tenant series.TenantID) *Changes {
	if c, ok := l.byTenant.Load(tenant); ok {
		return c.(*Changes)
	}
	c, _ := l.byTenant.LoadOrStore(tenant, newChanges())
	return c.(*Changes)
}

// changed notes that all results of all tenants may be others now.
func (l *changeLogs) changed() {
	l.byTenant.Range(func(_, c any) bool {
		c.(*Changes).note(math.MinInt64)
		return true
	})
}

// Earliest returns the time from which on the querier reads all series: later than
// what it was asked for if the samples before have expired, be it of some series.
func (q *Querier) Earliest() int64 { return max(q.mint, q.expiry.last) }

package tsdb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// Believe tells which time it is for what removes samples because of their age: the
// clock alone never does. Seals and EraseExpired take out what has expired by then;
// until Believe is called they take nothing out.
func (db *DB) Believe(now time.Time) { db.believed.Store(&now) }

// erased is what seals take out of a partition for its age.
type erased struct{ expiry }

// erasedAt returns what seals of a partition take out, nil if that is nothing.
// Where all series are kept equally long the partition goes as a whole.
func (db *DB) erasedAt(p partition) *erased {
	now := db.believed.Load()
	if now == nil {
		return nil
	}
	e := erased{db.expiry(p.tenant, block.Raw, *now)}
	if e.uniform() || e.last <= p.start {
		return nil
	}
	return &e
}

// from takes what has expired out of a series's samples and exemplars.
func (e *erased) from(ls series.Labels, c *chunks.Columns, exemplars []head.Exemplar) []head.Exemplar {
	oldest := e.oldest(ls)
	if oldest == forEver {
		return exemplars
	}
	c.Remove(forEver, oldest-1)
	kept := exemplars[:0]
	for _, x := range exemplars {
		if x.Timestamp >= oldest {
			kept = append(kept, x)
		}
	}
	return kept
}

// eraseShare is the part of a partition's series that must have expired before it is
// rewritten without them, one in so many. Until then they are not read, and take space.
const eraseShare = 10

// eraser is the state of EraseExpired.
type eraser struct {
	eraseMu sync.Mutex // one EraseExpired at a time
	// counted are the lifetimes that the shares were counted for.
	counted *[]Lifetime
	shares  map[block.ID]lifetimeShares
}

// lifetimeShares is how many of a generation's series have each rule's lifetime.
type lifetimeShares struct {
	flushes int // that were counted
	series  []uint64
	damaged bool
}

// EraseExpired rewrites one partition without the series that have expired, if there
// is one that ended before and in which they have a share worth it. It returns false
// if there is none. Nothing is lost when it is interrupted: until its end the
// partition is as it was.
func (db *DB) EraseExpired(ctx context.Context) (bool, error) {
	now := db.believed.Load()
	if s, ok := db.store.(interface{ Full() bool }); now == nil || ok && s.Full() {
		return false, nil // a rewrite needs room until its inputs go
	}
	db.eraseMu.Lock()
	defer db.eraseMu.Unlock()
	v, err := db.acquire()
	if err != nil {
		return false, err
	}
	found, err := db.findExpired(ctx, v, *now)
	db.release(v)
	if err != nil || found.expired == 0 {
		return false, err
	}
	_, err = db.sealPartition(ctx, sealPlan{partition: found.partition, all: true, again: true, level: column.Balanced, due: true})
	if errors.Is(err, errUnsettled) {
		return false, nil
	}
	return err == nil, err
}

// expiredShare is how many series of a partition have expired with all that they have
// in it, and how many there are, each once for every generation that has it.
type expiredShare struct {
	partition
	expired, all uint64
	damaged      bool
}

// worth reports whether that is a share worth a rewrite.
func (s *expiredShare) worth() bool {
	return s.expired > 0 && s.expired*eraseShare >= s.all && !s.damaged // else the rewrite would fail
}

// findExpired finds the first partition of the view that is worth a rewrite. It counts
// in the others as well, so that the next search is quick.
func (db *DB) findExpired(ctx context.Context, v *view, now time.Time) (found expiredShare, err error) {
	list := db.lifetimes.Load()
	before := db.shares
	if db.counted != list {
		before = nil
	}
	db.counted, db.shares = list, map[block.ID]lifetimeShares{}
	var share expiredShare
	for i, g := range v.generations {
		if err := ctx.Err(); err != nil {
			return found, err
		}
		e := expiryBy(*list, g.ID.Tenant, g.ID.Resolution, now)
		if g.ID.Resolution != block.Raw || e.uniform() || g.end() > e.last {
			continue
		}
		s, known := before[g.ID]
		if !known || s.flushes != len(g.Flushes) {
			if s, err = db.countShares(g, &e); err != nil {
				return found, err
			}
		}
		db.shares[g.ID] = s
		if i == 0 || g.partition() != share.partition {
			share = expiredShare{partition: g.partition()}
		}
		s.addTo(&share, g, &e)
		last := i+1 == len(v.generations) || v.generations[i+1].ID.Resolution != block.Raw || v.generations[i+1].partition() != share.partition
		if last && share.worth() && found.expired == 0 && !db.rests(share.partition) {
			found = share
		}
	}
	return found, nil
}

// rests reports whether a seal of the partition has failed a short time ago.
func (db *DB) rests(p partition) bool {
	db.sealMu.Lock()
	defer db.sealMu.Unlock()
	return db.options.Now().Before(db.sealRests[p])
}

// countShares counts the series of a generation by rule.
func (db *DB) countShares(g *heldGeneration, e *expiry) (lifetimeShares, error) {
	s := lifetimeShares{flushes: len(g.Flushes)}
	sets, err := e.split(block.NewReader(db.store, g.Generation))
	if block.IsDamage(err) {
		db.noteDamage(damage{g.ID, damagedIndex}, err)
		s.damaged = true
		return s, nil
	}
	for _, set := range sets {
		s.series = append(s.series, set.GetCardinality())
	}
	return s, err
}

// addTo adds what a generation has.
func (s *lifetimeShares) addTo(share *expiredShare, g *heldGeneration, e *expiry) {
	share.damaged = share.damaged || s.damaged
	for i, n := range s.series {
		share.all += n
		if e.rules[i].oldest >= g.end() {
			share.expired += n
		}
	}
}

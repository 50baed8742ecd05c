package tsdb

import (
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// Querier reads a tenant's samples of a range of time, as they were when it was
// made. It must be closed.
type Querier struct {
	db         *DB
	view       *view
	tenant     series.TenantID
	mint, maxt int64
	asked      int64 // mint, as far as the horizon has not passed it: windows are kept longer
	readers    []generationReader
	expiry     expiry

	mu       sync.Mutex
	warnings annotations.Annotations
	closed   bool
}

// generationReader is a generation that overlaps the range, with the flushes
// that are not in memory.
type generationReader struct {
	*block.Reader
	held    *heldGeneration
	flushes []block.Summary // that overlap the range
}

// Querier returns a querier of the samples with times in [mint, maxt].
func (db *DB) Querier(tenant series.TenantID, mint, maxt int64) (*Querier, error) {
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	// What the horizon has passed or has expired is not read, even where its
	// partition still exists.
	expired := db.expiry(tenant, block.Raw, db.options.Now())
	oldest := max(db.horizon.Load(), expired.first)
	q := &Querier{db: db, view: v, tenant: tenant, mint: max(mint, oldest), maxt: maxt, asked: max(mint, db.horizon.Load()), expiry: expired}
	for _, g := range v.generations {
		if g.ID.Tenant != tenant || g.ID.Start > q.maxt || g.end() <= q.mint {
			continue
		}
		r := generationReader{held: g}
		for _, f := range g.Flushes {
			if f.MinTime <= q.maxt && f.MaxTime >= q.mint && !v.inMemory(f.Epoch) {
				r.flushes = append(r.flushes, f)
			}
		}
		if len(r.flushes) > 0 {
			r.Reader = block.NewReader(db.store, g.Generation).With(db.facts)
			q.readers = append(q.readers, r)
		}
	}
	for _, id := range db.unreadable {
		if id.Tenant == tenant && id.Resolution == block.Raw && id.Start <= q.maxt && id.Start+db.options.Width.Milliseconds() > q.mint {
			q.warn(damage{id, damagedWhole})
		}
	}
	return q, nil
}

// Close gives back what the querier holds.
func (q *Querier) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.db.release(q.view)
	}
	return nil
}

// damage names rows that cannot be read: a flush of a generation, or its index,
// or all of it.
type damage struct {
	id    block.ID
	flush int64
}

// In place of a flush.
const (
	damagedIndex = -1
	damagedWhole = -2
)

// tolerate turns an error about damaged rows into a warning; other errors are
// returned. What is damaged is left out of the answer.
func (q *Querier) tolerate(err error, id block.ID, flush int64) error {
	if err == nil || !errors.Is(err, kv.ErrCorrupt) && !errors.Is(err, block.ErrCorrupt) &&
		!errors.Is(err, chunks.ErrCorrupt) && !errors.Is(err, column.ErrCorrupt) {
		return err
	}
	q.db.noteDamage(damage{id, flush}, err)
	q.warn(damage{id, flush})
	return nil
}

// warn adds to the answer what it lacks.
func (q *Querier) warn(d damage) {
	what := fmt.Sprintf("flush %d of %s", d.flush, d.id)
	switch d.flush {
	case damagedIndex:
		what = fmt.Sprintf("the index of %s", d.id)
	case damagedWhole:
		what = d.id.String()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.warnings.Add(fmt.Errorf("incomplete answer: %s is damaged and left out", what))
}

// noteDamage logs and counts damage once.
func (db *DB) noteDamage(d damage, err error) {
	db.viewMu.Lock()
	_, known := db.damaged[d]
	db.damaged[d] = struct{}{}
	db.viewMu.Unlock()
	if !known {
		db.changed()
		db.metrics.damaged.Inc()
		db.log.Error("damaged rows left out of answers", "generation", d.id.String(), "flush", d.flush, "error", err)
	}
}

// Damaged returns how many flushes and indexes were found damaged since Open.
func (db *DB) Damaged() int {
	db.viewMu.Lock()
	defer db.viewMu.Unlock()
	return len(db.damaged)
}

// Warnings returns what the querier's answers lack.
func (q *Querier) Warnings() annotations.Annotations {
	q.mu.Lock()
	defer q.mu.Unlock()
	return annotations.New().Merge(q.warnings)
}

// entry is a series of a selection: where its samples are.
type entry struct {
	labels labels.Labels
	ref    index.Ref // in memory, 0 if it is not
	rule   uint16    // that says how long it is kept, plus 1; 0: no less than all is read
	rows   []rowPlace
}

// rowPlace is a series's number in one of the querier's readers.
type rowPlace struct {
	reader  int
	ordinal uint32
}

// selection is the series that match, in label order.
type selection struct{ entries []entry }

// memory returns the epochs of the view that may have samples in [mint, maxt].
func (q *Querier) memory(mint, maxt int64) []*heldEpoch {
	mint, maxt = max(mint, q.mint), min(maxt, q.maxt)
	var out []*heldEpoch
	for _, e := range q.view.epochs {
		if lo, hi := e.Range(); lo <= maxt && hi >= mint {
			out = append(out, e)
		}
	}
	return out
}

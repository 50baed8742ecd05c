package tsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/zeebo/xxh3"

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
	readers    []generationReader

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
	// What the horizon has passed is not read, even where its partition still
	// exists.
	oldest := db.horizon.Load()
	if db.retention.Load() > 0 {
		oldest = max(oldest, db.options.Now().Add(-time.Duration(db.retention.Load())).UnixMilli())
	}
	q := &Querier{db: db, view: v, tenant: tenant, mint: max(mint, oldest), maxt: maxt}
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
			r.Reader = block.NewReader(db.store, g.Generation)
			q.readers = append(q.readers, r)
		}
	}
	for _, id := range db.unreadable {
		if id.Tenant == tenant && id.Start <= q.maxt && id.Start+db.options.Width.Milliseconds() > q.mint {
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
	rows   []rowPlace
}

// rowPlace is a series's number in one of the querier's readers.
type rowPlace struct {
	reader  int
	ordinal uint32
}

// selection is the series that match, in label order.
type selection struct{ entries []entry }

// selectSeries finds the series that satisfy ms and may have samples in
// [mint, maxt].
func (q *Querier) selectSeries(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (*selection, error) {
	b := selectionBuilder{q: q, budget: series.BudgetFrom(ctx)}
	prepared := index.Prepare(ms)
	var readers []int
	for i := range q.readers {
		if slices.ContainsFunc(q.readers[i].flushes, func(f block.Summary) bool { return f.MinTime <= maxt && f.MaxTime >= mint }) {
			readers = append(readers, i)
		}
	}
	epochs := q.memory(mint, maxt)
	// A series may come from several places; twice even from one generation that
	// is not sealed, where it left memory and came back.
	if len(readers) > 1 || len(readers) == 1 && (len(epochs) > 0 || !q.readers[readers[0]].Sealed()) {
		b.byHash = map[uint64]int{}
	}
	for _, i := range readers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := q.tolerate(b.addReader(ctx, i, prepared), q.readers[i].held.ID, damagedIndex); err != nil {
			return nil, err
		}
	}
	if err := b.addMemory(epochs, mint, maxt, ms); err != nil {
		return nil, err
	}
	slices.SortFunc(b.entries, func(x, y entry) int { return labels.Compare(x.labels, y.labels) })
	return &selection{entries: b.entries}, nil
}

// selectionBuilder brings together the places in which a label set occurs.
type selectionBuilder struct {
	q       *Querier
	budget  series.Budget
	entries []entry
	// byHash finds an entry by the hash of its labels; entries whose hash was
	// taken are behind it, found by their own next hash. Nil if no label set
	// can come twice.
	byHash  map[uint64]int
	builder labels.ScratchBuilder
	encoded []byte
}

// at returns the entry for a label set.
func (b *selectionBuilder) at(ls series.Labels) (*entry, error) {
	if b.byHash != nil {
		hash := xxh3.Hash(ls)
		for {
			i, taken := b.byHash[hash]
			if !taken {
				b.byHash[hash] = len(b.entries)
				break
			}
			if b.encoded = series.AppendLabels(b.encoded[:0], b.entries[i].labels); string(b.encoded) == string(ls) {
				return &b.entries[i], nil
			}
			hash++ // another set with the same hash: probe on
		}
	}
	if b.budget != nil {
		if err := b.budget.ChargeSeries(1); err != nil {
			return nil, err
		}
	}
	decoded, err := ls.Decode(&b.builder)
	if err != nil {
		return nil, err
	}
	b.entries = append(b.entries, entry{labels: decoded})
	return &b.entries[len(b.entries)-1], nil
}

func (b *selectionBuilder) addReader(ctx context.Context, reader int, ms []index.Matcher) error {
	r := &b.q.readers[reader]
	found, pending, err := r.Match(ms)
	if err != nil {
		return err
	}
	ordinals := found.ToArray()
	if len(pending) == 0 {
		b.entries = slices.Grow(b.entries, len(ordinals))
	}
	places := make([]rowPlace, len(ordinals)) // one allocation for all entries
	return r.Labels(ordinals, func(i int, ls series.Labels) error {
		if i%4096 == 4095 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if !block.Accepts(pending, ls) {
			return nil
		}
		e, err := b.at(ls)
		if err != nil {
			return err
		}
		places[i] = rowPlace{reader, ordinals[i]}
		if e.rows == nil {
			e.rows = places[i : i+1 : i+1]
		} else {
			e.rows = append(e.rows, places[i])
		}
		return nil
	})
}

func (b *selectionBuilder) addMemory(epochs []*heldEpoch, mint, maxt int64, ms []*labels.Matcher) error {
	if len(epochs) == 0 {
		return nil
	}
	var buffer []byte
	for _, ref := range b.q.db.table.Match(b.q.tenant, ms, nil) {
		if !slices.ContainsFunc(epochs, func(e *heldEpoch) bool { return e.Overlaps(ref, mint, maxt) }) {
			continue
		}
		buffer = b.q.db.table.AppendLabels(buffer[:0], ref)
		e, err := b.at(buffer)
		if err != nil {
			return err
		}
		e.ref = ref
	}
	return nil
}

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

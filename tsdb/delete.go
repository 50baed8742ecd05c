package tsdb

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// Deletion says which samples and exemplars are to go: those with times in
// [Min, Max] of the series that satisfy all matchers of one of the Selectors.
type Deletion struct {
	Tenant    series.TenantID
	Selectors [][]*labels.Matcher
	Min, Max  int64 // milliseconds
}

// DeletionState is how far a deletion is.
type DeletionState string

// The states of deletions. What failed has changed nothing.
const (
	DeletionRunning DeletionState = "running"
	DeletionDone    DeletionState = "done"
	DeletionFailed  DeletionState = "failed"
)

// DeletionReport tells of a deletion.
type DeletionReport struct {
	Tenant     series.TenantID `json:"tenant"`
	Asked      time.Time       `json:"asked"`
	Selectors  []string        `json:"selectors"`
	Min        int64           `json:"minTime"`
	Max        int64           `json:"maxTime"`
	State      DeletionState   `json:"state"`
	Error      string          `json:"error,omitempty"`
	Partitions int             `json:"partitions"` // that were rewritten
	Series     uint64          `json:"series"`     // one that is in two partitions counts twice
	Samples    uint64          `json:"samples"`
	Exemplars  uint64          `json:"exemplars"`
	BytesFreed int64           `json:"bytesFreed"` // of chunks and timestamps
	Seconds    float64         `json:"seconds"`
}

// Delete removes samples for good: it rewrites the generations that hold some, and
// switches to what is left of all of them in one synced batch. Until then nothing
// has changed, for readers as after a crash; afterwards no read finds what was
// deleted, and its space is free as soon as the last query that still reads it has
// ended. What is written while Delete runs may be deleted or not; what is written
// afterwards stays.
func (db *DB) Delete(ctx context.Context, d Deletion) (DeletionReport, error) {
	db.sealsWanted.Add(1)
	defer db.sealsWanted.Add(-1)
	e := erasure{Deletion: d, db: db, report: DeletionReport{
		Tenant: d.Tenant, Asked: db.options.Now().UTC(), Min: d.Min, Max: d.Max, State: DeletionRunning,
	}}
	for _, ms := range d.Selectors {
		e.report.Selectors = append(e.report.Selectors, selectorText(ms))
	}
	done := db.deletions.begin(e.report)
	err := e.run(ctx)
	took := db.options.Now().Sub(e.report.Asked)
	if err != nil {
		e.report.State, e.report.Error = DeletionFailed, err.Error()
		err = fmt.Errorf("delete series: %w", err)
	}
	e.report.Seconds = took.Seconds()
	done(e.report)
	if err == nil {
		db.metrics.deleted(&e.report)
		db.log.Info("series deleted", "tenant", d.Tenant, "selectors", e.report.Selectors, "from", formatTime(d.Min), "to", formatTime(d.Max),
			"partitions", e.report.Partitions, "series", e.report.Series, "samples", e.report.Samples,
			"bytes_freed", e.report.BytesFreed, "seconds", took.Seconds())
	}
	return e.report, err
}

// selectorText writes matchers in PromQL's notation.
func selectorText(ms []*labels.Matcher) string {
	text := "{"
	for i, m := range ms {
		if i > 0 {
			text += ","
		}
		text += m.String()
	}
	return text + "}"
}

// erasure is a deletion being carried out.
type erasure struct {
	Deletion
	db      *DB
	report  DeletionReport
	results []sealResult
	windows []erasedWindows
	views   []*view // that the results were made of
}

// run rewrites every partition that has something to delete, and switches.
func (e *erasure) run(ctx context.Context) error {
	if err := e.db.Flush(ctx); err != nil {
		return err
	}
	e.db.sealMu.Lock() // no seal may take the inputs meanwhile
	defer e.db.sealMu.Unlock()
	defer e.release()
	parts, err := e.partitions(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := e.rewrite(ctx, p); err != nil {
			e.abandon()
			return err
		}
	}
	if err := e.rewriteWindows(ctx); err != nil {
		e.abandon()
		return err
	}
	if len(e.results)+len(e.windows) == 0 {
		e.report.State = DeletionDone
		return nil
	}
	e.report.State, e.report.Partitions = DeletionDone, len(e.results)
	record, err := json.Marshal(e.report)
	if err != nil {
		return err
	}
	recorded, err := e.db.recordedDeletions()
	if err != nil {
		return err
	}
	err = e.db.switchTo(ctx, e.results, func(batch *kv.Batch) {
		number := uint64(1)
		if n := len(recorded); n > 0 {
			number = recorded[n-1].number + 1
		}
		batch.Set(deletionKey(number), record)
		e.switchWindows(batch)
		for i := 0; i <= len(recorded)-recordsMax; i++ {
			batch.Delete(deletionKey(recorded[i].number))
		}
	})
	if err != nil {
		e.abandon()
		return err
	}
	e.showWindows()
	e.db.Changes(e.Tenant).note(e.Min)
	e.db.flushMu.Lock()
	defer e.db.flushMu.Unlock()
	e.db.table.Sweep(uint32(e.db.oldestEpoch()), e.db.generations.forget)
	return nil
}

// release gives back the views, after which the inputs' rows may go.
func (e *erasure) release() {
	for _, v := range e.views {
		e.db.release(v)
	}
}

// abandon removes what was written for nothing. Without its entry in the directory
// nothing reads it, and the next start removes what is left.
func (e *erasure) abandon() {
	made := make([]block.ID, 0, len(e.results))
	for _, r := range e.results {
		made = append(made, r.generation.ID)
	}
	for _, w := range e.windows {
		if w.made != nil {
			made = append(made, w.made.ID)
		}
	}
	for _, id := range made {
		lower, upper := id.Span()
		if err := e.db.store.Excise(context.Background(), lower, upper); err != nil {
			e.db.log.Warn("rows of a deletion that failed not removed yet", "generation", id.String(), "error", err)
		}
	}
}

// partitions finds those that hold something to delete.
func (e *erasure) partitions(ctx context.Context) (parts []partition, err error) {
	v, err := e.db.acquire()
	if err != nil {
		return nil, err
	}
	defer e.db.release(v)
	for _, g := range v.generations {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if n := len(parts); n > 0 && parts[n-1] == g.partition() {
			continue
		}
		if found, err := e.concerns(g); err != nil {
			return nil, err
		} else if found {
			parts = append(parts, g.partition())
		}
	}
	return parts, nil
}

// concerns reports whether a generation may hold something to delete.
func (e *erasure) concerns(g *heldGeneration) (bool, error) {
	overlaps := func(f block.Summary) bool { return f.MinTime <= e.Max && f.MaxTime >= e.Min }
	if g.ID.Tenant != e.Tenant || !slices.ContainsFunc(g.Flushes, overlaps) {
		return false, nil
	}
	r := block.NewReader(e.db.store, g.Generation)
	for _, ms := range e.Selectors {
		found, pending, err := r.Match(index.Prepare(ms))
		if err != nil {
			return false, err
		}
		any := false
		err = r.Labels(found.ToArray(), func(_ int, ls series.Labels) error {
			any = any || block.Accepts(pending, ls)
			return nil
		})
		if any || err != nil {
			return any, err
		}
	}
	return false, nil
}

// rewrite makes a sealed generation of what is left of a partition's generations
// that hold something to delete.
func (e *erasure) rewrite(ctx context.Context, p partition) error {
	db := e.db
	v, id, err := db.beginSeal(p)
	if err != nil {
		return err
	}
	e.views = append(e.views, v)
	now := db.options.Now()
	report := SealReport{Tenant: p.tenant, Start: p.start, End: p.start + db.options.Width.Milliseconds()}
	s := &sealer{db: db, id: id, report: &report, pace: pace{started: now, logged: now}, erase: e}
	for _, g := range v.generations {
		if g.partition() != p {
			continue
		}
		if found, err := e.concerns(g); err != nil {
			return err
		} else if found {
			s.inputs = append(s.inputs, sealInput{Reader: block.NewReader(db.store, g.Generation), held: g})
		}
	}
	if len(s.inputs) == 0 { // retention was faster
		return nil
	}
	level := column.Fast
	if now.UnixMilli() >= report.End {
		level = column.Balanced
	}
	s.writer = block.NewSealWriter(db.store, id, db.options.Width.Milliseconds(), s.plan(), level)
	s.writer.Covers(s.counters())
	defer s.writer.Abandon()
	defer db.sealing.end()
	sealed, err := s.run(ctx)
	if err == nil {
		err = db.store.Ingest(ctx, s.tables)
	}
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", id, err)
	}
	e.results = append(e.results, sealResult{s, sealed})
	for _, in := range s.inputs {
		for _, f := range in.held.Flushes {
			e.report.BytesFreed += int64(f.ChunkBytes)
		}
	}
	e.report.BytesFreed -= int64(sealed.Flushes[0].ChunkBytes)
	return nil
}

// from takes what is to go out of a series's samples and exemplars.
func (e *erasure) from(ls series.Labels, c *chunks.Columns, exemplars []head.Exemplar) []head.Exemplar {
	if !slices.ContainsFunc(e.Selectors, func(ms []*labels.Matcher) bool { return satisfies(ls, ms) }) {
		return exemplars
	}
	removed := c.Remove(e.Min, e.Max)
	kept := slices.DeleteFunc(exemplars, func(x head.Exemplar) bool { return x.Timestamp >= e.Min && x.Timestamp <= e.Max })
	e.report.Samples += uint64(removed)
	e.report.Exemplars += uint64(len(exemplars) - len(kept))
	if removed > 0 || len(kept) < len(exemplars) {
		e.report.Series++
	}
	return kept
}

func satisfies(ls series.Labels, ms []*labels.Matcher) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(string(ls.Get(m.Name))) })
}

// recordsMax is how many deletions that were carried out are on record.
const recordsMax = 1000

// deletionRecord is the record of a deletion that was carried out,
// X | number u64 -> JSON of the report.
type deletionRecord struct {
	number uint64
	report DeletionReport
}

func deletionKey(number uint64) []byte { return epochKey(keyspace.Deletions, number) }

func decodeDeletion(key, value []byte) (r deletionRecord, err error) {
	if len(key) != 9 {
		return r, fmt.Errorf("%w: key of %d bytes of a deletion", kv.ErrCorrupt, len(key))
	}
	r.number = binary.BigEndian.Uint64(key[1:])
	if err := json.Unmarshal(value, &r.report); err != nil {
		return r, fmt.Errorf("%w: record of a deletion: %w", kv.ErrCorrupt, err)
	}
	return r, nil
}

// recordedDeletions reads the records, the oldest first.
func (db *DB) recordedDeletions() (list []deletionRecord, err error) {
	lower := []byte{keyspace.Deletions}
	it, err := db.store.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return nil, fmt.Errorf("read deletions: %w", err)
	}
	for ok := it.SeekGE(lower); ok && err == nil; ok = it.Next() {
		var r deletionRecord
		r, err = decodeDeletion(it.Key(), it.Value())
		list = append(list, r)
	}
	if err = errors.Join(err, it.Err(), it.Close()); err != nil {
		return nil, fmt.Errorf("read deletions: %w", err)
	}
	return list, nil
}

// Deletions lists the deletions of a tenant, the oldest first: those that were
// carried out, and what runs, has failed or found nothing since the start.
func (db *DB) Deletions(tenant series.TenantID) ([]DeletionReport, error) {
	recorded, err := db.recordedDeletions()
	if err != nil {
		return nil, err
	}
	list := db.deletions.others()
	for _, r := range recorded {
		list = append(list, r.report)
	}
	slices.SortStableFunc(list, func(a, b DeletionReport) int { return a.Asked.Compare(b.Asked) })
	return slices.DeleteFunc(list, func(r DeletionReport) bool { return r.Tenant != tenant }), nil
}

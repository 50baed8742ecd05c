package tsdb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// appendScratch is the memory of one append, reused.
type appendScratch struct {
	refs     []index.Ref
	register []int
	writer   recordWriter
	key      []byte
	payload  []byte
	batch    kv.Batch
}

var appendScratches = sync.Pool{New: func() any { return new(appendScratch) }}

// ownOrigin is the origin of what this node's clients send.
const ownOrigin = 0

// payloadKept bounds the buffers that go back to the pool.
const payloadKept = 4 << 20

// Append stores the samples of batch for tenant and returns after they are
// durable. The outcome tells exactly what was stored and what was refused;
// with an error nothing is to be counted on, and sending the batch again is
// safe. The batch is changed and must not be used again before Reset.
func (db *DB) Append(ctx context.Context, tenant series.TenantID, batch *series.Batch) (series.Outcome, error) {
	var outcome series.Outcome
	if err := ctx.Err(); err != nil {
		return outcome, err
	}
	e, err := db.enter()
	if err != nil {
		return outcome, err
	}
	defer e.active.Done()
	db.admit(e, tenant, batch, &outcome)

	s := appendScratches.Get().(*appendScratch)
	defer func() {
		if cap(s.payload) <= payloadKept {
			s.batch.Reset()
			appendScratches.Put(s)
		}
	}()
	changed := db.metadata.changes(tenant, batch.Metadata)
	if outcome.Samples+outcome.Histograms+outcome.Exemplars == 0 && len(changed) == 0 {
		db.metrics.refused(outcome.Refused)
		return outcome, nil
	}
	epoch := uint32(e.ID)
	var created int
	s.refs, created = db.resolve(tenant, batch, epoch, s.refs[:0], &outcome)
	if len(s.refs) == 0 && len(changed) == 0 {
		db.metrics.refused(outcome.Refused)
		return outcome, nil
	}
	s.register = db.table.Registered(s.refs, epoch, s.register[:0])
	counter := db.counter.Add(1)
	e.note(ownOrigin, counter)
	s.payload = s.writer.append(s.payload[:0], recordHeader{
		Origin: ownOrigin, Counter: counter, Clock: db.tick(), Tenant: tenant,
	}, batch, s.refs, s.register)
	s.key = keyspace.AppendUint64(keyspace.AppendUint64(append(s.key[:0], keyspace.WriteAhead), e.ID), e.sequence.Add(1))

	s.batch.Reset()
	s.batch.Set(s.key, s.payload)
	for _, m := range changed {
		s.batch.Set(metadataKey(tenant, m.Metric), encodeMetadata(m))
	}
	if err := db.store.Apply(&s.batch, kv.Sync); err != nil {
		return series.Outcome{}, fmt.Errorf("commit %d samples: %w", outcome.Samples+outcome.Histograms, err)
	}
	db.metadata.set(tenant, changed)
	db.table.SetRegistered(s.refs, s.register, epoch)
	db.Changes(tenant).note(e.Append(batch, s.refs))
	db.metrics.appended(&outcome, created)
	if e.Bytes() >= db.options.EpochBytesMax {
		select {
		case db.wake <- struct{}{}:
		default:
		}
	}
	return outcome, nil
}

// enter takes a reference to the open epoch; the caller gives it back through
// active.Done.
func (db *DB) enter() (*openEpoch, error) {
	db.epochMu.RLock()
	defer db.epochMu.RUnlock()
	if db.closed.Load() {
		return nil, ErrClosed
	}
	if db.frozen() > db.options.BacklogMax {
		return nil, ErrBacklog
	}
	db.epoch.active.Add(1)
	return db.epoch, nil
}

// frozen returns how many epochs wait to be flushed.
func (db *DB) frozen() int {
	db.viewMu.Lock()
	defer db.viewMu.Unlock()
	if db.view == nil {
		return 0
	}
	n := -1 // the open one
	for _, e := range db.view.epochs {
		if !e.flushed {
			n++
		}
	}
	return n
}

// tick advances the hybrid logical clock (Kulkarni et al., 2014): milliseconds
// in the high 48 bits, a count below.
func (db *DB) tick() uint64 {
	for {
		last := db.clock.Load()
		next := max(last+1, uint64(db.options.Now().UnixMilli())<<16)
		if db.clock.CompareAndSwap(last, next) {
			return next
		}
	}
}

// bounds are the times between which samples are accepted.
type bounds struct {
	min, max int64 // min is that of the series that are kept the shortest
	horizon  int64
	expiry   expiry
	now      time.Time
}

// oldest returns the time before which samples of a row are refused.
func (a *admission) oldest(row int) int64 {
	if a.bounds.expiry.uniform() {
		return a.bounds.min
	}
	return max(a.bounds.horizon, a.bounds.expiry.oldest(a.batch.Labels(row)))
}

func (db *DB) bounds(tenant series.TenantID) bounds {
	now := db.options.Now()
	b := bounds{max: min(timeMax, now.Add(db.options.AheadMax).UnixMilli()), now: now, expiry: db.expiry(tenant, block.Raw, now)}
	b.horizon = max(timeMin, db.horizon.Load())
	b.min = max(b.horizon, b.expiry.last)
	return b
}

// admit takes out of batch what must not be stored and counts what remains.
func (db *DB) admit(e *openEpoch, tenant series.TenantID, batch *series.Batch, outcome *series.Outcome) {
	a := admission{db: db, epoch: e, tenant: tenant, bounds: db.bounds(tenant), batch: batch, outcome: outcome, low: 1}
	for r := range batch.Rows {
		row := &batch.Rows[r]
		row.Samples.End = row.Samples.Start + a.samples(r, row.Samples)
		row.Histograms.End = row.Histograms.Start + a.histograms(r, row.Histograms)
		row.Exemplars.End = row.Exemplars.Start + a.exemplars(r, row.Exemplars)
		outcome.Samples += row.Samples.Len()
		outcome.Histograms += row.Histograms.Len()
		outcome.Exemplars += row.Exemplars.Len()
	}
}

// admission decides sample by sample.
type admission struct {
	db        *DB
	epoch     *openEpoch
	tenant    series.TenantID
	bounds    bounds
	batch     *series.Batch
	outcome   *series.Outcome
	low, high int64 // the window seen last, known to be admitted: [low, high)
}

// samples moves the admitted samples of a row to the front and returns how many
// they are; likewise the others.
func (a *admission) samples(row int, span series.Span) int {
	kept := span.Start
	for i := span.Start; i < span.End; i++ {
		t := a.batch.Timestamps[i]
		if reason := a.reason(row, t); reason != "" {
			a.refuse(reason, row, t, amount{samples: 1})
			continue
		}
		if kept != i {
			a.batch.Timestamps[kept], a.batch.Values[kept] = t, a.batch.Values[i]
			if len(a.batch.Starts) > 0 {
				a.batch.Starts[kept] = a.batch.Starts[i]
			}
		}
		kept++
	}
	return kept - span.Start
}

func (a *admission) histograms(row int, span series.Span) int {
	kept := span.Start
	for i := span.Start; i < span.End; i++ {
		h := a.batch.Histograms[i]
		if reason := a.reason(row, h.Timestamp); reason != "" {
			a.refuse(reason, row, h.Timestamp, amount{histograms: 1})
			continue
		}
		a.batch.Histograms[kept] = h
		kept++
	}
	return kept - span.Start
}

func (a *admission) exemplars(row int, span series.Span) int {
	kept := span.Start
	for i := span.Start; i < span.End; i++ {
		x := a.batch.Exemplars[i]
		if reason := a.reason(row, x.Timestamp); reason != "" {
			a.refuse(reason, row, x.Timestamp, amount{exemplars: 1})
			continue
		}
		a.batch.Exemplars[kept] = x
		kept++
	}
	return kept - span.Start
}

// reason returns why a sample at t is refused, "" if it is not.
func (a *admission) reason(row int, t int64) series.Reason {
	if t < a.bounds.min && t < a.oldest(row) {
		return series.ReasonTooOld
	}
	if t > a.bounds.max {
		return series.ReasonTooFarAhead
	}
	if t >= a.low && t < a.high {
		return ""
	}
	start := a.db.window(t)
	p := partition{a.tenant, start}
	a.epoch.mu.Lock()
	defer a.epoch.mu.Unlock()
	if _, known := a.epoch.partitions[p]; !known {
		if len(a.epoch.partitions) >= a.db.options.EpochPartitionsMax {
			return series.ReasonTooManyPartitions
		}
		a.epoch.partitions[p] = struct{}{}
	}
	a.low, a.high = start, start+a.db.options.Width.Milliseconds()
	return ""
}

// amount is how much is refused.
type amount struct{ samples, histograms, exemplars int }

func (a *admission) refuse(reason series.Reason, row int, t int64, n amount) {
	a.outcome.Refused.Add(reason, n.samples, n.histograms, n.exemplars, func() (string, string) {
		return a.batch.Labels(row).String(), a.describe(reason, row, t)
	})
}

func (a *admission) describe(reason series.Reason, row int, t int64) string {
	at := fmt.Sprintf("the sample's time is %d", t)
	if t > -62135596800000 && t < 253402300800000 { // years 1 to 9999
		at = "the sample's time is " + formatTime(t)
	}
	switch reason {
	case series.ReasonTooOld:
		return fmt.Sprintf("%s, the oldest that is kept is %s (retention)", at, formatTime(a.oldest(row)))
	case series.ReasonTooFarAhead:
		return fmt.Sprintf("%s, the limit is %s ahead of the clock, which reads %s",
			at, a.db.options.AheadMax, formatTime(a.bounds.now.UnixMilli()))
	default:
		return fmt.Sprintf("%s, and the samples that wait to be flushed touch %d partitions already, which is the limit",
			at, a.db.options.EpochPartitionsMax)
	}
}

func formatTime(t int64) string { return time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.000Z") }

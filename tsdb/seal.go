package tsdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// SealReport says what a seal did with a partition.
type SealReport struct {
	Tenant     series.TenantID
	Start, End int64 // of the partition, milliseconds
	Inputs     int   // generations that were merged
	Series     uint64
	Samples    uint64
	BytesIn    uint64 // of chunks read
	BytesOut   uint64 // of chunks and timestamps written
	Conflicts  int
	Took       time.Duration
}

// Seal flushes what is in memory, and merges the generations of every partition
// into one sealed generation.
func (db *DB) Seal(ctx context.Context) ([]SealReport, error) {
	if err := db.Flush(ctx); err != nil {
		return nil, err
	}
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	var list []partition
	for _, g := range v.generations {
		list = append(list, partition{g.ID.Tenant, g.ID.Start})
	}
	db.release(v)
	var reports []SealReport
	var failed error
	for _, p := range slices.Compact(list) {
		r, err := db.sealPartition(ctx, p, true, column.Balanced)
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
		if r.Inputs > 0 {
			reports = append(reports, r)
		}
	}
	return reports, failed
}

// When partitions are sealed by themselves.
const (
	sealEvery   = 2 * time.Hour    // what an open partition has gathered
	sealFlushes = 12               // or so many flushes
	sealGrace   = 15 * time.Minute // after a partition's end, for late samples
	lateShare   = 16               // late samples are folded in above one in so many
	lateAge     = 24 * time.Hour   // or after this time
	sealRetry   = time.Hour        // after a seal that failed
)

// RunSeals seals partitions as they become due, until ctx ends.
func (db *DB) RunSeals(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := db.SealDue(ctx); err != nil && ctx.Err() == nil {
			db.log.Error("seal failed", "error", err)
		}
	}
}

// SealDue seals the partitions that are due at the present time of the clock. One
// that fails, as for damaged rows, stays as it is, and readable, and is left alone
// for a while; the others do not wait for it.
func (db *DB) SealDue(ctx context.Context) error {
	if s, ok := db.store.(interface{ Full() bool }); ok && s.Full() {
		return nil // a seal needs room for what it writes until its inputs go
	}
	v, err := db.acquire()
	if err != nil {
		return err
	}
	plans := db.planSeals(v, db.options.Now())
	db.release(v)
	var failed error
	for _, p := range plans {
		if ctx.Err() != nil {
			break
		}
		_, err := db.sealPartition(ctx, p.partition, p.all, p.level)
		if err != nil && !errors.Is(err, errUnsettled) {
			failed = errors.Join(failed, err) // damage in one must not stop the others
		}
	}
	return failed
}

// sealPlan is a partition that is due.
type sealPlan struct {
	partition
	all   bool // merge the sealed generations too
	level column.Level
}

// planSeals decides which partitions of the view are due.
func (db *DB) planSeals(v *view, now time.Time) []sealPlan {
	db.sealMu.Lock()
	defer db.sealMu.Unlock()
	var plans []sealPlan
	for i := 0; i < len(v.generations); {
		p := partition{v.generations[i].ID.Tenant, v.generations[i].ID.Start}
		var open, sealed, flushes int
		var openSamples, sealedSamples uint64
		for ; i < len(v.generations) && v.generations[i].ID.Tenant == p.tenant && v.generations[i].ID.Start == p.start; i++ {
			g := v.generations[i]
			for _, f := range g.Flushes {
				if f.Sealed != nil {
					sealed++
					sealedSamples += f.Samples
				} else {
					flushes++
					openSamples += f.Samples
				}
			}
			if g.Flushes[0].Sealed == nil {
				open++
			}
		}
		last, known := db.lastSeal[p]
		if !known {
			last = now
			db.lastSeal[p] = now
		}
		if now.Before(db.sealRests[p]) {
			continue
		}
		closed := now.UnixMilli() >= p.start+db.options.Width.Milliseconds()+sealGrace.Milliseconds()
		switch {
		case !closed && open > 0 && (now.Sub(last) >= sealEvery || flushes >= sealFlushes):
			plans = append(plans, sealPlan{p, false, column.Fast})
		case closed && (sealed > 1 || open > 0 && sealed == 0):
			plans = append(plans, sealPlan{p, true, column.Balanced})
		case closed && open > 0 && (openSamples*lateShare >= sealedSamples || flushes >= sealFlushes || now.Sub(last) >= lateAge):
			plans = append(plans, sealPlan{p, true, column.Balanced})
		}
	}
	return plans
}

// sealPartition merges the partition's generations, all or those that are not
// sealed yet, into one. At any moment either the inputs or the result can be
// read: the switch is one synced batch.
func (db *DB) sealPartition(ctx context.Context, p partition, all bool, level column.Level) (SealReport, error) {
	db.sealMu.Lock()
	defer db.sealMu.Unlock()
	report := SealReport{Tenant: p.tenant, Start: p.start, End: p.start + db.options.Width.Milliseconds()}
	started := db.options.Now()
	v, id, err := db.beginSeal(p)
	if err != nil {
		return report, err
	}
	defer db.release(v)
	s := sealer{db: db, report: &report}
	for _, g := range v.generations {
		if g.ID.Tenant == p.tenant && g.ID.Start == p.start && (all || g.Flushes[0].Sealed == nil) {
			s.inputs = append(s.inputs, sealInput{Reader: block.NewReader(db.store, g.Generation), held: g})
		}
	}
	if len(s.inputs) == 0 || len(s.inputs) == 1 && s.inputs[0].Sealed() && s.inputs[0].held.Flushes[0].Samples > 0 {
		db.lastSeal[p] = started
		return report, nil
	}
	var counters []block.CounterRange
	for _, in := range s.inputs {
		for _, f := range in.held.Flushes {
			counters = append(counters, f.Counters...)
		}
	}
	s.writer = block.NewSealWriter(db.store, id, db.options.Width.Milliseconds(), s.slices(), level)
	s.writer.Covers(counters)
	defer s.writer.Abandon()
	sealed, err := s.run(ctx)
	if err == nil {
		err = db.commitSeal(ctx, &s, sealed)
	}
	if errors.Is(err, errDropped) {
		return report, nil
	}
	if err != nil {
		if ctx.Err() == nil {
			db.metrics.sealFailures.Inc()
			db.sealRests[p] = started.Add(sealRetry)
		}
		return report, fmt.Errorf("seal %s: %w", id, err)
	}
	delete(db.sealRests, p)
	db.lastSeal[p] = started
	report.Inputs = len(s.inputs)
	report.Series, report.Samples = uint64(sealed.Flushes[0].NewSeries), sealed.Flushes[0].Samples
	report.BytesOut = sealed.Flushes[0].ChunkBytes
	report.Took = db.options.Now().Sub(started)
	db.metrics.sealed(&report)
	db.log.Info("partition sealed", "generation", id.String(), "level", level.String(), "inputs", report.Inputs, "series", report.Series,
		"samples", report.Samples, "bytes_in", report.BytesIn, "bytes_out", report.BytesOut, "seconds", report.Took.Seconds())
	return report, nil
}

// beginSeal closes the partition's open generation, so that nothing is added to
// the inputs any more, and numbers the new one.
func (db *DB) beginSeal(p partition) (*view, block.ID, error) {
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	if db.unsettled {
		return nil, block.ID{}, errUnsettled
	}
	db.generations.close(func(g *openGeneration) bool { return g.partition == p })
	id := block.ID{Tenant: p.tenant, Resolution: block.Raw, Start: p.start, Generation: db.generations.next}
	db.generations.next++
	v, err := db.acquire()
	return v, id, err
}

// commitSeal switches from the inputs to the sealed generation.
func (db *DB) commitSeal(ctx context.Context, s *sealer, sealed block.Generation) error {
	if err := db.store.Ingest(ctx, s.tables); err != nil {
		return err
	}
	db.dropMu.Lock()
	defer db.dropMu.Unlock()
	if sealed.ID.Start+db.options.Width.Milliseconds() <= db.horizon.Load() {
		lower, upper := sealed.ID.Span()
		return errors.Join(errDropped, db.store.Excise(ctx, lower, upper))
	}
	var batch kv.Batch
	sealed.AddSummary(&batch)
	for _, in := range s.inputs {
		in.held.DeleteSummaries(&batch)
	}
	if err := db.store.Apply(&batch, kv.Sync); err != nil {
		return err
	}
	gone := map[block.ID]bool{}
	for _, in := range s.inputs {
		in.held.dropped.Store(true)
		gone[in.held.ID] = true
	}
	db.swapView(func(v *view) {
		v.generations = slices.DeleteFunc(v.generations, func(g *heldGeneration) bool { return gone[g.ID] })
		v.setGeneration(sealed)
	})
	return nil
}

var (
	// errDropped means that retention dropped a partition while it was being sealed.
	errDropped = errors.New("the partition was dropped meanwhile")
	// errUnsettled means that a flush failed, and may be stored nevertheless. Its
	// epoch counts as flushed then, so nothing may take those rows away until it
	// has been flushed again.
	errUnsettled = errors.New("a flush has to be tried again first")
)

// sealer merges generations.
type sealer struct {
	db     *DB
	inputs []sealInput
	writer *block.SealWriter
	tables []kv.Table
	report *SealReport

	sealed  block.SealedReader
	columns chunks.Columns
}

type sealInput struct {
	*block.Reader
	held *heldGeneration
}

// slices divides the inputs' range of time.
func (s *sealer) slices() block.Slices {
	var samples, largest uint64
	start, end := s.inputs[0].held.Flushes[0].MinTime, s.inputs[0].held.Flushes[0].MaxTime
	for _, in := range s.inputs {
		for _, f := range in.held.Flushes {
			samples += f.Samples
			start, end = min(start, f.MinTime), max(end, f.MaxTime)
		}
		largest = max(largest, uint64(in.Series()))
	}
	return block.PlanSlices(start, end, samples/max(largest, 1))
}

// sealSeries is a series of the result with its places in the inputs.
type sealSeries struct {
	labels series.Labels
	rows   []rowPlace // reader is the input
}

// run writes all series in order, metric by metric.
func (s *sealer) run(ctx context.Context) (block.Generation, error) {
	names := map[string]struct{}{"": {}}
	for _, in := range s.inputs {
		if err := in.LabelValues(series.MetricName, nil, names); err != nil {
			return block.Generation{}, err
		}
	}
	for _, name := range sorted(names, nil) {
		if err := s.goOn(ctx); err != nil {
			return block.Generation{}, err
		}
		list, err := s.metric(name)
		if err != nil {
			return block.Generation{}, err
		}
		for from := 0; from < len(list); from += blockSeries {
			if err := s.addBlock(list[from:min(from+blockSeries, len(list))]); err != nil {
				return block.Generation{}, err
			}
			if err := s.goOn(ctx); err != nil {
				return block.Generation{}, err
			}
		}
	}
	generation, tables, err := s.writer.Finish()
	s.tables = tables
	return generation, err
}

// goOn returns an error when the seal has to end.
func (s *sealer) goOn(ctx context.Context) error {
	if s.db.closed.Load() {
		return ErrClosed
	}
	return ctx.Err()
}

// metric returns the series of a metric in the order of the result.
func (s *sealer) metric(name string) ([]sealSeries, error) {
	var list []sealSeries
	for i, in := range s.inputs {
		found, err := in.Metric(name)
		if err != nil {
			return nil, err
		}
		ordinals := found.ToArray()
		err = in.Labels(ordinals, func(at int, ls series.Labels) error {
			list = append(list, sealSeries{slices.Clone(ls), []rowPlace{{i, ordinals[at]}}})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(a, b sealSeries) int { return block.CompareSealed(a.labels, b.labels) })
	merged := list[:0]
	for _, x := range list {
		if n := len(merged); n > 0 && string(merged[n-1].labels) == string(x.labels) {
			merged[n-1].rows = append(merged[n-1].rows, x.rows...)
		} else {
			merged = append(merged, x)
		}
	}
	return merged, nil
}

// addBlock reads the samples of a few series and writes them.
func (s *sealer) addBlock(list []sealSeries) error {
	loaded := make([][]chunks.Chunk, len(list))
	exemplars := make([][]head.Exemplar, len(list))
	number := 0
	for i := range s.inputs {
		var places []place
		for at := range list {
			for _, row := range list[at].rows {
				if row.reader == i {
					places = append(places, place{row.ordinal, at})
				}
			}
		}
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.ordinal, b.ordinal) })
		if err := s.readInput(&s.inputs[i], places, loaded, exemplars, &number); err != nil {
			return err
		}
	}
	for at := range list {
		if err := s.columns.Load(loaded[at]); err != nil {
			return err
		}
		s.report.Conflicts += s.columns.Conflicts
		if s.columns.Len() == 0 && len(exemplars[at]) == 0 {
			continue
		}
		sortExemplars(exemplars[at])
		if err := s.writer.Add(list[at].labels, &s.columns, exemplars[at]); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealer) countRead(n int64) error {
	s.report.BytesIn += uint64(n)
	return nil
}

// readInput adds what an input has of the series at places.
func (s *sealer) readInput(in *sealInput, places []place, loaded [][]chunks.Chunk, exemplars [][]head.Exemplar, number *int) error {
	ordinals := make([]uint32, len(places))
	for i, p := range places {
		ordinals[i] = p.ordinal
	}
	start := in.held.ID.Start
	if len(ordinals) == 0 {
		return nil
	}
	decode := func(i int, row []byte) (err error) {
		at := &loaded[places[i].entry]
		*at, err = chunks.DecodeList(*at, slices.Clone(row), start, *number)
		return err
	}
	for _, f := range in.held.Flushes {
		var err error
		if in.Sealed() {
			wanted := block.Range{Min: f.MinTime, Max: f.MaxTime, Charge: s.countRead}
			err = s.sealed.Floats(in.Reader, ordinals, wanted, func(i int, c chunks.Chunk) {
				at := &loaded[places[i].entry]
				*at = append(*at, c.WithList(*number, len(*at)))
			})
			*number++
			if err == nil {
				err = s.sealed.Histograms(in.Reader, ordinals, wanted, decode)
			}
		} else {
			err = in.Chunks(f.Flush, ordinals, func(i int, row []byte) error {
				return errors.Join(s.countRead(int64(len(row))), decode(i, row))
			})
		}
		*number++
		if err != nil {
			return err
		}
		if f.Exemplars > 0 {
			err := in.Exemplars(f.Flush, ordinals, f.MinTime, f.MaxTime, func(i int, found []head.Exemplar) {
				at := &exemplars[places[i].entry]
				*at = append(*at, found...)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

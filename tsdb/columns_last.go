package tsdb

import (
	"context"
	"math"
	"slices"
	"sort"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// newest is the newest float found so far.
type newest struct {
	from, to int64 // what is asked for: times in (from, to]
	t        int64
	bits     uint64
	ok       bool
}

// wants reports whether something whose last sample is at t may matter.
func (n *newest) wants(t int64) bool { return t > n.from && (!n.ok || t >= n.t) }

// add takes a float in, by the join rule if it meets another one.
func (n *newest) add(t int64, bits uint64) {
	if t > n.from && t <= n.to && (!n.ok || t > n.t || t == n.t && series.CompareFloat(bits, n.bits) > 0) {
		n.t, n.bits, n.ok = t, bits, true
	}
}

// Last returns the newest sample of series i with a time in (from, to] and in the
// set's range: a float, which may be a stale marker, or the record of a histogram,
// which is valid until the next Read or Last. Where memory or a column's summary
// knows the sample, nothing is decoded. Asking in ascending order is fast.
func (r *ColumnReader) Last(ctx context.Context, i int, from, to int64) (t int64, v float64, h []byte, ok bool, err error) {
	if err := r.tick(ctx); err != nil {
		return 0, 0, nil, false, err
	}
	n := newest{from: from, to: min(to, r.set.maxt)}
	e := &r.set.entries[i]
	if mint := r.set.q.oldestOf(e, r.set.mint); mint > math.MinInt64 {
		n.from = max(from, mint-1)
	}
	exact := r.lastInMemory(e, &n)
	if exact && r.rowsMatter(e, &n) {
		if exact, err = r.lastInRows(ctx, i, &n); err != nil {
			return 0, 0, nil, false, err
		}
	}
	if !exact {
		return r.lastOfAll(ctx, i, n.from, n.to)
	}
	return n.t, math.Float64frombits(n.bits), nil, n.ok, nil
}

// lastInMemory asks the epochs, the latest first: it mostly has the answer.
func (r *ColumnReader) lastInMemory(e *entry, n *newest) (exact bool) {
	if e.ref == 0 {
		return true
	}
	for _, epoch := range slices.Backward(r.set.epochs) {
		if _, latest := epoch.Range(); !n.wants(latest) {
			continue
		}
		t, bits, found, exact := epoch.Last(e.ref, n.to)
		if !exact {
			return false
		}
		if found {
			n.add(t, bits)
		}
	}
	return true
}

// rowsMatter reports whether rows of the series may hold the answer.
func (r *ColumnReader) rowsMatter(e *entry, n *newest) bool {
	return slices.ContainsFunc(e.rows, func(row rowPlace) bool { return n.wants(r.set.latest[row.reader]) })
}

// lastInRows looks into the rows of the series. exact is false if there is
// something that has to be walked.
func (r *ColumnReader) lastInRows(ctx context.Context, i int, n *newest) (exact bool, err error) {
	if err := r.ensureRows(ctx, i); err != nil {
		return false, err
	}
	rows := r.rows[i%blockSeries]
	for at := len(rows) - 1; at >= 0; at-- {
		s := &rows[at]
		if s.MinTime > n.to || !n.wants(s.MaxTime) {
			continue
		}
		if s.Encoding != chunks.EncFloat {
			return false, nil
		}
		if err := r.chargeBytes(int64(len(s.Data))); err != nil {
			return false, err
		}
		if err := r.lastOfChunk(s, n); err != nil {
			if err = r.set.q.tolerate(err, r.set.q.readers[s.reader].held.ID, s.flush); err != nil {
				return false, err
			}
		}
	}
	places := r.set.entries[i].rows
	for at := len(places) - 1; at >= 0; at-- {
		reader := places[at].reader
		g := &r.set.q.readers[reader]
		if !g.Sealed() || !n.wants(r.set.latest[reader]) {
			continue
		}
		err := r.lastOfSealed(reader, places[at].ordinal, n)
		if err := r.set.q.tolerate(err, g.held.ID, 0); err != nil {
			return false, err
		}
	}
	return true, nil
}

// lastOfSealed takes in the newest float of a series of a sealed generation.
func (r *ColumnReader) lastOfSealed(reader int, ordinal uint32, n *newest) error {
	c, err := r.cursor(reader)
	if err != nil {
		return err
	}
	if r.entries, err = c.Entries(r.entries[:0], ordinal); err != nil {
		return err
	}
	for at := len(r.entries) - 1; at >= 0; at-- {
		e := &r.entries[at]
		if first, last := e.Span(); first > n.to || !n.wants(last) {
			continue
		}
		if err := r.chargeBytes(int64(len(e.All)) * 8); err != nil {
			return err
		}
		if err := r.lastOfEntry(c, e, n); err != nil {
			return err
		}
	}
	return nil
}

// lastOfEntry takes in the newest of a run of sealed floats.
func (r *ColumnReader) lastOfEntry(c *block.SealedCursor, e *block.SealedEntry, n *newest) error {
	at := e.UpTo(n.to) - 1
	if at < 0 {
		return nil
	}
	t := e.At(at)
	if !n.wants(t) {
		return nil
	}
	const few = 16 // values that are decoded at once
	if len(e.All) > few {
		info, err := c.Info(e)
		if err != nil {
			return err
		}
		if bits, ok := knownBits(info, at, len(e.All)); ok {
			n.add(t, bits)
			return nil
		}
	}
	r.values = slices.Grow(r.values[:0], len(e.All))[:len(e.All)]
	if err := c.ValuesFrom(r.values, e, at); err != nil {
		return err
	}
	n.add(t, math.Float64bits(r.values[at]))
	return nil
}

// knownBits returns sample at of a column of length samples, if the column says
// it without being decoded.
func knownBits(info column.Info, at, length int) (bits uint64, ok bool) {
	s := &info.Summary
	switch {
	case info.Constant:
		return math.Float64bits(s.First), true
	case !info.HasSummary || s.Count != length: // stale markers lie between
		return 0, false
	case at == 0:
		return math.Float64bits(s.First), true
	case at == length-1:
		return math.Float64bits(s.Last), true
	default:
		return 0, false
	}
}

// lastOfChunk takes in the newest of a flushed chunk of floats.
func (r *ColumnReader) lastOfChunk(s *source, n *newest) (err error) {
	times := r.times.buffer(s.Count)
	times, r.values, err = chunks.DecodeFloats(times, r.values[:0], s.Data, s.Count)
	r.times.scratch = times
	if err != nil {
		return err
	}
	if at := sort.Search(len(times), func(k int) bool { return times[k] > n.to }) - 1; at >= 0 {
		n.add(times[at], math.Float64bits(r.values[at]))
	}
	return nil
}

// lastOfAll decodes all of the series.
func (r *ColumnReader) lastOfAll(ctx context.Context, i int, from, to int64) (t int64, v float64, h []byte, ok bool, err error) {
	c, err := r.Read(ctx, i)
	if err != nil {
		return 0, 0, nil, false, err
	}
	if at := sort.Search(len(c.Times), func(k int) bool { return c.Times[k] > to }) - 1; at >= 0 && c.Times[at] > from {
		t, v, ok = c.Times[at], c.Values[at], true
	}
	at := sort.Search(len(c.Histograms), func(k int) bool { return c.Histograms[k].Time > to }) - 1
	if at >= 0 && c.Histograms[at].Time > from && (!ok || c.Histograms[at].Time > t) {
		return c.Histograms[at].Time, 0, c.Histograms[at].Histogram, true, nil
	}
	return t, v, nil, ok, nil
}

package tsdb

import (
	"slices"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/tsdb/block"
)

// overlapping returns how many sources from number from on overlap each other.
func (r *ColumnReader) overlapping(from int) int {
	n, end := 1, r.sources[from].MaxTime
	for from+n < len(r.sources) && r.sources[from+n].MinTime <= end {
		end = max(end, r.sources[from+n].MaxTime)
		n++
	}
	return n
}

// decode sets out to the samples of the sources. On an error it returns the number
// of the first of the sources that were being decoded.
func (r *ColumnReader) decode() (at int, err error) {
	total, columns := 0, true
	for i := range r.sources {
		s := &r.sources[i]
		total += s.Count
		columns = columns && s.sealed >= 0 && (i == 0 || r.sources[i-1].MaxTime < s.MinTime)
	}
	if cap(r.values) < total {
		r.values = make([]float64, total+total/4)
	}
	if columns {
		return r.decodeColumns(total)
	}
	return r.decodeMixed(total)
}

// decodeColumns is decode for sources that are sealed and do not overlap.
func (r *ColumnReader) decodeColumns(total int) (at int, err error) {
	r.out = chunks.Columns{Histograms: r.out.Histograms[:0]}
	if total == 0 {
		return 0, nil
	}
	values := r.values[:total]
	r.runs = r.runs[:0]
	started, n := false, 0
	for i := range r.sources {
		s := &r.sources[i]
		e := &r.entries[s.sealed]
		end := n + len(e.All)
		from := 0
		if s.MinTime < r.set.mint { // trim takes off what lies before
			from = e.UpTo(r.set.mint - 1)
		}
		if err := r.cursors[s.reader].ValuesFrom(values[n:end:end], e, from); err != nil {
			return i, err
		}
		started = started || e.HasStarts
		if facts := r.cursors[s.reader].Facts(); i == 0 {
			r.out.Known = facts
		} else {
			r.out.Known = r.out.Known.Before(facts, values[n-1], values[n])
		}
		r.runs = append(r.runs, e)
		n = end
	}
	var starts []int64
	if started {
		starts = slices.Grow(r.starts[:0], total)[:total]
		r.starts = starts
		n = 0
		for i := range r.sources {
			s := &r.sources[i]
			e := &r.entries[s.sealed]
			end := n + len(e.All)
			if err := r.cursors[s.reader].Starts(starts[n:end:end], e); err != nil {
				return i, err
			}
			n = end
		}
	}
	times := block.Join(r.runs)
	r.out.Times, r.out.Values, r.out.Starts = times.All, values, starts
	if times.Every > 0 {
		r.out.Every, r.out.First = times.Every, times.First
	}
	if r.sources[0].MinTime < r.mint || r.sources[len(r.sources)-1].MaxTime > r.set.maxt {
		r.trim()
	}
	r.out.Times = r.times.settle(&r.out)
	return 0, nil
}

// decodeMixed is decode for all other sources.
func (r *ColumnReader) decodeMixed(total int) (at int, err error) {
	out := &r.out
	*out = chunks.Columns{
		Times: r.times.buffer(total), Values: r.values[:0], Starts: r.starts[:0], Histograms: out.Histograms[:0],
	}
	for at < len(r.sources) {
		if r.sources[at].MinTime > r.set.maxt {
			break
		}
		n := r.overlapping(at)
		if s := &r.sources[at]; n > 1 || s.MaxTime >= r.mint {
			if err := r.decodeGroup(at, n); err != nil {
				return at, err
			}
		}
		at += n
	}
	if cap(out.Values) > cap(r.values) {
		r.values = out.Values[:0]
	}
	if cap(out.Starts) > cap(r.starts) {
		r.starts = out.Starts[:0]
	}
	r.times.scratch = out.Times
	r.trim()
	out.Times = r.times.keep(out.Times)
	return 0, nil
}

// decodeGroup appends the samples of n sources that overlap each other.
func (r *ColumnReader) decodeGroup(at, n int) error {
	if s := &r.sources[at]; n == 1 && s.Encoding == chunks.EncFloat {
		return r.appendFloats(s)
	}
	r.chunks = r.chunks[:0]
	end := r.sources[at].MaxTime
	for i := at; i < at+n; i++ {
		s := &r.sources[i]
		end = max(end, s.MaxTime)
		if s.sealed >= 0 && s.Times == nil {
			if n == 1 {
				return r.appendSealed(s)
			}
			if err := r.materialize(s); err != nil {
				return err
			}
		}
		r.chunks = append(r.chunks, s.Chunk)
	}
	if end < r.mint {
		return nil
	}
	return r.gatherer.Append(&r.out, r.chunks, r.mint, r.set.maxt)
}

// appendFloats appends a chunk of floats that overlaps nothing.
func (r *ColumnReader) appendFloats(s *source) error {
	times, values, err := chunks.DecodeFloats(r.out.Times, r.out.Values, s.Data, s.Count)
	if err != nil {
		return err
	}
	r.out.Times, r.out.Values = times, values
	r.gatherer.Pass()
	return nil
}

// appendSealed appends a run of sealed floats that overlaps nothing.
func (r *ColumnReader) appendSealed(s *source) error {
	e, out := &r.entries[s.sealed], &r.out
	c := r.cursors[s.reader]
	n := len(out.Values)
	values := slices.Grow(out.Values, len(e.All))[:n+len(e.All)]
	if err := c.Values(values[n:], e); err != nil {
		return err
	}
	if e.HasStarts || len(out.Starts) > 0 {
		starts := slices.Grow(out.Starts, len(values)-len(out.Starts))
		clear(starts[len(out.Starts):n])
		if err := c.Starts(starts[n:len(values)], e); err != nil {
			return err
		}
		out.Starts = starts[:len(values)]
	}
	out.Values = values
	out.Times = append(out.Times, e.All...)
	r.gatherer.Pass()
	return nil
}

// materialize decodes a run of sealed floats into memory of its own.
func (r *ColumnReader) materialize(s *source) error {
	e := &r.entries[s.sealed]
	values := make([]float64, len(e.All))
	if err := r.cursors[s.reader].Values(values, e); err != nil {
		return err
	}
	var starts []int64
	if e.HasStarts {
		starts = make([]int64, len(e.All))
		if err := r.cursors[s.reader].Starts(starts, e); err != nil {
			return err
		}
	}
	s.Times, s.Values, s.Starts = e.All, values, starts
	return nil
}

// trim takes off the floats that lie outside of the range.
func (r *ColumnReader) trim() {
	c := &r.out
	n := len(c.Times)
	if len(c.Starts) > 0 && len(c.Starts) < n { // those behind have none
		before := len(c.Starts)
		c.Starts = slices.Grow(c.Starts, n-before)[:n]
		clear(c.Starts[before:])
	}
	if n == 0 {
		return
	}
	from, to := c.Within(r.mint, r.set.maxt)
	if from == 0 && to == n {
		return
	}
	c.Times, c.Values = c.Times[from:to:to], c.Values[from:to:to]
	c.First += int64(from) * c.Every
	if len(c.Starts) > 0 {
		c.Starts = c.Starts[from:to:to]
	}
}

package chunks

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Iterator walks the samples of a series through chunks in any order and
// overlap: samples of one timestamp are joined. It implements chunkenc.Iterator.
//
// Chunks that overlap in time form a group. A group of one float chunk is
// decoded into columns; one of a single chunk in Prometheus's encodings, or of
// histograms in columns, is read through an iterator of its own; the rest is
// decoded, sorted and joined.
type Iterator struct {
	chunks []Chunk // ascending by MinTime
	next   int     // first chunk of the next group
	mint   int64
	maxt   int64
	err    error

	times  []int64 // of the group: buffers of the iterator's, or the chunk's own
	values []float64
	starts []int64
	buffer Columns
	joined []Sample // in place of times and values, for a merged group
	at     int      // position in times or joined

	direct    chunkenc.Iterator // in place of columns
	reuse     chunkenc.Iterator
	first     bool  // direct stands on the chunk's first sample
	doubtful  bool  // the first sample's counter reset hint cannot be trusted
	last      Chunk // the chunk read last, to see whether the next one follows it
	kind      chunkenc.ValueType
	curTime   int64
	groupEnd  int64 // time of the loaded group's last sample
	exhausted bool
}

// Reset makes it walk the samples of chunks with times in [mint, maxt]. The
// slice is sorted in place and must not change while the iterator is used.
func (it *Iterator) Reset(list []Chunk, mint, maxt int64) {
	if !slices.IsSortedFunc(list, compareChunks) {
		slices.SortStableFunc(list, compareChunks)
	}
	*it = Iterator{
		chunks: list, mint: mint, maxt: maxt,
		last: Chunk{position: nowhere}, at: -1, curTime: math.MinInt64, groupEnd: math.MinInt64,
		buffer: it.buffer, joined: it.joined[:0], reuse: it.reuse,
	}
}

// nowhere is a position that no chunk follows.
const nowhere = -2

func compareChunks(a, b Chunk) int {
	return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.list, b.list), cmp.Compare(a.position, b.position))
}

// Next moves to the next sample.
func (it *Iterator) Next() chunkenc.ValueType {
	for !it.exhausted {
		if kind := it.nextInGroup(); kind != chunkenc.ValNone {
			if it.curTime < it.mint {
				continue
			}
			if it.curTime > it.maxt {
				break
			}
			it.kind = kind
			return kind
		}
		if it.err != nil || !it.loadGroup(it.mint) {
			break
		}
	}
	it.exhausted, it.kind = true, chunkenc.ValNone
	return chunkenc.ValNone
}

// nextInGroup moves on within the loaded group.
func (it *Iterator) nextInGroup() chunkenc.ValueType {
	if it.direct != nil {
		kind := it.direct.Next()
		if kind == chunkenc.ValNone {
			if err := it.direct.Err(); err != nil {
				it.err = corrupt(it.last, err)
			}
			it.direct = nil
			return chunkenc.ValNone
		}
		it.first = it.at < 0
		it.at++
		it.curTime = it.direct.AtT()
		return kind
	}
	if it.at+1 < len(it.times) {
		it.at++
		it.curTime = it.times[it.at]
		return chunkenc.ValFloat
	}
	if it.at+1 < len(it.joined) {
		it.at++
		s := &it.joined[it.at]
		it.curTime = s.Time
		switch {
		case s.Histogram == nil:
			return chunkenc.ValFloat
		case IsFloatHistogram(s.Histogram):
			return chunkenc.ValFloatHistogram
		default:
			return chunkenc.ValHistogram
		}
	}
	return chunkenc.ValNone
}

// loadGroup loads the next group with samples at or after from.
func (it *Iterator) loadGroup(from int64) bool {
	it.times, it.values, it.starts, it.joined = nil, nil, nil, it.joined[:0]
	it.at, it.direct = -1, nil
	for it.next < len(it.chunks) {
		start, end := it.next, it.chunks[it.next].MaxTime
		if it.chunks[start].MinTime > it.maxt {
			return false
		}
		it.next++
		for it.next < len(it.chunks) && it.chunks[it.next].MinTime <= end {
			end = max(end, it.chunks[it.next].MaxTime)
			it.next++
		}
		if end < from {
			continue
		}
		group := it.chunks[start:it.next]
		it.groupEnd = end
		if len(group) > 1 {
			it.err = it.merge(group)
		} else {
			it.err = it.open(group[0])
		}
		if it.last = group[len(group)-1]; len(group) > 1 {
			it.last.position = nowhere
		}
		return it.err == nil
	}
	return false
}

// open loads a group of one chunk.
func (it *Iterator) open(c Chunk) (err error) {
	switch c.Encoding {
	case EncColumns:
		it.times, it.values, it.starts = c.Times, c.Values, c.Starts
		return nil
	case EncFloat:
		b := &it.buffer
		b.Times, b.Values, err = DecodeFloats(b.Times[:0], b.Values[:0], c.Data, c.Count)
		it.times, it.values = b.Times, b.Values
		return err
	}
	if it.direct, err = c.iterator(it.reuse); err != nil {
		return err
	}
	it.reuse = it.direct
	follows := it.last.list == c.list && it.last.position+1 == c.position
	it.doubtful = c.position > 0 && !follows
	return nil
}

// merge loads a group of overlapping chunks.
func (it *Iterator) merge(group []Chunk) (err error) {
	for i, c := range group {
		if it.joined, err = appendSamples(it.joined, c, i); err != nil {
			return err
		}
	}
	it.joined, _ = SortAndJoin(it.joined)
	var previous Sample
	for i := range it.joined {
		s := &it.joined[i]
		current := *s
		if s.Histogram != nil && !current.followsIn(previous) {
			s.Histogram = withUnknownReset(s.Histogram)
		}
		previous = current
	}
	return nil
}

// Seek moves forward to the first sample at or after t.
func (it *Iterator) Seek(t int64) chunkenc.ValueType {
	if it.kind != chunkenc.ValNone && it.curTime >= t || it.exhausted {
		return it.kind
	}
	t = max(t, it.mint)
	for it.groupEnd < t {
		// Nothing is loaded, or all of it lies before t.
		if !it.loadGroup(t) {
			it.exhausted, it.kind = true, chunkenc.ValNone
			return chunkenc.ValNone
		}
	}
	if n := len(it.times) - (it.at + 1); n > 0 {
		// Stand right before the wanted sample; Next does the rest.
		it.at += sort.Search(n, func(i int) bool { return it.times[it.at+1+i] >= t })
	}
	for {
		if kind := it.Next(); kind == chunkenc.ValNone || it.curTime >= t {
			return kind
		}
	}
}

// At returns the current float sample.
func (it *Iterator) At() (int64, float64) {
	switch {
	case it.direct != nil:
		return it.direct.At()
	case len(it.times) > 0:
		return it.times[it.at], it.values[it.at]
	default:
		return it.joined[it.at].Time, floatOf(it.joined[it.at].Bits)
	}
}

// AtHistogram returns the current histogram sample with integer counts.
func (it *Iterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	if it.direct != nil {
		t, h := it.direct.AtHistogram(h)
		if it.first && it.doubtful {
			h.CounterResetHint = unknownReset(h.CounterResetHint)
		}
		return t, h
	}
	s := it.joined[it.at]
	decoded, _, err := DecodeHistogram(s.Histogram)
	if err != nil || decoded == nil {
		it.err = fmt.Errorf("read histogram at %d: %w", s.Time, ErrCorrupt)
		return s.Time, &histogram.Histogram{}
	}
	if h == nil {
		return s.Time, decoded
	}
	decoded.CopyTo(h)
	return s.Time, h
}

// AtFloatHistogram returns the current histogram sample with float counts.
func (it *Iterator) AtFloatHistogram(fh *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	if it.direct != nil {
		t, fh := it.direct.AtFloatHistogram(fh)
		if it.first && it.doubtful {
			fh.CounterResetHint = unknownReset(fh.CounterResetHint)
		}
		return t, fh
	}
	s := it.joined[it.at]
	h, decoded, err := DecodeHistogram(s.Histogram)
	switch {
	case err != nil:
		it.err = fmt.Errorf("read histogram at %d: %w", s.Time, err)
		decoded = &histogram.FloatHistogram{}
	case h != nil:
		return s.Time, h.ToFloat(fh)
	}
	if fh == nil {
		return s.Time, decoded
	}
	decoded.CopyTo(fh)
	return s.Time, fh
}

// AtT returns the current timestamp.
func (it *Iterator) AtT() int64 { return it.curTime }

// AtST returns the current sample's start timestamp, 0 when unknown.
func (it *Iterator) AtST() int64 {
	switch {
	case it.direct != nil:
		return it.direct.AtST()
	case len(it.joined) > 0:
		return it.joined[it.at].Start
	case len(it.starts) > 0:
		return it.starts[it.at]
	default:
		return 0
	}
}

// Err returns the error that ended the walk.
func (it *Iterator) Err() error { return it.err }

package chunks

import (
	"bytes"
	"encoding/binary"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks/column"
)

// HistogramEncoder replaces chunks of histograms by long runs in columns. It
// belongs to one goroutine at a time and keeps its scratch.
type HistogramEncoder struct {
	columns *column.Encoder
	source  runSource
	reuse   chunkenc.Iterator
	check   runIterator

	body, inline, stored []byte
	ints                 []int64
	floats               []float64
	want, got            []byte // records that are compared
}

// NewHistogramEncoder returns an encoder that encodes columns with columns,
// which it shares with the caller.
func NewHistogramEncoder(columns *column.Encoder) *HistogramEncoder {
	return &HistogramEncoder{columns: columns}
}

// Replace returns the chunks of list, which Encode made of one series, with
// neighbouring chunks of histograms replaced by runs in columns where these are
// smaller. Reading gives the same histograms, counter reset hints and empty
// buckets included: each run has been decoded and compared. locate is called with
// the timestamps of each run and returns where they are stored.
func (e *HistogramEncoder) Replace(list []Chunk, locate func(times []int64) (column.Slice, error)) ([]Chunk, error) {
	var out []Chunk
	for len(list) > 0 {
		e.source.reset()
		n, err := e.gather(list)
		if err != nil {
			return nil, err
		}
		run, ok, err := e.encode(list[:n], locate)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, run)
		} else {
			out = append(out, list[:n]...)
		}
		list = list[n:]
	}
	return out, nil
}

// gather adds chunks of list to the source as long as they fit one run. It
// returns their number, 1 if not even the first does.
func (e *HistogramEncoder) gather(list []Chunk) (n int, err error) {
	for _, c := range list {
		before := e.source.mark()
		fits, err := e.add(c)
		if err != nil {
			return n, err
		}
		if !fits {
			e.source.cut(before)
			break
		}
		n++
	}
	return max(n, 1), nil
}

// add adds the samples of a chunk to the source and reports whether they fit.
func (e *HistogramEncoder) add(c Chunk) (fits bool, err error) {
	switch chunkenc.Encoding(c.Encoding) {
	case chunkenc.EncHistogram, chunkenc.EncHistogramST, chunkenc.EncFloatHistogram, chunkenc.EncFloatHistogramST:
	default:
		return false, nil
	}
	if len(e.source.times)+c.Count > column.SamplesMax {
		return false, nil
	}
	if e.reuse, err = c.iterator(e.reuse); err != nil {
		return false, err
	}
	for it := e.reuse; ; {
		switch it.Next() {
		case chunkenc.ValNone:
			if err := it.Err(); err != nil {
				return false, corrupt(c, err)
			}
			return e.source.holds(), nil
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(nil)
			fits = e.source.addInt(t, it.AtST(), h)
		case chunkenc.ValFloatHistogram:
			t, h := it.AtFloatHistogram(nil)
			fits = e.source.addFloat(t, it.AtST(), h)
		}
		if !fits {
			return false, nil
		}
	}
}

// encode turns the source, which was read from list, into a run. It is not ok if
// that is not smaller or does not decode to the source.
func (e *HistogramEncoder) encode(list []Chunk, locate func(times []int64) (column.Slice, error)) (run Chunk, ok bool, err error) {
	s := &e.source
	n := len(s.times)
	if n == 0 {
		return run, false, nil
	}
	size := 0
	for _, c := range list {
		size += len(c.Data)
	}
	flags := e.appendBody()
	if len(e.body)+runFrameMax >= size {
		return run, false, nil
	}
	run = Chunk{Encoding: EncHistogramColumns, Count: n, MinTime: s.times[0], MaxTime: s.times[n-1]}
	e.inline = append(appendRunTimes(e.inline[:0], flags, s.times), e.body...)
	run.Data = e.inline
	if !e.decodesToSource(run) {
		return run, false, nil
	}
	at, err := locate(s.times)
	if err != nil {
		return run, false, err
	}
	run.Data = appendRun(nil, flags, at, e.body)
	e.stored, err = run.inlineTimes(e.stored[:0], func(asked column.Slice) ([]int64, error) {
		ok = asked == at
		return s.times, nil
	})
	return run, ok && err == nil && bytes.Equal(e.stored, e.inline), nil
}

// runFrameMax is the most that a stored run takes beside its body: flags, place
// of the timestamps, checksum.
const runFrameMax = 1 + 5 + 5 + 4

// appendRun appends a run as it is stored.
func appendRun(dst []byte, flags byte, at column.Slice, body []byte) []byte {
	from := len(dst)
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(at.Column))
	dst = binary.AppendUvarint(dst, uint64(at.Offset))
	return column.AppendChecksum(append(dst, body...), from)
}

// decodesToSource reports whether reading run gives the samples of the source.
func (e *HistogramEncoder) decodesToSource(run Chunk) bool {
	s := &e.source
	it, err := run.runIterator(&e.check)
	if err != nil {
		return false
	}
	var (
		at int64
		h  *histogram.Histogram
		fh *histogram.FloatHistogram
	)
	for i, t := range s.times {
		switch it.Next() {
		case chunkenc.ValHistogram:
			if s.float {
				return false
			}
			at, h = it.AtHistogram(h)
			e.want, e.got = AppendHistogram(e.want[:0], s.ints[i]), AppendHistogram(e.got[:0], h)
		case chunkenc.ValFloatHistogram:
			if !s.float {
				return false
			}
			at, fh = it.AtFloatHistogram(fh)
			e.want, e.got = AppendFloatHistogram(e.want[:0], s.floats[i]), AppendFloatHistogram(e.got[:0], fh)
		}
		if at != t || it.AtST() != s.starts[i] || !bytes.Equal(e.want, e.got) {
			return false
		}
	}
	return it.Next() == chunkenc.ValNone
}

// appendBody sets e.body to the source without flags and timestamps, and returns
// the flags.
func (e *HistogramEncoder) appendBody() (flags byte) {
	s := &e.source
	if s.float {
		flags |= runFloat
	}
	usual := s.usualHint()
	flags |= byte(usual) << runHint
	dst := binary.AppendVarint(e.body[:0], int64(s.schema))
	dst = appendFloats64(appendFloat64(dst, s.threshold), s.custom)
	dst = s.appendHints(dst, usual)
	dst = s.appendLayouts(dst)
	dst = e.columns.AppendValues(dst, s.sums)
	n, stride := len(s.times), strideOf(len(s.times))
	columns := 1 + len(s.positive) + len(s.negative)
	if s.float {
		e.floats = grow(e.floats, columns*stride)
		clear(e.floats)
		s.fillFloats(e.floats, stride)
		for i := range columns {
			c := e.floats[i*stride:][:n]
			repeatStale(c, s.stale)
			dst = e.columns.AppendValues(dst, c)
		}
	} else {
		e.ints = grow(e.ints, columns*stride)
		clear(e.ints)
		s.fillInts(e.ints, stride)
		for i := range columns {
			c := e.ints[i*stride:][:n]
			repeatStale(c, s.stale)
			dst = e.columns.AppendIntegers(dst, c)
		}
	}
	repeatStale(s.above, s.stale)
	dst = e.columns.AppendIntegers(dst, s.above)
	for _, start := range s.starts {
		if start != 0 {
			flags |= runStarts
			dst = e.columns.AppendStarts(dst, s.times, s.starts)
			break
		}
	}
	e.body = dst
	return flags
}

// repeatStale gives stale samples the count before, or that of the first sample
// that is not stale.
func repeatStale[T int64 | float64](column []T, stale []bool) {
	var last T
	for i, s := range stale {
		if !s {
			last = column[i]
			break
		}
	}
	for i, s := range stale {
		if s {
			column[i] = last
		}
		last = column[i]
	}
}

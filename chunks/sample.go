package chunks

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/series"
)

// Sample is one sample of any kind, for the paths that are not hot.
type Sample struct {
	Time, Start int64  // milliseconds; Start is 0 when unknown
	Bits        uint64 // the float's bits, if Histogram is nil
	Histogram   []byte // a histogram record, or nil

	// Where a histogram was read: its counter reset hint holds only right
	// after the sample before it in the same chunk.
	chunk, index int
}

// Compare orders two samples of one timestamp by the join rule.
func (s Sample) Compare(o Sample) int {
	switch {
	case s.Histogram == nil && o.Histogram == nil:
		if c := series.CompareFloat(s.Bits, o.Bits); c != 0 {
			return c
		}
	case s.Histogram == nil:
		return -1
	case o.Histogram == nil:
		return 1
	default:
		if c := CompareHistograms(s.Histogram, o.Histogram); c != 0 {
			return c
		}
	}
	return cmp.Compare(s.Start, o.Start)
}

// SortAndJoin sorts samples by time and joins those of one timestamp, in place.
// conflicts counts the timestamps at which different versions met.
func SortAndJoin(samples []Sample) (joined []Sample, conflicts int) {
	if !slices.IsSortedFunc(samples, compareTimes) {
		slices.SortStableFunc(samples, compareTimes)
	}
	out := samples[:0]
	for _, s := range samples {
		if len(out) == 0 || out[len(out)-1].Time != s.Time {
			out = append(out, s)
			continue
		}
		last := &out[len(out)-1]
		if c := last.Compare(s); c != 0 {
			conflicts++
			if c < 0 {
				*last = s
			}
		}
	}
	return out, conflicts
}

func compareTimes(a, b Sample) int { return cmp.Compare(a.Time, b.Time) }

// chunkSamplesMax bounds chunks in Prometheus's encodings.
const chunkSamplesMax = 120

// Encode appends to list the chunks that hold samples, which must be ascending
// in time. Floats without a start timestamp take the float encoding, the rest
// Prometheus's.
func Encode(list []Chunk, samples []Sample) ([]Chunk, error) {
	for len(samples) > 0 {
		kind := samples[0].encoding()
		n := 1
		for n < len(samples) && samples[n].encoding() == kind {
			n++
		}
		var err error
		if kind == EncFloat {
			list = append(list, encodeFloats(samples[:n]))
		} else {
			list, err = encodePrometheus(list, chunkenc.Encoding(kind), samples[:n])
		}
		if err != nil {
			return list, err
		}
		samples = samples[n:]
	}
	return list, nil
}

// encoding returns the encoding that the sample needs.
func (s Sample) encoding() Encoding {
	switch {
	case s.Histogram == nil && s.Start == 0:
		return EncFloat
	case s.Histogram == nil:
		return Encoding(chunkenc.EncXOR2)
	case IsFloatHistogram(s.Histogram):
		return Encoding(chunkenc.ValFloatHistogram.ChunkEncoding(true, s.Start != 0))
	default:
		return Encoding(chunkenc.ValHistogram.ChunkEncoding(true, s.Start != 0))
	}
}

func encodeFloats(samples []Sample) Chunk {
	var state FloatState
	var data []byte
	for i, s := range samples {
		data = AppendFloat(data, &state, i == 0, s.Time, s.Bits)
	}
	return Chunk{Encoding: EncFloat, Count: len(samples), MinTime: samples[0].Time, MaxTime: samples[len(samples)-1].Time, Data: data}
}

// encodePrometheus cuts samples into chunks of one of Prometheus's encodings.
func encodePrometheus(list []Chunk, enc chunkenc.Encoding, samples []Sample) ([]Chunk, error) {
	var (
		chunk    chunkenc.Chunk
		app      chunkenc.Appender
		min, max int64
	)
	finish := func() {
		if chunk != nil {
			list = append(list, Chunk{Encoding: Encoding(enc), Count: chunk.NumSamples(), MinTime: min, MaxTime: max, Data: chunk.Bytes()})
		}
	}
	for _, s := range samples {
		var previous chunkenc.Appender
		if chunk == nil || chunk.NumSamples() >= chunkSamplesMax {
			finish()
			fresh, err := chunkenc.NewEmptyChunk(enc)
			if err != nil {
				return list, err
			}
			previous, chunk, min = app, fresh, s.Time
			if app, err = chunk.Appender(); err != nil {
				return list, err
			}
		}
		replaced, recoded, next, err := s.appendTo(app, previous)
		if err != nil {
			return list, err
		}
		if replaced != nil {
			if !recoded { // a counter reset or another layout: a chunk of its own
				finish()
				min = s.Time
			}
			chunk = replaced
		}
		app, max = next, s.Time
	}
	finish()
	return list, nil
}

// appendTo appends s to the chunk of app; see chunkenc.Appender.
func (s Sample) appendTo(app, previous chunkenc.Appender) (chunkenc.Chunk, bool, chunkenc.Appender, error) {
	if s.Histogram == nil {
		app.Append(s.Start, s.Time, floatOf(s.Bits))
		return nil, false, app, nil
	}
	h, fh, err := DecodeHistogram(s.Histogram)
	if err != nil {
		return nil, false, nil, err
	}
	if h != nil {
		return app.AppendHistogram(previous, s.Start, s.Time, h, false)
	}
	return app.AppendFloatHistogram(previous, s.Start, s.Time, fh, false)
}

// appendSamples appends the samples of a chunk; source identifies the chunk
// among those that are merged.
func appendSamples(dst []Sample, c Chunk, source int) ([]Sample, error) {
	if c.isPlainFloats() {
		times, values, err := c.appendFloats(nil, nil)
		if err != nil {
			return dst, err
		}
		for i, t := range times {
			s := Sample{Time: t, Bits: bitsOf(values[i])}
			if len(c.Starts) > 0 {
				s.Start = c.Starts[i]
			}
			dst = append(dst, s)
		}
		return dst, nil
	}
	it, err := c.iterator(nil)
	if err != nil {
		return dst, err
	}
	for index := 0; ; index++ {
		s := Sample{chunk: source, index: index}
		switch it.Next() {
		case chunkenc.ValNone:
			if err := it.Err(); err != nil {
				return dst, corrupt(c, err)
			}
			return dst, nil
		case chunkenc.ValFloat:
			t, v := it.At()
			s.Time, s.Bits = t, bitsOf(v)
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(nil)
			s.Time, s.Histogram = t, AppendHistogram(nil, h)
		case chunkenc.ValFloatHistogram:
			t, h := it.AtFloatHistogram(nil)
			s.Time, s.Histogram = t, AppendFloatHistogram(nil, h)
		}
		s.Start = it.AtST()
		dst = append(dst, s)
	}
}

// followsIn reports whether s came right after previous in its chunk.
func (s Sample) followsIn(previous Sample) bool {
	return previous.Histogram != nil && s.chunk == previous.chunk && s.index == previous.index+1
}

// HistogramSample returns the sample for a histogram of a batch.
func HistogramSample(h series.Histogram) Sample {
	s := Sample{Time: h.Timestamp, Start: h.Start}
	if h.Int != nil {
		s.Histogram = AppendHistogram(nil, h.Int)
	} else {
		s.Histogram = AppendFloatHistogram(nil, h.Float)
	}
	return s
}

// unknownReset returns a copy of h's hint rule: counters read out of context
// have an unknown reset.
func unknownReset(hint histogram.CounterResetHint) histogram.CounterResetHint {
	if hint == histogram.GaugeType {
		return hint
	}
	return histogram.UnknownCounterReset
}

// FloatSample returns the sample for a float without a start timestamp.
func FloatSample(time int64, value float64) Sample { return Sample{Time: time, Bits: bitsOf(value)} }

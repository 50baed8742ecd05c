package head

import (
	"math"
	"slices"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
)

// Span is the times that are wanted, both inclusive.
type Span struct{ Min, Max int64 }

// Scratch is memory that a reader lends to AppendChunks; the zero value is ready.
// Reset makes it available again.
type Scratch struct {
	bytes  []byte // of open chunks
	times  []int64
	values []float64
	starts []int64
}

// Reset ends the use of the chunks read so far.
func (s *Scratch) Reset() {
	s.bytes, s.times, s.values, s.starts = s.bytes[:0], s.times[:0], s.values[:0], s.starts[:0]
}

// AppendChunks is Chunks in the memory of scratch, with the floats among the extra
// samples as columns.
func (e *Epoch) AppendChunks(ref index.Ref, span Span, number int, scratch *Scratch, list []chunks.Chunk) ([]chunks.Chunk, error) {
	s := e.stripeAt(int(ref/index.PageRefs), false)
	if s == nil {
		return list, nil
	}
	position := uint32(ref % index.PageRefs)
	s.mu.Lock()
	if c := &s.open[position]; c.overlaps(span.Min, span.Max) {
		var chunk chunks.Chunk
		var err error
		if chunk, scratch.bytes, err = c.copy(&e.pages, span, scratch.bytes); err != nil {
			s.mu.Unlock()
			return list, err
		}
		list = append(list, chunk.WithList(number, 0))
	}
	x := s.extra[uint16(position)]
	if x == nil || len(x.samples) == 0 {
		s.mu.Unlock()
		return list, nil
	}
	samples := x.joined(e)
	if samples[0].Time > span.Max || samples[len(samples)-1].Time < span.Min {
		s.mu.Unlock()
		return list, nil
	}
	if floats, ok := scratch.floats(samples); ok {
		s.mu.Unlock()
		return append(list, floats.WithList(number+1, 0)), nil
	}
	samples = slices.Clone(samples)
	s.mu.Unlock()
	encoded, err := chunks.Encode(nil, samples)
	for i, c := range encoded {
		list = append(list, c.WithList(number+1, i))
	}
	return list, err
}

// floats returns samples as columns, if there is no histogram among them.
func (s *Scratch) floats(samples []chunks.Sample) (chunks.Chunk, bool) {
	at, from, started := len(s.times), len(s.starts), false
	for i := range samples {
		x := &samples[i]
		if x.Histogram != nil {
			s.times, s.values, s.starts = s.times[:at], s.values[:at], s.starts[:from]
			return chunks.Chunk{}, false
		}
		started = started || x.Start != 0
		s.times, s.values = append(s.times, x.Time), append(s.values, math.Float64frombits(x.Bits))
		s.starts = append(s.starts, x.Start)
	}
	end := len(s.times)
	starts := s.starts[from:len(s.starts):len(s.starts)]
	if !started {
		starts = nil
	}
	return chunks.FromColumns(s.times[at:end:end], s.values[at:end:end], starts), true
}

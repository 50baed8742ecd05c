package head

import (
	"fmt"
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
	times  []int64
	values []float64
	starts []int64
}

// Reset ends the use of the chunks read so far.
func (s *Scratch) Reset() {
	s.times, s.values, s.starts = s.times[:0], s.values[:0], s.starts[:0]
}

// AppendChunks is Chunks with floats decoded, in the memory of scratch.
func (e *Epoch) AppendChunks(ref index.Ref, span Span, number int, scratch *Scratch, list []chunks.Chunk) ([]chunks.Chunk, error) {
	mint, maxt := span.Min, span.Max
	s := e.stripeAt(int(ref/index.PageRefs), false)
	if s == nil {
		return list, nil
	}
	position := uint32(ref % index.PageRefs)
	s.mu.Lock()
	if c := &s.open[position]; c.count > 0 && c.minTime <= maxt && c.state.Time >= mint {
		chunk, err := scratch.open(s, &e.pages, position)
		if err != nil {
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
	if samples[0].Time > maxt || samples[len(samples)-1].Time < mint {
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

// open decodes the open chunk of the series at position i of a stripe, whose lock
// the caller holds. The pages lie apart, so that the next one is asked for while
// one is decoded.
func (s *Scratch) open(of *stripe, p *pages, i uint32) (chunks.Chunk, error) {
	c := &of.open[i]
	at, end := len(s.times), len(s.times)+int(c.count)
	s.times, s.values = slices.Grow(s.times, int(c.count))[:end], slices.Grow(s.values, int(c.count))[:end]
	var d chunks.FloatDecoder
	n := at
	page := p.from(c.first)
	for next := pageNext(page); ; {
		var following []byte
		after := uint32(0)
		if next != 0 {
			following = p.from(next)
			after = pageNext(following)
		}
		decoded, err := d.Decode(s.times[n:], s.values[n:], page[5:], int(page[4]))
		if n += decoded; err != nil {
			return chunks.Chunk{}, fmt.Errorf("read open chunk: %w", err)
		}
		if next == 0 {
			break
		}
		page, next = following, after
	}
	if n != end {
		return chunks.Chunk{}, fmt.Errorf("read open chunk: %d samples instead of %d", n-at, c.count)
	}
	return chunks.FromColumns(s.times[at:end:end], s.values[at:end:end], nil), nil
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

package head

import (
	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
)

// Series is what a frozen epoch holds of one series.
type Series struct {
	Ref index.Ref
	// Open is the chunk of in-order floats; its Count may be 0. Its bytes are
	// valid until the next call of the walk.
	Open chunks.Chunk
	// Extra are the other samples, joined and ascending in time.
	Extra []chunks.Sample
	// Exemplars are in order of arrival.
	Exemplars []Exemplar
}

// Series calls visit for every series that has something, in order of
// reference. The epoch must be frozen.
func (e *Epoch) Series(visit func(*Series) error) error {
	var out Series
	var buffer []byte
	for number, s := range *e.stripes.Load() {
		if s == nil {
			continue
		}
		for i := range s.open {
			s.mu.Lock()
			found := s.series(e, uint32(i), &out, &buffer)
			s.mu.Unlock()
			if found {
				out.Ref = index.Ref(number*index.PageRefs + i)
				if err := visit(&out); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// One fills out with what the epoch holds of ref; buffer is reused.
func (e *Epoch) One(ref index.Ref, out *Series, buffer *[]byte) bool {
	s := e.stripeAt(int(ref/index.PageRefs), false)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Ref = ref
	return s.series(e, uint32(ref%index.PageRefs), out, buffer)
}

func (s *stripe) series(e *Epoch, position uint32, out *Series, buffer *[]byte) bool {
	x := s.extra[uint16(position)]
	if s.open[position].count == 0 && x == nil {
		return false
	}
	out.Open = chunks.Chunk{Encoding: chunks.EncFloat}
	if c := &s.open[position]; c.count > 0 {
		out.Open, *buffer, _ = c.copy(&e.pages, always, (*buffer)[:0]) // whole chunks are not decoded
	}
	out.Extra, out.Exemplars = nil, nil
	if x != nil {
		out.Extra, out.Exemplars = x.joined(e), x.exemplars
	}
	return true
}

// Range returns the times of the first and the last sample of s; min is above
// max if it has exemplars only.
func (s *Series) Range() (minTime, maxTime int64) {
	minTime, maxTime = 1, 0
	widen := func(lo, hi int64) {
		if minTime > maxTime {
			minTime, maxTime = lo, hi
		} else {
			minTime, maxTime = min(minTime, lo), max(maxTime, hi)
		}
	}
	if s.Open.Count > 0 {
		widen(s.Open.MinTime, s.Open.MaxTime)
	}
	if n := len(s.Extra); n > 0 {
		widen(s.Extra[0].Time, s.Extra[n-1].Time)
	}
	return minTime, maxTime
}

package head

import (
	"sort"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
)

// Last returns the newest sample of ref at or before to, if it is a float. exact
// is false where that cannot be told without decoding: then nothing else counts.
func (e *Epoch) Last(ref index.Ref, to int64) (time int64, bits uint64, found, exact bool) {
	s := e.stripeAt(int(ref/index.PageRefs), false)
	if s == nil {
		return 0, 0, false, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last(e, uint32(ref%index.PageRefs), to)
}

// last is Last for the series at a position of a stripe whose lock the caller holds.
func (s *stripe) last(e *Epoch, position uint32, to int64) (time int64, bits uint64, found, exact bool) {
	if c := &s.open[position]; c.count > 0 {
		switch {
		case c.state.Time <= to:
			time, bits, found = c.state.Time, c.state.Bits, true
		case c.minTime <= to:
			return 0, 0, false, false
		}
	}
	if len(s.extra) == 0 {
		return time, bits, found, true
	}
	x := s.extra[uint16(position)]
	if x == nil {
		return time, bits, found, true
	}
	samples := x.joined(e)
	n := sort.Search(len(samples), func(i int) bool { return samples[i].Time > to })
	if n == 0 {
		return time, bits, found, true
	}
	newest := &samples[n-1]
	switch {
	case found && newest.Time < time:
	case newest.Histogram != nil:
		return 0, 0, false, false
	case !found || newest.Time > time || series.CompareFloat(newest.Bits, bits) > 0:
		time, bits, found = newest.Time, newest.Bits, true
	}
	return time, bits, found, true
}

// Latest is what epochs know of the newest sample of a series in a stretch of time.
type Latest struct {
	Time int64
	Bits uint64
	// Found says that there is a sample, a float with Time and Bits; Inexact that
	// it has to be decoded: then nothing else counts.
	Found, Inexact bool
	// Overlaps says that the series has samples or exemplars that may lie there.
	Overlaps bool
}

// AddLatest takes into out what the epoch knows of the newest samples of refs in
// span. Neighbours take one lock.
func (e *Epoch) AddLatest(refs []index.Ref, span Span, out []Latest) {
	var s *stripe
	held := -1
	for i, ref := range refs {
		if number := int(ref / index.PageRefs); number != held {
			if s != nil {
				s.mu.Unlock()
			}
			if held, s = number, e.stripeAt(number, false); s != nil {
				s.mu.Lock()
			}
		}
		if s != nil {
			s.addLatest(e, uint32(ref%index.PageRefs), span, &out[i])
		}
	}
	if s != nil {
		s.mu.Unlock()
	}
}

func (s *stripe) addLatest(e *Epoch, position uint32, span Span, out *Latest) {
	if !s.overlaps(position, span.Min, span.Max) {
		return
	}
	out.Overlaps = true
	t, bits, found, exact := s.last(e, position, span.Max)
	switch {
	case !exact:
		out.Inexact = true
	case found && t >= span.Min && (!out.Found || t > out.Time || t == out.Time && series.CompareFloat(bits, out.Bits) > 0):
		out.Time, out.Bits, out.Found = t, bits, true
	}
}

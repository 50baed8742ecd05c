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
	position := uint32(ref % index.PageRefs)
	s.mu.Lock()
	defer s.mu.Unlock()
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

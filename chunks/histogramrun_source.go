package chunks

import (
	"encoding/binary"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// runSource collects the histograms of a run that is to be encoded. All slices
// but the layouts and the bucket indexes are as long as there are samples.
type runSource struct {
	runClass
	float bool
	live  bool // a sample is not stale, and so the class is known

	times, starts []int64
	ints          []*histogram.Histogram // of a run with integer counts
	floats        []*histogram.FloatHistogram
	sums          []float64
	above         []int64
	stale         []bool
	hints         []histogram.CounterResetHint

	layouts            []runLayout // places are found when all are known
	positive, negative []int64     // indexes of the buckets of any of the layouts
	indexes            []int64
}

func (s *runSource) reset() {
	s.cut(runSource{})
	clear(s.ints[:cap(s.ints)])
	clear(s.floats[:cap(s.floats)])
}

// mark returns what cut needs to go back to here: elements are only ever added.
func (s *runSource) mark() runSource { return *s }

// cut drops what was added after mark, and keeps the memory.
func (s *runSource) cut(to runSource) {
	n := len(to.times)
	to.times, to.starts, to.sums = s.times[:n], s.starts[:n], s.sums[:n]
	to.above, to.stale, to.hints = s.above[:n], s.stale[:n], s.hints[:n]
	to.ints, to.floats = s.ints[:len(to.ints)], s.floats[:len(to.floats)]
	to.layouts, to.indexes = s.layouts[:len(to.layouts)], s.indexes
	*s = to
}

// addInt adds a histogram and reports whether it fits the run.
func (s *runSource) addInt(t, start int64, h *histogram.Histogram) bool {
	if len(s.times) > 0 && s.float {
		return false
	}
	total, positive := addDeltas(h.ZeroCount, h.PositiveBuckets), bucketsIn(h.PositiveSpans)
	total, negative := addDeltas(total, h.NegativeBuckets), bucketsIn(h.NegativeSpans)
	if positive != len(h.PositiveBuckets) || negative != len(h.NegativeBuckets) {
		return false
	}
	s.float, s.ints = false, append(s.ints, h)
	return s.add(runSample{
		time: t, start: start, sum: h.Sum, above: int64(h.Count - total), hint: h.CounterResetHint,
		class: runClass{h.Schema, h.ZeroThreshold, h.CustomValues}, positive: h.PositiveSpans, negative: h.NegativeSpans,
	})
}

// addDeltas adds the counts that deltas stand for to total.
func addDeltas(total uint64, deltas []int64) uint64 {
	count := int64(0)
	for _, delta := range deltas {
		count += delta
		total += uint64(count)
	}
	return total
}

// addFloat adds a histogram and reports whether it fits the run.
func (s *runSource) addFloat(t, start int64, h *histogram.FloatHistogram) bool {
	if len(s.times) > 0 && !s.float {
		return false
	}
	if bucketsIn(h.PositiveSpans) != len(h.PositiveBuckets) || bucketsIn(h.NegativeSpans) != len(h.NegativeBuckets) {
		return false
	}
	s.float, s.floats = true, append(s.floats, h)
	return s.add(runSample{
		time: t, start: start, sum: h.Sum, above: countAbove(h.Count, totalOf(h)), hint: h.CounterResetHint,
		class: runClass{h.Schema, h.ZeroThreshold, h.CustomValues}, positive: h.PositiveSpans, negative: h.NegativeSpans,
	})
}

// runSample is a histogram without its buckets' counts.
type runSample struct {
	time, start        int64
	sum                float64
	above              int64 // the count, above the total of the buckets
	hint               histogram.CounterResetHint
	class              runClass
	positive, negative []histogram.Span
}

func (s *runSource) add(h runSample) bool {
	at, stale := len(s.times), value.IsStaleNaN(h.sum)
	s.times, s.starts, s.sums = append(s.times, h.time), append(s.starts, h.start), append(s.sums, h.sum)
	s.above, s.stale, s.hints = append(s.above, h.above), append(s.stale, stale), append(s.hints, h.hint)
	if stale {
		return true
	}
	if !s.live {
		s.live, s.runClass = true, h.class
		return s.known() && s.addLayout(0, h.positive, h.negative)
	}
	if !s.equal(&h.class) {
		return false
	}
	last := &s.layouts[len(s.layouts)-1]
	if slices.Equal(last.positive, h.positive) && slices.Equal(last.negative, h.negative) {
		return true
	}
	return s.addLayout(at, h.positive, h.negative)
}

func (s *runSource) addLayout(first int, positive, negative []histogram.Span) (ok bool) {
	if s.indexes, ok = bucketIndexes(s.indexes[:0], positive, runCellsMax); !ok {
		return false
	}
	s.positive = unite(s.positive, s.indexes)
	if s.indexes, ok = bucketIndexes(s.indexes[:0], negative, runCellsMax); !ok {
		return false
	}
	s.negative = unite(s.negative, s.indexes)
	s.layouts = append(s.layouts, runLayout{first: first, positive: positive, negative: negative})
	return true
}

// holds reports whether the run is not too large.
func (s *runSource) holds() bool {
	return (1+len(s.positive)+len(s.negative))*len(s.times) <= runCellsMax
}

// usualHint returns the hint that most samples have, as chunks give them.
func (s *runSource) usualHint() histogram.CounterResetHint {
	for i, hint := range s.hints {
		if !s.stale[i] && hint == histogram.GaugeType {
			return hint
		}
	}
	return histogram.NotCounterReset
}

func (s *runSource) appendHints(dst []byte, usual histogram.CounterResetHint) []byte {
	others := 0
	for i, hint := range s.hints {
		if hint != usual && !s.stale[i] {
			others++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(others))
	next := 0
	for i, hint := range s.hints {
		if hint != usual && !s.stale[i] {
			dst = binary.AppendUvarint(dst, uint64(i-next)<<2|uint64(hint))
			next = i + 1
		}
	}
	return dst
}

// appendLayouts appends the layouts, one without buckets if all samples are
// stale, and finds the places of their buckets.
func (s *runSource) appendLayouts(dst []byte) []byte {
	if len(s.layouts) == 0 {
		s.layouts = append(s.layouts, runLayout{})
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.layouts)))
	for i := range s.layouts {
		l := &s.layouts[i]
		end := len(s.times)
		if i+1 < len(s.layouts) {
			end = s.layouts[i+1].first
		}
		dst = binary.AppendUvarint(dst, uint64(end-l.first))
		dst = appendSpans(appendSpans(dst, l.positive), l.negative)
		s.indexes, _ = bucketIndexes(s.indexes[:0], l.positive, runCellsMax)
		l.places = placesIn(nil, s.positive, s.indexes, 0)
		s.indexes, _ = bucketIndexes(s.indexes[:0], l.negative, runCellsMax)
		l.places = placesIn(l.places, s.negative, s.indexes, len(s.positive))
	}
	return dst
}

// eachLive calls visit with the samples that are not stale and their layouts.
func (s *runSource) eachLive(visit func(i int, l *runLayout)) {
	at := 0
	for i, stale := range s.stale {
		for at+1 < len(s.layouts) && s.layouts[at+1].first <= i {
			at++
		}
		if !stale {
			visit(i, &s.layouts[at])
		}
	}
}

// fillInts sets the cells of the samples, column after column.
func (s *runSource) fillInts(cells []int64, stride int) {
	s.eachLive(func(i int, l *runLayout) {
		h := s.ints[i]
		cells[i] = int64(h.ZeroCount)
		places := l.places
		for _, deltas := range [2][]int64{h.PositiveBuckets, h.NegativeBuckets} {
			count := int64(0)
			for k, delta := range deltas {
				count += delta
				cells[(1+int(places[k]))*stride+i] = count
			}
			places = places[len(deltas):]
		}
	})
}

// fillFloats does that for float counts.
func (s *runSource) fillFloats(cells []float64, stride int) {
	s.eachLive(func(i int, l *runLayout) {
		h := s.floats[i]
		cells[i] = h.ZeroCount
		places := l.places
		for _, counts := range [2][]float64{h.PositiveBuckets, h.NegativeBuckets} {
			for k, count := range counts {
				cells[(1+int(places[k]))*stride+i] = count
			}
			places = places[len(counts):]
		}
	})
}

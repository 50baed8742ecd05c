package tsdb

import (
	"math"
	"math/rand/v2"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks"
)

const staleBits = value.StaleNaN

// randomHistogram returns the record of a small native histogram. Counts and
// layouts are few, so that different histograms of one count meet.
func randomHistogram(r *rand.Rand) []byte {
	schema := []int32{0, 3, histogram.CustomBucketsSchema}[r.IntN(3)]
	h := &histogram.Histogram{Schema: schema, Sum: float64(r.IntN(4))}
	if r.IntN(12) == 0 {
		return chunks.AppendHistogram(nil, &histogram.Histogram{Schema: schema, Sum: staleFloat()})
	}
	if r.IntN(4) == 0 {
		h.CounterResetHint = histogram.GaugeType
	}
	custom := schema == histogram.CustomBucketsSchema
	h.PositiveSpans, h.PositiveBuckets = randomBuckets(r, custom)
	if custom {
		h.CustomValues = [][]float64{{1, 2, 3, 4, 5, 6, 7, 8}, {1, 2.5, 3, 4, 5, 6, 7, 8}}[r.IntN(2)]
	} else {
		h.NegativeSpans, h.NegativeBuckets = randomBuckets(r, custom)
		h.ZeroCount = uint64(r.IntN(2))
		h.ZeroThreshold = []float64{0, 0.001}[r.IntN(2)]
	}
	h.Count = h.ZeroCount
	for _, deltas := range [][]int64{h.PositiveBuckets, h.NegativeBuckets} {
		at := int64(0)
		for _, d := range deltas {
			at += d
			h.Count += uint64(at)
		}
	}
	if err := h.Validate(); err != nil {
		panic(err)
	}
	if r.IntN(3) == 0 {
		return chunks.AppendFloatHistogram(nil, h.ToFloat(nil))
	}
	return chunks.AppendHistogram(nil, h)
}

func staleFloat() float64 { return math.Float64frombits(staleBits) }

// randomBuckets returns spans over at most eight buckets, with counts as deltas.
func randomBuckets(r *rand.Rand, custom bool) (spans []histogram.Span, deltas []int64) {
	room, last := 8, int64(0)
	for range r.IntN(3) {
		offset := r.IntN(2)
		length := 1 + r.IntN(2)
		if len(spans) == 0 && !custom {
			offset -= 1
		}
		if room -= offset + length; room < 0 {
			break
		}
		spans = append(spans, histogram.Span{Offset: int32(offset), Length: uint32(length)})
		for range length {
			n := int64(r.IntN(3))
			deltas = append(deltas, n-last)
			last = n
		}
	}
	return spans, deltas
}

// canonical returns a sample whose histogram, if it is one, has no empty buckets
// and no counter reset hint but that of a gauge: two that mean the same become
// the same.
func canonical(s chunks.Sample) chunks.Sample {
	out := chunks.Sample{Time: s.Time, Start: s.Start, Bits: s.Bits}
	if s.Histogram == nil {
		return out
	}
	h, fh, err := chunks.DecodeHistogram(s.Histogram)
	if err != nil {
		panic(err)
	}
	if h != nil {
		if h.CounterResetHint != histogram.GaugeType {
			h.CounterResetHint = histogram.UnknownCounterReset
		}
		if value.IsStaleNaN(h.Sum) {
			h = &histogram.Histogram{Sum: h.Sum}
		}
		out.Histogram = chunks.AppendHistogram(nil, h.Compact(0))
		return out
	}
	if fh.CounterResetHint != histogram.GaugeType {
		fh.CounterResetHint = histogram.UnknownCounterReset
	}
	if value.IsStaleNaN(fh.Sum) {
		fh = &histogram.FloatHistogram{Sum: fh.Sum}
	}
	out.Histogram = chunks.AppendFloatHistogram(nil, fh.Compact(0))
	return out
}

func countOf(record []byte) float64 {
	h, fh, err := chunks.DecodeHistogram(record)
	switch {
	case err != nil:
		panic(err)
	case h != nil:
		return float64(h.Count)
	default:
		return fh.Count
	}
}

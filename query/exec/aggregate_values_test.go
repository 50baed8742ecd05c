package exec

import (
	"math"
	"math/rand"

	"github.com/prometheus/prometheus/model/histogram"
)

// aggregateSeeds is how many data sets of each kind there are.
const aggregateSeeds = 2

// aggregateValue returns the sample of a series at a step.
type aggregateValue func(rnd *rand.Rand, series, step int) (float64, *histogram.FloatHistogram)

var aggregateValues = map[string]aggregateValue{
	"small integers": func(rnd *rand.Rand, _, _ int) (float64, *histogram.FloatHistogram) {
		return float64(1 + rnd.Intn(5)), nil
	},
	"small specials": func(rnd *rand.Rand, series, _ int) (float64, *histogram.FloatHistogram) {
		if series%2 == 0 {
			return float64(rnd.Intn(3)), nil
		}
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 1, -1}[rnd.Intn(7)], nil
	},
	"small mixed": func(rnd *rand.Rand, series, step int) (float64, *histogram.FloatHistogram) {
		if series%3 == 0 && step%3 != 0 || step == 3 && rnd.Intn(3) > 0 {
			return 0, aggregateHistogram(rnd, series, step)
		}
		return float64(rnd.Intn(4)), nil
	},
	"zeros": func(rnd *rand.Rand, _, _ int) (float64, *histogram.FloatHistogram) {
		return math.Copysign(0, float64(rnd.Intn(2))-0.5), nil
	},
	"normal": func(rnd *rand.Rand, _, _ int) (float64, *histogram.FloatHistogram) {
		return rnd.NormFloat64() * math.Exp2(float64(rnd.Intn(60))), nil
	},
	"extreme": func(rnd *rand.Rand, series, _ int) (float64, *histogram.FloatHistogram) {
		if series%3 > 0 {
			return rnd.NormFloat64(), nil
		}
		return math.Ldexp(rnd.NormFloat64(), 1018+rnd.Intn(5)), nil
	},
	"rare": func(rnd *rand.Rand, _, _ int) (float64, *histogram.FloatHistogram) {
		switch rnd.Intn(40) {
		case 0:
			return math.NaN(), nil
		case 1:
			return math.Inf(1), nil
		case 2:
			return -math.MaxFloat64, nil
		case 3:
			return math.MaxFloat64, nil
		case 4:
			return 5e-324, nil
		}
		return rnd.ExpFloat64(), nil
	},
	"histograms": func(rnd *rand.Rand, series, step int) (float64, *histogram.FloatHistogram) {
		return 0, aggregateHistogram(rnd, series, step)
	},
	"exponential": func(rnd *rand.Rand, series, step int) (float64, *histogram.FloatHistogram) {
		return 0, aggregateHistogram(rnd, 2*series, step)
	},
	"large histograms": func(rnd *rand.Rand, series, step int) (float64, *histogram.FloatHistogram) {
		h := aggregateHistogram(rnd, 2*series, step)
		if rnd.Intn(3) == 0 {
			h.Mul(math.Ldexp(1, 1015))
		}
		return 0, h
	},
	"few histograms": func(rnd *rand.Rand, series, step int) (float64, *histogram.FloatHistogram) {
		if rnd.Intn(8) == 0 {
			return 0, aggregateHistogram(rnd, series, step)
		}
		return rnd.NormFloat64(), nil
	},
}

// aggregateHistogram returns an exponential histogram for even series, and one
// with custom buckets for odd ones.
func aggregateHistogram(rnd *rand.Rand, series, step int) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{
		Schema:          int32(rnd.Intn(3)),
		ZeroThreshold:   []float64{0.001, 0.01}[rnd.Intn(2)],
		PositiveSpans:   []histogram.Span{{Offset: int32(rnd.Intn(3)), Length: 2}, {Offset: 1, Length: 1}},
		NegativeSpans:   []histogram.Span{{Offset: 0, Length: 1}},
		PositiveBuckets: []float64{rnd.Float64(), float64(step + 5), rnd.ExpFloat64() * 1e6},
		NegativeBuckets: []float64{rnd.Float64()},
		ZeroCount:       rnd.Float64(),
		Sum:             rnd.NormFloat64() * 1e3,
	}
	if series%2 == 1 {
		h.Schema, h.ZeroThreshold, h.ZeroCount, h.NegativeSpans, h.NegativeBuckets = histogram.CustomBucketsSchema, 0, 0, nil, nil
		h.PositiveSpans = []histogram.Span{{Offset: 0, Length: 3}}
		h.CustomValues = [][]float64{{1, 2, 3}, {1, 2.5, 3}, {1, 2}}[rnd.Intn(3)]
	}
	for _, v := range append(h.PositiveBuckets, h.NegativeBuckets...) {
		h.Count += v
	}
	h.Count += h.ZeroCount
	if series%5 == 0 {
		h.CounterResetHint = histogram.GaugeType
	}
	return h
}

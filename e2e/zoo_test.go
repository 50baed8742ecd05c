//go:build e2e

package e2e

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
)

// zooSamples is how many samples, a second apart, each series of the zoo has.
const zooSamples = 50

// writeZoo writes series of kinds that Debian's senders do not have: native
// histograms, and floats with gaps, resets and ends. It returns what it wrote.
func writeZoo(t testing.TB, n *node, within span) recording {
	t.Helper()
	start := (within.to/1000 - zooSamples - 3) * 1000
	all := recording{}
	for job, scale := range map[string]int64{"a": 1, "b": 7} {
		all.add(labelsOf("zoo_histogram", "job", job), nil, nativeHistograms(start, scale))
		all.add(labelsOf("zoo_custom", "job", job), nil, customHistograms(start, scale))
		all.add(labelsOf("zoo_float_histogram", "job", job), nil, floatHistograms(start, scale))
		all.add(labelsOf("zoo_total", "job", job), restarting(start, float64(scale)), nil)
		all.add(labelsOf("zoo_wave", "job", job, "phase", "0"), wave(start, float64(scale)), nil)
	}
	all.add(labelsOf("zoo_special", "v", "nan"), constant(start, math.NaN()), nil)
	all.add(labelsOf("zoo_special", "v", "inf"), constant(start, math.Inf(1)), nil)
	all.add(labelsOf("zoo_special", "v", "subnormal"), constant(start, -5e-324), nil)
	all.add(labelsOf("zoo_special", "v", "huge"), constant(start, math.MaxFloat64), nil)
	mixed := constant(start, 1)
	all.add(labelsOf("zoo_mixed"), mixed[:zooSamples/2], nativeHistograms(start, 2)[zooSamples/2:])
	var series []prompb.TimeSeries
	for _, s := range all {
		series = append(series, prompb.TimeSeries{Labels: s.labels, Samples: s.samples, Histograms: s.histograms})
	}
	n.write(series)
	return all
}

func constant(start int64, v float64) []prompb.Sample {
	var out []prompb.Sample
	for i := range int64(zooSamples) {
		out = append(out, prompb.Sample{Timestamp: start + i*1000, Value: v})
	}
	return out
}

// restarting is a counter with resets, a gap, and an end in the middle.
func restarting(start int64, scale float64) []prompb.Sample {
	var out []prompb.Sample
	for i := range int64(zooSamples) {
		s := prompb.Sample{Timestamp: start + i*1000 + i*37%90, Value: scale * float64(i%17) * 1.1}
		switch {
		case i > 20 && i < 27:
			continue
		case i == 35:
			s.Value = math.Float64frombits(value.StaleNaN)
		}
		out = append(out, s)
	}
	return out
}

func wave(start int64, scale float64) []prompb.Sample {
	var out []prompb.Sample
	for i := range int64(zooSamples) {
		out = append(out, prompb.Sample{Timestamp: start + i*1000, Value: scale * math.Sin(float64(i)/5)})
	}
	return out
}

// nativeHistograms grow, restart once, and end.
func nativeHistograms(start, scale int64) []prompb.Histogram {
	var out []prompb.Histogram
	for i := range int64(zooSamples) {
		n := (i%30 + 1) * scale
		h := histogram.Histogram{
			Schema: 2, ZeroThreshold: 0.001, ZeroCount: uint64(n),
			Count: uint64(n + 2*n + 3*n + n + n), Sum: 12.5 * float64(n),
			PositiveSpans:   []histogram.Span{{Offset: -1, Length: 2}, {Offset: 2, Length: 1}},
			PositiveBuckets: []int64{2 * n, n, -2 * n},
			NegativeSpans:   []histogram.Span{{Offset: 0, Length: 1}},
			NegativeBuckets: []int64{n},
		}
		if i == zooSamples-1 {
			h = histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
		}
		out = append(out, prompb.FromIntHistogram(start+i*1000, &h))
	}
	return out
}

func customHistograms(start, scale int64) []prompb.Histogram {
	var out []prompb.Histogram
	for i := range int64(zooSamples) {
		n := (i + 1) * scale
		out = append(out, prompb.FromIntHistogram(start+i*1000, &histogram.Histogram{
			Schema: histogram.CustomBucketsSchema, Count: uint64(6 * n), Sum: 3.25 * float64(n),
			CustomValues:    []float64{0.1, 0.5, 2.5},
			PositiveSpans:   []histogram.Span{{Offset: 0, Length: 3}},
			PositiveBuckets: []int64{n, n, n},
		}))
	}
	return out
}

// floatHistograms are gauges: they also shrink.
func floatHistograms(start, scale int64) []prompb.Histogram {
	var out []prompb.Histogram
	for i := range int64(zooSamples) {
		n := float64(scale) * (10 + 3*math.Sin(float64(i)/4))
		out = append(out, prompb.FromFloatHistogram(start+i*1000, &histogram.FloatHistogram{
			CounterResetHint: histogram.GaugeType, Schema: 0, ZeroThreshold: 0.01, ZeroCount: n,
			Count: 3.5 * n, Sum: 4 * n,
			PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}},
			PositiveBuckets: []float64{n, 1.5 * n},
		}))
	}
	return out
}

package column

import (
	"math"
	"testing"
	"time"
)

// The benchmarks decode and encode whole data sets, timestamps included, and
// report bytes per sample and the time of the fastest pass. They read the full
// captures if VARVE_DATA names their folder.

func benchmarkDecode(b *testing.B, name string, level Level) {
	s := seal(b, dataSet(b, name), level)
	var r CellReader
	times, values := make([]int64, SamplesMax), make([]float64, SamplesMax)
	s.unseal(b, &r, times, values)
	b.ReportAllocs()
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		s.unseal(b, &r, times, values)
		best = min(best, time.Since(start))
	}
	b.ReportMetric(float64(s.bytes())/float64(s.samples), "bytes/sample")
	b.ReportMetric(float64(best.Nanoseconds())/float64(s.samples), "min-ns/sample")
}

func benchmarkEncode(b *testing.B, name string, level Level) {
	series := dataSet(b, name)
	samples := 0
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		s := seal(b, series, level)
		best = min(best, time.Since(start))
		samples = s.samples
	}
	b.ReportMetric(float64(best.Nanoseconds())/float64(samples), "min-ns/sample")
}

func BenchmarkDecodeFastNode1s(b *testing.B)     { benchmarkDecode(b, "node_1s", Fast) }
func BenchmarkDecodeBalancedNode1s(b *testing.B) { benchmarkDecode(b, "node_1s", Balanced) }
func BenchmarkDecodeSmallNode1s(b *testing.B)    { benchmarkDecode(b, "node_1s", Small) }
func BenchmarkDecodeFastGoapp1s(b *testing.B)    { benchmarkDecode(b, "goapp_1s", Fast) }
func BenchmarkDecodeBalancedGoapp1s(b *testing.B) {
	benchmarkDecode(b, "goapp_1s", Balanced)
}
func BenchmarkDecodeSmallGoapp1s(b *testing.B) { benchmarkDecode(b, "goapp_1s", Small) }
func BenchmarkDecodeFastNode15s(b *testing.B)  { benchmarkDecode(b, "node_15s", Fast) }
func BenchmarkDecodeBalancedNode15s(b *testing.B) {
	benchmarkDecode(b, "node_15s", Balanced)
}
func BenchmarkDecodeFastGoapp15s(b *testing.B) { benchmarkDecode(b, "goapp_15s", Fast) }
func BenchmarkDecodeBalancedGoapp15s(b *testing.B) {
	benchmarkDecode(b, "goapp_15s", Balanced)
}
func BenchmarkDecodeFastSynth(b *testing.B)     { benchmarkDecode(b, "synth", Fast) }
func BenchmarkDecodeBalancedSynth(b *testing.B) { benchmarkDecode(b, "synth", Balanced) }

func BenchmarkEncodeFastNode1s(b *testing.B)       { benchmarkEncode(b, "node_1s", Fast) }
func BenchmarkEncodeBalancedNode1s(b *testing.B)   { benchmarkEncode(b, "node_1s", Balanced) }
func BenchmarkEncodeSmallNode1s(b *testing.B)      { benchmarkEncode(b, "node_1s", Small) }
func BenchmarkEncodeBalancedGoapp1s(b *testing.B)  { benchmarkEncode(b, "goapp_1s", Balanced) }
func BenchmarkEncodeBalancedGoapp15s(b *testing.B) { benchmarkEncode(b, "goapp_15s", Balanced) }
func BenchmarkEncodeBalancedSynth(b *testing.B)    { benchmarkEncode(b, "synth", Balanced) }

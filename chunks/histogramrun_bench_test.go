package chunks

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks/column"
)

// latencies returns n scrapes, 15 s apart, of a native histogram of request
// durations in seconds: log-normal around a median and at a rate of the series'
// own, in buckets of schema. The process is new: buckets appear as they fill.
func latencies(r *rand.Rand, schema int32, n int) []Sample {
	rate := math.Exp(r.Float64() * 6.5) // observations between two scrapes, 1 to 665
	median, spread := 0.002*math.Exp(r.Float64()*4), 0.3+r.Float64()/2
	counts := map[int]int64{}
	var count uint64
	var sum float64
	samples := make([]Sample, n)
	for i := range samples {
		for range int(rate*(0.5+r.Float64())) + r.IntN(2) {
			v := float64(int64(median*math.Exp(r.NormFloat64()*spread)*1e9)) / 1e9
			counts[int(math.Ceil(math.Ldexp(math.Log2(v), int(schema))))]++
			count++
			sum += v
		}
		h := &histogram.Histogram{Schema: schema, ZeroThreshold: 2.938735877055719e-39, Count: count, Sum: sum}
		h.PositiveSpans, h.PositiveBuckets = spansOf(counts)
		samples[i] = Sample{Time: 1.7e12 + int64(i)*15000, Histogram: AppendHistogram(nil, h)}
	}
	return samples
}

// spansOf returns the spans and deltas of counts by bucket; gaps of up to two
// buckets are filled, as Prometheus's client does.
func spansOf(counts map[int]int64) (spans []histogram.Span, deltas []int64) {
	indexes := make([]int, 0, len(counts))
	for i := range counts {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	next, last := 0, int64(0)
	put := func(count int64) {
		spans[len(spans)-1].Length++
		deltas, last = append(deltas, count-last), count
	}
	for k, i := range indexes {
		if gap := i - next; k == 0 || gap > 2 {
			spans = append(spans, histogram.Span{Offset: int32(gap)})
		} else {
			for range gap {
				put(0)
			}
		}
		put(counts[i])
		next = i + 1
	}
	return spans, deltas
}

// replaced returns samples as chunks in Prometheus's encodings and as runs in
// columns, the latter with their timestamps at hand. stored is what the runs take
// stored, without the timestamps, which others share.
func replaced(t testing.TB, level column.Level, samples []Sample) (plain, runs []Chunk, stored int) {
	t.Helper()
	plain, err := Encode(nil, samples)
	if err != nil {
		t.Fatal(err)
	}
	var located [][]int64
	runs, err = NewHistogramEncoder(column.NewEncoder(level)).Replace(plain, func(times []int64) (column.Slice, error) {
		located = append(located, slices.Clone(times))
		return column.Slice{Column: uint32(len(located)) - 1, Length: uint32(len(times))}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var row []byte
	for _, c := range runs {
		stored += len(c.Data)
		row = AppendChunk(row, 1000, c)
	}
	row, err = InlineTimes(nil, row, 1000, func(at column.Slice) ([]int64, error) { return located[at.Column], nil })
	if err != nil {
		t.Fatal(err)
	}
	if runs, err = DecodeList(nil, row, 1000, 0); err != nil {
		t.Fatal(err)
	}
	// The plain chunks get their places in a list in the same way.
	row = nil
	for _, c := range plain {
		row = AppendChunk(row, 1000, c)
	}
	if plain, err = DecodeList(nil, row, 1000, 0); err != nil {
		t.Fatal(err)
	}
	return plain, runs, stored
}

// TestHistogramColumnsTakeHalfTheBytes holds latencies in columns against chunks.
func TestHistogramColumnsTakeHalfTheBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 3))
	inChunks, inColumns := 0, 0
	for range 4 {
		plain, _, stored := replaced(t, column.Balanced, latencies(r, 3, 1000))
		for _, c := range plain {
			inChunks += len(c.Data)
		}
		inColumns += stored
	}
	t.Logf("%.2f bytes a sample in columns, %.2f in chunks", float64(inColumns)/4000, float64(inChunks)/4000)
	if 100*inColumns > 55*inChunks {
		t.Errorf("%d bytes in columns, %d in chunks", inColumns, inChunks)
	}
}

// BenchmarkHistogramColumnsAgainstChunks measures 100 series of 1,000 samples in
// columns and in Prometheus's chunks: bytes a sample without the columns of
// timestamps, which other series share; reading all of them; and writing some, which
// for columns begins with writing chunks.
func BenchmarkHistogramColumnsAgainstChunks(b *testing.B) {
	for _, schema := range []int32{3, 5} {
		r := rand.New(rand.NewPCG(7, uint64(schema)))
		var series [][]Sample
		total := 0
		for range 100 {
			series = append(series, latencies(r, schema, 1000))
			total += 1000
		}
		for _, level := range []column.Level{column.Fast, column.Balanced, column.Small} {
			var plain, runs [][]Chunk
			plainBytes, runBytes := 0, 0
			for _, samples := range series {
				p, c, stored := replaced(b, level, samples)
				for _, chunk := range p {
					plainBytes += len(chunk.Data)
				}
				plain, runs, runBytes = append(plain, p), append(runs, c), runBytes+stored
			}
			name := fmt.Sprintf("schema=%d/%s", schema, level)
			if level == column.Fast {
				name := fmt.Sprintf("schema=%d/chunks", schema)
				b.Run(name+"/read", func(b *testing.B) { readAll(b, plain, total, plainBytes) })
				b.Run(name+"/write", func(b *testing.B) { writeAll(b, nil, series[:20]) })
			}
			b.Run(name+"/read", func(b *testing.B) { readAll(b, runs, total, runBytes) })
			b.Run(name+"/write", func(b *testing.B) { writeAll(b, NewHistogramEncoder(column.NewEncoder(level)), series[:20]) })
		}
	}
}

// writeAll encodes series as a seal does, in chunks alone if e is nil.
func writeAll(b *testing.B, e *HistogramEncoder, series [][]Sample) {
	for b.Loop() {
		for _, samples := range series {
			list, err := Encode(nil, samples)
			if err == nil && e != nil {
				list, err = e.Replace(list, func(times []int64) (column.Slice, error) { return column.Slice{Length: uint32(len(times))}, nil })
			}
			if err != nil || len(list) == 0 {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(1000*len(series)), "ns/sample")
}

// readAll reads the samples of all lists as the query engine does.
func readAll(b *testing.B, lists [][]Chunk, samples, bytes int) {
	var it Iterator
	var h *histogram.FloatHistogram
	for b.Loop() {
		n := 0
		for _, list := range lists {
			for it.Reset(list, math.MinInt64, math.MaxInt64); it.Next() == chunkenc.ValHistogram; n++ {
				_, h = it.AtFloatHistogram(h)
			}
		}
		if n != samples || it.Err() != nil {
			b.Fatal(n, it.Err())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(samples), "ns/sample")
	b.ReportMetric(float64(bytes)/float64(samples), "B/sample")
}

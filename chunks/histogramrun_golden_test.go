package chunks

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks/column"
)

// goldenCounter has one bucket more from the second on, which the chunk gives
// to all, and a stale marker at its end.
func goldenCounter() []Sample {
	samples := make([]Sample, 40)
	for i := range samples {
		h := &histogram.Histogram{
			Schema: 3, ZeroThreshold: 0.5, ZeroCount: 1, Sum: 1.5 * float64(i),
			PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}, {Offset: 3, Length: 1}}, PositiveBuckets: []int64{2, int64(2*i) - 2, 1},
		}
		if i == 0 {
			h.PositiveSpans, h.PositiveBuckets = h.PositiveSpans[:1], []int64{2, -2}
		}
		if h.Count = addDeltas(h.ZeroCount, h.PositiveBuckets); i == len(samples)-1 {
			h = &histogram.Histogram{Sum: floatOf(value.StaleNaN)}
		}
		samples[i] = Sample{Time: 1000 * int64(i+1), Histogram: AppendHistogram(nil, h)}
	}
	return samples
}

// goldenGauge has float counts, custom bounds and start timestamps, and one count
// that is not the total of the buckets.
func goldenGauge() []Sample {
	samples := make([]Sample, 50)
	for i := range samples {
		h := &histogram.FloatHistogram{
			CounterResetHint: histogram.GaugeType, Schema: histogram.CustomBucketsSchema, Count: 0.25*float64(i) + 2.75, Sum: 0.5,
			CustomValues: []float64{1, 2.5}, PositiveSpans: []histogram.Span{{Length: 3}}, PositiveBuckets: []float64{0.25 * float64(i), 0.5, 2.25},
		}
		if i == 2 {
			h.Count = 2
		}
		samples[i] = Sample{Time: 1000 * int64(i), Start: 1000*int64(i) - 500, Histogram: AppendFloatHistogram(nil, h)}
	}
	return samples
}

// goldenRow returns the row of a run whose timestamps are those of column 300 from
// 2 on; the window begins at 0.
func goldenRow(t testing.TB, samples []Sample) []byte {
	t.Helper()
	list, err := Encode(nil, samples)
	if err != nil {
		t.Fatal(err)
	}
	list, err = NewHistogramEncoder(column.NewEncoder(column.Fast)).Replace(list, func([]int64) (column.Slice, error) {
		return column.Slice{Column: 300, Offset: 2, Length: uint32(len(samples))}, nil
	})
	if err != nil || len(list) != 1 || list[0].Encoding != EncHistogramColumns {
		t.Fatalf("%d chunks, %v", len(list), err)
	}
	return AppendChunk(nil, 0, list[0])
}

// The rows of the two, as docs/FORMAT.md shows the first.
const (
	goldenCounterRow = "12 28 d00f d8b002 43" + // 40 samples from 1000 on, over 39,000 ms; 67 bytes
		"08 ac02 02" + // integers, usually no reset; column 300 from 2 on
		"06 000000000000e03f 00" + // schema 3, threshold 0.5, no custom bounds
		"01 00" + // the first sample's hint is unknown
		"01 28 02 0102 0601 00" + // a layout for all 40: buckets -1, 0 and 4
		"02 41 01 27 01 1f 00 1e 0f 80 01 27 01" + // sums: 0, 1.5, ... and a stale marker
		"01 02 00" + // zero bucket: 1
		"01 04 00" + // bucket -1: 2
		"1f 00 04 02 80 01 27 01" + // bucket 0: 0, 2, 4, ...; the last again
		"16 05 06 80 02 0227 0103" + // bucket 4: 0, 3, 5, ...
		"01 00 00" + // the count is the total
		"5813466c"
	goldenGaugeRow = "12 32 00 e8fe02 5e" +
		"0f ac02 02" +
		"69 0000000000000000 02 000000000000f03f 0000000000000440" +
		"00" + "01 32 01 0003 00" +
		"00 000000000000e03f" + "11 00" +
		"02 02 01 31 32" + "00 000000000000e03f" + "00 0000000000000240" +
		"1c 8080808080808005 80 01 02 01" +
		"01 01 b717 d00f" +
		"c99ff06d"
)

func TestRunGolden(t *testing.T) {
	text, err := os.ReadFile("../docs/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder // the first columns
	for line := range strings.Lines(string(text)) {
		example, _, _ := strings.Cut(strings.TrimSpace(line), "    ")
		examples.WriteString(strings.ReplaceAll(example, " ", ""))
	}
	if !strings.Contains(examples.String(), strings.ReplaceAll(goldenCounterRow, " ", "")) {
		t.Error("the example of a run is not in docs/FORMAT.md")
	}
	for name, c := range map[string]struct {
		row     string
		samples []Sample
	}{"counter": {goldenCounterRow, goldenCounter()}, "gauge": {goldenGaugeRow, goldenGauge()}} {
		row, err := hex.DecodeString(strings.ReplaceAll(c.row, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if again := goldenRow(t, c.samples); !bytes.Equal(again, row) {
			t.Errorf("%s: got %x, want %x", name, again, row)
		}
		row, err = InlineTimes(nil, row, 0, func(at column.Slice) (times []int64, err error) {
			if at != (column.Slice{Column: 300, Offset: 2, Length: uint32(len(c.samples))}) {
				t.Errorf("%s: timestamps at %v", name, at)
			}
			for _, s := range c.samples {
				times = append(times, s.Time)
			}
			return times, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := DecodeList(nil, row, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got Columns
		if err := got.Load(list); err != nil {
			t.Fatal(err)
		}
		canonical(got.Histograms)
		canonical(c.samples)
		compareSamples(t, 0, c.samples, got.Histograms)
	}
}

// TestRunsRefuseDamage expects every changed bit of a stored run, and timestamps
// that are not its own, to be found before it is read.
func TestRunsRefuseDamage(t *testing.T) {
	samples := goldenCounter()
	whole := goldenRow(t, samples)
	var times []int64
	for _, s := range samples {
		times = append(times, s.Time)
	}
	read := func(row []byte, times []int64) error {
		inline, err := InlineTimes(nil, row, 0, func(at column.Slice) ([]int64, error) {
			if int(at.Length) != len(times) {
				return nil, fmt.Errorf("%w: %d timestamps", ErrCorrupt, at.Length)
			}
			return times, nil
		})
		if err != nil {
			return err
		}
		list, err := DecodeList(nil, inline, 0, 0)
		if err != nil {
			return err
		}
		return new(Columns).Load(list)
	}
	if err := read(whole, times); err != nil {
		t.Fatal(err)
	}
	for i := range len(whole) * 8 {
		row := bytes.Clone(whole)
		row[i/8] ^= 1 << (i % 8)
		if err := read(row, times); !errors.Is(err, ErrCorrupt) && !errors.Is(err, column.ErrCorrupt) {
			t.Errorf("bit %d of byte %d: %v", i%8, i/8, err)
		}
	}
	for i := range whole {
		if err := read(whole[:i], times); i > 0 && !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if err := read(whole, append(times[:39:39], 41000)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("other timestamps: %v", err)
	}
	list, err := DecodeList(nil, whole, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Columns).Load(list); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without timestamps: %v", err)
	}
}

// FuzzHistogramRun decodes arbitrary bytes as a run with its timestamps, and as a
// row whose timestamps are elsewhere.
func FuzzHistogramRun(f *testing.F) {
	for _, samples := range [][]Sample{goldenCounter(), goldenGauge(), randomHistograms(rand.New(rand.NewPCG(4, 4)), 400)} {
		_, runs, _ := replaced(f, column.Small, samples)
		for _, c := range runs {
			f.Add(c.Data, c.Count)
		}
	}
	f.Add(goldenRow(f, goldenGauge()), 0)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n > 0 && n <= column.SamplesMax && len(data) >= 1+8*n {
			// The ends of a run are those of its chunk.
			c := Chunk{Encoding: EncHistogramColumns, Count: n, Data: data}
			c.MinTime = int64(binary.LittleEndian.Uint64(data[1:]))
			c.MaxTime = int64(binary.LittleEndian.Uint64(data[1+8*(n-1):]))
			readRun(t, c)
		}
		row, err := InlineTimes(nil, data, 0, func(at column.Slice) ([]int64, error) {
			times := make([]int64, at.Length)
			for i := range times {
				times[i] = int64(i) + int64(at.Offset)
			}
			return times, nil
		})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		list, err := DecodeList(nil, row, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if c.Encoding == EncHistogramColumns {
				readRun(t, c)
			}
		}
	})
}

// readRun reads all samples of a run, which are records that decode.
func readRun(t *testing.T, c Chunk) {
	samples, err := appendSamples(nil, c, 0)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		return
	}
	if len(samples) != c.Count {
		t.Fatalf("%d samples of %d", len(samples), c.Count)
	}
	for _, s := range samples {
		if _, _, err := DecodeHistogram(s.Histogram); err != nil {
			t.Fatal(err)
		}
	}
}

package chunks

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
)

var specialBits = []uint64{
	0, 1 << 63, value.StaleNaN, value.NormalNaN, 0x7ff8dead00000000, 0xffffffffffffffff, 1,
	math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)), math.Float64bits(math.MaxFloat64),
	math.Float64bits(1), math.Float64bits(1e9 + 1), math.Float64bits(0.1),
}

func randomBits(r *rand.Rand, previous uint64) uint64 {
	switch r.IntN(6) {
	case 0:
		return specialBits[r.IntN(len(specialBits))]
	case 1:
		return previous
	case 2:
		return r.Uint64()
	case 3:
		return previous ^ (r.Uint64() >> r.IntN(64) << r.IntN(64))
	default:
		return math.Float64bits(math.Float64frombits(previous) + float64(r.IntN(100)))
	}
}

func TestFloatsRoundTrip(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(200)
		var state FloatState
		var data []byte
		var times []int64
		var bits []uint64
		at, v := int64(1.7e12), uint64(0)
		for i := range n {
			switch r.IntN(10) {
			case 0:
				at = int64(r.Uint64())
			case 1:
				at += r.Int64N(1<<r.IntN(40) + 1)
			default:
				at += 15000
			}
			v = randomBits(r, v)
			times, bits = append(times, at), append(bits, v)
			data = AppendFloat(data, &state, i == 0, at, v)
		}
		gotTimes, gotValues, err := DecodeFloats(nil, nil, data, n)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i := range n {
			if gotTimes[i] != times[i] || bitsOf(gotValues[i]) != bits[i] {
				t.Fatalf("seed %d sample %d: got %d %#x, want %d %#x", seed, i, gotTimes[i], bitsOf(gotValues[i]), times[i], bits[i])
			}
		}
		if _, _, err := DecodeFloats(nil, nil, data[:len(data)-1], n); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("seed %d: a cut chunk gave %v", seed, err)
		}
	}
}

// TestFloatGolden pins the bytes of the encoding.
func TestFloatGolden(t *testing.T) {
	var state FloatState
	var data []byte
	for i, s := range []struct {
		t int64
		v float64
	}{{1700000000000, 1}, {1700000015000, 1}, {1700000030000, 2}, {1700000045001, math.Float64frombits(value.StaleNaN)}} {
		data = AppendFloat(data, &state, i == 0, s.t, bitsOf(s.v))
	}
	if got := hex.EncodeToString(data); got != goldenFloats {
		t.Fatalf("got  %s\nwant %s", got, goldenFloats)
	}
}

// One line a sample: header, time, value.
const goldenFloats = "7d" + "00d0ca9f17030000" + "f03f" +
	"02" + "3075" +
	"78" + "f07f" +
	"f9" + "02" + "020000000000f03f"

func histogramRecords(r *rand.Rand, i int) []byte {
	switch r.IntN(3) {
	case 0:
		return AppendHistogram(nil, tsdbutil.GenerateTestHistogram(int64(i)))
	case 1:
		return AppendFloatHistogram(nil, tsdbutil.GenerateTestFloatHistogram(int64(i)))
	default:
		return AppendHistogram(nil, tsdbutil.GenerateTestCustomBucketsHistogram(int64(i)))
	}
}

func TestHistogramRecords(t *testing.T) {
	for i := range int64(20) {
		for _, h := range []*histogram.Histogram{
			tsdbutil.GenerateTestHistogram(i), tsdbutil.GenerateTestGaugeHistogram(i), tsdbutil.GenerateTestCustomBucketsHistogram(i),
			{Sum: math.Float64frombits(value.StaleNaN)},
		} {
			got, _, err := DecodeHistogram(AppendHistogram(nil, h))
			if err != nil || !got.Equals(h) || bitsOf(got.Sum) != bitsOf(h.Sum) || got.CounterResetHint != h.CounterResetHint {
				t.Fatalf("got %v, %v, want %v", got, err, h)
			}
			f := h.ToFloat(nil)
			record := AppendFloatHistogram(nil, f)
			_, gotFloat, err := DecodeHistogram(record)
			if err != nil || !gotFloat.Equals(f) || !IsFloatHistogram(record) {
				t.Fatalf("got %v, %v, want %v", gotFloat, err, f)
			}
		}
	}
	small, big := AppendHistogram(nil, tsdbutil.GenerateTestHistogram(1)), AppendFloatHistogram(nil, tsdbutil.GenerateTestFloatHistogram(2))
	if CompareHistograms(small, big) >= 0 || CompareHistograms(big, small) <= 0 || CompareHistograms(big, big) != 0 {
		t.Fatal("histograms compare by count first")
	}
}

// randomSamples makes samples of all kinds with ascending distinct times.
func randomSamples(r *rand.Rand, n int, start int64) []Sample {
	kind := r.IntN(5)
	var out []Sample
	at, v := start, uint64(0)
	for i := range n {
		at += 1 + r.Int64N(30000)
		if r.IntN(20) == 0 {
			kind = r.IntN(5)
		}
		s := Sample{Time: at}
		v = randomBits(r, v)
		switch kind {
		case 0:
			s.Bits, s.Start = v, at-r.Int64N(10000)
		case 1:
			s.Histogram = histogramRecords(r, i)
			if r.IntN(2) == 0 {
				s.Start = at - 5
			}
		default:
			s.Bits = v
		}
		out = append(out, s)
	}
	return out
}

// TestIteratorIsASet spreads samples over overlapping chunks, with duplicates
// and conflicts, and compares the walk and random seeks with the joined set.
func TestIteratorIsASet(t *testing.T) {
	var it Iterator
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		var all []Sample
		var list []Chunk
		for part := range 1 + r.IntN(5) {
			samples := randomSamples(r, 1+r.IntN(300), 1e6+int64(r.IntN(3))*4e6)
			if len(all) > 0 && r.IntN(2) == 0 { // send some again, some with another value
				for range 20 {
					s := all[r.IntN(len(all))]
					if r.IntN(2) == 0 && s.Histogram == nil {
						s.Bits = randomBits(r, s.Bits)
					}
					samples = append(samples, s)
				}
				samples, _ = SortAndJoin(samples)
			}
			all = append(all, samples...)
			encoded, err := Encode(nil, samples)
			if err != nil {
				t.Fatal(err)
			}
			var row []byte
			for _, c := range encoded {
				row = AppendChunk(row, 1000, c)
			}
			before := len(list)
			if list, err = DecodeList(list, row, 1000, part); err != nil {
				t.Fatal(err)
			}
			for i := before; i < len(list); i++ {
				if list[i].Encoding == EncFloat && r.IntN(2) == 0 {
					list[i] = decodedChunk(t, list[i])
				}
			}
		}
		want, _ := SortAndJoin(slices.Clone(all))
		mint, maxt := int64(math.MinInt64), int64(math.MaxInt64)
		if r.IntN(2) == 0 {
			mint, maxt = want[len(want)/4].Time, want[len(want)*3/4].Time+1
			want = slices.DeleteFunc(want, func(s Sample) bool { return s.Time < mint || s.Time > maxt })
		}
		checkColumns(t, seed, slices.Clone(list), all)
		it.Reset(slices.Clone(list), mint, maxt)
		for i, w := range want {
			checkSample(t, seed, i, &it, it.Next(), w)
		}
		if kind := it.Next(); kind != chunkenc.ValNone || it.Err() != nil {
			t.Fatalf("seed %d: %v after the end, error %v", seed, kind, it.Err())
		}
		it.Reset(slices.Clone(list), mint, maxt)
		for at := 0; at < len(want); {
			target := want[min(at+r.IntN(40), len(want)-1)].Time - int64(r.IntN(2))
			for at < len(want) && want[at].Time < target {
				at++
			}
			checkSample(t, seed, at, &it, it.Seek(target), want[at])
			if r.IntN(3) == 0 && at+1 < len(want) {
				at++
				checkSample(t, seed, at, &it, it.Next(), want[at])
			}
			if at == len(want)-1 {
				break
			}
		}
		if kind := it.Seek(math.MaxInt64); kind != chunkenc.ValNone {
			t.Fatalf("seed %d: a seek beyond the end found %v", seed, kind)
		}
	}
}

func decodedChunk(t *testing.T, c Chunk) Chunk {
	t.Helper()
	times, values, err := DecodeFloats(nil, nil, c.Data, c.Count)
	if err != nil {
		t.Fatal(err)
	}
	return FromColumns(times, values, nil).WithList(c.list, c.position)
}

// checkColumns loads the chunks as columns and compares them with the joined set.
func checkColumns(t *testing.T, seed uint64, list []Chunk, all []Sample) {
	t.Helper()
	want, _ := SortAndJoin(slices.Clone(all))
	var c Columns
	if err := c.Load(list); err != nil {
		t.Fatal(err)
	}
	if c.Len() != len(want) || len(c.Starts) != 0 && len(c.Starts) != len(c.Times) {
		t.Fatalf("seed %d: %d samples and %d starts, want %d", seed, c.Len(), len(c.Starts), len(want))
	}
	f, h := 0, 0
	for i, w := range want {
		if w.Histogram != nil {
			if c.Histograms[h].Time != w.Time || c.Histograms[h].Start != w.Start {
				t.Fatalf("seed %d sample %d: histogram at %d, want %d", seed, i, c.Histograms[h].Time, w.Time)
			}
			h++
			continue
		}
		start := int64(0)
		if len(c.Starts) > 0 {
			start = c.Starts[f]
		}
		if c.Times[f] != w.Time || bitsOf(c.Values[f]) != w.Bits || start != w.Start {
			t.Fatalf("seed %d sample %d: got %d %v, want %d %#x", seed, i, c.Times[f], c.Values[f], w.Time, w.Bits)
		}
		f++
	}
}

func checkSample(t *testing.T, seed uint64, i int, it *Iterator, kind chunkenc.ValueType, want Sample) {
	t.Helper()
	if it.AtT() != want.Time || kind == chunkenc.ValNone {
		t.Fatalf("seed %d sample %d: got %v at %d, want time %d (error %v)", seed, i, kind, it.AtT(), want.Time, it.Err())
	}
	if it.AtST() != want.Start {
		t.Fatalf("seed %d sample %d: start %d, want %d", seed, i, it.AtST(), want.Start)
	}
	if want.Histogram == nil {
		if at, v := it.At(); kind != chunkenc.ValFloat || at != want.Time || bitsOf(v) != want.Bits {
			t.Fatalf("seed %d sample %d: got %v %#x, want %#x", seed, i, kind, bitsOf(v), want.Bits)
		}
		return
	}
	h, fh, err := DecodeHistogram(want.Histogram)
	if err != nil {
		t.Fatal(err)
	}
	if h != nil {
		_, got := it.AtHistogram(nil)
		if kind != chunkenc.ValHistogram || !got.Equals(h) {
			t.Fatalf("seed %d sample %d: got %v %v, want %v", seed, i, kind, got, h)
		}
		fh = h.ToFloat(nil)
	}
	if _, got := it.AtFloatHistogram(&histogram.FloatHistogram{}); !got.Equals(fh) {
		t.Fatalf("seed %d sample %d: got %v, want %v", seed, i, got, fh)
	}
}

func FuzzDecodeFloats(f *testing.F) {
	var state FloatState
	data := AppendFloat(nil, &state, true, 1700000000000, bitsOf(1))
	f.Add(AppendFloat(data, &state, false, 1700000015000, bitsOf(2)), 2)
	f.Add([]byte{7}, 1)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n < 0 {
			return
		}
		times, values, err := DecodeFloats(nil, nil, data, n)
		if err != nil {
			return
		}
		var state FloatState
		var again []byte
		for i := range times {
			again = AppendFloat(again, &state, i == 0, times[i], bitsOf(values[i]))
		}
		back, _, err := DecodeFloats(nil, nil, again, n)
		if err != nil || !slices.Equal(back, times) {
			t.Fatalf("round trip: %v", err)
		}
	})
}

func FuzzDecodeHistogram(f *testing.F) {
	f.Add(AppendHistogram(nil, tsdbutil.GenerateTestHistogram(3)))
	f.Add(AppendFloatHistogram(nil, tsdbutil.GenerateTestCustomBucketsFloatHistogram(3)))
	f.Fuzz(func(t *testing.T, record []byte) {
		h, fh, err := DecodeHistogram(record)
		_ = histogramCount(record)
		switch {
		case err != nil:
		case h != nil:
			if _, _, err := DecodeHistogram(AppendHistogram(nil, h)); err != nil {
				t.Fatal(err)
			}
		case fh != nil:
			if _, _, err := DecodeHistogram(AppendFloatHistogram(nil, fh)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecodeList(f *testing.F) {
	encoded, err := Encode(nil, randomSamples(rand.New(rand.NewPCG(1, 1)), 200, 0))
	if err != nil {
		f.Fatal(err)
	}
	var row []byte
	for _, c := range encoded {
		row = AppendChunk(row, 0, c)
	}
	f.Add(row)
	f.Fuzz(func(t *testing.T, row []byte) {
		list, err := DecodeList(nil, bytes.Clone(row), 0, 0)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		// Prometheus's histogram chunks believe the lengths in their own layout;
		// they are only ever read from checksummed blocks.
		list = slices.DeleteFunc(list, func(c Chunk) bool {
			return c.Encoding != EncFloat && c.Encoding != Encoding(chunkenc.EncXOR2)
		})
		var it Iterator
		it.Reset(list, math.MinInt64, math.MaxInt64)
		for range 10000 {
			switch it.Next() {
			case chunkenc.ValNone:
				return
			case chunkenc.ValHistogram:
				it.AtHistogram(nil)
			case chunkenc.ValFloatHistogram:
				it.AtFloatHistogram(nil)
			case chunkenc.ValFloat:
				it.At()
			}
		}
	})
}

func BenchmarkAppendFloat(b *testing.B) {
	var state FloatState
	buf := make([]byte, 0, 64)
	at, v := int64(1.7e12), 0.0
	for b.Loop() {
		at += 15000
		v += 3
		buf = AppendFloat(buf[:0], &state, false, at, bitsOf(v))
	}
}

func BenchmarkDecodeFloats(b *testing.B) {
	var state FloatState
	var data []byte
	const n = 40
	for i := range n {
		data = AppendFloat(data, &state, i == 0, int64(1.7e12)+int64(i)*15000, bitsOf(float64(i*i)))
	}
	times, values := make([]int64, 0, n), make([]float64, 0, n)
	for b.Loop() {
		times, values, _ = DecodeFloats(times[:0], values[:0], data, n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
	b.ReportMetric(float64(len(data))/n, "B/sample")
}

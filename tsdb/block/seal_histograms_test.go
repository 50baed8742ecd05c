package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
)

// Of histogramStore.
const (
	histogramScrapes = 1000 // of each series, in two slices
	histogramSeries  = 4
)

// scrapedHistogram returns the sample of a scrape of series i: 0 has integers, 1
// floats and starts, 2 a gauge with custom bounds, all with a stale marker.
func scrapedHistogram(i, n int, counts []int64) chunks.Sample {
	s := chunks.Sample{Time: sealedID.Start + int64(n)*7000}
	for range 5 + i {
		counts[(n*7+i*3+int(counts[0]))%(3+n/200)] += int64(n % 3)
	}
	h := &histogram.Histogram{Schema: 3, ZeroThreshold: 0.25, ZeroCount: uint64(n), Count: uint64(n), Sum: float64(n) * 0.125}
	if i == 2 {
		h = &histogram.Histogram{Schema: histogram.CustomBucketsSchema, CounterResetHint: histogram.GaugeType, CustomValues: []float64{1, 2, 4, 8, 16, 32, 64}}
	}
	h.PositiveSpans = []histogram.Span{{Length: uint32(3 + n/200)}}
	last := int64(0)
	for _, c := range counts[:3+n/200] {
		h.PositiveBuckets, last = append(h.PositiveBuckets, c-last), c
		h.Count += uint64(c)
	}
	if n == 700 {
		h.Sum = math.Float64frombits(value.StaleNaN)
	}
	if i == 1 {
		s.Start = s.Time - 100
		s.Histogram = chunks.AppendFloatHistogram(nil, h.ToFloat(nil))
	} else {
		s.Histogram = chunks.AppendHistogram(nil, h)
	}
	return s
}

// histogramStore has a sealed generation of three series of histograms and one of
// floats with the same timestamps, and returns the histograms.
func histogramStore(t testing.TB) (*memkv.Store, [][]chunks.Sample) {
	t.Helper()
	store := memkv.New(memkv.Options{})
	const width = 7_200_000
	w := NewSealWriter(store, sealedID, width, Slices{Start: sealedID.Start, Width: width / 2, Count: 2}, column.Balanced)
	all := make([][]chunks.Sample, histogramSeries)
	for i := range all {
		var c chunks.Columns
		counts := make([]int64, 8)
		for n := range histogramScrapes {
			s := scrapedHistogram(i, n, counts)
			if i < histogramSeries-1 {
				c.Histograms = append(c.Histograms, s)
			} else {
				c.Times, c.Values = append(c.Times, s.Time), append(c.Values, float64(n))
			}
		}
		all[i] = c.Histograms
		if err := w.Add(encoded("__name__", fmt.Sprint("m", i)), &c, nil); err != nil {
			t.Fatal(err)
		}
	}
	g, tables, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Ingest(context.Background(), tables); err != nil {
		t.Fatal(err)
	}
	var batch kv.Batch
	g.AddSummary(&batch)
	if err := store.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
	return store, all
}

// rowsOf returns the rows of a family by key.
func rowsOf(t testing.TB, store kv.Reader, family byte) (keys, rows [][]byte) {
	t.Helper()
	it, err := store.Scan(sealedKey(family), sealedKey(family+1))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.SeekGE(sealedKey(family)); ok; ok = it.Next() {
		keys, rows = append(keys, bytes.Clone(it.Key())), append(rows, bytes.Clone(it.Value()))
	}
	return keys, rows
}

// readHistograms returns the histograms of all series in the range.
func readHistograms(t testing.TB, store kv.Reader, mint, maxt int64) ([][]chunks.Sample, error) {
	t.Helper()
	r := NewReader(store, list(t, store).Readable[0])
	var s SealedReader
	lists := make([][]chunks.Chunk, histogramSeries)
	wanted := Range{Min: mint, Max: maxt, Charge: func(int64) error { return nil }}
	err := s.Histograms(r, []uint32{0, 1, 2, 3}, wanted, func(i int, row []byte) (err error) {
		lists[i], err = chunks.DecodeList(lists[i], bytes.Clone(row), sealedID.Start, 0)
		return err
	})
	out := make([][]chunks.Sample, histogramSeries)
	for i := range lists {
		var c chunks.Columns
		err = errors.Join(err, c.Load(lists[i]))
		out[i] = c.Histograms
	}
	return out, err
}

// inChunks returns samples as they are read from chunks of at most 120.
func inChunks(t testing.TB, samples []chunks.Sample) []chunks.Sample {
	t.Helper()
	var out []chunks.Sample
	half := slices.IndexFunc(samples, func(s chunks.Sample) bool { return s.Time >= sealedID.Start+3_600_000 })
	for _, part := range [][]chunks.Sample{samples[:half], samples[half:]} {
		encoded, err := chunks.Encode(nil, part)
		if err != nil {
			t.Fatal(err)
		}
		var c chunks.Columns
		if err := c.Load(encoded); err != nil {
			t.Fatal(err)
		}
		out = append(out, c.Histograms...)
	}
	return out
}

func compareHistograms(t *testing.T, got, want []chunks.Sample) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b chunks.Sample) bool {
		return a.Time == b.Time && a.Start == b.Start && bytes.Equal(a.Histogram, b.Histogram)
	}) {
		t.Errorf("got %d samples, want %d, or others", len(got), len(want))
	}
}

// TestSealedHistogramsAreColumns expects the rows of histograms to be runs whose
// timestamps are those of the floats beside them, and to be read as chunks are.
func TestSealedHistogramsAreColumns(t *testing.T) {
	store, all := histogramStore(t)
	if v := verify(t, store); v.Damaged > 0 || v.Samples != histogramSeries*histogramScrapes {
		t.Fatalf("%+v", v)
	}
	if keys, _ := rowsOf(t, store, 't'); len(keys) != 2 {
		t.Errorf("%d columns of timestamps for two slices", len(keys))
	}
	_, rows := rowsOf(t, store, 'h')
	if len(rows) != 2*(histogramSeries-1) {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		if row[0] != byte(chunks.EncHistogramColumns) {
			t.Errorf("row %d has encoding %d", i, row[0])
		}
	}
	got, err := readHistograms(t, store, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got[:histogramSeries-1] {
		compareHistograms(t, got[i], inChunks(t, all[i]))
	}
	second, err := readHistograms(t, store, sealedID.Start+3_600_000, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	compareHistograms(t, second[0], got[0][len(got[0])-len(second[0]):])
	if n := len(second[0]); n == 0 || n >= histogramScrapes {
		t.Errorf("%d samples in the second slice", n)
	}
}

// TestSealedHistogramsInChunksStayReadable puts chunks in the place of the runs, as
// they were written before there were runs.
func TestSealedHistogramsInChunksStayReadable(t *testing.T) {
	store, all := histogramStore(t)
	keys, rows := rowsOf(t, store, 'h')
	more := 0
	for k, key := range keys {
		ordinal := binary.BigEndian.Uint32(key[len(key)-6:])
		slice := int64(binary.BigEndian.Uint16(key[len(key)-2:]))
		part := slices.DeleteFunc(slices.Clone(all[ordinal]), func(s chunks.Sample) bool { return (s.Time-sealedID.Start)/3_600_000 != slice })
		encoded, err := chunks.Encode(nil, part)
		if err != nil {
			t.Fatal(err)
		}
		var row []byte
		for _, c := range encoded {
			row = chunks.AppendChunk(row, sealedID.Start, c)
		}
		more += len(row) - len(rows[k])
		write(t, store, key, row)
	}
	if more <= 0 {
		t.Errorf("chunks take %d bytes more than runs", more)
	}
	summaryPlant(func(s *Summary) { s.ChunkBytes += uint64(more) })(t, store)
	if v := verify(t, store); v.Damaged > 0 || v.Samples != histogramSeries*histogramScrapes {
		t.Fatalf("%+v", v)
	}
	got, err := readHistograms(t, store, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got[:histogramSeries-1] {
		compareHistograms(t, got[i], inChunks(t, all[i]))
	}
}

// TestSealedHistogramsShowDamage changes bytes of runs and of what they refer to:
// the check reports each, and reading never gives other histograms.
func TestSealedHistogramsShowDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	whole, _ := histogramStore(t)
	keys, rows := rowsOf(t, whole, 'h')
	try := func(name string, key, row []byte) {
		write(t, whole, key, row)
		if v := verify(t, whole); v.Damaged == 0 {
			t.Errorf("%s: not found", name)
		}
		if _, err := readHistograms(t, whole, math.MinInt64, math.MaxInt64); !IsDamage(err) {
			t.Errorf("%s: reading gave %v", name, err)
		}
	}
	for k, key := range keys {
		for range 20 {
			row := bytes.Clone(rows[k])
			at := r.IntN(len(row))
			row[at] ^= 1 << r.IntN(8)
			try(fmt.Sprintf("byte %d of row %d", at, k), key, row)
		}
		try("a cut row", key, rows[k][:len(rows[k])-1])
		try("two rows in one", key, append(bytes.Clone(rows[k]), 1))
		write(t, whole, key, rows[k])
	}
	timeKeys, timeRows := rowsOf(t, whole, 't')
	try("no timestamps", timeKeys[0], nil)
	e := column.NewEncoder(column.Fast)
	try("other timestamps", timeKeys[0], e.AppendTimes(nil, []int64{sealedID.Start, sealedID.Start + 1}))
	write(t, whole, timeKeys[0], timeRows[0])
	write(t, whole, keys[0], rows[1])
	if v := verify(t, whole); !slices.ContainsFunc(v.Damage, func(d Damage) bool { return strings.Contains(d.Reason, "its row is for") }) {
		t.Errorf("the run of another slice: %q", v.Damage)
	}
}

// FuzzSealedHistograms puts arbitrary bytes in the place of a row of histograms
// and reads.
func FuzzSealedHistograms(f *testing.F) {
	content, _ := histogramStore(f)
	keys, rows := rowsOf(f, content, 'h')
	for _, row := range rows {
		f.Add(row)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, row []byte) {
		if len(row) > 0 && chunks.Encoding(row[0]) != chunks.EncHistogramColumns {
			return // Prometheus's chunks believe the lengths in their layout
		}
		write(t, content, keys[0], append([]byte{}, row...))
		r := NewReader(content, list(t, content).Readable[0])
		var s SealedReader
		wanted := Range{Min: math.MinInt64, Max: math.MaxInt64, Charge: func(int64) error { return nil }}
		var found []chunks.Chunk
		err := s.Histograms(r, []uint32{0}, wanted, func(_ int, row []byte) (err error) {
			found, err = chunks.DecodeList(found[:0], row, sealedID.Start, 0)
			for _, c := range found {
				if c.Encoding != chunks.EncHistogramColumns {
					return errTooMuch
				}
			}
			return errors.Join(err, new(chunks.Columns).Load(found))
		})
		if err != nil && !IsDamage(err) && !errors.Is(err, errTooMuch) {
			t.Fatalf("an error of another kind: %v", err)
		}
	})
}

// TestSealedHistogramsOfManySeries seals series whose timestamps nobody shares,
// and whose runs come in several sorts.
func TestSealedHistogramsOfManySeries(t *testing.T) {
	store := memkv.New(memkv.Options{})
	const width = 7_200_000
	w := NewSealWriter(store, sealedID, width, Slices{Start: sealedID.Start, Width: width, Count: 1}, column.Fast)
	r := rand.New(rand.NewPCG(8, 8))
	var all [][]chunks.Sample
	for i := range 30 {
		var c chunks.Columns
		at, count := sealedID.Start, int64(0)
		for range 100 + r.IntN(1500) {
			at += 1 + r.Int64N(4000)
			count += r.Int64N(9)
			h := &histogram.Histogram{
				Schema: int32(len(c.Histograms) / 900), Count: uint64(count), Sum: float64(count),
				PositiveSpans: []histogram.Span{{Offset: int32(i), Length: 1}}, PositiveBuckets: []int64{count},
			}
			c.Histograms = append(c.Histograms, chunks.Sample{Time: at, Histogram: chunks.AppendHistogram(nil, h)})
		}
		all = append(all, c.Histograms)
		if err := w.Add(encoded("__name__", "m", "i", fmt.Sprintf("%02d", i)), &c, nil); err != nil {
			t.Fatal(err)
		}
	}
	g, tables, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Ingest(context.Background(), tables); err != nil {
		t.Fatal(err)
	}
	var batch kv.Batch
	g.AddSummary(&batch)
	if err := store.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
	if v := verify(t, store); v.Damaged > 0 {
		t.Fatalf("%+v", v.Damage)
	}
	var s SealedReader
	wanted := Range{Min: math.MinInt64, Max: math.MaxInt64, Charge: func(int64) error { return nil }}
	seen := 0
	err = s.Histograms(NewReader(store, g), []uint32{3, 4, 17, 29}, wanted, func(i int, row []byte) error {
		found, err := chunks.DecodeList(nil, row, sealedID.Start, 0)
		var c chunks.Columns
		if err = errors.Join(err, c.Load(found)); err != nil {
			return err
		}
		want := all[[]int{3, 4, 17, 29}[i]]
		for k, h := range c.Histograms {
			if h.Time != want[k].Time || chunks.CompareHistograms(h.Histogram, want[k].Histogram) != 0 {
				t.Fatalf("series %d, sample %d differs", i, k)
			}
		}
		if len(c.Histograms) != len(want) {
			t.Errorf("series %d: %d samples of %d", i, len(c.Histograms), len(want))
		}
		seen++
		return nil
	})
	if err != nil || seen != 4 {
		t.Errorf("%d rows, %v", seen, err)
	}
}

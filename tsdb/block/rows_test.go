package block

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/head"
)

// postings returns the row for ascending ordinals.
func postings(t testing.TB, ordinals ...uint32) []byte {
	t.Helper()
	var r runs
	for _, o := range ordinals {
		r.add(o)
	}
	row, err := r.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestPostingsGolden(t *testing.T) {
	var many []uint32
	for i := range uint32(65) {
		many = append(many, 3*i)
	}
	for _, c := range []struct {
		ordinals []uint32
		want     string
	}{
		{nil, "00"},
		{[]uint32{0}, "00" + "0000"},
		{[]uint32{5, 6, 7, 300, 4294967294}, "00" + "0502" + "a40200" + "d1fdffff0f00"},
		// The bitmap's header: cookie, one container, its key, its size less 1, its offset.
		{many, "01" + "3a300000" + "01000000" + "0000" + "4000" + "10000000" + "0000" + "0300" + "0600" + "*"},
	} {
		row := postings(t, c.ordinals...)
		want, tail := bytes.CutSuffix([]byte(c.want), []byte("*"))
		got := []byte(hex.EncodeToString(row))
		if !tail && !bytes.Equal(got, want) || tail && !bytes.HasPrefix(got, want) {
			t.Errorf("%v: got %s, want %s", c.ordinals, got, want)
		}
		set := roaring.New()
		if err := addPostings(set, row, math.MaxUint32); err != nil || !slices.Equal(set.ToArray(), append([]uint32{}, c.ordinals...)) {
			t.Errorf("%v: decoded to %v, %v", c.ordinals, set.ToArray(), err)
		}
	}
}

func TestPostingsRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var want []uint32
		at := uint32(r.IntN(1 << 20))
		for range r.IntN(300) {
			want = append(want, at)
			if at++; r.IntN(3) == 0 {
				at += uint32(r.IntN(1 << r.IntN(20)))
			}
		}
		row := postings(t, want...)
		set := roaring.New()
		if err := addPostings(set, row, at+1); err != nil || !slices.Equal(set.ToArray(), append([]uint32{}, want...)) {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(want) > 0 {
			if err := addPostings(roaring.New(), row, want[len(want)-1]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("seed %d: an ordinal beyond the limit gave %v", seed, err)
			}
		}
	}
}

func FuzzPostings(f *testing.F) {
	f.Add(postings(f, 1, 2, 3, 9), uint32(10))
	var many []uint32
	for i := range uint32(200) {
		many = append(many, i*i)
	}
	f.Add(postings(f, many...), uint32(1<<20))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f}, uint32(math.MaxUint32))
	f.Add([]byte{1, 0x3b, 0x30, 0, 0, 1}, uint32(5))
	f.Fuzz(func(t *testing.T, row []byte, limit uint32) {
		set := roaring.New()
		if err := addPostings(set, row, limit); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if !set.IsEmpty() && set.Maximum() >= limit {
			t.Fatalf("ordinal %d, the limit is %d", set.Maximum(), limit)
		}
		if set.GetCardinality() > 1<<20 {
			return // runs may be long
		}
		again := roaring.New()
		if err := addPostings(again, postings(t, set.ToArray()...), limit); err != nil || !again.Equals(set) {
			t.Fatalf("%v became %v, %v", set, again, err)
		}
	})
}

func encoded(pairs ...string) series.Labels {
	return series.AppendLabels(nil, labels.FromStrings(pairs...))
}

var goldenExemplars = []head.Exemplar{
	{Timestamp: 86400000 + 7, Value: 0.25, Labels: encoded("trace_id", "x")},
	{Timestamp: 86400000 - 1, Value: math.Float64frombits(0x7ff8000000000001)},
}

func TestExemplarsGolden(t *testing.T) {
	const want = "0e" + "000000000000d03f" + "0b" + "0874726163655f6964" + "0178" +
		"01" + "010000000000f87f" + "00"
	row := appendExemplars(nil, 86400000, goldenExemplars)
	if got := hex.EncodeToString(row); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got, err := decodeExemplars(nil, row, 86400000, math.MinInt64, math.MaxInt64)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(goldenExemplars) || math.Float64bits(got[1].Value) != 0x7ff8000000000001 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err = decodeExemplars(nil, row, 86400000, 86400000, math.MaxInt64); err != nil || len(got) != 1 {
		t.Errorf("from 86400000 on: %v, %v", got, err)
	}
	for n := 1; n < len(row); n++ {
		if n == 21 { // the first exemplar's end
			continue
		}
		if _, err := decodeExemplars(nil, row[:n], 0, math.MinInt64, math.MaxInt64); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func FuzzDecodeExemplars(f *testing.F) {
	f.Add(appendExemplars(nil, 0, goldenExemplars))
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, row []byte) {
		got, err := decodeExemplars(nil, row, 0, math.MinInt64, math.MaxInt64)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := decodeExemplars(nil, appendExemplars(nil, 0, got), 0, math.MinInt64, math.MaxInt64)
		if err != nil || len(again) != len(got) {
			t.Fatalf("%v became %v, %v", got, again, err)
		}
		for i := range got {
			if got[i].Timestamp != again[i].Timestamp || math.Float64bits(got[i].Value) != math.Float64bits(again[i].Value) || !bytes.Equal(got[i].Labels, again[i].Labels) {
				t.Fatalf("%v became %v", got[i], again[i])
			}
		}
	})
}

func TestLabelRowGolden(t *testing.T) {
	var r labelRow
	sets := []series.Labels{encoded("__name__", "up", "job", "a"), encoded("__name__", "up", "job", "b"), encoded("__name__", "up"), nil}
	for _, ls := range sets {
		r.add(ls)
	}
	const want = "00" + "12" + "085f5f6e616d655f5f" + "027570" + "036a6f62" + "0161" +
		"11" + "01" + "62" + "0c" + "00" + "00" + "00"
	if got := hex.EncodeToString(r.row); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := countLabels(r.row); n != len(sets) {
		t.Errorf("%d sets, want %d", n, len(sets))
	}
	_, err := eachLabels(r.row, nil, func(i int, ls series.Labels) error {
		if !bytes.Equal(ls, sets[i]) {
			t.Errorf("set %d is %s, want %s", i, ls, sets[i])
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func FuzzLabelRow(f *testing.F) {
	var r labelRow
	for i := range 40 {
		r.add(encoded("__name__", "up", "i", fmt.Sprint(i)))
	}
	f.Add(r.row)
	f.Add([]byte{1, 0})
	f.Add([]byte{0, 2, 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Fuzz(func(t *testing.T, row []byte) {
		var again labelRow
		var sets []string
		_, err := eachLabels(row, nil, func(_ int, ls series.Labels) error {
			sets = append(sets, string(ls))
			again.add(ls)
			return nil
		})
		n := countLabels(row)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if n != len(sets) {
			t.Fatalf("%d sets are counted, %d come", n, len(sets))
		}
		_, err = eachLabels(again.row, nil, func(i int, ls series.Labels) error {
			if string(ls) != sets[i] {
				return fmt.Errorf("set %d is %q, was %q", i, ls, sets[i])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestCompareSealedIsAnOrder expects a strict order whose ties are equal sets,
// with metrics together and buckets by number.
func TestCompareSealedIsAnOrder(t *testing.T) {
	var sets []series.Labels
	for _, name := range []string{"", "a", "b"} {
		for _, le := range []string{"", "0.5", "1", "1.0", "+Inf", "10", "2", "x", "NaN"} {
			for _, other := range []string{"", "a", "b"} {
				for _, zone := range []string{"", "z"} {
					sets = append(sets, encoded("__name__", name, "le", le, "job", other, "zone", zone))
				}
			}
		}
	}
	for _, a := range sets {
		for _, b := range sets {
			ab, ba := CompareSealed(a, b), CompareSealed(b, a)
			if (ab < 0) != (ba > 0) || (ab == 0) != bytes.Equal(a, b) {
				t.Fatalf("%s and %s: %d and %d", a, b, ab, ba)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		a, b, c := sets[r.IntN(len(sets))], sets[r.IntN(len(sets))], sets[r.IntN(len(sets))]
		if CompareSealed(a, b) < 0 && CompareSealed(b, c) < 0 && CompareSealed(a, c) >= 0 {
			t.Fatalf("%s < %s < %s, but not the first < the last", a, b, c)
		}
	}
	slices.SortFunc(sets, CompareSealed)
	if at := slices.IndexFunc(sets, func(ls series.Labels) bool { return bytes.Equal(ls, encoded("__name__", "a", "le", "2")) }); !bytes.Equal(sets[at+1], encoded("__name__", "a", "le", "10")) {
		t.Errorf("after le=2 comes %s", sets[at+1])
	}
}

// goldenChunkRow is the row of a series with four float samples, in the window
// that begins at goldenChunkStart.
const (
	goldenChunkStart = 1699920000000
	goldenChunkRow   = "10" + "04" + "80d0a54c" + "c9df02" + "1b" +
		"7d" + "00d0ca9f17030000" + "f03f" + "02" + "3075" + "78" + "f07f" + "f9" + "02" + "020000000000f03f"
)

func TestChunkRowGolden(t *testing.T) {
	row, err := hex.DecodeString(goldenChunkRow)
	if err != nil {
		t.Fatal(err)
	}
	list, err := chunks.DecodeList(nil, row, goldenChunkStart, 0)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d chunks, %v", len(list), err)
	}
	want := []chunks.Sample{
		chunks.FloatSample(1700000000000, 1), chunks.FloatSample(1700000015000, 1),
		chunks.FloatSample(1700000030000, 2), chunks.FloatSample(1700000045001, math.Float64frombits(value.StaleNaN)),
	}
	if got := floats(t, list); !slices.EqualFunc(got, want, func(a, b chunks.Sample) bool { return a.Time == b.Time && a.Bits == b.Bits }) {
		t.Errorf("got %v, want %v", got, want)
	}
	encoded, err := chunks.Encode(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if again := chunks.AppendChunk(nil, goldenChunkStart, encoded[0]); !bytes.Equal(again, row) {
		t.Errorf("got %x, want %s", again, goldenChunkRow)
	}
}

// TestFormatDocument expects docs/FORMAT.md to show what is written.
func TestFormatDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder // the first columns
	for line := range strings.Lines(string(text)) {
		example, _, _ := strings.Cut(strings.TrimSpace(line), "    ")
		examples.WriteString(strings.ReplaceAll(example, " ", ""))
	}
	plain := examples.String()
	prefix := goldenPrefix
	for name, golden := range map[string]string{
		"prefix": prefix, "chunks key": prefix + "63" + "00000002" + "00000007", "summary key": prefix + "6d" + "00000002",
		"labels key": prefix + "73" + "00000007", "exemplars key": prefix + "78" + "00000002" + "00000007",
		"postings key": prefix + "70" + "6a6f620001" + "610001" + "00000002", "times key": prefix + "74" + "00000005",
		"values key": prefix + "76" + "00000007" + "0001", "histograms key": prefix + "68" + "00000007" + "0001",
		"chunk row": goldenChunkRow, "flushed summary": goldenSummaries[0].row, "sealed summary": goldenSummaries[1].row,
		"postings": "00" + "0502" + "a40200" + "d1fdffff0f00", "exemplars": hex.EncodeToString(appendExemplars(nil, 86400000, goldenExemplars)),
		"labels row": "0012085f5f6e616d655f5f027570036a6f620161" + "110162",
	} {
		if !strings.Contains(plain, golden) {
			t.Errorf("the example of the %s, %s, is not in docs/FORMAT.md", name, golden)
		}
	}
}

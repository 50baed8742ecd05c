package column

import (
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// formatExamples are the examples of docs/FORMAT-COLUMN.md: bytes written by
// hand and the values that they stand for.
var formatExamples = []struct {
	name   string
	hex    string
	values []float64
}{
	{"constant", "00 9a9999999999b93f", []float64{0.1, 0.1, 0.1}},
	{"constant integer", "11 f201", []float64{121, 121}},
	{"packed deltas", "12 00 11 c801 00 03 5003", // first 100, base 0, width 3: 0 2 5 1
		[]float64{100, 102, 107, 108}},
	{"one decimal", "02 01 14 04 8c", // e 1, none, zigzag, width 4: 12 8
		[]float64{0.6, 0.4}},
	{"a patch", "12 00 10 00 82 01 e4 02 19", // base 0, width 2, one patch at 2: 25<<2
		[]float64{0, 1, 102, 3}},
	{"a divisor", "12 00 18 8020 00 02 39", // none, divisor 4096, base 0, width 2: 1 2 3 0
		[]float64{4096, 8192, 12288, 0}},
	{"zero stream", "12 00 01 01 1e", // first -1, base 15
		[]float64{14, 29, 44}},
	{"line", "12 00 13 14 c801 00 01 05", // first 10, second 100, base 0, width 1: 1 0 1
		[]float64{11, 110, 211}},
	{"delta2", "12 00 06 06 04", // zero stream, first 3, second 2
		[]float64{5, 7, 9}},
	{"raw tokens", "12 00 20 00 05 0f 12 01 02", // 5, 15, token 18: 24 + 2 bits (2), 1
		[]float64{5, 15, 26, 1}},
	{"tokens all the same", "12 00 60 00 12 e4", // token 18 (24 + 2 bits): 0 1 2 3
		[]float64{24, 25, 26, 27}},
	{"sparse", "12 00 75 0e 02 01 02 02 01 03 07", // first 7; gaps 2 0; values less 1: 7 0, that is +4 -1
		[]float64{7, 7, 11, 10, 10}},
	{"resets", "32 01 00 10 00 03 7504", // width 3: 5 6 1 2
		[]float64{5, 6, 1, 2}},
	{"summary", "72 01 80 00 0a 05 01 01 1c 00 10 00 03 7504",
		[]float64{5, 6, 1, 2}},
	{"exceptions", "02 40 03 00 01 01 00 0100efbeaddef47f 00 05 01 10 00",
		[]float64{math.Float64frombits(staleBits), 8, math.Float64frombits(0x7ff4deadbeef0001), math.Copysign(0, -1), 8}},
	{"a correction", "02 81 01 06 00 10 00 01 01", // e 1: twice 3; corrections 1 0
		[]float64{0.30000000000000004, 0.3}},
	{"product", "02 13 01 12 00", // 9 * 0.001
		[]float64{0.009000000000000001}},
	{"two quotients", "02 26 01 f201 00", // 121 / 1000 / 1000
		[]float64{0.000121}},
	{"ordered bits", "03 00 80808080808080f07f",
		[]float64{1}},
	{"dictionary", "04 01 000000000000f03f 3d0ad7a3703d1240 01 01 06",
		[]float64{1, 4.56, 4.56, 1}},
	{"raw", "06 0000000000000080 010000000000f07f",
		[]float64{math.Copysign(0, -1), math.Float64frombits(0x7ff0000000000001)}},
}

func TestFormatExamples(t *testing.T) {
	for _, c := range formatExamples {
		src := unhex(t, c.hex)
		var d Decoder
		got := make([]float64, len(c.values))
		if err := d.Values(got, src); err != nil || !sameBits(got, c.values) {
			t.Errorf("%s: %v %v, want %v", c.name, err, got, c.values)
		}
	}
}

func TestFormatExampleOfASummary(t *testing.T) {
	info, err := Describe([]byte{0x72, 1, 0x80, 0, 0x0a, 5, 1, 1, 0x1c, 0, 0x10, 0, 3, 0x75, 4}, 4)
	want := Info{Resets: 1, Integers: true, HasSummary: true,
		Summary: Summary{Count: 4, First: 5, Last: 2, Min: 1, Max: 6, Sum: 14, SumExact: true}}
	if err != nil || info != want {
		t.Errorf("%+v %v, want %+v", info, err, want)
	}
}

// TestFormatExamplesOfRows checks the examples of a timestamp column and a cell.
func TestFormatExamplesOfRows(t *testing.T) {
	var d Decoder
	times := unhex(t, "01 03 01 00 d00f b985e60a")
	got := make([]int64, 3)
	if err := d.Times(got, times, 0); err != nil || !slices.Equal(got, []int64{1000, 2000, 3000}) {
		t.Errorf("timestamps: %v %v", got, err)
	}
	if err := VerifyTimes(times); err != nil {
		t.Error(err)
	}
	var r CellReader
	src := unhex(t, cellExample)
	if err := r.Open(src, Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(); err != nil {
		t.Errorf("%v: %x", err, checksum(src[:len(src)-checksumSize]))
	}
	for i, want := range [][]float64{{1, 1, 1}, {5, 6, 1}, {5, 6, 1}, {6, 7, 2}} {
		v := make([]float64, 3)
		if err := r.Values(v, i); err != nil || !slices.Equal(v, want) || r.Series(i) != uint32(7+i) || r.Times(i) != (Slice{2, 0, 3}) {
			t.Errorf("entry %d: %v %v of %d at %v", i, err, v, r.Series(i), r.Times(i))
		}
	}
	if err := r.Starts(got, got, 0); err != nil || !slices.Equal(got, []int64{500, 500, 500}) {
		t.Errorf("starts: %v %v", err, got)
	}
}

// TestFormatExampleOfASequence checks the example of columns behind one another.
func TestFormatExampleOfASequence(t *testing.T) {
	var s Sequence
	s.Open(unhex(t, "01 06 00  12 00 01 01 1e  01 01 cf0f d00f"))
	x, v, starts := make([]int64, 3), make([]float64, 3), make([]int64, 3)
	err := errors.Join(s.Integers(x), s.Values(v), s.Starts(starts, []int64{0, 1, 2}), s.End())
	if err != nil || !slices.Equal(x, []int64{3, 3, 3}) || !slices.Equal(v, []float64{14, 29, 44}) || !slices.Equal(starts, []int64{0, 1000, 2000}) {
		t.Errorf("%v %v %v, %v", x, v, starts, err)
	}
}

// cellExample has 4 entries of the series 7 to 10 with the 3 timestamps of
// column 2 from 0 on.
const cellExample = "01 04 01 02 00 03 07" + // version, entries, slices, the slice, series
	"10 08  01 08  01 02  01 07" + // tags and sizes
	"05 01 01 e807 00  11 02" + // starts: 3 times 500; constant 1
	"32 01 00 10 02 03 2c00" + // resets 1; base 1, width 3: 4 5 0
	"09 01" + // equal to the entry before
	"35 01 02 00 01 02 00" + // difference to the entry 2 before: 1
	"11711677"

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	src, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

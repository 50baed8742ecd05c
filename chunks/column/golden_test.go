package column

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write golden files that are missing")

// goldenColumn is a column that has to stay readable; kind and form (of its
// integers) are those that the file is there for.
type goldenColumn struct {
	name  string
	level Level
	kind  byte
	form  byte // noForm if it does not matter
	make  func(r *rand.Rand, i int) float64
	n     int
}

const noForm = 0xff

func goldenColumns() []goldenColumn {
	whole := func(f func(r *rand.Rand, i int) int) func(*rand.Rand, int) float64 {
		return func(r *rand.Rand, i int) float64 { return float64(f(r, i)) }
	}
	constant := func(v float64) func(*rand.Rand, int) float64 {
		return func(*rand.Rand, int) float64 { return v }
	}
	total := 0
	skewed := whole(func(r *rand.Rand, i int) int {
		if i == 0 {
			total = 0
		}
		total += 1 << min(r.IntN(8), r.IntN(8), r.IntN(8))
		return total
	})
	return []goldenColumn{
		{"const", Fast, kindConst, noForm, constant(0.1), 10},
		{"const_nan", Fast, kindConst, noForm, constant(math.Float64frombits(0x7ff4deadbeef0001)), 3},
		{"const_int", Fast, kindConstInt, noForm, constant(-12345), 100},
		{"zero_stream", Fast, kindDecimal, streamZero, whole(func(_ *rand.Rand, i int) int { return 3 + 15*i }), 300},
		{"packed", Fast, kindDecimal, streamPacked, whole(func(r *rand.Rand, _ int) int { return r.IntN(1000) }), 300},
		{"patched", Fast, kindDecimal, streamPacked, whole(func(r *rand.Rand, i int) int { return r.IntN(8) + i%70/69*1e6 }), 1024},
		{"divisor", Fast, kindDecimal, streamPacked, whole(func(r *rand.Rand, _ int) int { return 4096 * r.IntN(500) }), 200},
		{"raw_tokens", Fast, kindDecimal, streamRaw, whole(func(r *rand.Rand, _ int) int { return r.IntN(1<<50) >> r.IntN(50) }), 257},
		{"huff1", Small, kindDecimal, streamHuff1, skewed, 500},
		{"huff4", Balanced, kindDecimal, streamHuff4, skewed, 1024},
		{"zstd", Small, kindDecimal, streamZstd, whole(func(_ *rand.Rand, i int) int { return i * i * 31 % 97 * 16807 % 14 }), 1024},
		{"sparse", Fast, kindDecimal, streamSparse, whole(func(_ *rand.Rand, i int) int { return i / 90 * 1000 }), 1000},
		{"decimals", Fast, kindDecimal, noForm, func(r *rand.Rand, _ int) float64 { return float64(r.IntN(1000)) / 100 }, 130},
		{"product", Fast, kindDecimal, noForm, func(r *rand.Rand, _ int) float64 { return float64(float64(r.IntN(1e6)) * 0.001) }, 130},
		{"twice", Fast, kindDecimal, noForm, func(r *rand.Rand, _ int) float64 { return float64(r.IntN(1e9)) / 1000 / 1000 }, 130},
		{"ulps", Fast, kindDecimal, noForm, func(r *rand.Rand, _ int) float64 { return 0.1*float64(r.IntN(9)) + 0.7 }, 300},
		{"exceptions", Fast, kindDecimal, noForm, func(_ *rand.Rand, i int) float64 {
			if i%20 == 7 {
				return special[len(special)-1-i/20%len(special)]
			}
			return float64(i)
		}, 700},
		{"bits", Fast, kindBits, noForm, func(r *rand.Rand, _ int) float64 { return r.Float64() }, 100},
		{"dict", Fast, kindDict, noForm, func(r *rand.Rand, _ int) float64 { return math.Sqrt(float64(2 + r.IntN(5))) }, 300},
		{"raw", Fast, kindRaw, noForm, func(r *rand.Rand, _ int) float64 { return math.Float64frombits(r.Uint64()) }, 20},
		{"summary_and_resets", Fast, kindDecimal, noForm, func(r *rand.Rand, i int) float64 { return float64(i%400*100+r.IntN(90)) / 4 }, 1024},
	}
}

func (g *goldenColumn) values() []float64 {
	r := newRand(len(g.name), int(g.kind))
	v := make([]float64, g.n)
	for i := range v {
		v[i] = g.make(r, i)
	}
	return v
}

// formOf returns the form of the stream of the first integers of a decimal column.
func formOf(src []byte, n int) byte {
	c := cursor{src: src}
	if c.head(n) != kindDecimal {
		return noForm
	}
	readDecimal(&c, n)
	return c.u8() >> intsStream
}

func TestGoldenColumns(t *testing.T) {
	for _, g := range goldenColumns() {
		t.Run(g.name, func(t *testing.T) {
			if *rewrite {
				v := g.values()
				writeGolden(t, g.name, NewEncoder(g.level).AppendValues(nil, v), bitsText(v))
			}
			src, text := readGolden(t, g.name)
			var v []float64
			for _, field := range strings.Fields(text) {
				b, err := strconv.ParseUint(field, 16, 64)
				if err != nil {
					t.Fatal(err)
				}
				v = append(v, math.Float64frombits(b))
			}
			var d Decoder
			checkColumn(t, &d, src, v)
			if kind := src[0] & kindMask; kind != g.kind || g.form != noForm && formOf(src, len(v)) != g.form {
				t.Errorf("kind %d, form %d: the file does not show what it is there for", kind, formOf(src, len(v)))
			}
		})
	}
}

func bitsText(v []float64) string {
	var b strings.Builder
	for _, f := range v {
		fmt.Fprintf(&b, "%016x\n", math.Float64bits(f))
	}
	return b.String()
}

func TestGoldenTimes(t *testing.T) {
	const name = "times"
	if *rewrite {
		r := newRand(1, 18)
		times := make([]int64, 2500)
		var text strings.Builder
		for i := range times {
			times[i] = 1_700_000_000_000 + 15000*int64(i) + int64(r.IntN(5)) + int64(i/1500*86_400_000)
			fmt.Fprintln(&text, times[i])
		}
		writeGolden(t, name, NewEncoder(Balanced).AppendTimes(nil, times), text.String())
	}
	src, text := readGolden(t, name)
	var times []int64
	for _, field := range strings.Fields(text) {
		x, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, x)
	}
	var d Decoder
	checkTimes(t, &d, src, times)
}

// TestGoldenCell reads a cell with every sort of entry; the text has a line for
// each: series, column, offset, then the bits of the values, "starts" and the
// start timestamps.
func TestGoldenCell(t *testing.T) {
	const name = "cell"
	entries := goldenEntries()
	if *rewrite {
		src := writeCell(t, NewCellWriter(NewEncoder(Fast)), entries)
		writeGolden(t, name, src, cellText(t, src))
	}
	src, text := readGolden(t, name)
	if got := cellText(t, src); got != text {
		t.Errorf("the cell reads otherwise than when it was written:\n%s", got)
	}
	kinds := make(map[byte]bool)
	var r CellReader
	if err := r.Open(src, Limits{}); err != nil {
		t.Fatal(err)
	}
	starts := 0
	for i := range r.Len() {
		c := r.cursorAt(i)
		kinds[c.src[c.off]&kindMask] = true
		if r.HasStarts(i) {
			starts++
		}
	}
	if !kinds[kindRef] || !kinds[kindBucketDiff] || starts < 3 {
		t.Errorf("kinds %v, %d starts: the file does not show what it is there for", kinds, starts)
	}
}

// goldenEntries are three buckets, the last of which is repeated, and two
// series with starts.
func goldenEntries() []Entry {
	r := newRand(2, 19)
	var entries []Entry
	var bucket []float64
	for i := range uint32(4) {
		if i < 3 {
			bucket = nextBucket(r, bucket)
		}
		entries = append(entries, Entry{Series: 10 + i, Times: Slice{7, 0, 300}, Values: bucket, Bucket: true})
	}
	for i := range uint32(6) {
		entry := Entry{Series: 20 + i/2, Times: Slice{7, i % 2 * 64, 64}, Values: bucket[:64]}
		if i >= 2 {
			addStarts(&entry, int(i/2-1))
		}
		entries = append(entries, entry)
	}
	return entries
}

func cellText(t *testing.T, src []byte) string {
	t.Helper()
	var r CellReader
	if err := r.Open(src, Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range r.Len() {
		v := make([]float64, r.Times(i).Length)
		if err := r.Values(v, i); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d %d %d %s", r.Series(i), r.Times(i).Column, r.Times(i).Offset, strings.ReplaceAll(bitsText(v), "\n", " "))
		if r.HasStarts(i) {
			starts, times := make([]int64, len(v)), make([]int64, len(v))
			if err := r.Starts(starts, times, i); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(&b, "starts ", starts)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func goldenPath(name, suffix string) string { return filepath.Join("testdata", "golden", name+suffix) }

func readGolden(t *testing.T, name string) (src []byte, text string) {
	t.Helper()
	src, err := os.ReadFile(goldenPath(name, ".hex"))
	if err != nil {
		t.Fatal(err)
	}
	if src, err = hex.DecodeString(strings.Join(strings.Fields(string(src)), "")); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(goldenPath(name, ".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return src, string(out)
}

// writeGolden writes the files of a golden case unless they exist: what was
// written once stays.
func writeGolden(t *testing.T, name string, src []byte, text string) {
	t.Helper()
	if _, err := os.Stat(goldenPath(name, ".hex")); err == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(goldenPath(name, "")), 0o755); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := 0; i < len(src); i += 32 {
		fmt.Fprintf(&b, "%x\n", src[i:min(i+32, len(src))])
	}
	if err := os.WriteFile(goldenPath(name, ".txt"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenPath(name, ".hex"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

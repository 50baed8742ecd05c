package codec

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/varve-db/varve/bench"
)

// dataSets are the captures, with the lengths at which they are cut. The series
// of the 15-second ones have 153 samples, so that longer chunks do not exist.
var dataSets = []struct {
	name    string
	lengths []int
}{
	{"node_1s", []int{120, 240, 480, 1000}},
	{"goapp_1s", []int{120, 240, 480, 1000}},
	{"node_15s", []int{120, 240}},
	{"goapp_15s", []int{120, 240}},
	{"synth", []int{120, 240, 480, 1000}},
}

var read = struct {
	mu     sync.Mutex
	series map[string][]bench.Captured
}{series: map[string][]bench.Captured{}}

// seriesOf reads a capture, once for all tests.
func seriesOf(t testing.TB, name string) []bench.Captured {
	t.Helper()
	read.mu.Lock()
	defer read.mu.Unlock()
	if read.series[name] == nil {
		series, err := readSeries(filepath.Join("..", "..", "..", "testdata", "captures", name+".tsd.zst"))
		if err != nil {
			t.Fatal(err)
		}
		read.series[name] = series
	}
	return read.series[name]
}

// differences are the samples that came back otherwise than they went in.
type differences struct {
	samples, times, values int
	zeroSigns, nans        int     // of the values: the sign of a zero, a NaN's bits
	relative               float64 // largest of the others, relative to the value
}

func compare(c *capture, e encoded) (differences, error) {
	var all []*chunk
	for _, part := range c.parts {
		for i := range part {
			all = append(all, &part[i])
		}
	}
	var d differences
	next, wrong := 0, error(nil)
	err := e.each(func(times []int64, values []float64) {
		if next >= len(all) || len(times) != len(all[next].times) || len(values) != len(all[next].values) {
			wrong = fmt.Errorf("chunk %d of %d has another number of samples", next, len(all))
			return
		}
		k := all[next]
		next++
		for i, v := range k.values {
			d.add(k.times[i] == times[i], v, values[i])
		}
	})
	switch {
	case err != nil:
		return d, err
	case wrong != nil:
		return d, wrong
	case next != len(all):
		return d, fmt.Errorf("%d of %d chunks came back", next, len(all))
	}
	return d, nil
}

func (d *differences) add(sameTime bool, want, got float64) {
	d.samples++
	if !sameTime {
		d.times++
	}
	if math.Float64bits(want) == math.Float64bits(got) {
		return
	}
	d.values++
	switch {
	case want == got:
		d.zeroSigns++
	case math.IsNaN(want):
		d.nans++
	case want != 0 && !math.IsInf(want, 0):
		d.relative = max(d.relative, math.Abs((got-want)/want))
	default:
		d.relative = math.Inf(1)
	}
}

// TestExact counts the samples that each codec gives back with other bits:
// VictoriaMetrics some of every capture, the others none.
func TestExact(t *testing.T) {
	for _, data := range dataSets {
		series := seriesOf(t, data.name)
		for _, n := range data.lengths {
			c := cut(series, n)
			for _, codec := range codecs() {
				if n > xorSamplesMax && codec.name == "prometheus-xor" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%d", data.name, codec.name, n), func(t *testing.T) {
					checkExact(t, c, codec)
				})
			}
		}
	}
}

func checkExact(t *testing.T, c *capture, codec named) {
	e, err := codec.encode(c)
	if err != nil {
		t.Fatal(err)
	}
	d, err := compare(c, e)
	if err != nil {
		t.Fatal(err)
	}
	if d.samples != c.samples || d.times != 0 {
		t.Errorf("%d of %d samples came back, %d with another timestamp", d.samples, c.samples, d.times)
	}
	if codec.name != "victoria" {
		if d.values != 0 {
			t.Errorf("%d of %d values came back with other bits", d.values, d.samples)
		}
	} else if d.values == 0 {
		t.Error("all values came back bit for bit: what doc.go and the reports say of it no longer holds")
	}
	if d.values > 0 {
		t.Logf("%d of %d values (%.2f %%) have other bits: %d signs of zeros, %d NaNs, the rest by up to %.2g of the value",
			d.values, d.samples, 100*float64(d.values)/float64(d.samples), d.zeroSigns, d.nans, d.relative)
	}
	if v, ok := e.(*varveSealed); ok {
		if err := v.verify(); err != nil {
			t.Error(err)
		}
	}
}

// TestCompareCounts makes sure that a difference would be seen.
func TestCompareCounts(t *testing.T) {
	var d differences
	d.add(true, 1, 1)
	d.add(false, 2, 2)
	d.add(true, 4, 5)
	d.add(true, math.Copysign(0, -1), 0)
	d.add(true, math.NaN(), math.Float64frombits(0x7ff0000000000002))
	want := differences{samples: 5, times: 1, values: 3, zeroSigns: 1, nans: 1, relative: 0.25}
	if d != want {
		t.Errorf("counted %+v, want %+v", d, want)
	}
}

func TestSortAndCut(t *testing.T) {
	keys := []string{`a_bucket{x="1",le="+Inf"}`, `a_bucket{x="1",le="10"}`, `a_bucket{x="1",le="9"}`, `a_bucket{x="0",le="9"}`, `a{tle="1"}`}
	slices.SortFunc(keys, func(a, b string) int { return sortKeyOf(a).compare(sortKeyOf(b)) })
	const sorted = `a{tle="1"} a_bucket{x="0",le="9"} a_bucket{x="1",le="9"} a_bucket{x="1",le="10"} a_bucket{x="1",le="+Inf"}`
	if got := strings.Join(keys, " "); got != sorted {
		t.Errorf("sorted as %s", got)
	}
	times := []int64{1, 2, 3, 4, 5, 6, 7}
	c := cut([]bench.Captured{
		{Name: "a", Timestamps: times, Values: make([]float64, 7)},
		{Name: "b", Timestamps: times[2:6], Values: make([]float64, 4)},
		{Name: "c", Timestamps: []int64{1, 5, 5, 5, 5, 6}, Values: make([]float64, 6)},
	}, 3)
	var got []string
	for i, part := range c.parts {
		for _, k := range part {
			got = append(got, fmt.Sprint(i, k.series, k.times))
		}
	}
	const want = "0 0 [1 2 3];0 1 [3];0 2 [1];1 0 [4 5 6];1 1 [4 5 6];1 2 [5 5 5];1 2 [5 6];2 0 [7]"
	if s := strings.Join(got, ";"); s != want || c.samples != 17 || c.chunks != 8 {
		t.Errorf("cut as %s, %d samples, %d chunks", s, c.samples, c.chunks)
	}
}

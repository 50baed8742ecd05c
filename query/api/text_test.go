package api

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

func TestTimes(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0", 1: "0.001", 10: "0.010", 100: "0.100", 1000: "1", 1001: "1.001", 1100: "1.100", -1: "-0.001", -1500: "-1.500", -2000: "-2",
		1435781451781: "1435781451.781", 12345678123456555: "12345678123456.555", math.MaxInt64: "9223372036854775.807", math.MinInt64: "-9223372036854775.808",
	} {
		if got := string(appendTime(nil, ms)); got != want {
			t.Errorf("%d ms are %s, want %s", ms, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	const seed = 9
	random := rand.New(rand.NewPCG(seed, 0))
	for _, v := range []float64{0, 1, 1e-7, 1e-9, 1e-10, 1e21, 1.5, 1435781451.781, math.MaxFloat64} {
		checkNumber(t, v)
	}
	for range 20_000 {
		if v := math.Float64frombits(random.Uint64()); !math.IsNaN(v) && !math.IsInf(v, 0) {
			checkNumber(t, v)
		}
	}
	if got := string(appendNumber(nil, math.NaN())); got != "null" {
		t.Error(got)
	}
}

func checkNumber(t *testing.T, v float64) {
	t.Helper()
	want, _ := json.Marshal(v)
	if got := string(appendNumber(nil, v)); got != string(want) {
		t.Fatalf("%g is %s, want %s", v, got, want)
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\n\r\t\x00\x1f\x7f", "<b>&", "é世界\u2028\u2029", "\xff\xc3", "\U0001F600"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, how := range []escaping{escapePlain, escapeHTML} {
			encoded := appendString(nil, s, how)
			var got, want string
			if err := json.Unmarshal(encoded, &got); err != nil {
				t.Fatalf("%q: %v", encoded, err)
			}
			std, _ := json.Marshal(s)
			_ = json.Unmarshal(std, &want)
			if got != want {
				t.Fatalf("%q became %q", s, got)
			}
		}
	})
}

// The timestamps of series are remembered as text: series with other times, with
// gaps, with more and with histograms must not get each other's.
func TestMatrixTimes(t *testing.T) {
	floats := func(times ...int64) (list []promql.FPoint) {
		for _, at := range times {
			list = append(list, promql.FPoint{T: at, F: float64(at)})
		}
		return list
	}
	h := &histogram.FloatHistogram{Schema: 0, Count: 1, Sum: 2, PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []float64{1}}
	m := promql.Matrix{
		{Metric: labels.FromStrings("a", "1"), Floats: floats(1000, 2000, 3000)},
		{Metric: labels.FromStrings("a", "2"), Floats: floats(2000, 3000, 4000)},
		{Metric: labels.FromStrings("a", "3"), Floats: floats(1500, 3000, 4001), Histograms: []promql.HPoint{{T: 1000, H: h}, {T: 2500, H: h}}},
		{Metric: labels.EmptyLabels(), Histograms: []promql.HPoint{{T: 1000, H: h}, {T: 9999, H: h}}},
		{Metric: labels.FromStrings("a", "4"), Floats: floats(-1, 1000, 9999)},
	}
	const hist = `{"count":"1","sum":"2","buckets":[[0,"0.5","1","1"]]}`
	want := `[{"metric":{"a":"1"},"values":[[1,"1000"],[2,"2000"],[3,"3000"]]},` +
		`{"metric":{"a":"2"},"values":[[2,"2000"],[3,"3000"],[4,"4000"]]},` +
		`{"metric":{"a":"3"},"values":[[1.500,"1500"],[3,"3000"],[4.001,"4001"]],"histograms":[[1,` + hist + `],[2.500,` + hist + `]]},` +
		`{"metric":{},"histograms":[[1,` + hist + `],[9.999,` + hist + `]]},` +
		`{"metric":{"a":"4"},"values":[[-0.001,"-1"],[1,"1000"],[9.999,"9999"]]}]`
	got, done := valuePart(m).next(nil)
	if !done || string(got) != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1.5": 1500, "1795454041.25": 1795454041250, "1795454041.4560000896": 1795454041456, "-1.5": -1500, "1e3": 1_000_000,
		"1970-01-01T00:00:01Z": 1000, "1970-01-01T01:00:01.5+01:00": 1500, "1795452241000": 1795452241000000,
		timeMin.Format(time.RFC3339Nano): milliseconds(timeMin), timeMax.Format(time.RFC3339Nano): milliseconds(timeMax),
	} {
		got, err := parseTime(text)
		if err != nil || milliseconds(got) != want {
			t.Errorf("%s is %d, %v; want %d", text, milliseconds(got), err, want)
		}
	}
	for _, text := range []string{"", "x", "NaN", "Inf", "-Inf", "1e300", "1e17", "-1e17", "2020-01-01"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if got := milliseconds(time.Unix(math.MaxInt64/1000, 0)); got != math.MaxInt64 {
		t.Errorf("%d", got)
	}
}

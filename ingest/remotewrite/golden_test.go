package remotewrite

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/varve-db/varve/series"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

var stale = math.Float64frombits(value.StaleNaN)

func intHistogram() *histogram.Histogram {
	return &histogram.Histogram{
		CounterResetHint: histogram.CounterReset, Schema: 2, ZeroThreshold: 0.001, ZeroCount: 2, Count: 18, Sum: 18.4,
		PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}, {Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1, -1, 0},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 2}}, NegativeBuckets: []int64{5, 1},
	}
}

func floatHistogram() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		CounterResetHint: histogram.GaugeType, Schema: -4, ZeroThreshold: 0.5, ZeroCount: 1.5, Count: 7.25, Sum: -3,
		PositiveSpans: []histogram.Span{{Offset: 7, Length: 2}}, PositiveBuckets: []float64{1.25, 2},
		NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: []float64{2.5},
	}
}

func customHistogram() *histogram.Histogram {
	return &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 6, Sum: 9, CounterResetHint: histogram.NotCounterReset,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}}, PositiveBuckets: []int64{1, 1, 1},
		CustomValues: []float64{0.1, 1, 10},
	}
}

func fineHistogram() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		Schema: 9, Count: 6, Sum: 1, PositiveSpans: []histogram.Span{{Offset: 1, Length: 3}}, PositiveBuckets: []float64{1, 2, 3},
	}
}

func staleHistogram() *histogram.Histogram { return &histogram.Histogram{Sum: stale} }

func requestV1() *prompb.WriteRequest {
	pairs := func(s ...string) (ls []prompb.Label) {
		for i := 0; i < len(s); i += 2 {
			ls = append(ls, prompb.Label{Name: s[i], Value: s[i+1]})
		}
		return ls
	}
	return &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{
				Labels: pairs("__name__", "http.requests", "job", "näh\nme", "empty", "", "instance", "a:80"),
				Samples: []prompb.Sample{
					{Value: 1.5, Timestamp: 1700000000123}, {Value: stale, Timestamp: math.MaxInt64},
					{Value: math.Copysign(0, -1), Timestamp: math.MinInt64}, {Value: math.NaN(), Timestamp: 0}, {},
				},
				Exemplars: []prompb.Exemplar{
					{Labels: pairs("trace_id", "abc", "a", "b"), Value: 0.5, Timestamp: 1700000000124}, {Value: 1},
				},
			},
			{Labels: pairs("zone", "z", "__name__", "unsorted", "A", "up"), Samples: []prompb.Sample{{Value: 3, Timestamp: 7}}},
			{
				Labels: pairs("__name__", "native"),
				Histograms: []prompb.Histogram{
					prompb.FromIntHistogram(10, intHistogram()), prompb.FromFloatHistogram(11, floatHistogram()),
					prompb.FromIntHistogram(12, customHistogram()), prompb.FromFloatHistogram(13, fineHistogram()),
					prompb.FromIntHistogram(14, staleHistogram()),
				},
			},
			{Labels: pairs("__name__", "exemplar_alone"), Exemplars: []prompb.Exemplar{{Labels: pairs("t", "1"), Value: 2, Timestamp: 3}}},
			{Labels: pairs("__name__", "nothing")},
			{Labels: pairs("job", "nameless"), Samples: []prompb.Sample{{Value: 1, Timestamp: 1}, {Value: 2, Timestamp: 2}}},
			{Labels: pairs("__name__", "twice", "a", "1", "a", "2"), Samples: []prompb.Sample{{Value: 1, Timestamp: 1}}},
			{Labels: pairs("__name__", "bad", "a", "\xff"), Histograms: []prompb.Histogram{prompb.FromIntHistogram(1, intHistogram())}},
		},
		Metadata: []prompb.MetricMetadata{
			{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "http.requests", Help: "Requests\nserved.", Unit: "requests"},
			{MetricFamilyName: "says_nothing"},
			{Type: prompb.MetricMetadata_STATESET, MetricFamilyName: "states"},
		},
	}
}

func requestV2() *writev2.Request {
	t := writev2.NewSymbolTable()
	refs := func(s ...string) (r []uint32) {
		for _, text := range s {
			r = append(r, t.Symbolize(text))
		}
		return r
	}
	about := func(kind writev2.Metadata_MetricType, help, unit string) writev2.Metadata {
		return writev2.Metadata{Type: kind, HelpRef: t.Symbolize(help), UnitRef: t.Symbolize(unit)}
	}
	const counter, hist, summary = writev2.Metadata_METRIC_TYPE_COUNTER, writev2.Metadata_METRIC_TYPE_HISTOGRAM, writev2.Metadata_METRIC_TYPE_SUMMARY
	one := []writev2.Sample{{Value: 1, Timestamp: 5}}
	r := &writev2.Request{Timeseries: []writev2.TimeSeries{
		{
			LabelsRefs: refs("job", "näh\nme", "__name__", "http.requests", "empty", ""),
			Samples: []writev2.Sample{
				{Value: 1.5, Timestamp: 1700000000123}, {Value: stale, Timestamp: math.MaxInt64, StartTimestamp: 1699999999000},
				{Value: 2, Timestamp: math.MinInt64, StartTimestamp: -1}, {},
			},
			Exemplars: []writev2.Exemplar{{LabelsRefs: refs("trace_id", "abc"), Value: 0.5, Timestamp: 9}, {Value: 1}},
			Metadata:  about(counter, "Requests", "requests"),
		},
		{
			LabelsRefs: refs("__name__", "native_sum"),
			Histograms: []writev2.Histogram{
				writev2.FromIntHistogram(5, 10, intHistogram()), writev2.FromFloatHistogram(6, 11, floatHistogram()),
				writev2.FromIntHistogram(0, 12, customHistogram()), writev2.FromFloatHistogram(0, 13, fineHistogram()),
				writev2.FromIntHistogram(0, 14, staleHistogram()),
			},
			Metadata: about(hist, "A native histogram with an odd name", ""),
		},
		{LabelsRefs: refs("__name__", "lat_bucket", "le", "1"), Samples: one, Metadata: about(hist, "Latency", "seconds")},
		{LabelsRefs: refs("__name__", "lat_bucket", "le", "2"), Samples: one, Metadata: about(hist, "Latency", "seconds")},
		{LabelsRefs: refs("__name__", "lat_sum"), Samples: one, Metadata: about(hist, "Latency", "seconds")},
		{LabelsRefs: refs("__name__", "lat_count"), Samples: one, Metadata: about(hist, "Latency", "seconds")},
		{LabelsRefs: refs("__name__", "rpc_sum"), Samples: one, Metadata: about(summary, "", "")},
		{LabelsRefs: refs("__name__", "both"), Samples: one, Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, 1, intHistogram())}},
		{LabelsRefs: refs("__name__", "exemplar_alone"), Exemplars: []writev2.Exemplar{{LabelsRefs: refs("t", "1"), Value: 2, Timestamp: 3}}},
		{LabelsRefs: refs("__name__", "described"), Metadata: about(counter, "Only described", "")},
		{LabelsRefs: refs("__name__", "nothing")},
		{LabelsRefs: refs("job", "nameless"), Samples: []writev2.Sample{{}, {}}, Exemplars: []writev2.Exemplar{{}}},
	}}
	r.Symbols = t.Symbols()
	return r
}

// golden compares got with a file of testdata, or rewrites the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestGoldenV1(t *testing.T) {
	body, err := requestV1().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "v1.bin", body)
	var b series.Batch
	if err := DecodeV1(&b, body, series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	clear(body) // the batch must not point into it
	golden(t, "v1.txt", []byte(dump(&b)))
}

func TestGoldenV2(t *testing.T) {
	body, err := requestV2().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "v2.bin", body)
	var b series.Batch
	if err := DecodeV2(&b, body, series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	clear(body)
	golden(t, "v2.txt", []byte(dump(&b)))
}

func TestEncodedBatchesDecodeToThemselves(t *testing.T) {
	v1, _ := requestV1().Marshal()
	v2, _ := requestV2().Marshal()
	var from1, from2 series.Batch
	if err := DecodeV1(&from1, v1, series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	if err := DecodeV2(&from2, v2, series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	from1.Refused, from2.Refused = series.Refusals{}, series.Refusals{}

	var back series.Batch
	if err := DecodeV1(&back, AppendV1(nil, &from1), series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(&back), dump(&from1); got != want {
		t.Errorf("1.0 became\n%s\nwas\n%s", got, want)
	}
	back.Reset()
	if err := DecodeV2(&back, AppendV2(nil, &from2), series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(&back), dump(&from2); got != want {
		t.Errorf("2.0 became\n%s\nwas\n%s", got, want)
	}
	// What we encode is what Prometheus's own types read.
	var p1 writev2.Request
	if err := p1.Unmarshal(AppendV2(nil, &from2)); err != nil || len(p1.Timeseries) != len(from2.Rows)+1 {
		t.Errorf("Prometheus reads %d series, %v", len(p1.Timeseries), err)
	}
	var p2 prompb.WriteRequest
	if err := p2.Unmarshal(AppendV1(nil, &from1)); err != nil || len(p2.Timeseries) != len(from1.Rows) {
		t.Errorf("Prometheus reads %d series, %v", len(p2.Timeseries), err)
	}
}

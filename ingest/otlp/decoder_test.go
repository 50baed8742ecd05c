package otlp

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/varve-db/varve/series"
)

// protobufOf turns a request in JSON into protobuf, by OpenTelemetry's own code.
func protobufOf(t testing.TB, inJSON []byte) []byte {
	t.Helper()
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalJSON(inJSON); err != nil {
		t.Fatal(err)
	}
	body, err := request.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// request wraps metrics, in JSON, in a resource and a scope.
func request(metrics string) []byte {
	return []byte(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeMetrics":[{"metrics":[` + metrics + `]}]}]}`)
}

func TestDeltasAddUp(t *testing.T) {
	clock := time.Unix(1000, 0)
	deltas := NewDeltas(DeltaOptions{SeriesMax: 3, IdleMax: time.Minute, Now: func() time.Time { return clock }})
	d := NewDecoder(Options{Deltas: deltas, NoTargetInfo: true})
	send := func(format string, args ...any) string {
		t.Helper()
		var b series.Batch
		if err := d.DecodeJSON(&b, request(fmt.Sprintf(format, args...))); err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines(&b), "\n") + b.Refused.String()
	}
	sum := func(start, at int, v float64) string {
		return send(`{"name":"c","sum":{"isMonotonic":true,"aggregationTemporality":1,"dataPoints":[{"startTimeUnixNano":%d000000,"timeUnixNano":%d000000,"asDouble":%v}]}}`, start, at, v)
	}
	line := func(at, start int, v float64) string {
		return sampleText(`{__name__="c_total", job="s"}`, int64(at), int64(start), v)
	}
	for _, step := range []struct{ got, want string }{
		{sum(100, 200, 5), line(200, 100, 5)},
		{sum(200, 300, 2.5), line(300, 100, 7.5)},
		{sum(200, 300, 2.5), line(300, 100, 7.5)}, // sent again
		{sum(400, 500, 1), line(500, 100, 8.5)},   // a gap is no reset
	} {
		if step.got != step.want {
			t.Errorf("got %q, want %q", step.got, step.want)
		}
	}
	if got := sum(200, 400, 1); !strings.Contains(got, "refused 1 sample (late_delta)") {
		t.Errorf("got %q", got)
	}
	clock = clock.Add(2 * time.Minute) // forgotten: it starts again
	if got, want := sum(600, 700, 3), line(700, 600, 3); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	d.Tenant = 2
	if got, want := sum(600, 800, 4), line(800, 600, 4); got != want {
		t.Errorf("another tenant: got %q, want %q", got, want)
	}
	if got := send(`{"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":9000000,"count":3,"bucketCounts":[1,2],"explicitBounds":[5]}]}}`); !strings.Contains(got, "refused 2 samples (too_many_delta_series)") || deltas.Len() != 3 {
		t.Errorf("got %q with %d series", got, deltas.Len())
	}
	stale := send(`{"name":"c","sum":{"isMonotonic":true,"aggregationTemporality":1,"dataPoints":[{"startTimeUnixNano":800000000,"timeUnixNano":900000000,"flags":1}]}}`)
	if want := line(900, 800, math.Float64frombits(value.StaleNaN)); stale != want || deltas.Len() != 2 {
		t.Errorf("got %q, want %q, with %d series", stale, want, deltas.Len())
	}
}

func TestDeltaHistogramsAddUp(t *testing.T) {
	d := NewDecoder(Options{Deltas: NewDeltas(DeltaOptions{}), NoTargetInfo: true})
	var b series.Batch
	for i, scale := range []int{3, 2, 4} {
		body := request(fmt.Sprintf(`{"name":"h","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"startTimeUnixNano":"1000000","timeUnixNano":"%d000000","count":4,"sum":2,"scale":%d,"zeroCount":1,"positive":{"offset":0,"bucketCounts":[1,2]}}]}}`, i+2, scale))
		if err := d.DecodeJSON(&b, body); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.Histograms) != 3 || !b.Refused.Empty() {
		t.Fatalf("got %s", lines(&b))
	}
	last := b.Histograms[2]
	if f := last.Float; last.Start != 1 || f == nil || f.Count != 12 || f.Sum != 6 || f.ZeroCount != 3 || f.Schema != 2 || f.Validate() != nil {
		t.Errorf("got %+v", last.Float)
	}
}

func TestRefusals(t *testing.T) {
	many := strings.Repeat(`{"key":"a","value":{}},`, 300)
	for metrics, want := range map[string]string{
		`{"name":"a","gauge":{"dataPoints":[{"attributes":[` + many[:len(many)-1] + `]}]}}`: "refused 1 sample (too_many_labels)",
		`{"name":"a","sum":{"aggregationTemporality":1,"dataPoints":[{},{}]}}`:              "refused 2 samples (unsupported_temporality)",
		`{"name":"a","exponentialHistogram":{"dataPoints":[{}]}}`:                           "refused 1 histogram (unsupported_temporality)",
		`{"name":"","gauge":{"dataPoints":[{}]}}`:                                           "refused 1 sample (unnamable)",
		`{"name":"a"}`: "(unknown_metric_kind): metric \"a\"",
		`{"name":"a","gauge":{"dataPoints":[{"attributes":[{"key":"___","value":{"stringValue":"x"}}]}]}}`:                                        "refused 1 sample (unnamable)",
		`{"name":"a","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"scale":-9}]}}`:                                            "refused 1 histogram (invalid_histogram)",
		`{"name":"a","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":1,"positive":{"bucketCounts":[2]}}]}}`:             "refused 1 histogram (invalid_histogram)",
		`{"name":"a","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"positive":{"offset":2147483647,"bucketCounts":[0,1]}}]}}`: "refused 1 histogram (invalid_histogram)",
		`{"name":"a","sum":{"aggregationTemporality":2,"dataPoints":[{"exemplars":[{}]}]}}`:                                                       "refused 1 exemplar (invalid_exemplar)",
	} {
		d := NewDecoder(Options{})
		var b series.Batch
		good := `,{"name":"good","gauge":{"dataPoints":[{"asInt":"1"}]}}`
		if err := d.DecodeJSON(&b, request(metrics+good)); err != nil {
			t.Fatalf("%s: %v", metrics, err)
		}
		if got := b.Refused.String(); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", metrics, got, want)
		}
		if last := len(b.Rows) - 1; last < 0 || string(b.Labels(last).Get(series.MetricName)) != "good" || b.Rows[last].Samples.Len() != 1 {
			t.Errorf("%s: the metric beside it is lost: %s", metrics, lines(&b))
		}
	}
}

func TestMalformed(t *testing.T) {
	deep := strings.Repeat(`{"arrayValue":{"values":[`, 40) + strings.Repeat(`]}}`, 40)
	for body, want := range map[string]string{
		``:                             "JSON: EOF",
		`[]`:                           "an object was expected",
		`{"resourceMetrics":{}}`:       "an array was expected",
		`{"resourceMetrics":[3]}`:      "an object was expected",
		`{} {}`:                        "something follows",
		`{"resourceMetrics":[{}`:       "EOF",
		string(request(`{"name":[]}`)): "unexpected [",
		string(request(`{"name":"a","gauge":{"dataPoints":[{"timeUnixNano":"x"}]}}`)):                                    `"x" is not an integer`,
		string(request(`{"name":"a","gauge":{"dataPoints":[{"attributes":[{"key":"a","value":` + deep + `}]}]}}`)):       "nested too deep",
		`{"x":` + strings.Repeat(`{"a":`, 300):                                                                           "EOF",
		string(request(`{"name":"a","sum":{"dataPoints":[{"exemplars":[{"traceId":"zz"}]}]}}`)):                          "invalid byte",
		string(request(`{"name":"a","gauge":{"dataPoints":[{"attributes":[{"key":"a","value":{"bytesValue":"!"}}]}]}}`)): "illegal base64",
		string(request(`{"name":"a","exponentialHistogram":{"dataPoints":[{"scale":3000000000}]}}`)):                     "value out of range",
	} {
		var b series.Batch
		err := NewDecoder(Options{}).DecodeJSON(&b, []byte(body))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: got %v, want %s", body, err, want)
		}
	}
	for _, body := range []string{"\x0a", "\x0a\x05abc", "\x08\x01\x0a\x02\x12\x01", "\x0a\x02\x12\x05", "\x0d\x00\x00\x00\x00\x0b", "\x0a\x04\x12\x02\x12\x03", "\x0a\x04\x12\x02\x10\x01"} {
		var b series.Batch
		if err := NewDecoder(Options{}).Decode(&b, []byte(body)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

// lines writes the floats of b.
func lines(b *series.Batch) []string {
	var all []string
	for i, row := range b.Rows {
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			all = append(all, sampleText(b.Labels(i).String(), b.Timestamps[j], b.StartOf(j), b.Values[j]))
		}
	}
	return all
}

func sampleText(ls string, t, start int64, v float64) string {
	return fmt.Sprintf("%s t=%d start=%d %v/%x", ls, t, start, v, math.Float64bits(v))
}

// TestABodyCannotClaimMuchMemory sends a histogram of which every bucket becomes a
// series with a long label.
func TestABodyCannotClaimMuchMemory(t *testing.T) {
	buckets := strings.Repeat("1,", 2_000) + "1"
	bounds := make([]string, 2_000)
	for i := range bounds {
		bounds[i] = fmt.Sprint(i)
	}
	body := protobufOf(t, request(`{"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":2001,"bucketCounts":[`+buckets+`],"explicitBounds":[`+strings.Join(bounds, ",")+
		`],"attributes":[{"key":"long","value":{"stringValue":"`+strings.Repeat("x", 20_000)+`"}}]}]}}`))
	var b series.Batch
	if err := NewDecoder(Options{}).Decode(&b, body); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if limit := 2 * (growthFixed + growth*len(body)); b.MemoryBytes() > limit {
		t.Errorf("a body of %d bytes took %d", len(body), b.MemoryBytes())
	}
}

// TestTargetInfoIsBounded sends two points that are centuries apart.
func TestTargetInfoIsBounded(t *testing.T) {
	var b series.Batch
	body := []byte(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}},{"key":"x","value":{"stringValue":"y"}}]},` +
		`"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[{"timeUnixNano":"-9000000000000000000"},{"timeUnixNano":"9000000000000000000"}]}}]}]}]}`)
	if err := NewDecoder(Options{}).DecodeJSON(&b, body); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Timestamps); n < 100 || n > 1100 {
		t.Errorf("%d samples", n)
	}
}

func TestReplies(t *testing.T) {
	r := pmetricotlp.NewExportResponse()
	if err := r.UnmarshalProto(AppendResponse(nil, 3, "why")); err != nil || r.PartialSuccess().RejectedDataPoints() != 3 || r.PartialSuccess().ErrorMessage() != "why" {
		t.Errorf("got %v, %v", r, err)
	}
	r = pmetricotlp.NewExportResponse()
	if err := r.UnmarshalJSON(AppendResponseJSON(nil, 3, `"why"`)); err != nil || r.PartialSuccess().RejectedDataPoints() != 3 || r.PartialSuccess().ErrorMessage() != `"why"` {
		t.Errorf("got %v, %v", r, err)
	}
	if got := string(AppendResponseJSON(AppendResponse(nil, 0, ""), 0, "")); got != "{}" {
		t.Errorf("got %q", got)
	}
	if got := string(AppendStatus(nil, 3, "bad")); got != "\x08\x03\x12\x03bad" {
		t.Errorf("got %q", got)
	}
	if got := string(AppendStatusJSON(nil, 3, "bad")); got != `{"code":3,"message":"bad"}` {
		t.Errorf("got %q", got)
	}
}

package text

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

const now = 1700000000000

// decode decodes body line by line, and returns what it became.
func decode(t testing.TB, o Options, body string) (string, error) {
	t.Helper()
	var d Decoder
	var b series.Batch
	d.Begin(o)
	var failed []error
	for _, line := range strings.Split(body, "\n") {
		if err := d.Line(&b, []byte(line)); err != nil {
			failed = append(failed, err)
		}
	}
	return dump(t, &b), errors.Join(failed...)
}

func dump(t testing.TB, b *series.Batch) string {
	t.Helper()
	var s strings.Builder
	for _, m := range b.Metadata {
		fmt.Fprintf(&s, "%s is %q unit %q help %q\n", m.Metric, m.Type, m.Unit, m.Help)
	}
	for i, row := range b.Rows {
		if err := b.Labels(i).Check(); err != nil {
			t.Fatal(err)
		}
		s.WriteString(b.Labels(i).String())
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			fmt.Fprintf(&s, " %d:%v", b.Timestamps[j], b.Values[j])
			if start := b.StartOf(j); start != 0 {
				fmt.Fprintf(&s, " since %d", start)
			}
		}
		for j := row.Exemplars.Start; j < row.Exemplars.End; j++ {
			fmt.Fprintf(&s, " exemplar %s %d:%v", b.ExemplarLabels(j), b.Exemplars[j].Timestamp, b.Exemplars[j].Value)
		}
		s.WriteByte('\n')
	}
	if !b.Refused.Empty() {
		s.WriteString(b.Refused.String() + "\n")
	}
	return s.String()
}

func TestPrometheusText(t *testing.T) {
	cases := []struct {
		name    string
		options Options
		body    string
		want    string
	}{
		{"the format's own example", Options{}, `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
# Minimalistic line:
metric_without_timestamp_and_labels 12.47
# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045
`, `http_requests_total is "counter" unit "" help "The total number of HTTP requests."
{__name__="http_requests_total", code="200", method="post"} 1395066363000:1027
{__name__="http_requests_total", code="400", method="post"} 1395066363000:3
{__name__="msdos_file_access_time_seconds", error="Cannot find file:\n\"FILE.TXT\"", path="C:\\DIR\\FILE.TXT"} 1700000000000:1.458255915e+09
{__name__="metric_without_timestamp_and_labels"} 1700000000000:12.47
{__name__="something_weird", problem="division by zero"} -3982045:+Inf
`},
		{"bounds are written alike", Options{}, `# TYPE h histogram
h_bucket{le="1"} 1
h_bucket{le="0.50"} 1
h_bucket{le="+Inf"} 1
h_sum{le="1"} 1
# TYPE s summary
s{quantile="1"} 1
other{le="1",quantile="1"} 1
`, `h is "histogram" unit "" help ""
s is "summary" unit "" help ""
{__name__="h_bucket", le="1.0"} 1700000000000:1
{__name__="h_bucket", le="0.5"} 1700000000000:1
{__name__="h_bucket", le="+Inf"} 1700000000000:1
{__name__="h_sum", le="1"} 1700000000000:1
{__name__="s", quantile="1.0"} 1700000000000:1
{__name__="other", le="1", quantile="1"} 1700000000000:1
`},
		{"quoted names", Options{}, "# HELP \"my.metric\" Has\\nlines \\\\ \\\" of\n{\"my.metric\",\"my.label\"=\"x\",plain=\"y\",} 1\n{\"alone\"} 2\n",
			"my.metric is \"\" unit \"\" help \"Has\\nlines \\\\ \\\\\\\" of\"\n" +
				"{__name__=\"my.metric\", \"my.label\"=\"x\", plain=\"y\"} 1700000000000:1\n{__name__=\"alone\"} 1700000000000:2\n"},
		{"white space", Options{}, "\t a { b = \"c\" , }\t1 \t 2 \n a 1 \n a{} 1\na{x=\"y\"}1\n",
			"{__name__=\"a\", b=\"c\"} 2:1\n{__name__=\"a\"} 1700000000000:1\n{__name__=\"a\"} 1700000000000:1\n{__name__=\"a\", x=\"y\"} 1700000000000:1\n"},
		{"created series are as others", Options{}, "# TYPE c counter\nc_total 1\nc_created 5\n# EOF\nd 1\n",
			"c is \"counter\" unit \"\" help \"\"\n{__name__=\"c_total\"} 1700000000000:1\n{__name__=\"c_created\"} 1700000000000:5\n{__name__=\"d\"} 1700000000000:1\n"},
		{"labels of the request", Options{Labels: []labels.Label{{Name: "job", Value: "import"}, {Name: "drop", Value: ""}}}, "a{job=\"x\",drop=\"y\"} 1\n",
			"{__name__=\"a\", job=\"import\"} 1700000000000:1\n"},
		{"rules", Options{Rules: series.LabelRules{LabelsMax: 1}}, "a{b=\"c\"} 1\na 1\n",
			"{__name__=\"a\"} 1700000000000:1\nrefused 1 sample (too_many_labels): 2 labels, the limit is 1, first in series {__name__=\"a\", b=\"c\"}\n"},
		{"not UTF-8", Options{}, "a{b=\"\xff\"} 1\n", "refused 1 sample (invalid_utf8): the value of label \"b\" is not valid UTF-8, first in series {__name__=\"a\", b=\"\\xff\"}\n"},
	}
	for _, c := range cases {
		c.options.Timestamp = now
		got, err := decode(t, c.options, c.body)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestOpenMetrics(t *testing.T) {
	cases := []struct{ name, body, want string }{
		{"counter with exemplar", `# TYPE acme_http_router_request_seconds summary
# UNIT acme_http_router_request_seconds seconds
# HELP acme_http_router_request_seconds Latency though all of ACME's "HTTP" request router.
acme_http_router_request_seconds_sum{path="/api/v1",method="GET"} 9036.32
acme_http_router_request_seconds_count{path="/api/v1",method="GET"} 807283.0
acme_http_router_request_seconds_created{path="/api/v1",method="GET"} 1605281325.0
# TYPE go_goroutines gauge
go_goroutines 69
# TYPE foo counter
foo_total 17.0 1520879607.789 # {trace_id="KOO5S4vxi0o",a="\"b\""} 0.67 1520879606.5
foo_created 1520430000.123
# EOF
`, `acme_http_router_request_seconds is "summary" unit "seconds" help "Latency though all of ACME's \"HTTP\" request router."
go_goroutines is "gauge" unit "" help ""
foo is "counter" unit "" help ""
{__name__="acme_http_router_request_seconds_sum", method="GET", path="/api/v1"} 1700000000000:9036.32 since 1605281325000
{__name__="acme_http_router_request_seconds_count", method="GET", path="/api/v1"} 1700000000000:807283 since 1605281325000
{__name__="go_goroutines"} 1700000000000:69
{__name__="foo_total"} 1520879607789:17 since 1520430000123 exemplar {a="\"b\"", trace_id="KOO5S4vxi0o"} 1520879606500:0.67
`},
		{"start timestamps before, between, behind, of each metric", `# TYPE h histogram
h_created{a="1"} 10
h_bucket{a="1",le="1"} 1
h_count{a="1"} 1
h_bucket{le="1",a="2"} 2 100 # {} 1
h_created{a="2"} 20
h_sum{a="2"} 2 100
h_bucket{a="3",le="1"} 3
h_count{a="3"} 3
h_created{a="3"} 30
h_bucket{a="4",le="1"} 4
# TYPE c counter
c_total{a="3"} 1 1
c_created{a="3"} 0.5 1
c_total{a="3"} 2 2
c_created{a="3"} 1.5 2
other_total 1
c_created{a="4"} 7
# TYPE g gauge
g_created 1
`, `h is "histogram" unit "" help ""
c is "counter" unit "" help ""
g is "gauge" unit "" help ""
{__name__="h_bucket", a="1", le="1.0"} 1700000000000:1 since 10000
{__name__="h_count", a="1"} 1700000000000:1 since 10000
{__name__="h_bucket", a="2", le="1.0"} 100000:2 since 20000 exemplar {} 100000:1
{__name__="h_sum", a="2"} 100000:2 since 20000
{__name__="h_bucket", a="3", le="1.0"} 1700000000000:3 since 30000
{__name__="h_count", a="3"} 1700000000000:3 since 30000
{__name__="h_bucket", a="4", le="1.0"} 1700000000000:4
{__name__="c_total", a="3"} 1000:1 since 500
{__name__="c_total", a="3"} 2000:2 since 1500
{__name__="other_total"} 1700000000000:1
{__name__="g_created"} 1700000000000:1
`},
		{"a bad exemplar label costs the exemplar alone", "a 1 # {x=\"1\",x=\"2\"} 1\n",
			"{__name__=\"a\"} 1700000000000:1\nrefused 1 exemplar (duplicate_label): exemplar: label name \"x\" occurs twice, first in series {__name__=\"a\"}\n"},
	}
	for _, c := range cases {
		got, err := decode(t, Options{OpenMetrics: true, Timestamp: now}, c.body)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestBatchesWithinAMetric stores what there is whenever no more is awaited.
func TestBatchesWithinAMetric(t *testing.T) {
	var d Decoder
	var b series.Batch
	d.Begin(Options{OpenMetrics: true, Timestamp: now})
	starts, samples := 0, 0
	take := func() {
		samples += len(b.Timestamps)
		for i := range b.Timestamps {
			if b.StartOf(i) != 0 {
				starts++
			}
		}
		b.Reset()
	}
	line := func(format string, args ...any) {
		if err := d.Line(&b, fmt.Appendf(nil, format, args...)); err != nil {
			t.Fatal(err)
		}
		if !d.Open() {
			take()
		}
	}
	line("# TYPE h histogram")
	for i := range 10 {
		line(`h_bucket{i="%d",le="1"} 1`, i)
		line(`h_count{i="%d"} 1`, i)
		line(`h_created{i="%d"} 17`, i)
		line(`h_sum{i="%d"} 1`, i)
	}
	line("# TYPE c counter")
	for i := range 10 {
		line(`c_total{i="%d"} 1`, i)
	}
	take()
	if samples != 40 || starts != 30 {
		t.Errorf("%d samples, %d with a start", samples, starts)
	}
}

func TestBadLines(t *testing.T) {
	both := []string{
		"a", "a ", "1", "a b", "a 1x", "a 0x1p1", "a{", "a{b", "a{b=", "a{b=\"", "a{b=\"c\"", "a{b=\"c\" 1", "a{b=\"c\"} ", "a{=\"c\"} 1", "a{b=c} 1", "a{b} 1", "a{,} 1", "{} 1", "{b=\"c\"} 1", "{\"a\",\"b\"} 1", "a{\"b\"} 1", "a 1 x", "a 1 2 3", "a b 1", "a-b 1", "ä 1",
		"# TYPE ", "# TYPE a", "# TYPE a b", "# HELP 1a x", "# HELP a \xff", "{\"\"} 1", "a{b=\"c\\\"} 1",
	}
	check := func(o Options, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if got, err := decode(t, o, line); !errors.Is(err, ErrMalformed) || got != "" {
				t.Errorf("%q: %v, and %q", line, err, got)
			}
		}
	}
	check(Options{}, append(both, "a 1 1.5", "a 1 # {} 1", "# TYPE a info", "# TYPE a unknown")...)
	check(Options{OpenMetrics: true}, append(both, "a 1 NaN", "a{b=\"c\"d=\"e\"} 1", "a 1 1e300", "a 1 # {", "a 1 # {} x", "a 1 # {} 1 x", "a 1 # {} 1 1 1", "a 1 # {\"x\"} 1",
		"# TYPE a untyped", "# UNIT a seconds", "# UNIT aseconds seconds")...)
	if _, err := decode(t, Options{OpenMetrics: true}, "# EOF\n\na 1"); !errors.Is(err, ErrMalformed) {
		t.Errorf("something after the end: %v", err)
	}
	if _, err := decode(t, Options{OpenMetrics: true}, "# TYPE a counter\na_created Inf"); !errors.Is(err, ErrMalformed) {
		t.Errorf("created at the end of all time: %v", err)
	}
}

func BenchmarkLines(b *testing.B) {
	var body bytes.Buffer
	const samples = 1000
	for i := range samples {
		fmt.Fprintf(&body, "container_network_receive_bytes_total{cluster=\"eu\",instance=\"10.0.0.%d:9100\",interface=\"eth0\",job=\"node\",namespace=\"default\"} %d.5 1700000000000\n", i%250, i*977)
	}
	lines := bytes.Split(bytes.TrimSpace(body.Bytes()), []byte("\n"))
	var d Decoder
	var dst series.Batch
	d.Begin(Options{})
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ReportAllocs()
	for b.Loop() {
		dst.Reset()
		for _, line := range lines {
			if err := d.Line(&dst, line); err != nil {
				b.Fatal(err)
			}
		}
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano())/float64(b.N*samples), "CPU-ns/sample")
}

package text

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/varve-db/varve/series"
)

// parsed is a sample as Prometheus's parser reads it.
type parsed struct {
	labels    labels.Labels
	value     float64
	timestamp int64
	exemplar  *exemplar.Exemplar
	nameless  bool // the series or one of its labels has no name
}

// reference reads body with Prometheus's parser.
func reference(body []byte, openMetrics bool) ([]parsed, error) {
	var p textparse.Parser
	if openMetrics {
		p = textparse.NewOpenMetricsParser(body, labels.NewSymbolTable())
	} else {
		p = textparse.NewPromParser(body, labels.NewSymbolTable(), false)
	}
	var out []parsed
	for {
		entry, err := p.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		s := parsed{timestamp: now}
		var ts *int64
		if _, ts, s.value = p.Series(); ts != nil {
			s.timestamp = *ts
		}
		p.Labels(&s.labels)
		s.nameless = s.labels.Get(labels.MetricName) == ""
		s.labels.Range(func(l labels.Label) { s.nameless = s.nameless || l.Name == "" })
		s.labels = s.labels.WithoutEmpty()
		var e exemplar.Exemplar
		if p.Exemplar(&e) {
			if !e.HasTs {
				e.Ts = s.timestamp
			}
			s.exemplar = &e
		}
		out = append(out, s)
	}
}

// compare checks that what Prometheus's parser accepts is read as it reads it.
func compare(t *testing.T, body string, openMetrics bool) {
	t.Helper()
	end := "\n"
	if openMetrics {
		end = "\n# EOF\n"
	}
	want, err := reference([]byte(body+end), openMetrics)
	if err != nil || slices.ContainsFunc(want, func(p parsed) bool { return p.nameless }) {
		return
	}
	var d Decoder
	var b series.Batch
	d.Begin(Options{OpenMetrics: openMetrics, Timestamp: now})
	for _, line := range strings.Split(body, "\n") {
		// Prometheus's lexer takes any byte behind a metric's name in a comment.
		if err := d.Line(&b, []byte(line)); err != nil && !strings.HasPrefix(line, "#") {
			t.Fatalf("%q: %v, but Prometheus reads %v", body, err, want)
		}
	}
	if !b.Refused.Empty() {
		return // Prometheus's parser has no rules
	}
	if len(b.Rows) != len(want) {
		t.Fatalf("%q: %d rows, Prometheus reads %v", body, len(b.Rows), want)
	}
	var builder labels.ScratchBuilder
	for i, w := range want {
		row := b.Rows[i]
		ls, err := b.Labels(i).Decode(&builder)
		if err != nil {
			t.Fatal(err)
		}
		v, at := b.Values[row.Samples.Start], b.Timestamps[row.Samples.Start]
		if !labels.Equal(ls, w.labels) || math.Float64bits(v) != math.Float64bits(w.value) || !near(at, w.timestamp) {
			t.Fatalf("%q: %v %d %v, Prometheus reads %+v", body, ls, at, v, w)
		}
		if (row.Exemplars.Len() > 0) != (w.exemplar != nil) {
			t.Fatalf("%q: exemplar %v, Prometheus reads %+v", body, row.Exemplars, w.exemplar)
		}
		if w.exemplar == nil {
			continue
		}
		e := b.Exemplars[row.Exemplars.Start]
		if math.Float64bits(e.Value) != math.Float64bits(w.exemplar.Value) || !near(e.Timestamp, w.exemplar.Ts) {
			t.Fatalf("%q: exemplar %+v, Prometheus reads %+v", body, e, w.exemplar)
		}
	}
}

// near allows for the millisecond that Prometheus loses when it cuts a float off.
func near(a, b int64) bool { return a-b <= 1 && b-a <= 1 }

var corpus = []string{
	"a 1", "a{b=\"c\"} -2.5e3 17", "a{b=\"\\\\x\\n\\\"\",c=\"\",} NaN", "{\"a.b\",\"c.d\"=\"e\"} +Inf", "# HELP a b\\nc\n# TYPE a counter\na 1",
	"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1", "# TYPE s summary\ns{quantile=\"0.50\"} 1",
	"a 1 1520879607.789 # {trace_id=\"x\"} 0.67 1520879606", "a_total 1 # {} 1", "a  {  b =  \"c\"  }  1   2  ", "a{b=\"ü\\x\"} 1e-400", "a{b=\"c\",b=\"d\"} 1",
}

func TestAsPrometheusReads(t *testing.T) {
	read := 0
	for _, body := range corpus {
		for _, openMetrics := range []bool{false, true} {
			compare(t, body, openMetrics)
			if _, err := reference([]byte(body+"\n# EOF\n"), openMetrics); err == nil {
				read++
			}
		}
	}
	if read < len(corpus) {
		t.Errorf("Prometheus's parser accepts only %d of the corpus", read)
	}
}

// FuzzLines checks that nothing makes the decoder panic, and that it reads what
// Prometheus's parser accepts as that does.
func FuzzLines(f *testing.F) {
	for _, body := range corpus {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, openMetrics bool) {
		var d Decoder
		var b series.Batch
		d.Begin(Options{OpenMetrics: openMetrics, Timestamp: now})
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			before := len(b.Rows)
			if err := d.Line(&b, line); err != nil && len(b.Rows) != before {
				t.Fatalf("%v, and a row", err)
			}
		}
		dump(t, &b)
		// Prometheus's lexer takes NUL, line feeds inside of quotes and white space
		// before names for what they are not, and start timestamps for series.
		if bytes.ContainsAny(body, "\x00\r") || bytes.Contains(append([]byte("\n"), body...), []byte("\n ")) || bytes.Contains(append([]byte("\n"), body...), []byte("\n\t")) || openMetrics && bytes.Contains(body, []byte("_created")) || rawLineFeed(body) {
			return
		}
		compare(t, string(body), openMetrics)
	})
}

// rawLineFeed reports whether a quoted string goes on in the next line.
func rawLineFeed(body []byte) bool {
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		quoted := false
		for i := 0; i < len(line); i++ {
			switch line[i] {
			case '\\':
				i++
			case '"':
				quoted = !quoted
			}
		}
		if quoted {
			return true
		}
	}
	return false
}

package terminal

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares got with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

var start = time.Unix(1_760_000_000, 0).UTC()

func matrix(step time.Duration, n int, curves ...func(i int) float64) Answer {
	a := Answer{Kind: "matrix"}
	for c, f := range curves {
		s := Series{Labels: map[string]string{metricName: "load", "instance": fmt.Sprintf("host-%d:9100", c)}}
		for i := range n {
			if v := f(i); v != -12345 { // no sample
				s.Points = append(s.Points, Point{Time: start.Add(time.Duration(i) * step), Value: v})
			}
		}
		a.Series = append(a.Series, s)
	}
	return a
}

func graphOf(t *testing.T, a Answer, o GraphOptions) string {
	t.Helper()
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	var b strings.Builder
	if err := WriteGraph(&b, a, o); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > max(o.Width, graphWidthMin) && !o.Color {
			t.Errorf("a line has %d columns, the terminal %d: %s", n, o.Width, line)
		}
	}
	return b.String()
}

func TestGraphGolden(t *testing.T) {
	sine := func(i int) float64 { return 50 + 40*math.Sin(float64(i)/12) }
	ramp := func(i int) float64 { return float64(i) / 2 }
	gap := func(i int) float64 {
		if i > 60 && i < 90 {
			return -12345
		}
		return 20
	}
	o := GraphOptions{Width: 80, Height: 14, Start: start, End: start.Add(time.Hour), Step: 30 * time.Second}
	golden(t, "graph_three.txt", graphOf(t, matrix(30*time.Second, 121, sine, ramp, gap), o))
	o.Color = true
	golden(t, "graph_color.txt", graphOf(t, matrix(30*time.Second, 121, ramp), o))
	o.Color = false
	golden(t, "graph_constant.txt", graphOf(t, matrix(30*time.Second, 121, func(int) float64 { return 5 }), o))
	o.Width, o.Height = 10, 1 // too small: the least size is drawn
	golden(t, "graph_small.txt", graphOf(t, matrix(30*time.Second, 121, func(i int) float64 { return float64(i) * 3e7 }), o))
	o = GraphOptions{Width: 72, Height: 10, Start: start, End: start.Add(10 * 24 * time.Hour), Step: time.Hour}
	tiny := func(i int) float64 { return 1e-5 * float64(i%24) }
	golden(t, "graph_days.txt", graphOf(t, matrix(time.Hour, 241, tiny), o))
	var many []func(int) float64
	for i := range 15 {
		many = append(many, func(int) float64 { return float64(i) })
	}
	golden(t, "graph_many.txt", graphOf(t, matrix(time.Hour, 241, many...), o))
}

func TestGraphOddValues(t *testing.T) {
	o := GraphOptions{Width: 60, Height: 10, Start: start, End: start.Add(time.Hour), Step: time.Minute}
	for name, f := range map[string]func(int) float64{
		"nothing finite": func(i int) float64 { return []float64{math.NaN(), math.Inf(1)}[i%2] },
		"no points":      func(int) float64 { return -12345 },
	} {
		if got := graphOf(t, matrix(time.Minute, 10, f), o); got != "(nothing to draw: no finite float values)\n" {
			t.Errorf("%s: %s", name, got)
		}
	}
	values := []float64{math.MaxFloat64, -math.MaxFloat64, 5e-324, 0, math.NaN(), 1e-300, -1, math.Inf(-1)}
	got := graphOf(t, matrix(time.Minute, len(values), func(i int) float64 { return values[i] }), o)
	if !strings.Contains(got, "last -Inf") {
		t.Errorf("got\n%s", got)
	}
	for _, v := range []float64{math.MaxFloat64, 5e-324, -1e300, 0, 1e15} {
		graphOf(t, matrix(time.Minute, 3, func(i int) float64 { return v * float64(i-1) }), o)
		graphOf(t, matrix(time.Minute, 1, func(int) float64 { return v }), o)
	}
	o.End = o.Start
	if got := graphOf(t, matrix(time.Minute, 1, func(int) float64 { return 1 }), o); !strings.Contains(got, "⢀") && !strings.ContainsFunc(got, func(r rune) bool { return r > braille && r < braille+256 }) {
		t.Errorf("one point is not drawn:\n%s", got)
	}
}

const vectorReply = `{"status":"success","warnings":["w"],"infos":["i"],"data":{"resultType":"vector","result":[
{"metric":{"__name__":"up","job":"a","instance":"h:1"},"value":[1760000000.5,"1"]},
{"metric":{"__name__":"up","job":"b \"q\""},"value":[1760000000.5,"NaN"]},
{"metric":{},"value":[1760000000.5,"1e+20"]},
{"metric":{"job":"a","instance":"h:2"},"histogram":[1760000000.5,{"count":"12","sum":"3.5","buckets":[[0,"0.5","1","12"]]}]}]}}`

const matrixReply = `{"status":"success","data":{"resultType":"matrix","result":[
{"metric":{"job":"a"},"values":[[1760000000,"1"],[1760000030,"-0.25"]],"histograms":[[1760000015,{"count":"1","sum":"2"}]]}]}}`

func TestTableAndCSVGolden(t *testing.T) {
	for name, reply := range map[string]string{"vector": vectorReply, "matrix": matrixReply} {
		a, err := parseReply(200, []byte(reply))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, width := range []int{100, 30} {
			fmt.Fprintf(&all, "-- table, width %d\n", width)
			if err := WriteTable(&all, a, width, time.FixedZone("", 3600)); err != nil {
				t.Fatal(err)
			}
		}
		all.WriteString("-- csv\n")
		if err := WriteCSV(&all, a); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", all.String())
	}
}

func TestScalarsStringsAndNothing(t *testing.T) {
	for reply, want := range map[string]string{
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2.5"]}}`: "2.5\n|time,value\n1970-01-01T00:00:01.000Z,2.5\n",
		`{"status":"success","data":{"resultType":"string","result":[1,"a,b"]}}`: "a,b\n|value\n\"a,b\"\n",
		`{"status":"success","data":{"resultType":"vector","result":[]}}`:        "(no series)\n|time,value\n",
	} {
		a, err := parseReply(200, []byte(reply))
		if err != nil {
			t.Fatal(err)
		}
		var table, csv strings.Builder
		if err := errors.Join(WriteTable(&table, a, 80, time.UTC), WriteCSV(&csv, a)); err != nil {
			t.Fatal(err)
		}
		if got := table.String() + "|" + csv.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRepliesThatAreNoAnswer(t *testing.T) {
	for _, c := range []struct {
		status int
		reply  string
		want   string
	}{
		{400, `{"status":"error","errorType":"bad_data","error":"1:3: parse error: no closing parenthesis"}`, "bad_data: 1:3: parse error: no closing parenthesis"},
		{404, "404 page not found\nmore", "the server answered 404: 404 page not found"},
		{502, "", "the server answered 502: (nothing more)"},
		{200, "<html>", "not that of a Prometheus API"},
		{200, `{"status":"other"}`, "not that of a Prometheus API"},
		{200, `{"status":"success","data":{"resultType":"streams","result":[]}}`, "unknown result type"},
		{200, `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"x"]}]}}`, "read a value"},
		{200, `{"status":"success","data":{"resultType":"string","result":[1,2]}}`, "without a string"},
		{200, `{"status":"success","data":{"resultType":"scalar","result":7}}`, "not that of a Prometheus API"},
	} {
		_, err := parseReply(c.status, []byte(c.reply))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.reply, err, c.want)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add(200, []byte(vectorReply))
	f.Add(200, []byte(matrixReply))
	f.Add(200, []byte(`{"status":"success","data":{"resultType":"scalar","result":[1,"2.5"]}}`))
	f.Add(400, []byte(`{"status":"error"}`))
	f.Fuzz(func(t *testing.T, status int, raw []byte) {
		a, err := parseReply(status, raw)
		if err != nil {
			return
		}
		var b strings.Builder
		o := GraphOptions{Width: 60, Height: 10, Start: start, End: start.Add(time.Hour), Step: time.Minute, Zone: time.UTC}
		if err := errors.Join(WriteTable(&b, a, 80, time.UTC), WriteCSV(&b, a), WriteGraph(&b, a, o)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAskSendsWhatTheQuestionSays(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Form.Encode()+" "+r.Header.Get("X-Scope-OrgID"))
		if _, err := w.Write([]byte(vectorReply)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	c := Client{Server: server.URL + "/prefix/", HTTP: server.Client(), Header: http.Header{"X-Scope-Orgid": {"1"}}}
	a, err := c.Ask(t.Context(), Question{Query: "up", End: start.Add(250 * time.Millisecond)})
	if err != nil || a.Kind != "vector" || string(a.Raw) != vectorReply || a.Warnings[0] != "w" || a.Infos[0] != "i" {
		t.Errorf("got %+v, %v", a, err)
	}
	_, err = c.Ask(t.Context(), Question{Query: "up", Start: start, End: start.Add(time.Hour), Step: 1500 * time.Millisecond, Timeout: time.Minute})
	if err != nil {
		t.Error(err)
	}
	want := []string{
		"POST /prefix/api/v1/query query=up&time=1760000000.25 1",
		"POST /prefix/api/v1/query_range end=1760003600&query=up&start=1760000000&step=1.5&timeout=60 1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
	server.Close()
	if _, err := c.Ask(t.Context(), Question{Query: "up"}); err == nil || !strings.Contains(err.Error(), "ask http://127.0.0.1") {
		t.Errorf("got %v", err)
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("", 7200)
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, zone)
	for text, want := range map[string]string{
		"now": "2026-03-04T12:00:00+02:00", "-1h": "2026-03-04T11:00:00+02:00", "now-1h30m": "2026-03-04T10:30:00+02:00",
		"-2d": "2026-03-02T12:00:00+02:00", "+5m": "2026-03-04T12:05:00+02:00", "now+1w": "2026-03-11T12:00:00+02:00",
		"1760000000": "2025-10-09T10:53:20+02:00", "1760000000.5": "2025-10-09T10:53:20.5+02:00", "0": "1970-01-01T02:00:00+02:00",
		"2026-01-02": "2026-01-02T00:00:00+02:00", "2026-01-02 15:04": "2026-01-02T15:04:00+02:00",
		"2026-01-02T15:04:05": "2026-01-02T15:04:05+02:00", "2026-01-02T15:04:05.25Z": "2026-01-02T15:04:05.25Z",
		"": "", "yesterday": "", "now-": "", "nowish": "", "-1x": "", "-": "", "1e300": "", "NaN": "",
	} {
		got, err := ParseTime(text, now)
		if want == "" {
			if !errors.Is(err, ErrTime) {
				t.Errorf("%q gave %v, %v", text, got, err)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("now-1h30m")
	f.Add("1760000000.123")
	f.Add("2026-01-02T15:04:05+01:00")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTime(text, start)
		if (err == nil) == errors.Is(err, ErrTime) {
			t.Fatalf("%q gave %v, %v", text, got, err)
		}
	})
}

func TestDurationsAndSteps(t *testing.T) {
	for text, want := range map[string]time.Duration{"15s": 15 * time.Second, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour, "0.5": 500 * time.Millisecond, "60": time.Minute} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "-5", "1e99"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q gave %v", text, got)
		}
	}
	for span, want := range map[time.Duration]time.Duration{
		time.Minute: time.Second, time.Hour: 30 * time.Second, 24 * time.Hour: 10 * time.Minute, 400 * 24 * time.Hour: 3 * 24 * time.Hour,
	} {
		if got := ChooseStep(span, 150); got != want {
			t.Errorf("step for %v is %v, want %v", span, got, want)
		}
	}
}

func TestSizeOf(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	none := func(string) string { return "" }
	if got := SizeOf(f, none); got != (Size{80, 24, false}) {
		t.Errorf("got %+v", got)
	}
	env := map[string]string{"COLUMNS": "132", "LINES": "x"}
	if got := SizeOf(f, func(name string) string { return env[name] }); got != (Size{132, 24, false}) {
		t.Errorf("got %+v", got)
	}
}

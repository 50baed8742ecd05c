package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

func TestQuestionsParseAndBelongToSets(t *testing.T) {
	var o queryOptions
	o.register(flag.NewFlagSet("", flag.ContinueOnError))
	total := 0
	for _, name := range []string{"main", "jitter", "tsbs", "histogram", "big"} {
		d, err := o.dataSet(name)
		if err != nil || d.Name != name || d.Samples() == 0 {
			t.Errorf("data set %s: %+v, %v", name, d, err)
		}
		for _, q := range questionsOf(name) {
			total++
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(q.query); err != nil {
				t.Errorf("%s: %v", q.query, err)
			}
			if q.target <= 0 || q.kind == "" || q.kind == rangeQuery && (q.span == 0 || q.step == 0) {
				t.Errorf("incomplete: %+v", q)
			}
		}
	}
	if total != 11+11+6+1+5 {
		t.Errorf("%d questions", total)
	}
	if _, err := o.dataSet("other"); err == nil {
		t.Error("an unknown data set was made")
	}
}

const matrixText = `{"status":"success","data":{"resultType":"matrix","result":[
{"metric":{"__name__":"m","h":"a"},"values":[[1,"1"],[2,"NaN"],[3.5,"+Inf"]]},
{"metric":{"__name__":"m","h":"b"},"values":[[1,"2"]]}]}}`

func mustRead(t *testing.T, text string, ties bool) answer {
	t.Helper()
	a, err := readAnswer([]byte(text), ties)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCompareAnswers(t *testing.T) {
	instant := func(results string) string { return `{"data":{"result":[` + results + `]}}` }
	for _, c := range []struct {
		name      string
		got, want string
		ties      bool
		differ    string
	}{
		{"itself", matrixText, matrixText, false, "same"},
		{"rounding", strings.Replace(matrixText, `"2"`, `"2.0000000000001"`, 1), matrixText, false, "same"},
		{"another value", strings.Replace(matrixText, `"2"`, `"4"`, 1), matrixText, false, "1 of 4 points differ, by up to 0.5"},
		{"not a number", strings.Replace(matrixText, `NaN`, `0`, 1), matrixText, false, "1 of 4 points differ, by up to 2"},
		{"a point less", strings.Replace(matrixText, `[1,"1"],`, ``, 1), matrixText, false, "1 of 4 points differ, by up to 0"},
		{"a point more", matrixText, strings.Replace(matrixText, `,[3.5,"+Inf"]`, ``, 1), false, "1 of 4 points differ, by up to 0"},
		{"another series", strings.Replace(matrixText, `"b"`, `"c"`, 1), matrixText, false, "1 series missing, 1 more"},
		{"nothing", instant(""), matrixText, false, "2 series missing, 0 more"},
		{"ties", instant(`{"metric":{"h":"a"},"value":[1,"5"]},{"metric":{"h":"b"},"value":[1,"4"]}`),
			instant(`{"metric":{"h":"c"},"value":[1,"4"]},{"metric":{"h":"a"},"value":[1,"5"]}`), true, "same"},
		{"too few of ties", instant(`{"metric":{"h":"a"},"value":[1,"5"]}`),
			instant(`{"metric":{"h":"c"},"value":[1,"4"]},{"metric":{"h":"a"},"value":[1,"5"]}`), true, "1 series missing, 0 more"},
		{"label values", `{"data":["a","b"]}`, `{"data":["b","c","d"]}`, false, "2 series missing, 1 more"},
	} {
		d := compare(mustRead(t, c.got, c.ties), mustRead(t, c.want, c.ties))
		d.With = "prometheus"
		if d.String() != c.differ {
			t.Errorf("%s: %s, want %s", c.name, d, c.differ)
		}
	}
	for _, bad := range []string{`x`, `{"data":[1]}`, `{"data":{"result":[{"value":[1]}]}}`, `{"data":{"result":[{"value":["x","1"]}]}}`, `{"data":{"result":[{"value":[1,"x"]}]}}`} {
		if _, err := readAnswer([]byte(bad), false); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestNamesAreLeftOutUnlessTheyTellSeriesApart(t *testing.T) {
	kept := mustRead(t, matrixText, false).withoutNames()
	dropped := mustRead(t, strings.ReplaceAll(matrixText, `"__name__":"m",`, ``), false)
	if d := compare(kept, dropped); !d.equal() {
		t.Errorf("with names: %+v", d)
	}
	two := mustRead(t, `{"data":{"result":[{"metric":{"__name__":"a"},"value":[1,"5"]},{"metric":{"__name__":"b"},"value":[1,"5"]}]}}`, false)
	if got := two.withoutNames().series(); got != 2 {
		t.Errorf("%d series left of 2", got)
	}
}

// fakeServer answers every question with text, and notes what was asked.
func fakeServer(t *testing.T, name, text string, status int) (*running, *[]url.Values) {
	var forms []url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		r.Form.Set("path", r.URL.Path)
		forms = append(forms, r.Form)
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	self := &process{command: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}, base: s.URL}
	return &running{server: server{name: name, params: url.Values{"nocache": {"1"}}}, process: self}, &forms
}

func TestAskAll(t *testing.T) {
	own, forms := fakeServer(t, "varve", strings.Replace(matrixText, `"2"`, `"7"`, 1), 200)
	peer, _ := fakeServer(t, "prometheus", matrixText, 200)
	broken, brokenForms := fakeServer(t, "victoria-metrics", "no", 422)
	q := question{set: "main", title: "raw", kind: rangeQuery, query: "m", span: time.Hour, step: time.Minute, target: 0.5}
	end := time.Unix(1_760_000_040, 0)
	results, err := askAll(context.Background(), q, []*running{own, broken, peer}, queryOptions{repeats: 3, repeatsMin: 1, budget: time.Minute}, end)
	if err != nil {
		t.Fatal(err)
	}
	if len(*forms) != 4 || len(results[0].Millis) != 3 || results[0].Median <= 0 || results[0].P99 < results[0].Median || results[0].Series != 2 || results[0].Bytes < 100 {
		t.Errorf("%d requests, %+v", len(*forms), results[0])
	}
	if f := (*forms)[0]; f.Get("path") != "/api/v1/query_range" || f.Get("start") != "1759996440" || f.Get("end") != "1760000040" || f.Get("step") != "60" || f.Get("nocache") != "1" {
		t.Errorf("asked %v", f)
	}
	if got := results[0].Answer; got.Differ != 1 || got.With != "prometheus" {
		t.Errorf("compared: %+v", got)
	}
	if len(*brokenForms) != 1 || !strings.Contains(results[1].Error, "422") {
		t.Errorf("%d requests, %+v", len(*brokenForms), results[1])
	}
	o := newOutcome(q, asItLies, results)
	if o.Peer != "prometheus" || o.Ratio <= 0 {
		t.Errorf("outcome %+v", o)
	}
	report := setReport{Set: "main", Outcomes: []outcome{o}}
	if err := judge([]setReport{report}); !errors.Is(err, errAnswers) || !strings.HasPrefix(err.Error(), "2 ") {
		t.Errorf("judged: %v", err)
	}
}

func TestLabelValuesAndInstantsAreAskedSo(t *testing.T) {
	s, forms := fakeServer(t, "varve", `{"data":["a"]}`, 200)
	end := time.Unix(1_760_000_040, 500_000_000)
	var reply bytes.Buffer
	for _, q := range []question{{kind: labelValues, query: `{job="a"}`, span: time.Hour}, {kind: instantQuery, query: "m"}} {
		if _, err := s.ask(context.Background(), q, end, &reply); err != nil {
			t.Fatal(err)
		}
	}
	if f := (*forms)[0]; f.Get("path") != "/api/v1/label/pod/values" || f.Get("match[]") != `{job="a"}` || f.Get("end") != "1760000040.5" {
		t.Errorf("asked %v", f)
	}
	if f := (*forms)[1]; f.Get("path") != "/api/v1/query" || f.Get("time") != "1760000040.5" || f.Get("step") != "" {
		t.Errorf("asked %v", f)
	}
}

func TestSumTakesNearestRanks(t *testing.T) {
	r := asked{cpuTotal: 11 * time.Millisecond}
	for i := range 11 {
		r.Millis = append(r.Millis, float64(11-i))
	}
	if r.sum(); r.Median != 6 || r.P99 != 11 || r.CPU != 1 {
		t.Errorf("got %+v", r)
	}
	r = asked{}
	for i := range 200 {
		r.Millis = append(r.Millis, float64(i+1))
	}
	if r.sum(); r.P99 != 198 {
		t.Errorf("p99 of 1 to 200 is %v", r.P99)
	}
}

func TestQueryTables(t *testing.T) {
	results := []asked{
		{Server: "varve", Millis: []float64{5}, Median: 5, P99: 12.34, CPU: 6, Bytes: 2048, Series: 3, Answer: comparison{With: "prometheus"}},
		{Server: "victoria-metrics", Millis: []float64{20}, Median: 20, P99: 210, CPU: 24, Answer: comparison{With: "prometheus", Missing: 1}},
		{Server: "prometheus", Error: "no"},
	}
	q := question{set: "main", title: "raw", kind: rangeQuery, query: `m{a=~"b|c"}`, span: 6 * time.Hour, step: 10 * time.Second, target: 0.3}
	r := setReport{Set: "main", Series: 3, Samples: 30, Outcomes: []outcome{newOutcome(q, sealed, results)},
		Memory: []memory{{Server: "varve", Loading: 3 << 20, Asking: 5 << 20}, {Server: "victoria-metrics"}, {Server: "prometheus"}}}
	const want = `main: 3 series, 30 samples. Milliseconds: median / p99 / processor time.

| query | Varve's data | varve | victoria-metrics | prometheus | reply, KiB | series | ratio | target | met | CPU ratio | faster peer | Varve's answer | VictoriaMetrics' answer |
|---|---|---:|---:|---:|---:|---:|---:|---:|---|---:|---|---|---|
| raw: ` + "`m{a=~\"b\\|c\"}`" + `, 6h each 10s | sealed | 5.00 / 12.3 / 6.00 | 20.0 / 210 / 24.0 | failed | 2.0 | 3 | 0.25 | 0.3 | yes | 0.25 | victoria-metrics | same | 1 series missing, 0 more |
`
	if got := setTable(r); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := memoryTable([]setReport{r}); !strings.Contains(got, "| main | varve | 0.0 | 0.0 | 3 | 5 |\n") {
		t.Errorf("got\n%s", got)
	}
	for duration, want := range map[string]string{"1m0s": "1m", "10m0s": "10m", "10s": "10s", "1h0m0s": "1h", "20h0m0s": "20h", "1h30m0s": "1h30m"} {
		if got := short(duration); got != want {
			t.Errorf("%s is shown as %s", duration, got)
		}
	}
}

package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/tsdbtest"
)

// explaining serves storage in columns, with three series of m.
func explaining(t *testing.T) *server {
	s := tsdbtest.New(t, tsdbtest.Modes[0])
	t.Cleanup(func() { _ = s.Close() })
	var batch series.Batch
	for _, h := range []string{"a", "b", "c"} {
		if reason, detail := batch.AddSeries(labels.FromStrings("__name__", "m_total", "h", h)); reason != "" {
			t.Fatal(detail)
		}
		for k := range int64(41) {
			batch.AddSample(k*15_000, 0, float64(k))
		}
	}
	if _, err := s.DB().Append(t.Context(), series.DefaultTenant, &batch); err != nil {
		t.Fatal(err)
	}
	deps := depsOf(query.Local(s.DB(), series.DefaultTenant))
	deps.Engine = query.New(query.Options{})
	return serve(t, deps, Options{}, false)
}

// TestExplain reads whole explanations.
func TestExplain(t *testing.T) {
	s := explaining(t)
	grid := `"grid":{"start":300,"end":600,"step":60,"steps":6}`
	once := `"grid":{"start":600,"end":600,"steps":1}`
	for _, c := range []struct{ form, want string }{
		{"query=sum(rate(m_total{h!=\"a\"}[2m]))&start=300&end=600&step=1m",
			`{"expr":"sum(rate(m_total{h!=\"a\"}[2m]))","executor":"columnar","rules":[],"plan":` +
				`{"operator":"aggregation","expr":"sum(rate(m_total{h!=\"a\"}[2m]))","executor":"columnar",` + grid + `,"children":[` +
				`{"operator":"call","expr":"rate(m_total{h!=\"a\"}[2m])","executor":"columnar",` + grid + `,"children":[` +
				`{"operator":"range selector","expr":"m_total{h!=\"a\"}[2m]","executor":"columnar",` + grid + `,"selector":{` +
				`"matchers":[{"name":"h","type":"!=","value":"a"},{"name":"__name__","type":"=","value":"m_total"}],` +
				`"from":180.001,"to":600,"resolution":"raw","series":2}}]}]}}`},
		{"query=m_total{h=\"a\"} unless m_total&time=600",
			`{"expr":"m_total{h=\"a\"} unless m_total{h=\"a\"}","executor":"columnar",` +
				`"rules":[{"rule":"propagate","change":"h=\"a\" for m_total"}],"plan":` +
				`{"operator":"binary operation","expr":"m_total{h=\"a\"} unless m_total{h=\"a\"}","executor":"columnar",` + once + `,"children":[` +
				`{"operator":"selector","expr":"m_total{h=\"a\"}","executor":"columnar",` + once + `,"selector":{` +
				`"matchers":[{"name":"h","type":"=","value":"a"},{"name":"__name__","type":"=","value":"m_total"}],` +
				`"from":300.001,"to":600,"resolution":"raw","series":1}},` +
				`{"operator":"selector","expr":"m_total{h=\"a\"}","executor":"columnar",` + once + `,"selector":{` +
				`"matchers":[{"name":"__name__","type":"=","value":"m_total"},{"name":"h","type":"=","value":"a"}],` +
				`"from":300.001,"to":600,"resolution":"raw","series":1}}]}}`},
		{"query=info(m_total)&time=600&executor=reference",
			`{"expr":"info(m_total)","executor":"reference","rules":[],"plan":` +
				`{"operator":"call","expr":"info(m_total)","executor":"reference","reason":"the request asks for it",` + once + `,"children":[` +
				`{"operator":"selector","expr":"m_total","executor":"reference",` + once + `,"selector":{` +
				`"matchers":[{"name":"__name__","type":"=","value":"m_total"}],` +
				`"from":300.001,"to":600,"resolution":"raw","series":3}}]}}`},
	} {
		want := `{"status":"success","data":` + c.want + `}`
		form := strings.NewReplacer(" ", "%20", "\"", "%22", "!=", "!%3D").Replace(c.form)
		if got := s.do(t, http.MethodPost, "/api/v1/query_explain", form); got.code != 200 || got.body != want {
			t.Errorf("POST %s\n got %d %s\nwant %s", c.form, got.code, got.body, want)
		}
		if got := s.get(t, "/api/v1/query_explain?"+form); got.code != 200 || got.body != want {
			t.Errorf("GET %s\n got %d %s\nwant %s", c.form, got.code, got.body, want)
		}
	}
}

// TestExplainMixed looks for what is left to the reference, and for what is
// evaluated once.
func TestExplainMixed(t *testing.T) {
	s := explaining(t)
	a := s.ask(t, http.MethodGet, "/api/v1/query_explain", values("query", "sum(info(m_total)) + count(info(m_total)) - scalar(m_total @ 300)", "start", "300", "end", "600", "step", "60")).succeeded(t)
	data := a.data.(map[string]any)
	if data["executor"] != "mixed" {
		t.Error(data["executor"])
	}
	for _, part := range []string{
		`"rules":[{"rule":"once","change":"scalar(m_total @ 300.000) is evaluated at one step"},{"rule":"share","change":"info(m_total) is evaluated once for 2 places"}]`,
		`"reason":"the columnar executor has no operator for info"`, `"shared":1`, `"once":true`,
	} {
		if !strings.Contains(a.body, part) {
			t.Errorf("no %s in %s", part, a.body)
		}
	}
}

// TestExplainExecutes asks for what the operators took, in an explanation and in the
// statistics of an answer.
func TestExplainExecutes(t *testing.T) {
	s := explaining(t)
	form := []string{"query", `sum(rate(m_total{h!="a"}[2m]))`, "start", "300", "end", "600", "step", "60"}
	explained := s.ask(t, http.MethodPost, "/api/v1/query_explain", values(append(form, "execute", "true")...)).succeeded(t).data.(map[string]any)
	answered := s.ask(t, http.MethodPost, "/api/v1/query_range", values(append(form, "stats", "all")...)).succeeded(t).data.(map[string]any)
	if work := explained["execution"].(map[string]any); work["samplesDecoded"] != 56.0 || work["rows"] != 3.0 || work["busySeconds"].(float64) <= 0 {
		t.Errorf("%v", work)
	}
	for _, tree := range []any{explained["plan"], answered["stats"].(map[string]any)["operators"]} {
		sum := tree.(map[string]any)
		rate := sum["children"].([]any)[0].(map[string]any)
		reads := rate["children"].([]any)[0].(map[string]any)
		for _, c := range []struct {
			operator, name string
			of             map[string]any
			want           map[string]any // nil: what stands above does its work
		}{
			{"aggregation", "sum", sum, map[string]any{"series": 1.0, "rows": 1.0, "samples": 0.0, "samplesDecoded": 0.0, "peakBytes": 96.0}},
			{"call", "rate", rate, map[string]any{"series": 2.0, "rows": 2.0, "samples": 96.0, "samplesDecoded": 56.0, "peakBytes": 0.0}},
			{"range selector", "m_total", reads, nil},
		} {
			if c.of["operator"] != c.operator || !strings.HasPrefix(c.of["expr"].(string), c.name) {
				t.Errorf("%v is no %s of %s", c.of, c.operator, c.name)
			}
			took, found := c.of["execution"].(map[string]any)
			if found != (c.want != nil) {
				t.Errorf("%s: %v", c.name, c.of)
			}
			for member, want := range c.want {
				if took[member] != want {
					t.Errorf("%s of %s is %v, want %v", member, c.name, took[member], want)
				}
			}
			if found && took["busySeconds"].(float64) < 0 {
				t.Errorf("%s: %v", c.name, took)
			}
		}
	}
	// Prometheus's engine does not tell.
	explained = s.ask(t, http.MethodPost, "/api/v1/query_explain", values(append(form, "execute", "true", "executor", "reference")...)).succeeded(t).data.(map[string]any)
	if explained["execution"].(map[string]any)["executor"] != "reference" || explained["plan"].(map[string]any)["execution"] != nil {
		t.Errorf("%v", explained)
	}
	s.ask(t, http.MethodPost, "/api/v1/query_explain", values(append(form, "execute", "perhaps")...)).failed(t, 400, "bad_data")
	s.ask(t, http.MethodPost, "/api/v1/query_explain", values("query", `m_total * on () m_total`, "time", "600", "execute", "1")).failed(t, 422, "execution")
}

// TestExplainRefuses asks what is no question.
func TestExplainRefuses(t *testing.T) {
	s := explaining(t)
	for _, form := range [][]string{
		{"query", "m_total +"}, {"query", "m_total", "step", "0", "start", "1", "end", "2"}, {"query", "m_total", "step", "1", "start", "2", "end", "1"},
		{"query", "m_total", "time", "x"}, {"query", "m_total", "timeout", "x"}, {"query", "m_total", "executor", "x"}, {},
	} {
		a := s.ask(t, http.MethodPost, "/api/v1/query_explain", values(form...))
		if a.code != 400 || a.errorType != "bad_data" {
			t.Errorf("%v: %d %s", form, a.code, a.body)
		}
	}
	if !slices.ContainsFunc(s.api.Routes(), func(r Route) bool { return r.Path == "/api/v1/query_explain" }) {
		t.Error("no route")
	}
}

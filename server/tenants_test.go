package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varve-db/varve/tenant"
)

// tenantWrite is a request with a metric and a label value that are the tenant's
// own, and one series that all tenants have, with another value.
func tenantWrite(t *testing.T, name string, value float64) string {
	t.Helper()
	at := noon.Add(-time.Minute).UnixMilli()
	one := func(metric string) prompb.TimeSeries {
		e := exemplar.Exemplar{Labels: labels.FromStrings("trace", name), Value: value, Ts: at, HasTs: true}
		return prompb.TimeSeries{
			Labels:    []prompb.Label{{Name: "__name__", Value: metric}, {Name: "owner", Value: "of-" + metric}},
			Samples:   []prompb.Sample{{Timestamp: at, Value: value}, {Timestamp: at + 15000, Value: value}},
			Exemplars: []prompb.Exemplar{{Labels: prompb.FromLabels(e.Labels, nil), Value: e.Value, Timestamp: e.Ts}},
		}
	}
	body, err := (&prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{one("shared"), one("only_" + name)},
		Metadata:   []prompb.MetricMetadata{{Type: prompb.MetricMetadata_GAUGE, MetricFamilyName: "only_" + name, Help: "Of " + name + "."}},
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, body))
}

func (n *testNode) as(tenant, method, path, body string) answer {
	n.t.Helper()
	headers := []string{"Content-Type", "application/x-protobuf", "Content-Encoding", "snappy"}
	if method == http.MethodGet {
		headers = nil
	}
	if tenant != "" {
		headers = append(headers, tenantHeader, tenant)
	}
	return n.do(method, path, body, headers...)
}

// TestTenantsSeeOnlyTheirOwn asks every endpoint that reads for each tenant, and
// holds the answers against the names of all.
func TestTenantsSeeOnlyTheirOwn(t *testing.T) {
	folder := t.TempDir()
	n := startFull(t, folder, func(c *Config, _ *Options) { c.Web.EnableAdminAPI = true })
	tenants := []string{"", "blue", "green"}
	value := map[string]float64{"": 1, "blue": 2, "green": 3}
	own := func(name string) string { return "only_" + nameOr(name) }
	for _, name := range tenants {
		n.as(name, "POST", "/api/v1/write", tenantWrite(t, nameOr(name), value[name])).want(t, "write of "+name, 204, "")
	}
	span := fmt.Sprintf("start=%d&end=%d", noon.Add(-10*time.Minute).Unix(), noon.Unix())
	everything := "match[]=" + url.QueryEscape(`{__name__=~".+"}`)
	reads := []string{
		"/api/v1/query?time=" + fmt.Sprint(noon.Unix()) + "&query=" + url.QueryEscape(`{__name__=~".+"}`),
		"/api/v1/query_range?step=15&" + span + "&query=" + url.QueryEscape(`count by (__name__) ({__name__=~".+"})`),
		"/api/v1/query_range?step=15&executor=reference&" + span + "&query=" + url.QueryEscape(`{__name__=~".+"} * 1`),
		"/api/v1/query_exemplars?" + span + "&query=" + url.QueryEscape(`{__name__=~".+"}`),
		"/api/v1/series?" + span + "&" + everything,
		"/api/v1/labels?" + span,
		"/api/v1/label/__name__/values?" + span,
		"/api/v1/label/owner/values?" + span + "&" + everything,
		"/api/v1/metadata",
		"/api/v1/status/tsdb",
		"/federate?" + everything,
		"/api/v1/export?" + everything,
	}
	const restarted = "after a restart"
	check := func(state string) {
		for _, name := range tenants {
			for _, path := range reads {
				got := n.as(name, "GET", path, "")
				if got.code != 200 {
					t.Errorf("%s, %s as %q: %d %s", state, path, name, got.code, got.body)
				}
				for _, other := range tenants {
					if shows := strings.Contains(got.body, own(other)); other != name && shows {
						t.Errorf("%s: %s as %q shows what is %q's: %s", state, path, name, other, got.body)
					} else if other == name && !shows && !(state == restarted && strings.Contains(path, "/status/tsdb")) && !strings.Contains(path, "/labels") && !strings.Contains(path, "query_range?step=15&executor") {
						t.Errorf("%s: %s as %q does not show its own: %s", state, path, name, got.body)
					}
				}
			}
			n.as(name, "GET", "/api/v1/query?query=shared&time="+fmt.Sprint(noon.Unix()), "").want(t, "shared as "+name, 200, fmt.Sprintf(`,"%g"]`, value[name]))
			for _, streamed := range []bool{false, true} {
				raw := n.remoteRead(name, streamed)
				for _, other := range tenants {
					if shows := strings.Contains(raw, own(other)); shows != (other == name) {
						t.Errorf("%s: remote read (streamed: %v) as %q shows %q: %v", state, streamed, name, other, shows)
					}
				}
			}
		}
		// Who was never written for reads nothing, and does not come to be by it.
		for _, path := range reads {
			got := n.as("unknown", "GET", path, "")
			if got.code != 200 || strings.Contains(got.body, "only_") {
				t.Errorf("%s: %s as an unknown tenant: %d %s", state, path, got.code, got.body)
			}
		}
	}
	check("in memory")
	n.do("POST", "/api/v1/admin/tsdb/flush", "").want(t, "flush", 204, "")
	check("flushed")
	n.do("POST", "/api/v1/admin/tsdb/seal", "").want(t, "seal", 200, "")
	check("sealed")
	metrics := n.get("/metrics")
	for _, want := range []string{`varve_tenant_samples_total{tenant="blue"} 4`, `varve_tenant_active_series{tenant="green"} 2`, "varve_tenant_known_tenants 3"} {
		metrics.want(t, "metrics", 200, want)
	}
	if strings.Contains(metrics.body, "unknown\"}") && strings.Contains(metrics.body, `tenant="unknown"`) {
		t.Error("a read made a tenant")
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n = startFull(t, folder, nil)
	check(restarted) // what is about memory is empty then
}

func nameOr(name string) string {
	if name == "" {
		return tenant.Default
	}
	return name
}

// remoteRead returns the uncompressed answer, or the frames as they come.
func (n *testNode) remoteRead(name string, streamed bool) string {
	n.t.Helper()
	request := &prompb.ReadRequest{Queries: []*prompb.Query{{
		StartTimestampMs: noon.Add(-time.Hour).UnixMilli(), EndTimestampMs: noon.UnixMilli(),
		Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_RE, Name: "__name__", Value: ".+"}},
	}}}
	if streamed {
		request.AcceptedResponseTypes = []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS}
	}
	raw, err := request.Marshal()
	if err != nil {
		n.t.Fatal(err)
	}
	got := n.as(name, "POST", "/api/v1/read", string(snappy.Encode(nil, raw)))
	got.want(n.t, "remote read", 200, "")
	if streamed {
		return got.body
	}
	plain, err := snappy.Decode(nil, []byte(got.body))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(plain)
}

// TestResultsAreKeptApart asks one question often enough for its result to be
// kept, as one tenant and then as another.
func TestResultsAreKeptApart(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	for name, value := range map[string]float64{"": 1, "blue": 2} {
		n.as(name, "POST", "/api/v1/write", tenantWrite(t, nameOr(name), value)).want(t, "write", 204, "")
	}
	path := fmt.Sprintf("/api/v1/query_range?step=15&start=%d&end=%d&query=sum(shared)", noon.Add(-5*time.Minute).Unix(), noon.Unix())
	for range 3 {
		n.as("", "GET", path, "").want(t, "default", 200, `,"1"]]`)
		n.as("blue", "GET", path, "").want(t, "blue", 200, `,"2"]]`)
		if got := n.as("nobody", "GET", path, ""); !strings.Contains(got.body, `"result":[]`) {
			t.Errorf("nobody: %s", got.body)
		}
	}
	for name, count := range map[string]int{"": 3, "blue": 3, "nobody": 0, "green": 0} {
		var ledger struct {
			Data struct {
				Entries []struct {
					Query string
					Count int
				}
			}
		}
		got := n.as(name, "GET", "/api/v1/status/query_ledger", "")
		if err := json.Unmarshal([]byte(got.body), &ledger); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, e := range ledger.Data.Entries {
			total += e.Count
		}
		if total != count {
			t.Errorf("the ledger of %q counts %d queries, want %d: %s", name, total, count, got.body)
		}
	}
}

func TestTenantsAreBounded(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) { c.Tenants.Max = 2 })
	for i, want := range []int{204, 204, 403, 403} {
		name := fmt.Sprint("tenant-", i)
		n.as(name, "POST", "/api/v1/write", tenantWrite(t, name, 1)).want(t, name, want, "")
	}
	n.as("tenant-9", "POST", "/api/v1/write", tenantWrite(t, "x", 1)).want(t, "one too many", 403, "there are 2, which is the limit (tenants.max)")
	n.as("", "POST", "/api/v1/write", tenantWrite(t, "x", 1)).want(t, "the default tenant", 204, "")
	n.as("tenant-1", "POST", "/api/v1/write", "nonsense").want(t, "nonsense", 400, "")
	n.as("a|b", "POST", "/api/v1/write", tenantWrite(t, "x", 1)).want(t, "several", 400, "several tenants")
	n.as("tenant-8", "POST", "/api/v1/write", "nonsense").want(t, "nonsense of a new tenant", 400, "")
}

// TestKeyspacesAreOfTheDefaultTenant: other tenants have none.
func TestKeyspacesAreOfTheDefaultTenant(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	n.do("PUT", "/kv/v1/s/key", "value").want(t, "put", 201, "")
	n.do("GET", "/kv/v1/s/key", "").want(t, "get", 200, "value")
	n.do("GET", "/kv/v1/s/key", "", tenantHeader, "blue").want(t, "get of another tenant", 403, "of the whole node")
	n.do("PUT", "/kv/v1/s/key", "x", tenantHeader, "blue").want(t, "put of another tenant", 403, "of the whole node")
}

// TestEveryDoorKnowsTheTenant writes by each format for a tenant that is new.
func TestEveryDoorKnowsTheTenant(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	at := noon.Add(-time.Minute).UnixMilli()
	doors := []struct{ tenant, path, kind, body string }{
		{"influx", "/write?precision=ms", "text/plain", fmt.Sprintf("door value=1 %d\n", at)},
		{"jsonl", "/api/v1/import", "application/json", fmt.Sprintf(`{"metric":{"__name__":"door_value"},"values":[1],"timestamps":[%d]}`+"\n", at)},
		{"text", "/api/v1/import/prometheus", "text/plain", fmt.Sprintf("door_value 1 %d\n", at)},
		{"otlp", "/api/v1/otlp/v1/metrics", "application/json", fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"door_value","gauge":{"dataPoints":[{"timeUnixNano":"%d","asDouble":1}]}}]}]}]}`, at*1e6)},
	}
	for _, d := range doors {
		got := n.do("POST", d.path, d.body, "Content-Type", d.kind, tenantHeader, d.tenant)
		if got.code != 200 && got.code != 204 {
			t.Errorf("%s: %d %s", d.path, got.code, got.body)
		}
	}
	for _, d := range doors {
		path := "/api/v1/query?query=" + url.QueryEscape(`count({__name__=~"door.*"})`) + "&time=" + fmt.Sprint(noon.Unix())
		n.as(d.tenant, "GET", path, "").want(t, d.path, 200, `,"1"]`)
		if got := n.as("", "GET", path, ""); strings.Contains(got.body, `"value"`) {
			t.Errorf("%s: the default tenant reads %s", d.path, got.body)
		}
	}
}

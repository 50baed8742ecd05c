package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
)

// ask sends a request to a door; headers are name, value, name, value.
func (d *door) ask(t *testing.T, method, uri string, body []byte, headers ...string) *fasthttp.Response {
	t.Helper()
	req, resp := fasthttp.AcquireRequest(), &fasthttp.Response{}
	defer fasthttp.ReleaseRequest(req)
	req.SetRequestURI("http://varve" + uri)
	req.Header.SetMethod(method)
	req.Header.SetNoDefaultContentType(true)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	req.SetBody(body)
	if err := d.client.Do(req, resp); err != nil {
		t.Fatal(err)
	}
	return resp
}

// stored lists what reached the storage, a sample a line.
func (d *door) stored() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var s strings.Builder
	for _, b := range d.requests {
		for i, row := range b.Rows {
			for j := row.Samples.Start; j < row.Samples.End; j++ {
				fmt.Fprintf(&s, "%s %d %v\n", b.Labels(i), b.Timestamps[j], b.Values[j])
			}
		}
	}
	d.requests = nil
	return s.String()
}

func clockAt(ms int64) func() time.Time { return func() time.Time { return time.UnixMilli(ms) } }

const telegraf = `cpu,cpu=cpu-total,host=h1 usage_idle=98.5,usage_user=1i,name="a b" 1700000000000000000
mem,host=h1 used=3u
`

const telegrafStored = `{__name__="cpu_usage_idle", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000 98.5
{__name__="cpu_usage_user", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000 1
{__name__="mem_used", db="telegraf", host="h1"} 1700000005000 3
`

// packed is a body in every compression that the doors take, by its name.
func packed(t *testing.T, body []byte) map[string][]byte {
	t.Helper()
	pack := func(w io.WriteCloser, buf *bytes.Buffer) []byte {
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	var g, z bytes.Buffer
	encoder, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"": body, "identity": body, "gzip": pack(gzip.NewWriter(&g), &g), "zstd": pack(encoder, &z), "snappy": framed(t, body),
	}
}

// framed is body in snappy's framing format.
func framed(t *testing.T, body []byte) []byte {
	t.Helper()
	var s bytes.Buffer
	w := snappy.NewBufferedWriter(&s)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return s.Bytes()
}

func TestInfluxWrites(t *testing.T) {
	bothWays(t, Options{Now: clockAt(1700000005000)}, func(t *testing.T, d *door) {
		for _, uri := range []string{"/write?db=telegraf", "/api/v2/write?org=o&bucket=telegraf&precision=ns", "/influx/write?db=telegraf&bucket=x", "/influx/api/v2/write?bucket=telegraf"} {
			for encoding, body := range packed(t, []byte(telegraf)) {
				for range 2 { // the second time with a decompressor that was used
					resp := d.ask(t, "POST", uri, body, "Content-Encoding", encoding)
					if resp.StatusCode() != 204 || len(resp.Body()) > 0 || string(resp.Header.Peek("X-Influxdb-Version")) == "" {
						t.Fatalf("%s %s: %v", uri, encoding, resp)
					}
					if got := d.stored(); got != telegrafStored {
						t.Fatalf("%s %s stored\n%s, want\n%s", uri, encoding, got, telegrafStored)
					}
				}
			}
		}
		if resp := d.ask(t, "POST", "/write", nil); resp.StatusCode() != 204 || d.count() != 0 {
			t.Errorf("nothing to write: %v", resp)
		}
		d.ask(t, "POST", "/write?precision=s&extra_label=dc=x&extra_label=host=a=b&extra_label=dc=y", []byte("m,host=z f=1 1700000000\nm f=2"))
		if got, want := d.stored(), "{__name__=\"m_f\", dc=\"y\", host=\"a=b\"} 1700000000000 1\n{__name__=\"m_f\", dc=\"y\", host=\"a=b\"} 1700000005000 2\n"; got != want {
			t.Errorf("stored\n%s, want\n%s", got, want)
		}
	})
}

func TestInfluxErrors(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		body := "m f=1 1000000\nbroken\n\nm f=2 -5000000\nm g=x 1\n\"unclosed f=\"x\nm f=3 3000000\n"
		resp := d.ask(t, "POST", "/api/v2/write", []byte(body))
		var reply struct{ Error, Code, Message string }
		if err := json.Unmarshal(resp.Body(), &reply); err != nil {
			t.Fatalf("%v: %s", err, resp.Body())
		}
		want := `partial write: could not read 3 lines: line 2: malformed line: no fields; line 5: malformed line: field "g" has the value "x", which is no number, truth value or quoted string; ` +
			`line 6: malformed line: the string of field "f" does not end; refused 1 sample (too_old): before 1970, first in series {}`
		if resp.StatusCode() != 400 || reply.Error != want || reply.Message != want || reply.Code != "invalid" {
			t.Errorf("%v\nwant %s", resp, want)
		}
		if got, want := d.stored(), "{__name__=\"m_f\"} 1 1\n{__name__=\"m_f\"} -5 2\n{__name__=\"m_f\"} 3 3\n"; got != want {
			t.Errorf("stored\n%s, want\n%s", got, want)
		}
		for _, c := range []struct {
			method, uri, encoding string
			status                int
		}{
			{"POST", "/write?precision=fortnight", "", 400}, {"POST", "/write?extra_label=x", "", 400}, {"POST", "/write", "br", 415},
			{"POST", "/write", "gzip", 400}, {"POST", "/write", "zstd", 400}, {"POST", "/write", "snappy", 400},
		} {
			resp := d.ask(t, c.method, c.uri, []byte("m f=1"), "Content-Encoding", c.encoding)
			if resp.StatusCode() != c.status || !bytes.HasPrefix(resp.Body(), []byte(`{"error":"`)) {
				t.Errorf("%+v: %v", c, resp)
			}
		}
		if d.count() != 0 {
			t.Error("the storage was asked")
		}
	})
}

func TestInfluxIsThere(t *testing.T) {
	d := open(t, true, Options{})
	for _, c := range []struct {
		method, uri string
		status      int
		body        string
	}{
		{"GET", "/ping", 204, ""},
		{"GET", "/influx/health", 200, `"status":"pass"`},
		{"POST", "/query?q=CREATE+DATABASE+%22telegraf%22", 200, `{"results":[{"statement_id":0}]}`},
		{"GET", "/query?q=SHOW%20DATABASES", 200, `"name":"databases"`},
	} {
		resp := d.ask(t, c.method, c.uri, nil)
		if resp.StatusCode() != c.status || !strings.Contains(string(resp.Body()), c.body) || string(resp.Header.Peek("X-Influxdb-Version")) != influxVersion {
			t.Errorf("%s: %v", c.uri, resp)
		}
	}
	resp := d.ask(t, "POST", "/query", []byte("q=CREATE+DATABASE+x"), "Content-Type", "application/x-www-form-urlencoded")
	if want := `{"results":[{"statement_id":0}]}` + "\n"; string(resp.Body()) != want {
		t.Errorf("a form: %v", resp)
	}
}

func TestTextImport(t *testing.T) {
	const exposition = "# TYPE c counter\nc_total{job=\"x\"} 1 2.5 # {trace_id=\"t\"} 1\nc_created{job=\"x\"} 1\n# EOF\n"
	bothWays(t, Options{Now: clockAt(7000)}, func(t *testing.T, d *door) {
		for encoding, body := range packed(t, []byte(exposition)) {
			resp := d.ask(t, "POST", "/api/v1/import/prometheus?extra_label=job=y", body, "Content-Encoding", encoding, "Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
			if resp.StatusCode() != 204 || d.count() != 1 {
				t.Fatalf("%s: %v", encoding, resp)
			}
			b := d.requests[0]
			if got := d.stored(); got != "{__name__=\"c_total\", job=\"y\"} 2500 1\n" || b.StartOf(0) != 1000 || len(b.Exemplars) != 1 || len(b.Metadata) != 1 {
				t.Errorf("%s: stored %s, %+v", encoding, got, b)
			}
		}
		for _, contentType := range []string{"", "text/plain", "text/plain; version=0.0.4", "application/x-www-form-urlencoded", "nonsense;;"} {
			resp := d.ask(t, "POST", "/api/v1/import/prometheus", []byte("a 1\nb 2 3\n"), "Content-Type", contentType)
			if got := d.stored(); resp.StatusCode() != 204 || got != "{__name__=\"a\"} 7000 1\n{__name__=\"b\"} 3 2\n" {
				t.Errorf("%s: %v, stored %s", contentType, resp, got)
			}
		}
		resp := d.ask(t, "POST", "/api/v1/import/prometheus?timestamp=5", []byte("a 1\nb\nc 1 x"))
		want := "could not read 2 lines: line 2: malformed line: \"\" is no value; line 3: malformed line: \"x\" is no time in milliseconds; seconds with a fraction are for application/openmetrics-text\n"
		if got := d.stored(); resp.StatusCode() != 400 || string(resp.Body()) != want || got != "{__name__=\"a\"} 5 1\n" {
			t.Errorf("%v, stored %s", resp, got)
		}
		for _, c := range []struct {
			uri, contentType string
			status           int
		}{{"?timestamp=x", "", 400}, {"?extra_label==x", "", 400}, {"", "application/vnd.google.protobuf", 415}} {
			if resp := d.ask(t, "POST", "/api/v1/import/prometheus"+c.uri, []byte("a 1"), "Content-Type", c.contentType); resp.StatusCode() != c.status {
				t.Errorf("%+v: %v", c, resp)
			}
		}
	})
}

func TestLinesImport(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		body := `{"metric":{"__name__":"up","job":"node"},"values":[1,null,"-Infinity"],"timestamps":[1,2,3]}` + "\r\n\nnonsense\n" +
			`{"metric":{"job":"node"},"values":[1],"timestamps":[1]}` + "\n" + `{"metric":{"__name__":"last"},"values":[4],"timestamps":[4]}`
		resp := d.ask(t, "POST", "/api/v1/import?extra_label=dc=x", []byte(body))
		want := "could not read 1 line: line 3: malformed JSON line: want an object at byte 0; " +
			"refused 1 sample (no_metric_name): the series has no metric name (label __name__), first in series {dc=\"x\", job=\"node\"}\n"
		if resp.StatusCode() != 400 || string(resp.Body()) != want {
			t.Errorf("%v\nwant %s", resp, want)
		}
		stored := "{__name__=\"up\", dc=\"x\", job=\"node\"} 1 1\n{__name__=\"up\", dc=\"x\", job=\"node\"} 2 NaN\n{__name__=\"up\", dc=\"x\", job=\"node\"} 3 -Inf\n{__name__=\"last\", dc=\"x\"} 4 4\n"
		if got := d.stored(); got != stored {
			t.Errorf("stored\n%s, want\n%s", got, stored)
		}
	})
}

// counter is an Appender that counts.
type counter struct {
	samples, batches, largest atomic.Int64
	failAt                    int64 // the batch that fails; 0: none
}

func (c *counter) Append(_ context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error) {
	if c.batches.Add(1) == c.failAt {
		return series.Outcome{}, fmt.Errorf("append: %w", kv.ErrFull)
	}
	c.samples.Add(int64(len(b.Values)))
	c.largest.Store(max(c.largest.Load(), int64(b.MemoryBytes())))
	return series.Outcome{Samples: len(b.Values)}, nil
}

// TestLongBodiesTakeLittleMemory streams bodies that are far larger than what may
// be in flight.
func TestLongBodiesTakeLittleMemory(t *testing.T) {
	const lines = 30_000
	var influxBody, textBody, jsonBody bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&influxBody, "cpu,host=host_%d,region=eu-central-1,rack=%d usage_user=%d,usage_system=2 %d\n", i%1000, i%50, i, 1700000000000000000+i)
		fmt.Fprintf(&textBody, "cpu_usage_user{host=\"host_%d\",region=\"eu-central-1\"} %d 1700000000000\ncpu_usage_system 2\n", i%1000, i)
		fmt.Fprintf(&jsonBody, "{\"metric\":{\"__name__\":\"cpu_usage_user\",\"host\":\"host_%d\"},\"values\":[%d,2],\"timestamps\":[1700000000000,%d]}\n", i%1000, i, i)
	}
	for uri, body := range map[string][]byte{"/write": influxBody.Bytes(), "/api/v1/import/prometheus": textBody.Bytes(), "/api/v1/import": jsonBody.Bytes()} {
		c := &counter{}
		d := open(t, true, Options{InFlightBytesMax: 8 << 20, DecodedBytesMax: 8 << 20, BodyBytesMax: 1 << 20})
		d.handler.appender = c
		for encoding, sent := range map[string][]byte{"": body, "snappy": framed(t, body)} {
			c.samples.Store(0)
			c.batches.Store(0)
			resp := d.ask(t, "POST", uri, sent, "Content-Encoding", encoding)
			if resp.StatusCode() != 204 || c.samples.Load() != 2*lines || c.batches.Load() < int64(len(body)/(2*pieceBytes)) {
				t.Errorf("%s %s: %v, %d samples in %d batches", uri, encoding, resp, c.samples.Load(), c.batches.Load())
			}
		}
		if c.largest.Load() > pieceBatchBytes {
			t.Errorf("%s: a batch of %d bytes", uri, c.largest.Load())
		}
		for _, g := range []*gate{d.handler.received, d.handler.decoded} {
			if used, waiting := g.load(); used != 0 || waiting != 0 {
				t.Errorf("%s: %d bytes in flight, %d waiting", uri, used, waiting)
			}
		}
		// A failure in the middle is one of all: the sender repeats it.
		c.batches.Store(0)
		c.failAt = 2
		resp := d.ask(t, "POST", uri, body)
		if resp.StatusCode() != 503 || len(resp.Header.Peek("Retry-After")) == 0 || c.batches.Load() != 2 {
			t.Errorf("%s: %v after %d batches", uri, resp, c.batches.Load())
		}
	}
}

func TestLinesThatAreTooLong(t *testing.T) {
	bothWays(t, Options{LineBytesMax: 3 << 20}, func(t *testing.T, d *door) {
		long := strings.Repeat("x", 4<<20)
		most := "m,t=" + strings.Repeat("y", 2<<20) + " f=1 1000000" // its label is too long, its line is not
		body := "m f=1 1000000\nm,t=" + long + " f=1\nm f=2 2000000\n" + most + "\n" + strings.Repeat(long, 3) + "\nm f=3 3000000\n" + long
		resp := d.ask(t, "POST", "/write", []byte(body))
		for _, want := range []string{"could not read 3 lines: line 2: it has more than 3145728 bytes; line 5: it has more than 3145728 bytes; line 7: it has", "refused 1 sample (label_too_long)"} {
			if resp.StatusCode() != 400 || !strings.Contains(string(resp.Body()), want) {
				t.Errorf("%v, want %s", resp, want)
			}
		}
		if got, want := d.stored(), "{__name__=\"m_f\"} 1 1\n{__name__=\"m_f\"} 2 2\n{__name__=\"m_f\"} 3 3\n"; got != want {
			t.Errorf("stored\n%s, want\n%s", got, want)
		}
	})
}

// TestLinesBeyondWhatMayBeInFlight waits for nobody but others.
func TestLinesBeyondWhatMayBeInFlight(t *testing.T) {
	d := open(t, true, Options{BodyBytesMax: 1 << 20, DecodedBytesMax: 1 << 20, InFlightBytesMax: 1 << 20, LineBytesMax: 8 << 20})
	body := "m s=\"" + strings.Repeat("x", 6<<20) + "\",f=1 1000000\nm f=2 2000000"
	if resp := d.ask(t, "POST", "/write", []byte(body)); resp.StatusCode() != 204 {
		t.Errorf("%v", resp)
	}
	if got, want := d.stored(), "{__name__=\"m_f\"} 1 1\n{__name__=\"m_f\"} 2 2\n"; got != want {
		t.Errorf("stored\n%s, want\n%s", got, want)
	}
}

func TestBodiesThatBreakOff(t *testing.T) {
	d := open(t, true, Options{})
	body := packed(t, []byte(strings.Repeat("m f=1 1000000\n", 1000)))
	for _, encoding := range []string{"gzip", "zstd", "snappy"} {
		resp := d.ask(t, "POST", "/write", body[encoding][:len(body[encoding])-3], "Content-Encoding", encoding)
		if resp.StatusCode() != 400 || !strings.Contains(string(resp.Body()), "read the body: ") {
			t.Errorf("%s: %v", encoding, resp)
		}
	}
	conn, err := d.client.Dial("varve")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("POST /write HTTP/1.1\r\nHost: varve\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nm f=1\r\nnonsense\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32)
	if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 400") {
		t.Errorf("malformed chunks: %q, %v", buf[:n], err)
	}
}

func TestDoorsSpeakOfErrors(t *testing.T) {
	d := open(t, true, Options{RetryAfter: 3 * time.Second})
	bodies := map[string]string{"/write": "m f=1 1000000", "/api/v1/import/prometheus": "a 1 1", "/api/v1/import": `{"metric":{"__name__":"a"},"values":[1],"timestamps":[1]}`}
	for uri, body := range bodies {
		for _, c := range []struct {
			err    error
			status int
		}{{ErrThrottled, 429}, {ErrOverloaded, 503}, {kv.ErrFull, 503}, {io.ErrNoProgress, 500}} {
			d.err = c.err
			resp := d.ask(t, "POST", uri, []byte(body))
			retry := string(resp.Header.Peek("Retry-After")) == "3"
			if resp.StatusCode() != c.status || retry != (c.status != 500) || !strings.Contains(string(resp.Body()), c.err.Error()) {
				t.Errorf("%s, %v: %v", uri, c.err, resp)
			}
		}
	}
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&fasthttp.Request{}, nil, nil)
	for _, r := range d.handler.Routes() {
		if len(r.Methods) == 1 && r.Methods[0] == "POST" {
			if r.Handle(ctx); ctx.Response.StatusCode() != 405 || string(ctx.Response.Header.Peek("Allow")) != "POST" {
				t.Errorf("GET %s: %v", r.Path, &ctx.Response)
			}
		}
	}
}

func TestDoorsAreMeasured(t *testing.T) {
	reg := prometheus.NewRegistry()
	d := open(t, false, Options{Registerer: reg})
	d.ask(t, "POST", "/write", []byte("m f=1 1000000,\nbad\nworse\nm f=1 1000000"))
	d.ask(t, "POST", "/api/v1/import/prometheus", []byte("a 1"))
	want := `
# HELP varve_ingest_unreadable_lines_total Lines that could not be read and were left out.
# TYPE varve_ingest_unreadable_lines_total counter
varve_ingest_unreadable_lines_total{protocol="influx"} 3
# HELP varve_ingest_requests_total Requests answered.
# TYPE varve_ingest_requests_total counter
varve_ingest_requests_total{code="2xx",protocol="text"} 1
varve_ingest_requests_total{code="4xx",protocol="influx"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "varve_ingest_unreadable_lines_total", "varve_ingest_requests_total"); err != nil {
		t.Error(err)
	}
	if log := d.log.String(); !strings.Contains(log, "lines could not be read") || !strings.Contains(log, "protocol=influx lines=3") {
		t.Error(log)
	}
}

// tenants is an Appender that notes who writes.
type tenants struct{ seen []series.TenantID }

func (a *tenants) Append(_ context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error) {
	a.seen = append(a.seen, tenant)
	return series.Outcome{Samples: len(b.Values)}, nil
}

func TestDoorsWriteForTheTenant(t *testing.T) {
	store := &tenants{}
	d := open(t, true, Options{Tenant: func(ctx *fasthttp.RequestCtx) series.TenantID {
		return series.TenantID(ctx.Request.Header.Peek("X-Tenant")[0] - '0')
	}})
	d.handler.appender = store
	d.ask(t, "POST", "/write", []byte("m f=1"), "X-Tenant", "1")
	d.ask(t, "POST", "/api/v1/import/prometheus", []byte("a 1"), "X-Tenant", "2")
	d.ask(t, "POST", "/api/v1/import", []byte(`{"metric":{"__name__":"a"},"values":[1],"timestamps":[1]}`), "X-Tenant", "3")
	d.ask(t, "POST", "/api/v1/write", bodyV1(batchOf(1, "up")), "X-Tenant", "4", "Content-Type", typeV1)
	d.ask(t, "POST", "/api/v1/otlp/v1/metrics", []byte(otlpRequest), "X-Tenant", "5", "Content-Type", jsonType)
	if got := fmt.Sprint(store.seen); got != "[1 2 3 4 5]" {
		t.Errorf("tenants %s", got)
	}
}

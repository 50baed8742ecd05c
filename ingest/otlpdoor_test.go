package ingest

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/varve-db/varve/kv"
)

// otlpRequest holds a point that is stored and one that the storage refuses.
const otlpRequest = `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
  "scopeMetrics":[{"metrics":[{"name":"temperature","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asDouble":21.5}]}}]}]}]}`

// otlpProtobuf is a gauge g with the value 1 at 1 ms: ExportMetricsServiceRequest
// {resource_metrics {scope_metrics {metrics {name gauge {data_points}}}}}.
var otlpProtobuf = []byte("\x0a\x1d\x12\x1b\x12\x19\x0a\x01g\x2a\x14\x0a\x12\x19\x40\x42\x0f\x00\x00\x00\x00\x00\x21\x00\x00\x00\x00\x00\x00\xf0\x3f")

func TestOTLP(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		const uri = "/api/v1/otlp/v1/metrics"
		for encoding, body := range packed(t, []byte(otlpRequest)) {
			resp := d.ask(t, "POST", uri, body, "Content-Type", "application/json; charset=utf-8", "Content-Encoding", encoding)
			if resp.StatusCode() != 200 || string(resp.Body()) != "{}" || string(resp.Header.ContentType()) != "application/json" {
				t.Fatalf("%s: %v", encoding, resp)
			}
			if got := d.stored(); !strings.Contains(got, "{__name__=\"temperature\", job=\"shop\"} 1700000000000 21.5\n") {
				t.Errorf("%s: stored %s", encoding, got)
			}
		}
		resp := d.ask(t, "POST", uri, otlpProtobuf, "Content-Type", mediaType)
		if got := d.stored(); resp.StatusCode() != 200 || len(resp.Body()) > 0 || string(resp.Header.ContentType()) != mediaType || got != "{__name__=\"g\"} 1 1\n" {
			t.Errorf("%v, stored %s", resp, got)
		}
		// What the storage refuses makes a partial success.
		early := bytes.Replace([]byte(otlpRequest), []byte(`"1700000000000000000"`), []byte(`"-5000000"`), 1)
		resp = d.ask(t, "POST", uri, early, "Content-Type", jsonType)
		if resp.StatusCode() == 200 && !strings.Contains(string(resp.Body()), `"rejectedDataPoints":"`) {
			t.Errorf("refused: %v", resp)
		}
		d.stored()
		for _, c := range []struct {
			contentType, body string
			status            int
		}{
			{"text/plain", "{}", 415}, {"", "{}", 415}, {jsonType, "{", 400}, {mediaType, "\xff\xff", 400}, {jsonType, `{"resourceMetrics":1}`, 400},
		} {
			resp := d.ask(t, "POST", uri, []byte(c.body), "Content-Type", c.contentType)
			if resp.StatusCode() != c.status || len(resp.Body()) == 0 {
				t.Errorf("%+v: %v", c, resp)
			}
		}
		if d.count() != 0 {
			t.Error("the storage was asked")
		}
		for _, g := range []*gate{d.handler.received, d.handler.decoded} {
			if used, waiting := g.load(); used != 0 || waiting != 0 {
				t.Errorf("%d bytes in flight, %d waiting", used, waiting)
			}
		}
	})
}

func TestOTLPLimitsAndErrors(t *testing.T) {
	d := open(t, true, Options{BodyBytesMax: 1 << 20, DecodedBytesMax: 2 << 20})
	const uri = "/api/v1/otlp/v1/metrics"
	for name, c := range map[string]struct {
		body     []byte
		encoding string
	}{
		"as sent":             {make([]byte, 1<<20+1), ""},
		"without compression": {packed(t, make([]byte, 2<<20+1))["gzip"], "gzip"},
	} {
		resp := d.ask(t, "POST", uri, c.body, "Content-Type", mediaType, "Content-Encoding", c.encoding)
		if resp.StatusCode() != 413 || !strings.Contains(string(resp.Body()), "bytes") {
			t.Errorf("%s: %v", name, resp)
		}
	}
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{{ErrThrottled, 429, `{"code":8,`}, {ErrOverloaded, 503, `{"code":14,`}, {fmt.Errorf("append: %w", kv.ErrFull), 503, `{"code":14,`}, {io.ErrNoProgress, 503, `{"code":14,`}} {
		d.err = c.err
		resp := d.ask(t, "POST", uri, []byte(otlpRequest), "Content-Type", jsonType)
		if resp.StatusCode() != c.status || !strings.HasPrefix(string(resp.Body()), c.code) || len(resp.Header.Peek("Retry-After")) == 0 {
			t.Errorf("%v: %v", c.err, resp)
		}
	}
}

package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/ingest/remotewrite"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
)

// bothWays runs a test against a server that streams bodies and one that does not.
func bothWays(t *testing.T, o Options, f func(t *testing.T, d *door)) {
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) { f(t, open(t, stream, o)) })
	}
}

func TestStoredRequests(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		b := batchOf(1, "up", "down")
		b.BeginLabels()
		b.AddExemplar(1, 2, series.LabelRules{})
		b.AddHistogram(series.Histogram{Timestamp: 1, Int: &histogram.Histogram{}})
		v1, v2 := bodyV1(b), bodyV2(b)
		written := counts(2, 1, 1)
		written.status = 204
		zstdBody := encoder.EncodeAll(remotewrite.AppendV1(nil, b), nil)
		cases := []struct {
			contentType, encoding string
			body                  []byte
			want                  answer
		}{
			{typeV1, "snappy", v1, answer{status: 204}},
			{typeV1, "", v1, answer{status: 204}},
			{"", "snappy", v1, answer{status: 204}},
			{typeV1 + ";proto=prometheus.WriteRequest", "snappy", v1, answer{status: 204}},
			{typeV1, "zstd", zstdBody, answer{status: 204}},
			{typeV1, "zstd", v1, answer{status: 204}}, // an agent's old queue
			{typeV2, "snappy", v2, written},
			{`Application/X-Protobuf ; Proto="io.prometheus.write.v2.Request"`, "Snappy", v2, written},
			{typeV2 + "; charset=utf-8", "snappy", v2, written},
		}
		for i, c := range cases {
			if got := d.post(t, c.contentType, c.encoding, c.body); got != c.want {
				t.Errorf("%s %s: %+v, want %+v", c.contentType, c.encoding, got, c.want)
			}
			if d.count() != i+1 {
				t.Fatalf("%d requests reached the storage, want %d", d.count(), i+1)
			}
		}
		for _, b := range d.requests {
			if len(b.Rows) != 2 || b.Labels(1).String() != `{__name__="down"}` || len(b.Exemplars) != 1 || len(b.Histograms) != 1 {
				t.Errorf("stored %+v", b)
			}
		}
		// Nothing to store: the storage is not asked.
		none := counts(0, 0, 0)
		none.status = 204
		if got := d.post(t, typeV1, "snappy", []byte{0}); got != (answer{status: 204}) {
			t.Errorf("empty 1.0: %+v", got)
		}
		if got := d.post(t, typeV2, "snappy", []byte{0}); got != none || d.count() != len(cases) {
			t.Errorf("empty 2.0: %+v", got)
		}
	})
}

func TestUnsupportedRequests(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		for _, c := range [][2]string{
			{"application/json", "snappy"}, {"text/plain", ""}, {typeV1, "gzip"}, {typeV1, "deflate"}, {typeV2, "gzip"},
			{typeV1, "identity"}, {typeV2, "zstd"}, {typeV1 + ";proto=io.prometheus.write.v3.Request", "snappy"},
			{"application/x-protobuf;;;=", "snappy"}, {"application/x-protobufs", "snappy"},
		} {
			got := d.post(t, c[0], c[1], []byte("not snappy"))
			if got.status != 415 || got.body == "" || got.samples != "" {
				t.Errorf("%v: %+v", c, got)
			}
		}
		if d.count() != 0 {
			t.Error("the storage was asked")
		}
	})
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	New(&memory{}, Options{}).Handle(&ctx)
	if ctx.Response.StatusCode() != 405 || string(ctx.Response.Header.Peek("Allow")) != "POST" {
		t.Errorf("GET: %v", &ctx.Response)
	}
}

func TestRefusalsOfDecoderAndStorage(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		b := batchOf(7, "good")
		b.AddSample(-1, 0, 1) // the storage will refuse it
		plain := remotewrite.AppendV2(nil, b)
		// Another series, of the symbols "", "__name__", "good": {good="good"} with a sample at 5.
		plain = append(plain, 0x2a, 0x08, 0x0a, 0x02, 0x02, 0x02, 0x12, 0x02, 0x10, 0x05)
		got := d.post(t, typeV2, "snappy", snappy.Encode(nil, plain))
		want := "refused 1 sample (no_metric_name): the series has no metric name (label __name__), first in series {good=\"good\"}; " +
			"refused 1 sample (too_old): before 1970, first in series {}\n"
		if got.status != 400 || got.samples != "1" || got.histograms != "0" || got.exemplars != "0" || got.body != want {
			t.Errorf("%+v, want body %q", got, want)
		}
		if d.count() != 1 || len(d.requests[0].Rows) != 1 {
			t.Errorf("stored %+v", d.requests)
		}
		old := d.post(t, typeV1, "snappy", bodyV1(batchOf(-5, "old")))
		if old.status != 400 || !strings.Contains(old.body, "too_old") || old.samples != "" {
			t.Errorf("1.0: %+v", old)
		}
		if log := d.log.String(); strings.Count(log, "reason=too_old") != 1 || !strings.Contains(log, "level=WARN") {
			t.Errorf("refusals are logged once a reason and a while:\n%s", log)
		}
	})
}

func TestStorageErrors(t *testing.T) {
	cases := []struct {
		err    error
		status int
	}{
		{fmt.Errorf("append: %w", kv.ErrFull), 503},
		{fmt.Errorf("append: %w", ErrOverloaded), 503},
		{context.Canceled, 503},
		{context.DeadlineExceeded, 503},
		{errors.New("out of luck"), 500},
	}
	d := open(t, true, Options{RetryAfter: 1500 * time.Millisecond})
	for _, c := range cases {
		d.err = c.err
		for _, contentType := range []string{typeV1, typeV2} {
			body := bodyV1(batchOf(1, "up"))
			if contentType == typeV2 {
				body = bodyV2(batchOf(1, "up"))
			}
			got := d.post(t, contentType, "snappy", body)
			if got.status != c.status || got.body == "" || (got.retryAfter == "2") != (c.status == 503) {
				t.Errorf("%v: %+v", c.err, got)
			}
			if want := map[string]string{typeV1: "", typeV2: "0"}[contentType]; got.samples != want || got.exemplars != want {
				t.Errorf("%v: %+v", c.err, got)
			}
		}
	}
}

func TestBadBodies(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var frames bytes.Buffer // a frame that does not say how long it is
	stream, err := zstd.NewWriter(&frames)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 1 << 20
	for range 3 * limit / 1024 {
		if _, err := stream.Write(make([]byte, 1024)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	v1, v2 := bodyV1(batchOf(1, "up", "down")), bodyV2(batchOf(1, "up", "down"))
	small := encoder.EncodeAll(make([]byte, 100), nil)
	cases := map[string]struct {
		contentType, encoding string
		body                  []byte
	}{
		"empty":                       {typeV1, "snappy", nil},
		"no snappy":                   {typeV1, "snappy", bytes.Repeat([]byte{0xff}, 40)},
		"no zstd":                     {typeV1, "zstd", []byte("plainly no zstd")},
		"4 GiB declared":              {typeV1, "snappy", append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, v1...)},
		"more declared than possible": {typeV1, "snappy", append([]byte{0x80, 0x80, 0x20}, v1[1:]...)},
		"snappy bomb":                 {typeV1, "snappy", snappy.Encode(nil, make([]byte, limit+1))},
		"zstd bomb":                   {typeV1, "zstd", encoder.EncodeAll(make([]byte, limit+1), nil)},
		"zstd bomb of unknown size":   {typeV1, "zstd", frames.Bytes()},
		"zstd bomb in second frame":   {typeV1, "zstd", append(small, encoder.EncodeAll(make([]byte, limit), nil)...)},
		"too long":                    {typeV1, "snappy", make([]byte, limit/2+1)},
		"framed snappy":               {typeV1, "snappy", []byte("\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00abcde")},
		"uncompressed":                {typeV2, "snappy", remotewrite.AppendV2(nil, batchOf(1, "up"))},
		"the other message":           {typeV1, "snappy", v2},
		"the other message, reversed": {typeV2, "snappy", v1},
		"cut protobuf":                {typeV1, "snappy", snappy.Encode(nil, remotewrite.AppendV1(nil, batchOf(1, "up"))[:20])},
	}
	for i := 1; i < len(v2); i += 3 {
		cases[fmt.Sprint("2.0 cut at ", i)] = struct {
			contentType, encoding string
			body                  []byte
		}{typeV2, "snappy", v2[:i]}
	}
	bothWays(t, Options{BodyBytesMax: limit / 2, DecodedBytesMax: limit}, func(t *testing.T, d *door) {
		for name, c := range cases {
			got := d.post(t, c.contentType, c.encoding, c.body)
			if got.status != 400 || got.body == "" || (got.samples == "0") != (c.contentType == typeV2) {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if d.count() != 0 {
			t.Error("the storage was asked")
		}
		// The process lives, and everything was given back.
		if got := d.post(t, typeV1, "snappy", v1); got.status != 204 {
			t.Errorf("afterwards: %+v", got)
		}
		for _, g := range []*gate{d.handler.received, d.handler.decoded} {
			if used, waiting := g.load(); used != 0 || waiting != 0 {
				t.Errorf("%d bytes in flight, %d waiting", used, waiting)
			}
		}
	})
}

func TestFlippedBitsNeverBreakTheServer(t *testing.T) {
	b := batchOf(1<<62, "up", "down")
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		for contentType, body := range map[string][]byte{typeV1: bodyV1(b), typeV2: bodyV2(b)} {
			for i := range body {
				flipped := bytes.Clone(body)
				flipped[i] ^= 1 << (i % 8)
				if got := d.post(t, contentType, "snappy", flipped); got.status != 204 && got.status != 400 {
					t.Errorf("%s, byte %d: %+v", contentType, i, got)
				}
			}
		}
	})
}

func TestChunkedBodies(t *testing.T) {
	d := open(t, true, Options{BodyBytesMax: 1 << 20})
	send := func(r *bytes.Reader) answer {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI("http://varve/api/v1/push")
		req.Header.SetMethod(fasthttp.MethodPost)
		req.Header.SetContentType(typeV1)
		req.SetBodyStream(r, -1)
		if err := d.client.Do(req, resp); err != nil {
			t.Fatal(err)
		}
		return answerOf(resp)
	}
	if got := send(bytes.NewReader(bodyV1(batchOf(1, "up")))); got.status != 204 || d.count() != 1 {
		t.Errorf("%+v", got)
	}
	if got := send(bytes.NewReader(make([]byte, 1<<20+1))); got.status != 400 {
		t.Errorf("too long: %+v", got)
	}
	conn, err := d.client.Dial("varve")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("POST / HTTP/1.1\r\nHost: varve\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32)
	if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 400") {
		t.Errorf("malformed chunks: %q, %v", buf[:n], err)
	}
	_ = conn.Close()
}

func TestLimitsOfLabelsReachTheDecoder(t *testing.T) {
	d := open(t, false, Options{LabelRules: series.LabelRules{LabelsMax: 1}})
	b := &series.Batch{}
	b.BeginLabels()
	b.AddLabel([]byte("__name__"), []byte("up"))
	b.AddLabel([]byte("job"), []byte("x"))
	b.BeginRow(series.LabelRules{})
	b.AddSample(1, 0, 1)
	if got := d.post(t, typeV2, "snappy", bodyV2(b)); got.status != 400 || !strings.Contains(got.body, "too_many_labels") {
		t.Errorf("%+v", got)
	}
}

func TestOverload(t *testing.T) {
	expire := make(chan time.Time)
	d := open(t, false, Options{
		DecodedBytesMax: 4096, InFlightBytesMax: 4096, WaitingMax: 1, RetryAfter: time.Second,
		After: func(time.Duration) <-chan time.Time { return expire },
	})
	d.entered, d.proceed = make(chan struct{}, 8), make(chan struct{}, 8)
	body := bodyV2(batchOf(1, strings.Repeat("x", 3000)))
	answers := make(chan answer, 3)
	go func() { answers <- d.post(t, typeV2, "snappy", body) }()
	<-d.entered // the first is with the storage and holds the bytes
	go func() { answers <- d.post(t, typeV2, "snappy", body) }()
	for {
		if _, waiting := d.handler.decoded.load(); waiting == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	turnedAway := d.post(t, typeV2, "snappy", body) // the queue is full
	want := counts(0, 0, 0)
	want.status, want.retryAfter, want.body = 503, "1", turnedAway.body
	if turnedAway != want || !strings.Contains(turnedAway.body, "try again later") {
		t.Errorf("%+v", turnedAway)
	}
	expire <- time.Time{} // the second has waited long enough
	if got := <-answers; got.status != 503 || got.retryAfter != "1" {
		t.Errorf("waited: %+v", got)
	}
	d.proceed <- struct{}{}
	if got := <-answers; got.status != 204 || got.samples != "1" {
		t.Errorf("first: %+v", got)
	}
	d.proceed <- struct{}{}
	if got := d.post(t, typeV2, "snappy", body); got.status != 204 {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	d := open(t, false, Options{Registerer: reg})
	d.post(t, typeV1, "snappy", bodyV1(batchOf(1, "up", "down")))
	d.post(t, typeV2, "snappy", bodyV2(batchOf(-1, "old")))
	d.post(t, "text/plain", "", nil)
	want := `
# HELP varve_ingest_refused_total What was refused, by reason and kind.
# TYPE varve_ingest_refused_total counter
varve_ingest_refused_total{kind="sample",reason="too_old"} 1
# HELP varve_ingest_requests_total Requests answered.
# TYPE varve_ingest_requests_total counter
varve_ingest_requests_total{code="2xx",protocol="remote_write_1"} 1
varve_ingest_requests_total{code="4xx",protocol="remote_write_2"} 1
varve_ingest_requests_total{code="4xx",protocol="unknown"} 1
# HELP varve_ingest_samples_total Float samples stored.
# TYPE varve_ingest_samples_total counter
varve_ingest_samples_total{protocol="influx"} 0
varve_ingest_samples_total{protocol="jsonl"} 0
varve_ingest_samples_total{protocol="otlp"} 0
varve_ingest_samples_total{protocol="remote_write_1"} 2
varve_ingest_samples_total{protocol="remote_write_2"} 0
varve_ingest_samples_total{protocol="text"} 0
# HELP varve_ingest_in_flight_bytes Bytes of uncompressed bodies and batches in flight.
# TYPE varve_ingest_in_flight_bytes gauge
varve_ingest_in_flight_bytes 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "varve_ingest_refused_total",
		"varve_ingest_requests_total", "varve_ingest_samples_total", "varve_ingest_in_flight_bytes"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n < 12 {
		t.Errorf("%d metrics, %v", n, err)
	}
}

func TestLargeBuffersAreNotKept(t *testing.T) {
	d := open(t, true, Options{RetainedBytesMax: 1000})
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprint("metric_", i)
	}
	if got := d.post(t, typeV1, "snappy", bodyV1(batchOf(1, names...))); got.status != 204 {
		t.Fatalf("%+v", got)
	}
	for range 10 {
		if b := d.handler.buffers.Get().(*[]byte); cap(*b) > 1000 {
			t.Errorf("a buffer of %d bytes was kept", cap(*b))
		}
		if w := d.handler.workers.Get().(*worker); w.batch.MemoryBytes() > 2000 {
			t.Errorf("a batch of %d bytes was kept", w.batch.MemoryBytes())
		}
	}
}

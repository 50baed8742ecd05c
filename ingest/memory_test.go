package ingest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/varve-db/varve/ingest/remotewrite"
	"github.com/varve-db/varve/series"
)

// memory is an Appender that keeps what it is given as encoded requests, and
// refuses samples before 0 as a storage might.
type memory struct {
	mu       sync.Mutex
	requests []*series.Batch
	err      error
	entered  chan struct{} // if set, receives when Append begins
	proceed  chan struct{} // if set, Append waits for it
}

func (m *memory) Append(ctx context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error) {
	if tenant != series.DefaultTenant {
		return series.Outcome{}, errors.New("not the default tenant")
	}
	if m.entered != nil {
		m.entered <- struct{}{}
		<-m.proceed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return series.Outcome{}, m.err
	}
	kept := &series.Batch{}
	if err := remotewrite.DecodeV2(kept, remotewrite.AppendV2(nil, b), series.LabelRules{}); err != nil {
		return series.Outcome{}, err
	}
	m.requests = append(m.requests, kept)
	o := series.Outcome{Samples: len(b.Values), Histograms: len(b.Histograms), Exemplars: len(b.Exemplars)}
	for _, t := range b.Timestamps {
		if t < 0 {
			o.Samples--
			o.Refused.Add(series.ReasonTooOld, 1, 0, 0, func() (string, string) { return "{}", "before 1970" })
		}
	}
	return o, nil
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.requests)
}

// door is a Handler behind a real server without a network.
type door struct {
	*memory
	handler *Handler
	client  *fasthttp.Client
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func open(t *testing.T, stream bool, o Options) *door {
	t.Helper()
	d := &door{memory: &memory{}, log: &lockedBuffer{}}
	o.Logger = slog.New(slog.NewTextHandler(d.log, nil))
	d.handler = New(d.memory, o)
	listener := fasthttputil.NewInmemoryListener()
	server := &fasthttp.Server{
		Handler: d.dispatch, StreamRequestBody: stream, MaxRequestBodySize: 1 << 30, Logger: slog.NewLogLogger(o.Logger.Handler(), slog.LevelInfo),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	d.client = &fasthttp.Client{Dial: func(string) (net.Conn, error) { return listener.Dial() }}
	t.Cleanup(func() {
		d.client.CloseIdleConnections()
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}

// dispatch finds the door as the server does; other paths are remote write's.
func (d *door) dispatch(ctx *fasthttp.RequestCtx) {
	for _, r := range d.handler.Routes() {
		if r.Path == string(ctx.Path()) && slices.Contains(r.Methods, string(ctx.Method())) {
			r.Handle(ctx)
			return
		}
	}
	d.handler.Handle(ctx)
}

// answer is what a sender sees.
type answer struct {
	status                         int
	body                           string
	samples, histograms, exemplars string // the headers, "" when absent
	retryAfter                     string
}

func counts(samples, histograms, exemplars int) answer {
	return answer{samples: strconv.Itoa(samples), histograms: strconv.Itoa(histograms), exemplars: strconv.Itoa(exemplars)}
}

const (
	typeV1 = "application/x-protobuf"
	typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

func (d *door) post(t *testing.T, contentType, encoding string, body []byte) answer {
	t.Helper()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://varve/api/v1/write")
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType(contentType)
	req.Header.SetNoDefaultContentType(true)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	req.SetBody(body)
	if err := d.client.Do(req, resp); err != nil {
		t.Fatal(err)
	}
	return answerOf(resp)
}

func answerOf(resp *fasthttp.Response) answer {
	h := &resp.Header
	return answer{
		status: resp.StatusCode(), body: string(resp.Body()),
		samples: string(h.Peek(headerSamples)), histograms: string(h.Peek(headerHistograms)), exemplars: string(h.Peek(headerExemplars)),
		retryAfter: string(h.Peek("Retry-After")),
	}
}

// batchOf makes a batch of one series a name, each with one sample at t.
func batchOf(t int64, names ...string) *series.Batch {
	b := &series.Batch{}
	for i, name := range names {
		b.BeginLabels()
		b.AddLabel([]byte("__name__"), []byte(name))
		b.BeginRow(series.LabelRules{})
		b.AddSample(t, 0, float64(i))
	}
	return b
}

func bodyV1(b *series.Batch) []byte { return snappy.Encode(nil, remotewrite.AppendV1(nil, b)) }
func bodyV2(b *series.Batch) []byte { return snappy.Encode(nil, remotewrite.AppendV2(nil, b)) }

package ingest

import (
	"context"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/ingest/influx"
	"github.com/varve-db/varve/ingest/otlp"
	"github.com/varve-db/varve/ingest/remotewrite"
	"github.com/varve-db/varve/ingest/text"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/series/jsonl"
)

// Appender stores batches. Append returns when the batch is durable, and does
// not touch it afterwards. The outcome counts exactly what is stored and what
// was refused by the storage, also when there is an error; an error means that
// the batch should be sent again. Rows may hold exemplars alone: senders ship
// samples and exemplars of a series in different rows.
type Appender interface {
	Append(ctx context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error)
}

// Handler serves all doors for samples: Handle takes remote write, versions 1.0
// and 2.0, the other doors have their names.
type Handler struct {
	appender   Appender
	options    Options
	received   *gate        // compressed bodies; a request passes it before decoded
	decoded    *gate        // uncompressed bodies, then batches
	unpack     decompressor // of bodies read whole
	unpackers  unpackers    // of bodies read as streams
	buffers    sync.Pool    // *[]byte
	workers    sync.Pool    // *worker
	metrics    *metrics
	complaints *complaints
}

// worker is what decoding one request needs.
type worker struct {
	batch   series.Batch
	decoder remotewrite.Decoder
	influx  influx.Decoder
	text    text.Decoder
	lines   jsonl.Decoder
	otlp    *otlp.Decoder
}

func (w *worker) memoryBytes() int {
	return w.batch.MemoryBytes() + w.decoder.MemoryBytes() + w.influx.MemoryBytes() + w.text.MemoryBytes() + w.lines.MemoryBytes() + w.otlp.MemoryBytes()
}

// New returns a Handler that stores through appender.
func New(appender Appender, options Options) *Handler {
	o := options.withDefaults()
	newGate := func(limit int64) *gate {
		return &gate{limit: limit, waitingMax: o.WaitingMax, waitMax: o.WaitMax, after: o.After}
	}
	h := &Handler{
		appender:   appender,
		options:    o,
		received:   newGate(max(o.InFlightBytesMax/2, int64(o.BodyBytesMax))),
		decoded:    newGate(o.InFlightBytesMax),
		unpack:     newDecompressor(o.DecodedBytesMax),
		complaints: &complaints{log: o.Logger, now: o.Now, last: map[string]time.Time{}},
	}
	settings := o.OTLP
	settings.LabelRules, settings.MemoryBytesMax = o.LabelRules, o.BatchBytesMax
	h.buffers.New = func() any { return new([]byte) }
	h.workers.New = func() any {
		w := &worker{otlp: otlp.NewDecoder(settings)}
		w.decoder.MemoryBytesMax = o.BatchBytesMax
		w.lines.Rules = o.LabelRules
		return w
	}
	h.metrics = newMetrics(o.Registerer, h.received, h.decoded)
	return h
}

// Handle serves a remote write request.
func (h *Handler) Handle(ctx *fasthttp.RequestCtx) {
	a := &account{}
	p, err := h.remoteWrite(ctx, a)
	status, text := h.verdict(ctx, a, err)
	h.conclude(ctx, p, a, status)
	replyRemoteWrite(ctx, p, a, text)
}

// remoteWrite carries out a remote write request.
func (h *Handler) remoteWrite(ctx *fasthttp.RequestCtx, a *account) (protocol, error) {
	if err := onlyPost(ctx); err != nil {
		return unknown, err
	}
	p, err := protocolOf(ctx.Request.Header.ContentType())
	if err != nil {
		return unknown, err
	}
	e, err := encodingOf(ctx.Request.Header.ContentEncoding(), p)
	if err != nil {
		return p, err
	}
	w := h.workers.Get().(*worker)
	defer h.putWorker(w)
	taken, err := h.fill(ctx, w, p, e)
	defer func() { h.decoded.leave(taken) }()
	if err != nil {
		return p, err
	}
	return p, h.store(ctx, &w.batch, a)
}

// store hands a batch to the storage and adds to a what came of it, what the
// decoder refused included.
func (h *Handler) store(ctx *fasthttp.RequestCtx, b *series.Batch, a *account) error {
	var stored series.Outcome
	if len(b.Rows) > 0 || len(b.Metadata) > 0 {
		var err error
		if stored, err = h.appender.Append(ctx, h.options.Tenant(ctx), b); err != nil {
			// The request comes again, and with it what the decoder refused.
			a.add(series.Refusals{}, stored)
			return err
		}
	}
	a.add(b.Refused, stored)
	return nil
}

// fill reads, decompresses and decodes the body into w's batch. It returns the
// bytes that the request holds of the gate decoded, also with an error.
func (h *Handler) fill(ctx *fasthttp.RequestCtx, w *worker, p protocol, e encoding) (taken int64, err error) {
	expected, err := declaredBytes(ctx, h.options.BodyBytesMax)
	if err != nil {
		return 0, err
	}
	held, err := h.received.pass(ctx, int64(expected))
	if err != nil {
		return 0, err
	}
	defer func() { h.received.leave(held) }()
	raw := h.buffers.Get().(*[]byte)
	defer h.putBuffer(raw)
	var body []byte
	if body, *raw, err = readBody(ctx, *raw, expected, h.options.BodyBytesMax); err != nil {
		return 0, err
	}
	held = h.received.resize(held, int64(len(body)))
	if e == zstandard && !isZstd(body) {
		e = snappyBlock
	}
	size, err := decodedBytes(body, e, h.options.DecodedBytesMax)
	if err != nil {
		return 0, err
	}
	if taken, err = h.decoded.pass(ctx, int64(size)); err != nil {
		return 0, err
	}
	start := h.options.Now()
	plain := h.buffers.Get().(*[]byte)
	defer h.putBuffer(plain)
	if *plain, err = h.unpack.decompress(*plain, body, e, size); err != nil {
		return taken, err
	}
	if p == version2 {
		err = w.decoder.V2(&w.batch, *plain, h.options.LabelRules)
	} else {
		err = w.decoder.V1(&w.batch, *plain, h.options.LabelRules)
	}
	if err != nil {
		return taken, rejection{fasthttp.StatusBadRequest, err}
	}
	h.metrics.decodeSeconds.Observe(h.options.Now().Sub(start).Seconds())
	return h.decoded.resize(taken, int64(w.batch.MemoryBytes())), nil
}

func (h *Handler) putBuffer(b *[]byte) {
	if cap(*b) > h.options.RetainedBytesMax {
		*b = nil
	}
	h.buffers.Put(b)
}

func (h *Handler) putWorker(w *worker) {
	if w.memoryBytes() > 2*h.options.RetainedBytesMax {
		return
	}
	w.batch.Reset()
	h.workers.Put(w)
}

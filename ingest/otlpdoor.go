package ingest

import (
	"errors"
	"io"
	"mime"
	"slices"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/ingest/otlp"
)

const jsonType = "application/json"

// gRPC's codes, by which OTLP names what went wrong.
const (
	codeInvalidArgument   = 3
	codeResourceExhausted = 8
	codeInternal          = 13
	codeUnavailable       = 14
)

// OTLP serves metrics of OpenTelemetry over HTTP, in protobuf or JSON.
func (h *Handler) OTLP(ctx *fasthttp.RequestCtx) {
	a := &account{}
	asJSON, err := otlpType(ctx)
	if err == nil {
		err = h.storeOTLP(ctx, asJSON, a)
	}
	status, words := h.verdict(ctx, a, err)
	switch {
	case err == nil:
		status = fasthttp.StatusOK // what was refused is told in the body
	case status == fasthttp.StatusInternalServerError:
		status = fasthttp.StatusServiceUnavailable // by which senders know to repeat it
	}
	h.conclude(ctx, otlpMetrics, a, status)
	contentType, respond, fail := mediaType, otlp.AppendResponse, otlp.AppendStatus
	if asJSON {
		contentType, respond, fail = jsonType, otlp.AppendResponseJSON, otlp.AppendStatusJSON
	}
	ctx.SetContentType(contentType)
	if err != nil {
		ctx.SetBody(fail(nil, otlpCode(status), words))
		return
	}
	var rejected int64
	for _, r := range a.Refused.All() {
		rejected += int64(r.Samples + r.Histograms)
	}
	ctx.SetBody(respond(nil, rejected, words))
}

// otlpType reports whether a request is in JSON.
func otlpType(ctx *fasthttp.RequestCtx) (bool, error) {
	if err := onlyPost(ctx); err != nil {
		return false, err
	}
	contentType := string(ctx.Request.Header.ContentType())
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && media == jsonType:
		return true, nil
	case err == nil && media == mediaType:
		return false, nil
	}
	return false, unsupported("content type %q is not supported, %s and %s are", contentType, mediaType, jsonType)
}

func otlpCode(status int) int {
	switch status {
	case fasthttp.StatusServiceUnavailable:
		return codeUnavailable
	case fasthttp.StatusTooManyRequests, fasthttp.StatusRequestEntityTooLarge:
		return codeResourceExhausted
	case fasthttp.StatusInternalServerError:
		return codeInternal
	}
	return codeInvalidArgument
}

// storeOTLP reads, decodes and stores a request.
func (h *Handler) storeOTLP(ctx *fasthttp.RequestCtx, asJSON bool, a *account) error {
	buf := h.buffers.Get().(*[]byte)
	defer h.putBuffer(buf)
	held, err := h.readWhole(ctx, buf)
	defer func() { h.received.leave(held) }()
	if err != nil {
		return err
	}
	taken, err := h.decoded.pass(ctx, int64(len(*buf)))
	if err != nil {
		return err
	}
	defer func() { h.decoded.leave(taken) }()
	w := h.workers.Get().(*worker)
	defer h.putWorker(w)
	start := h.options.Now()
	w.otlp.Tenant = h.options.Tenant(ctx)
	if asJSON {
		err = w.otlp.DecodeJSON(&w.batch, *buf)
	} else {
		err = w.otlp.Decode(&w.batch, *buf)
	}
	if err != nil {
		return rejection{fasthttp.StatusBadRequest, err}
	}
	h.metrics.decodeSeconds.Observe(h.options.Now().Sub(start).Seconds())
	taken = h.decoded.resize(taken, int64(w.batch.MemoryBytes()))
	return h.store(ctx, &w.batch, a)
}

// readWhole reads into buf a body that can only be decoded as a whole, without
// its compression. It returns the bytes that it holds of the gate received, also
// with an error.
func (h *Handler) readWhole(ctx *fasthttp.RequestCtx, buf *[]byte) (held int64, err error) {
	announced := ctx.Request.Header.ContentLength()
	if announced > h.options.BodyBytesMax {
		return 0, tooLarge("the body has %d bytes, the limit is %d", announced, h.options.BodyBytesMax)
	}
	r, giveBack, err := h.unpackers.open(ctx)
	if err != nil {
		return 0, err
	}
	defer giveBack()
	if held, err = h.received.pass(ctx, int64(max(announced, firstReadBytes))); err != nil {
		return 0, err
	}
	for b := (*buf)[:0]; ; {
		if len(b) == cap(b) {
			b = slices.Grow(b, firstReadBytes)
			held = h.received.resize(held, max(held, int64(cap(b))))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		*buf = b
		switch {
		case len(b) > h.options.DecodedBytesMax:
			return held, tooLarge("the body has more than %d bytes without its compression", h.options.DecodedBytesMax)
		case errors.Is(err, io.EOF):
			return held, nil
		case err != nil:
			return held, unreadable(err)
		}
	}
}

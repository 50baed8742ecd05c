package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv"
)

// Options tunes a Handler; the zero value works.
type Options struct {
	// Now is the clock; the default is time.Now.
	Now func() time.Time
	// Log takes failures that are not the client's; the default drops them.
	Log *slog.Logger
	// Registerer takes the metrics, if set.
	Registerer prometheus.Registerer

	// ValueBytesMax bounds a value; the default is 16 MiB.
	ValueBytesMax int
	// BatchBytesMax bounds the body of a batch; the default is 64 MiB.
	BatchBytesMax int
	// BatchOperationsMax bounds the operations of a batch; the default is 10,000.
	BatchOperationsMax int
	// PageRowsMax bounds the rows of a page; the default is 1,000.
	PageRowsMax int
	// PageBytesMax ends a page after the row that reaches it; the default is 16 MiB.
	PageBytesMax int
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, limit := range []struct {
		value  *int
		preset int
	}{
		{&o.ValueBytesMax, 16 << 20},
		{&o.BatchBytesMax, 64 << 20},
		{&o.BatchOperationsMax, 10_000},
		{&o.PageRowsMax, 1000},
		{&o.PageBytesMax, 16 << 20},
	} {
		if *limit.value <= 0 {
			*limit.value = limit.preset
		}
	}
	return o
}

// Handler serves the generic keyspaces of one store.
type Handler struct {
	store   kv.Store
	options Options
	metrics *metrics
	locks   locks

	sweepMu sync.Mutex
	sweepAt []byte // where the next step of the sweep begins
}

// New returns a Handler on store, which outlives it.
func New(store kv.Store, options Options) *Handler {
	return &Handler{store: store, options: options.withDefaults(), metrics: newMetrics(options.Registerer)}
}

// Handle answers a request below /kv/v1/.
func (h *Handler) Handle(ctx *fasthttp.RequestCtx) {
	start := h.options.Now()
	if err := h.route(ctx); err != nil {
		h.fail(ctx, err)
	}
	h.metrics.observe(ctx, h.options.Now().Sub(start))
}

func (h *Handler) route(ctx *fasthttp.RequestCtx) error {
	t, err := parseTarget(ctx.URI().PathOriginal())
	if err != nil {
		return err
	}
	method := string(ctx.Method())
	if !t.hasKey {
		switch method {
		case fasthttp.MethodGet:
			return h.list(ctx, t)
		case fasthttp.MethodPost:
			return h.batch(ctx, t)
		}
		return methodNotAllowed(ctx, "GET, POST")
	}
	switch method {
	case fasthttp.MethodGet, fasthttp.MethodHead:
		return h.get(ctx, t)
	case fasthttp.MethodPut:
		return h.put(ctx, t)
	case fasthttp.MethodDelete:
		return h.delete(ctx, t)
	}
	return methodNotAllowed(ctx, "GET, HEAD, PUT, DELETE")
}

// readBody returns the request's body, up to limit bytes, whether or not the
// server streams bodies.
func readBody(ctx *fasthttp.RequestCtx, limit int) ([]byte, error) {
	if encoding := ctx.Request.Header.ContentEncoding(); len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
		return nil, refuse(fasthttp.StatusUnsupportedMediaType, "bad_data", "content encoding %q is not supported: send the bytes as they are", encoding)
	}
	tooLarge := refuse(fasthttp.StatusRequestEntityTooLarge, "too_large", "the body has more than %d bytes", limit)
	if ctx.Request.Header.ContentLength() > limit {
		return nil, tooLarge
	}
	stream := ctx.RequestBodyStream()
	if stream == nil {
		if body := ctx.Request.Body(); len(body) <= limit {
			return body, nil
		}
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(stream, int64(limit)+1))
	if err != nil {
		return nil, refuse(fasthttp.StatusBadRequest, "bad_data", "the body cannot be read: %v", err)
	}
	if len(body) > limit {
		return nil, tooLarge
	}
	return body, nil
}

// refusal is an error that is answered with a status of its own.
type refusal struct {
	status int
	kind   string
	detail string
}

func (r *refusal) Error() string { return r.detail }

func refuse(status int, kind, format string, args ...any) error {
	return &refusal{status, kind, fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return refuse(fasthttp.StatusBadRequest, "bad_data", format, args...)
}

func methodNotAllowed(ctx *fasthttp.RequestCtx, allowed string) error {
	ctx.Response.Header.Set(fasthttp.HeaderAllow, allowed)
	return refuse(fasthttp.StatusMethodNotAllowed, "method_not_allowed", "%s is not one of %s", ctx.Method(), allowed)
}

// refusalOf finds the answer to an error of the store.
func refusalOf(err error) *refusal {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, kv.ErrFull):
		return &refusal{fasthttp.StatusServiceUnavailable, "full", "the disk space reserve is reached: writes are refused until there is space"}
	case errors.Is(err, kv.ErrClosed):
		return &refusal{fasthttp.StatusServiceUnavailable, "unavailable", "the server is shutting down"}
	}
	return &refusal{fasthttp.StatusInternalServerError, "internal", err.Error()}
}

func (h *Handler) fail(ctx *fasthttp.RequestCtx, err error) {
	r := refusalOf(err)
	if r.status >= fasthttp.StatusInternalServerError {
		h.options.Log.Error("request failed", "method", string(ctx.Method()), "path", string(ctx.Path()), "error", err)
	}
	text := append([]byte(`{"status":"error","errorType":`), strconv.AppendQuote(nil, r.kind)...)
	text = append(append(append(text, `,"error":`...), quoteJSON(r.detail)...), "}\n"...)
	answer(ctx, r.status, text)
}

// answer sends a JSON body.
func answer(ctx *fasthttp.RequestCtx, status int, body []byte) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(body)
}

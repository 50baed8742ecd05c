package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
)

// The headers in which a sender of version 2 learns what was written.
const (
	headerSamples    = "X-Prometheus-Remote-Write-Samples-Written"
	headerHistograms = "X-Prometheus-Remote-Write-Histograms-Written"
	headerExemplars  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

// reply answers a request and returns the status. A sender of version 1 never
// gets the counts: it would take them for those of version 2.
func (h *Handler) reply(ctx *fasthttp.RequestCtx, p protocol, o series.Outcome, err error) int {
	status, text := h.verdict(ctx, o, err)
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	if p == version2 && status != fasthttp.StatusUnsupportedMediaType {
		ctx.Response.Header.Set(headerSamples, strconv.Itoa(o.Samples))
		ctx.Response.Header.Set(headerHistograms, strconv.Itoa(o.Histograms))
		ctx.Response.Header.Set(headerExemplars, strconv.Itoa(o.Exemplars))
	}
	switch status {
	case fasthttp.StatusServiceUnavailable:
		seconds := math.Ceil(h.options.RetryAfter.Seconds())
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(seconds)))
	case fasthttp.StatusMethodNotAllowed:
		ctx.Response.Header.Set(fasthttp.HeaderAllow, fasthttp.MethodPost)
	}
	if text != "" {
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString(text + "\n")
	}
	return status
}

// verdict chooses the status and the words for what came of a request.
func (h *Handler) verdict(ctx *fasthttp.RequestCtx, o series.Outcome, err error) (status int, text string) {
	var r rejection
	switch {
	case err == nil && o.Refused.Empty():
		return fasthttp.StatusNoContent, ""
	case err == nil:
		return fasthttp.StatusBadRequest, o.Refused.String()
	case errors.As(err, &r):
		h.complaints.failed("bad request", slog.LevelWarn, ctx, err)
		return r.status, err.Error()
	case errors.Is(err, ErrOverloaded):
		h.metrics.overloaded.Inc()
		h.complaints.failed("overloaded", slog.LevelWarn, ctx, err)
		return fasthttp.StatusServiceUnavailable, err.Error()
	case errors.Is(err, kv.ErrFull):
		h.complaints.failed("disk full", slog.LevelError, ctx, err)
		return fasthttp.StatusServiceUnavailable, err.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fasthttp.StatusServiceUnavailable, "interrupted: " + err.Error()
	}
	h.complaints.failed("storage", slog.LevelError, ctx, err)
	return fasthttp.StatusInternalServerError, err.Error()
}

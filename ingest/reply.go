package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv"
)

// The headers in which a sender of version 2 learns what was written.
const (
	headerSamples    = "X-Prometheus-Remote-Write-Samples-Written"
	headerHistograms = "X-Prometheus-Remote-Write-Histograms-Written"
	headerExemplars  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

// conclude accounts for a request that is answered with status, and begins the
// reply: what is left to the door is the body.
func (h *Handler) conclude(ctx *fasthttp.RequestCtx, p protocol, a *account, status int) {
	h.metrics.answered(p, status)
	if p != unknown {
		h.metrics.stored(p, a)
		h.complaints.refused(a.Refused)
		h.complaints.unreadable(p, a.lines)
	}
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	switch status {
	case fasthttp.StatusServiceUnavailable, fasthttp.StatusTooManyRequests:
		seconds := math.Ceil(h.options.RetryAfter.Seconds())
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(seconds)))
	case fasthttp.StatusMethodNotAllowed:
		ctx.Response.Header.Set(fasthttp.HeaderAllow, fasthttp.MethodPost)
	}
}

// replyText puts text, if there is any, into the body.
func replyText(ctx *fasthttp.RequestCtx, text string) {
	if text != "" {
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString(text + "\n")
	}
}

// replyRemoteWrite finishes the reply to remote write. A sender of version 1
// never gets the counts: it would take them for those of version 2.
func replyRemoteWrite(ctx *fasthttp.RequestCtx, p protocol, a *account, text string) {
	if p == version2 && ctx.Response.StatusCode() != fasthttp.StatusUnsupportedMediaType {
		ctx.Response.Header.Set(headerSamples, strconv.Itoa(a.Samples))
		ctx.Response.Header.Set(headerHistograms, strconv.Itoa(a.Histograms))
		ctx.Response.Header.Set(headerExemplars, strconv.Itoa(a.Exemplars))
	}
	replyText(ctx, text)
}

// verdict chooses the status and the words for what came of a request.
func (h *Handler) verdict(ctx *fasthttp.RequestCtx, a *account, err error) (status int, text string) {
	var r rejection
	switch {
	case err == nil && a.faultless():
		return fasthttp.StatusNoContent, ""
	case err == nil:
		return fasthttp.StatusBadRequest, a.String()
	case errors.As(err, &r):
		h.complaints.failed("bad request", slog.LevelWarn, ctx, err)
		return r.status, err.Error()
	case errors.Is(err, ErrThrottled):
		h.complaints.failed("throttled", slog.LevelWarn, ctx, err)
		return fasthttp.StatusTooManyRequests, err.Error()
	case errors.Is(err, ErrDenied):
		h.complaints.failed("denied", slog.LevelWarn, ctx, err)
		return fasthttp.StatusForbidden, err.Error()
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

package server

import (
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// Here are all HTTP codes that the server itself answers; those of the data
// paths are chosen by their handlers.

// errorKind is the errorType of Prometheus's API.
type errorKind string

const (
	kindBadData     errorKind = "bad_data"
	kindUnavailable errorKind = "unavailable"
	kindInternal    errorKind = "internal"
	// Not Prometheus's, which leaves who may ask to others.
	kindUnauthorized errorKind = "unauthorized"
	kindForbidden    errorKind = "forbidden"
	kindTooMany      errorKind = "too_many_requests"
)

func (k errorKind) code() int {
	switch k {
	case kindBadData:
		return fasthttp.StatusBadRequest
	case kindUnavailable:
		return fasthttp.StatusServiceUnavailable
	}
	return fasthttp.StatusInternalServerError
}

// failAPI answers in the notation of Prometheus's API.
func failAPI(ctx *fasthttp.RequestCtx, kind errorKind, message string) {
	failAPICode(ctx, kind.code(), kind, message)
}

func failAPICode(ctx *fasthttp.RequestCtx, code int, kind errorKind, message string) {
	body, err := json.Marshal(map[string]string{"status": "error", "errorType": string(kind), "error": message})
	if err != nil {
		body = []byte(`{"status":"error","errorType":"internal","error":"internal error"}`)
	}
	ctx.SetStatusCode(code)
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

// succeedAPI answers data in the notation of Prometheus's API.
func succeedAPI(ctx *fasthttp.RequestCtx, data any) {
	body, err := json.Marshal(map[string]any{"status": "success", "data": data})
	if err != nil {
		failAPI(ctx, kindInternal, err.Error())
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

func failText(ctx *fasthttp.RequestCtx, code int, message string) {
	ctx.SetStatusCode(code)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(message + "\n")
}

func notFound(ctx *fasthttp.RequestCtx) {
	failText(ctx, fasthttp.StatusNotFound, "404 page not found")
}

func wrongMethod(ctx *fasthttp.RequestCtx, allowed string) {
	ctx.Response.Header.Set("Allow", allowed)
	failText(ctx, fasthttp.StatusMethodNotAllowed, "405 method not allowed, use "+allowed)
}

func forbidden(ctx *fasthttp.RequestCtx, message string) {
	failText(ctx, fasthttp.StatusForbidden, message)
}

func unauthorized(ctx *fasthttp.RequestCtx, message string) {
	failAPICode(ctx, fasthttp.StatusUnauthorized, kindUnauthorized, message)
}

func tooManyAttempts(ctx *fasthttp.RequestCtx, message string) {
	ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(retryAfter/time.Second)))
	failAPICode(ctx, fasthttp.StatusTooManyRequests, kindTooMany, message)
}

func bodyTooLarge(ctx *fasthttp.RequestCtx, limit int) {
	ctx.SetConnectionClose()
	failAPICode(ctx, fasthttp.StatusRequestEntityTooLarge, kindBadData, "the request's body is larger than "+formatSize(uint64(limit)))
}

// retryAfter is what refused writers are told to wait.
const retryAfter = 5 * time.Second

func notReady(ctx *fasthttp.RequestCtx, progress string) {
	ctx.Response.Header.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	failAPI(ctx, kindUnavailable, progress)
}

// failRequest answers a request that could not be read.
func failRequest(ctx *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &small):
		failText(ctx, fasthttp.StatusRequestHeaderFieldsTooLarge, "the request's line and headers are too large")
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		failText(ctx, fasthttp.StatusRequestEntityTooLarge, "the request's body is too large")
	case errors.As(err, &network) && network.Timeout():
		failText(ctx, fasthttp.StatusRequestTimeout, "the request did not arrive in time")
	default:
		failText(ctx, fasthttp.StatusBadRequest, "the request is malformed")
	}
	setSecurityHeaders(ctx)
}

package server

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/web"

	"github.com/varve-db/varve/server/auth"
)

// front is the listener's handler: everything that is the same for all routes.
type front struct {
	routes   atomic.Pointer[table]
	prefixes []string
	log      *slog.Logger
	metrics  *metrics
	access   *access
	pages    *web.Files
	now      func() time.Time

	inFlight atomic.Int64
	stopping atomic.Bool
}

// newHTTPServer returns a server whose limits stand between the network and
// handle. Bodies are streams: who reads one bounds it.
func newHTTPServer(c HTTPConfig, handle fasthttp.RequestHandler, log *slog.Logger) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:      handle,
		ErrorHandler: failRequest,
		HeaderReceived: func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: bodyTimeout(c, h.ContentLength())}
		},
		Logger:                printer{log},
		Concurrency:           c.ConnectionsMax,
		ReadBufferSize:        int(c.HeaderBytesMax),
		ReadTimeout:           c.ReadHeaderTimeout,
		WriteTimeout:          c.WriteTimeout,
		IdleTimeout:           c.IdleTimeout,
		TCPKeepalive:          true,
		CloseOnShutdown:       true,
		StreamRequestBody:     true,
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		// A form in parts would be written to temporary files unasked.
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
	}
}

// bodyGrace is what a body may take whatever its size.
const bodyGrace = 30 * time.Second

// bodyTimeout is how long a body of a known size may take: a sender that lets its
// bytes trickle must not hold a connection as long as one with much to say.
func bodyTimeout(c HTTPConfig, bytes int) time.Duration {
	if bytes < 0 || c.BodyRateMin == 0 {
		return c.ReadTimeout // of no known size
	}
	seconds := float64(bytes) / float64(c.BodyRateMin)
	if seconds >= c.ReadTimeout.Seconds() {
		return c.ReadTimeout
	}
	return min(c.ReadTimeout, bodyGrace+time.Duration(seconds*float64(time.Second)))
}

// handle serves one request.
func (f *front) handle(ctx *fasthttp.RequestCtx) {
	start := f.now()
	f.inFlight.Add(1)
	f.metrics.inFlight.Inc()
	name := "none"
	defer func() {
		if cause := recover(); cause != nil {
			f.notePanic(ctx, name, cause)
		}
		f.access.secure(ctx)
		if f.stopping.Load() {
			ctx.SetConnectionClose()
		}
		f.metrics.observe(name, ctx.Response.StatusCode(), f.now().Sub(start))
		f.metrics.inFlight.Dec()
		f.inFlight.Add(-1)
	}()
	f.dispatch(ctx, &name)
}

// dispatch finds the route and serves it. The name is set before a handler runs.
func (f *front) dispatch(ctx *fasthttp.RequestCtx, name *string) {
	t := f.routes.Load()
	path := string(ctx.URI().PathOriginal())
	stripped := stripPrefix(path, f.prefixes)
	if stripped == "" { // the prefix itself: its page has relative links
		ctx.Response.Header.Set("Location", path[strings.LastIndexByte(path, '/')+1:]+"/")
		ctx.SetStatusCode(fasthttp.StatusFound)
		return
	}
	if stripped != path {
		ctx.URI().SetPath(stripped)
	}
	method := string(ctx.Method())
	r, values, allowed := t.find(method, stripped)
	switch {
	case r != nil:
		*name = r.path
	case len(allowed) > 0 && method == fasthttp.MethodOptions:
		ctx.Response.Header.Set("Allow", strings.Join(allowed, ", "))
		ctx.SetStatusCode(fasthttp.StatusNoContent)
		return
	case len(allowed) > 0:
		wrongMethod(ctx, strings.Join(allowed, ", "))
		return
	default:
		t.fallback(ctx)
		return
	}
	if method != fasthttp.MethodOptions { // browsers ask what they may without credentials
		if r.scope == auth.Admin {
			defer f.access.audit(ctx, r)
		}
		if !f.access.admit(ctx, r) {
			return
		}
	}
	if r.changes && crossSite(ctx) {
		forbidden(ctx, "pages of other sites cannot change anything here")
		return
	}
	for _, v := range values {
		ctx.SetUserValue(v.name, v.value)
	}
	if r.bodyBytesMax > 0 && !readBody(ctx, r.bodyBytesMax) {
		return
	}
	r.handle(ctx)
}

func (f *front) notePanic(ctx *fasthttp.RequestCtx, route string, cause any) {
	f.metrics.panics.Inc()
	f.log.Error("handler panicked", "route", route, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	ctx.Response.Reset()
	ctx.SetConnectionClose()
	failAPI(ctx, kindInternal, "internal error: the request made a handler fail, the log has the details")
}

// readBody replaces the body's stream by its bytes, for handlers of forms. It
// answers and returns false when there are more than limit or none to be had.
func readBody(ctx *fasthttp.RequestCtx, limit int) bool {
	if ctx.Request.Header.ContentLength() > limit {
		bodyTooLarge(ctx, limit)
		return false
	}
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return true
	}
	body, err := io.ReadAll(io.LimitReader(stream, int64(limit)+1))
	switch {
	case err != nil:
		ctx.SetConnectionClose()
		failRequest(ctx, err)
		return false
	case len(body) > limit:
		bodyTooLarge(ctx, limit)
		return false
	}
	ctx.Request.SetBodyRaw(body)
	return true
}

// crossSite reports whether a browser sent a request on behalf of a page of
// another site. Browsers say so in Sec-Fetch-Site, other clients say nothing.
func crossSite(ctx *fasthttp.RequestCtx) bool {
	if ctx.IsGet() || ctx.IsHead() {
		return false
	}
	switch string(ctx.Request.Header.Peek("Sec-Fetch-Site")) {
	case "", "same-origin", "none":
		return false
	}
	return true
}

func setSecurityHeaders(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	ctx.Response.Header.Set("X-Frame-Options", "DENY")
	ctx.Response.Header.Set("Referrer-Policy", "no-referrer")
}

// printer lets fasthttp log through slog.
type printer struct{ log *slog.Logger }

func (p printer) Printf(format string, args ...any) {
	p.log.Warn("http server message", "text", fmt.Sprintf(format, args...))
}

package api

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/prometheus/util/annotations"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/query/watch"
)

// call is one request under way.
type call struct {
	api    *API
	http   *fasthttp.RequestCtx // void once the handler has returned
	params *params
	from   Source // what it may read
	ends   []func()
}

// atEnd makes f run once the body has been written or given up, last added first.
func (c *call) atEnd(f func()) { c.ends = append(c.ends, f) }

func (c *call) end() {
	for _, f := range slices.Backward(c.ends) {
		f()
	}
	c.ends = nil
}

// answer is what a successful call says.
type answer struct {
	data     part
	warnings annotations.Annotations
	// query places warnings in its text.
	query string
}

// json makes a handler of f that answers in the API's JSON.
func (a *API) json(name string, f func(context.Context, *call) (answer, error)) func(*fasthttp.RequestCtx) {
	run := func(ctx context.Context, c *call) error {
		if err := c.params.unreadable; err != nil {
			return badData(fmt.Errorf("error reading form values: %w", err))
		}
		answer, err := f(ctx, c)
		if err != nil {
			return err
		}
		c.http.SetContentType("application/json")
		return c.send(envelope(answer))
	}
	return a.serve(name, run, failJSON)
}

// plain makes a handler of f, which answers as it likes, and in text when it fails.
func (a *API) plain(name string, f func(context.Context, *call) error) func(*fasthttp.RequestCtx) {
	return a.serve(name, f, failText)
}

func (a *API) serve(name string, run func(context.Context, *call) error, fail func(*fasthttp.RequestCtx, *failure)) func(*fasthttp.RequestCtx) {
	return func(rc *fasthttp.RequestCtx) {
		began := time.Now()
		a.allowOrigin(rc)
		rc.Response.Header.Add("Vary", "Accept-Encoding")
		if rc.IsOptions() {
			rc.SetStatusCode(fasthttp.StatusNoContent)
			return
		}
		c := &call{api: a, http: rc, params: readParams(rc, a.options.FormBytesMax), from: a.deps.source(rc)}
		err := a.run(c, name, run)
		if err != nil {
			c.end()
			f := classify(err)
			if f.kind == kindInternal {
				a.options.Logger.Error("request failed", "endpoint", name, "err", f.err)
			}
			fail(rc, f)
		}
		a.metrics.served(name, rc.Response.StatusCode(), time.Since(began))
	}
}

// run runs a call that ends when its client leaves or the API closes. A panic
// fails the request and not the process, which may be writing.
func (a *API) run(c *call, name string, f func(context.Context, *call) error) (err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	c.atEnd(func() { cancel(nil) })
	if err := a.enter(c, cancel); err != nil {
		return err
	}
	c.atEnd(func() { a.leave(c) })
	ctx, stop := watch.Conn(ctx, c.http.Conn(), a.options.Watch)
	c.atEnd(stop)
	defer func() {
		if reason := recover(); reason != nil {
			a.metrics.panics.Inc()
			a.options.Logger.Error("request panicked", "endpoint", name, "reason", reason, "stack", string(debug.Stack()))
			err = &failure{kindInternal, errors.New("internal error: the request failed unexpectedly, see the server's log")}
		}
	}()
	return f(ctx, c)
}

// send makes from the body of the answer.
func (c *call) send(from source) error {
	compress := acceptsGzip(string(c.http.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)))
	return c.api.buffers.send(c.http, from, compress, c.end)
}

// allowOrigin lets scripts from other origins read the answer.
func (a *API) allowOrigin(rc *fasthttp.RequestCtx) {
	header := &rc.Response.Header
	header.Add("Vary", "Origin")
	origin := rc.Request.Header.Peek("Origin")
	if len(origin) == 0 {
		return
	}
	header.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin")
	header.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	header.Set("Access-Control-Expose-Headers", "Date")
	switch allowed := a.options.CORSOrigin; {
	case allowed == nil:
		header.Set("Access-Control-Allow-Origin", "*")
	case allowed.Match(origin):
		header.SetBytesV("Access-Control-Allow-Origin", origin)
	}
}

func failJSON(rc *fasthttp.RequestCtx, f *failure) {
	body := append([]byte(nil), `{"status":"error","errorType":`...)
	body = appendString(body, f.kind.name, escapeHTML)
	body = appendString(append(body, `,"error":`...), f.Error(), escapeHTML)
	clearBody(rc, f.kind.code)
	rc.SetContentType("application/json")
	rc.SetBody(append(body, '}'))
}

func failText(rc *fasthttp.RequestCtx, f *failure) {
	clearBody(rc, f.kind.code)
	rc.SetContentType("text/plain; charset=utf-8")
	rc.Response.Header.Set("X-Content-Type-Options", "nosniff")
	rc.SetBodyString(f.Error() + "\n")
}

// clearBody drops what a failed handler may have prepared.
func clearBody(rc *fasthttp.RequestCtx, code int) {
	rc.Response.ResetBody()
	rc.Response.Header.Del(fasthttp.HeaderContentEncoding)
	rc.SetStatusCode(code)
}

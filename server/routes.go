package server

import (
	"encoding/json"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"

	"github.com/varve-db/varve/server/auth"
)

var (
	get       = []string{fasthttp.MethodGet}
	post      = []string{fasthttp.MethodPost}
	getPost   = []string{fasthttp.MethodGet, fasthttp.MethodPost}
	putPost   = []string{fasthttp.MethodPost, fasthttp.MethodPut}
	kvChanges = []string{fasthttp.MethodDelete, fasthttp.MethodPost, fasthttp.MethodPut}
	apiPaths  = []string{"/api/", "/kv/", "/write", "/influx/", "/query", "/federate"}
)

const (
	bodyless  = 64 << 10 // bytes of a body that nobody reads
	pprofPath = "/debug/pprof/"
)

// ownRoutes are the routes that the node serves from its first moment to its last.
func (n *Node) ownRoutes() []route {
	c := n.Config()
	metricsHandler := fasthttpadaptor.NewFastHTTPHandler(promhttp.InstrumentMetricHandler(
		n.registry, promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 8})))
	routes := []route{
		{methods: get, path: "/-/healthy", handle: n.health.healthy, scope: auth.Public},
		{methods: get, path: "/-/ready", handle: n.health.readiness, scope: auth.Public},
		{methods: get, path: "/metrics", handle: metricsHandler, scope: auth.Read, shared: true},
		{methods: get, path: "/version", handle: n.version, scope: auth.Read},
		{methods: get, path: "/api/v1/openapi.yaml", handle: describe, scope: auth.Read},
		{methods: putPost, path: "/-/reload", handle: n.lifecycle(n.reload), scope: auth.Admin, shared: true, changes: true, bodyBytesMax: bodyless},
		{methods: putPost, path: "/-/quit", handle: n.lifecycle(n.quitByRequest), scope: auth.Admin, shared: true, changes: true, bodyBytesMax: bodyless},
	}
	for _, path := range n.front.pages.Paths() {
		routes = append(routes, route{methods: get, path: path, handle: n.front.pages.Handle, scope: auth.Read})
	}
	if c.Web.EnablePprof {
		routes = append(routes,
			route{methods: get, path: pprofPath, handle: pprofhandler.PprofHandler, scope: auth.Admin, shared: true},
			route{methods: getPost, path: pprofPath + "*", handle: pprofhandler.PprofHandler, scope: auth.Admin, shared: true, bodyBytesMax: bodyless})
	}
	return routes
}

// unassembled answers for routes that are not there yet.
func (n *Node) unassembled(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	for _, p := range apiPaths {
		if strings.HasPrefix(path, p) {
			notReady(ctx, "the database is not ready: "+n.health.phase().name)
			return
		}
	}
	notFound(ctx)
}

func (n *Node) version(ctx *fasthttp.RequestCtx) {
	body, err := json.Marshal(n.options.Build)
	if err != nil {
		failAPI(ctx, kindInternal, err.Error())
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}

// lifecycle lets handle through only when the settings allow it.
func (n *Node) lifecycle(handle fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if !n.Config().Web.EnableLifecycle {
			forbidden(ctx, "Lifecycle API is not enabled.")
			return
		}
		handle(ctx)
	}
}

func (n *Node) reload(ctx *fasthttp.RequestCtx) {
	if err := n.Reload(); err != nil {
		n.log.Error("reload failed", "err", err)
		failText(ctx, fasthttp.StatusInternalServerError, err.Error())
	}
}

func (n *Node) quitByRequest(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString("Requesting termination... Goodbye!\n")
	n.log.Info("asked to quit by a request")
	n.Quit()
}

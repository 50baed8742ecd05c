package api

import (
	"context"
	"strings"

	"github.com/valyala/fasthttp"
)

// Route is one endpoint, for the server to mount under its prefixes.
type Route struct {
	Methods []string
	// Path is literal but for segments in braces, which stand for any one segment.
	Path   string
	Handle func(*fasthttp.RequestCtx)
	// Admin marks what only operators may do.
	Admin bool
}

// Matches reports whether path, percent-encoded and without a prefix, is the
// route's.
func (r Route) Matches(path string) bool {
	pattern, more := strings.TrimPrefix(r.Path, "/"), true
	path = strings.TrimPrefix(path, "/")
	for more {
		var want, have string
		var pathGoesOn bool
		want, pattern, more = strings.Cut(pattern, "/")
		have, path, pathGoesOn = strings.Cut(path, "/")
		variable := strings.HasPrefix(want, "{") && have != ""
		if want != have && !variable || more != pathGoesOn {
			return false
		}
	}
	return true
}

// Routes lists the endpoints. What is not listed does not exist.
func (a *API) Routes() []Route {
	read := []string{fasthttp.MethodGet, fasthttp.MethodPost, fasthttp.MethodOptions}
	get := []string{fasthttp.MethodGet, fasthttp.MethodOptions}
	v1 := func(methods []string, path string, f func(context.Context, *call) (answer, error)) Route {
		return Route{Methods: methods, Path: "/api/v1" + path, Handle: a.json(endpoint(path), f)}
	}
	return append(a.deletionRoutes(), []Route{
		v1(read, "/query", a.query),
		v1(read, "/query_range", a.queryRange),
		v1(read, "/query_explain", a.queryExplain),
		v1(read, "/query_exemplars", a.queryExemplars),
		v1(read, "/format_query", a.formatQuery),
		v1(read, "/parse_query", a.parseQuery),
		v1(read, "/labels", a.labelNames),
		v1(read, "/label/{name}/values", a.labelValues),
		v1(read, "/series", a.series),
		v1(get, "/metadata", a.metadata),
		v1(get, "/scrape_pools", a.scrapePools),
		v1(get, "/targets", a.targets),
		v1(get, "/targets/metadata", a.targetMetadata),
		v1(get, "/alertmanagers", a.alertmanagers),
		v1(get, "/rules", a.rules),
		v1(get, "/alerts", a.alerts),
		v1(get, "/features", a.features),
		v1(read, "/status/buildinfo", a.buildInfo),
		v1(get, "/status/runtimeinfo", a.runtimeInfo),
		v1(get, "/status/flags", a.flags),
		v1(get, "/status/config", a.config),
		v1(get, "/status/tsdb", a.cardinality),
		v1(get, "/status/active_queries", a.activeQueries),
		{[]string{fasthttp.MethodDelete}, "/api/v1/status/active_queries", a.json("status_active_queries", a.endQuery), true},
		v1(get, "/status/query_ledger", a.queryLedger),
		{[]string{fasthttp.MethodPost}, "/api/v1/read", a.plain("read", a.read), false},
		{read, "/api/v1/export", a.plain("export", a.export), false},
		{[]string{fasthttp.MethodGet}, "/federate", a.plain("federate", a.federate), false},
	}...)
}

// endpoint names a path in metrics.
func endpoint(path string) string {
	return strings.NewReplacer("/", "_", "{", "", "}", "").Replace(strings.TrimPrefix(path, "/"))
}

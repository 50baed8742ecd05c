package ingest

import "github.com/valyala/fasthttp"

// Route is a path at which samples come in, or at which senders ask first.
type Route struct {
	Methods []string
	Path    string
	Handle  fasthttp.RequestHandler
	// Public marks routes that tell nothing and take nothing.
	Public bool
}

// Routes lists all doors. Paths that end the same are the same door, mounted
// where senders built for other servers look for it.
func (h *Handler) Routes() []Route {
	post := []string{fasthttp.MethodPost}
	get := []string{fasthttp.MethodGet}
	var all []Route
	at := func(methods []string, handle fasthttp.RequestHandler, public bool, paths ...string) {
		for _, path := range paths {
			all = append(all, Route{methods, path, handle, public})
		}
	}
	at(post, h.Handle, false, "/api/v1/write", "/api/v1/push", "/api/prom/push")
	at(post, h.OTLP, false, "/api/v1/otlp/v1/metrics")
	at(post, h.Influx, false, "/write", "/api/v2/write", "/influx/write", "/influx/api/v2/write")
	at(append(get, post...), h.InfluxQuery, false, "/query", "/influx/query")
	at(get, h.InfluxPing, true, "/ping", "/influx/ping")
	at(get, h.InfluxHealth, true, "/influx/health")
	at(post, h.ImportText, false, "/api/v1/import/prometheus")
	at(post, h.ImportLines, false, "/api/v1/import")
	return all
}

package server

import (
	_ "embed"

	"github.com/valyala/fasthttp"
)

//go:embed page.html
var pageHTML []byte

// page is the front page. Its links are relative, so that it works under any
// prefix, and it asks nothing of other hosts.
func page(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	ctx.SetBody(pageHTML)
}

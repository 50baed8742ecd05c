package server

import (
	_ "embed"

	"github.com/valyala/fasthttp"
)

// openAPI describes every route; a test compares it with them.
//
//go:embed openapi.yaml
var openAPI []byte

// describe sends the description of the API.
func describe(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/yaml")
	ctx.SetBody(openAPI)
}

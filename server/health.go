package server

import (
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// phase is where a node is in its life.
type phase struct {
	name  string // for people
	ready bool
}

var (
	phaseStarting   = phase{name: "starting"}
	phaseRecovering = phase{name: "opening the store and replaying its log"}
	phaseReady      = phase{name: "ready", ready: true}
	phaseStopping   = phase{name: "stopping"}
)

// health answers whether the node lives and whether it can serve.
type health struct{ current atomic.Pointer[phase] }

func (h *health) set(p phase) { h.current.Store(&p) }

func (h *health) phase() phase {
	if p := h.current.Load(); p != nil {
		return *p
	}
	return phaseStarting
}

func (h *health) healthy(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString("Varve is healthy.\n")
}

func (h *health) readiness(ctx *fasthttp.RequestCtx) {
	p := h.phase()
	if !p.ready {
		failText(ctx, fasthttp.StatusServiceUnavailable, "Varve is not ready: "+p.name+".")
		return
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString("Varve is ready.\n")
}

package server

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/server/auth"
	"github.com/varve-db/varve/tenant"
)

// tenantHeader names the tenant of a request, as Mimir, Loki and Grafana send it.
const tenantHeader = "X-Scope-OrgID"

// access finds out who sends a request, and for which tenant, before its handler
// runs.
type access struct {
	gate   *auth.Gate
	log    *slog.Logger
	denied *prometheus.CounterVec
	// tenants is nil while the store is not open.
	tenants atomic.Pointer[tenant.Registry]
}

// caller is what handlers can know of the sender of a request.
type caller struct {
	identity *auth.Identity
	name     string         // of the tenant
	tenant   *tenant.Tenant // nil: nothing was ever stored for it
}

// callerKey is the user value under which a request has its caller.
type callerKey struct{}

// callerOf returns the caller of a request, or of a context made from one; nil
// where there is none.
func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// tenantOf returns the number of the tenant that a request is about; tenant.None
// when nothing was ever stored for it.
func tenantOf(ctx *fasthttp.RequestCtx) series.TenantID {
	switch c := callerOf(ctx); {
	case c == nil:
		return series.DefaultTenant
	case c.tenant == nil:
		return tenant.None
	default:
		return c.tenant.ID
	}
}

// Why requests are denied, as the metric says it.
const (
	deniedMissing = "no_credentials"
	deniedWrong   = "wrong_credentials"
	deniedBusy    = "too_many_attempts"
	deniedScope   = "scope"
	deniedTenant  = "tenant"
	deniedSize    = "request_bytes"
)

// admit lets a request pass to its route, or answers it and returns false. A
// route without a scope is for administrators.
func (a *access) admit(ctx *fasthttp.RequestCtx, r *route) bool {
	scope := r.scope
	if scope == 0 {
		scope = auth.Admin
	}
	if scope == auth.Public {
		return true
	}
	who, err := a.gate.Identify(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization), addressOf(ctx.Conn()))
	if err != nil {
		a.challenge(ctx, err)
		return false
	}
	if !who.May(scope) {
		return a.deny(ctx, deniedScope, "this needs the scope "+scope.String()+", which "+who.Name+" does not have")
	}
	c := &caller{identity: who}
	ctx.SetUserValue(callerKey{}, c)
	header := ctx.Request.Header.PeekAll(tenantHeader)
	switch {
	case len(header) > 1:
		return a.badTenant(ctx, errors.New("several "+tenantHeader+" headers: name one tenant"))
	case len(header) == 1 && len(header[0]) > 0:
		c.name = string(header[0])
	case len(who.Tenants) == 1:
		c.name = who.Tenants[0]
	default:
		c.name = tenant.Default
	}
	if err := tenant.CheckName(c.name); err != nil {
		return a.badTenant(ctx, err)
	}
	switch {
	case who.Tenants != nil && !slices.Contains(who.Tenants, c.name):
		return a.deny(ctx, deniedTenant, who.Name+" may not name the tenant "+c.name+" (header "+tenantHeader+")")
	case r.shared && c.name != tenant.Default:
		return a.deny(ctx, deniedTenant, "this is of the whole node, and only for the tenant "+tenant.Default)
	}
	if known := a.tenants.Load(); known != nil {
		c.tenant, _ = known.Find(c.name)
	}
	if scope == auth.Write && a.tooLarge(ctx, c.name) {
		return false
	}
	if scope == auth.Read && c.tenant != nil {
		c.tenant.Usage.Queries.Add(1)
	}
	return true
}

// tooLarge answers a write whose body is larger than its tenant may send. One that
// does not say its size is held to the limit of all.
func (a *access) tooLarge(ctx *fasthttp.RequestCtx, name string) bool {
	known := a.tenants.Load()
	if known == nil {
		return false
	}
	limit := known.LimitsOf(name).RequestBytesMax
	if size := ctx.Request.Header.ContentLength(); limit == 0 || size < 0 || uint64(size) <= limit {
		return false
	}
	a.denied.WithLabelValues(deniedSize).Inc()
	ctx.SetConnectionClose()
	bodyTooLarge(ctx, int(min(limit, math.MaxInt)))
	return true
}

// challenge answers a request whose credentials do not do.
func (a *access) challenge(ctx *fasthttp.RequestCtx, err error) {
	ctx.SetConnectionClose() // a body may be on its way that nobody reads
	if errors.Is(err, auth.ErrBusy) {
		a.denied.WithLabelValues(deniedBusy).Inc()
		tooManyAttempts(ctx, err.Error())
		return
	}
	reason := deniedWrong
	if errors.Is(err, auth.ErrMissing) {
		reason = deniedMissing
	}
	a.denied.WithLabelValues(reason).Inc()
	for _, c := range a.gate.Challenges() {
		ctx.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, c)
	}
	unauthorized(ctx, err.Error())
}

func (a *access) deny(ctx *fasthttp.RequestCtx, reason, message string) bool {
	a.denied.WithLabelValues(reason).Inc()
	ctx.SetConnectionClose()
	failAPICode(ctx, fasthttp.StatusForbidden, kindForbidden, message)
	return false
}

func (a *access) badTenant(ctx *fasthttp.RequestCtx, err error) bool {
	ctx.SetConnectionClose()
	failAPI(ctx, kindBadData, err.Error())
	return false
}

// audit notes a call to a route for administrators, whatever came of it.
func (a *access) audit(ctx *fasthttp.RequestCtx, r *route) {
	user, name := "", ""
	if c := callerOf(ctx); c != nil {
		user, name = c.identity.Name, c.name
	}
	a.log.Info("admin call", "user", user, "tenant", name, "remote", ctx.RemoteAddr().String(),
		"method", string(ctx.Method()), "route", r.path, "path", string(ctx.Path()), "status", ctx.Response.StatusCode())
}

// secure sets the headers that keep browsers from misusing an answer, unless its
// handler has. The web configuration has the last word.
func (a *access) secure(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	setSecurityHeaders(ctx)
	if len(h.Peek(fasthttp.HeaderContentSecurityPolicy)) == 0 && strings.HasPrefix(string(h.ContentType()), "text/html") {
		h.Set(fasthttp.HeaderContentSecurityPolicy, "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'")
	}
	if ctx.IsTLS() {
		h.Set(fasthttp.HeaderStrictTransportSecurity, "max-age=31536000")
	}
	for name, value := range a.gate.Headers() {
		if value == "" {
			h.Del(name)
		} else {
			h.Set(name, value)
		}
	}
}

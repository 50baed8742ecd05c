package server

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/crypto/bcrypt"

	"github.com/varve-db/varve/server/auth"
)

// tokenOf is the token with one scope, or of a tenant.
func tokenOf(name string) string { return strings.Repeat(name+"-", 8) }

// guarded writes a web configuration with a token for each scope, one for the
// tenant team-a, and a user.
func guarded(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("wonder"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("basic_auth_users: {alice: %s}\ntokens:\n", hash)
	for _, name := range []string{"read", "write", "admin"} {
		text += fmt.Sprintf("  - {name: %s, token_file: %s, scopes: [%s]}\n", name, name, name)
		writeFile(t, filepath.Join(dir, name), tokenOf(name))
	}
	text += "  - {name: team, token_file: team, tenants: [team-a]}\n  - {name: two, token_file: two, tenants: [team-a, team-b]}\n"
	writeFile(t, filepath.Join(dir, "team"), tokenOf("team"))
	writeFile(t, filepath.Join(dir, "two"), tokenOf("two"))
	path := filepath.Join(dir, "web.yml")
	writeFile(t, path, text)
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// allRoutes lists every route of a node.
func allRoutes(n *testNode) []*route {
	t := n.front.routes.Load()
	list := slices.Clone(t.patterns)
	for _, path := range slices.Sorted(maps.Keys(t.exact)) {
		list = append(list, t.exact[path]...)
	}
	return list
}

// TestEveryScopeOnEveryRoute asks every route of a complete node with every
// scope, and holds each answer against the table.
func TestEveryScopeOnEveryRoute(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) {
		c.Web.EnablePprof, c.Web.ConfigFile = true, guarded(t)
		// The last routes do what they say, so lifecycle stays off: it is looked
		// at behind the scope.
	})
	for _, r := range allRoutes(n) {
		if !slices.Contains([]auth.Scope{auth.Public, auth.Read, auth.Write, auth.Admin}, r.scope) {
			t.Errorf("%v %s has no scope", r.methods, r.path)
		}
		if strings.Contains(r.path, "/debug/pprof") {
			continue // a profile takes half a minute
		}
		path := strings.NewReplacer("{name}", "job", "*", "x/y", "{", "", "}", "").Replace(r.path)
		for _, method := range r.methods {
			for _, has := range []auth.Scope{0, auth.Read, auth.Write, auth.Admin} {
				var headers []string
				if has != 0 {
					headers = []string{"Authorization", "Bearer " + tokenOf(has.String())}
				}
				got := n.do(method, path, "", headers...)
				want := "an answer"
				switch {
				case method == fasthttp.MethodOptions || r.scope == auth.Public:
				case has == 0:
					want = "401"
				case has != r.scope:
					want = "403 of the scope"
				}
				is := "an answer"
				switch {
				case got.code == 401:
					is = "401"
				case got.code == 403 && strings.Contains(got.body, `"errorType":"forbidden"`):
					is = "403 of the scope"
				}
				if is != want {
					t.Errorf("%s %s with scope %s: got %d %q, want %s", method, path, has, got.code, got.body, want)
				}
			}
		}
	}
}

func TestDenials(t *testing.T) {
	n := openNode(t, func(c *Config, _ *Options) { c.Web.ConfigFile = guarded(t) }, fakeParts(
		route{methods: post, path: "/seal", scope: auth.Admin, handle: func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(204) }},
		route{methods: get, path: "/forgotten", handle: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("secret") }},
		route{methods: get, path: "/tenant", scope: auth.Read, handle: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(callerOf(ctx).name) }},
		route{methods: get, path: "/node", scope: auth.Read, shared: true, handle: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("all") }},
	)).serve().awaitReady()
	bearer := func(name string, more ...string) []string {
		return append([]string{"Authorization", "Bearer " + tokenOf(name)}, more...)
	}
	got := n.get("/tenant")
	got.want(t, "nobody", 401, `{"error":"credentials are needed`)
	if c := got.header.Values("Www-Authenticate"); len(c) != 2 || !strings.HasPrefix(c[0], "Basic ") || !strings.HasPrefix(c[1], "Bearer ") {
		t.Errorf("challenges %q", c)
	}
	n.do("GET", "/tenant", "", "Authorization", "Bearer wrong").want(t, "wrong token", 401, `"errorType":"unauthorized"`)
	n.do("GET", "/tenant", "", bearer("write")...).want(t, "wrong scope", 403, "needs the scope read, which write does not have")
	n.do("GET", "/forgotten", "", bearer("read")...).want(t, "route without a scope", 403, "needs the scope admin")
	n.do("GET", "/-/healthy", "").want(t, "health", 200, "healthy")
	n.do("GET", "/-/ready", "").want(t, "readiness", 200, "ready")
	n.do("GET", "/nothing", "").want(t, "no route", 404, "")

	password := base64.StdEncoding.EncodeToString([]byte("alice:wonder"))
	n.do("GET", "/tenant", "", "Authorization", "Basic "+password).want(t, "user", 200, "anonymous")
	n.do("GET", "/tenant", "", bearer("read", tenantHeader, "Team!-_.*'()9")...).want(t, "tenant", 200, "Team!-_.*'()9")
	n.do("GET", "/tenant", "", bearer("read", tenantHeader, "a|b")...).want(t, "several tenants", 400, "several tenants: ask them one by one")
	n.do("GET", "/tenant", "", bearer("read", tenantHeader, "..")...).want(t, "dots", 400, "cannot be called")
	n.do("GET", "/tenant", "", bearer("read", tenantHeader, "a/b")...).want(t, "slash", 400, "has the byte '/' in it")
	n.do("GET", "/tenant", "", bearer("read", tenantHeader, strings.Repeat("a", 151))...).want(t, "long name", 400, "151 bytes, the limit is 150")
	n.do("GET", "/tenant", "", bearer("team")...).want(t, "bound to one tenant", 200, "team-a")
	n.do("GET", "/tenant", "", bearer("team", tenantHeader, "team-a")...).want(t, "own tenant", 200, "team-a")
	n.do("GET", "/tenant", "", bearer("team", tenantHeader, "team-b")...).want(t, "other tenant", 403, "may not name the tenant team-b")
	n.do("GET", "/tenant", "", bearer("two")...).want(t, "bound to two, none named", 403, "may not name the tenant anonymous")
	n.do("GET", "/tenant", "", bearer("two", tenantHeader, "team-b")...).want(t, "bound to two", 200, "team-b")
	n.do("GET", "/node", "", bearer("read")...).want(t, "the whole node", 200, "all")
	n.do("GET", "/node", "", bearer("team")...).want(t, "the whole node for one tenant", 403, "of the whole node")
	n.do("GET", "/node", "", bearer("read", tenantHeader, "team-a")...).want(t, "the whole node by a tenant's name", 403, "of the whole node")

	n.do("POST", "/seal", "", bearer("admin", tenantHeader, "team-a")...).want(t, "admin call", 204, "")
	n.do("POST", "/seal", "", bearer("read")...).want(t, "denied admin call", 403, "")
	for _, want := range []string{
		`msg="admin call" user=admin tenant=team-a remote=127.0.0.1:`, "method=POST route=/seal path=/seal status=204", "route=/seal path=/seal status=403",
	} {
		if !strings.Contains(n.log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, n.log)
		}
	}
	metrics := n.do("GET", "/metrics", "", bearer("read")...)
	for _, want := range []string{`denied_requests_total{reason="no_credentials"} 1`, `denied_requests_total{reason="wrong_credentials"} 1`, `denied_requests_total{reason="tenant"} 4`} {
		metrics.want(t, "metrics", 200, want)
	}
}

func TestPasswordsAreNotTriedForever(t *testing.T) {
	n := openNode(t, func(c *Config, _ *Options) { c.Web.ConfigFile = guarded(t) }, fakeParts()).serve().awaitReady()
	last := answer{}
	for i := range 40 {
		guess := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "alice:guess%d", i))
		if last = n.do("GET", "/version", "", "Authorization", "Basic "+guess); last.code == 429 {
			break
		}
	}
	last.want(t, "many guesses", 429, "too many passwords were tried")
	if last.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	right := base64.StdEncoding.EncodeToString([]byte("alice:wonder"))
	deadline := time.Now().Add(10 * time.Second)
	for n.do("GET", "/version", "", "Authorization", "Basic "+right).code != 200 {
		if time.Now().After(deadline) {
			t.Fatal("the user stays locked out")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestWebConfigurationFollowsReloads(t *testing.T) {
	path := guarded(t)
	n := openNode(t, func(c *Config, o *Options) {
		c.Web.ConfigFile, c.Web.EnableLifecycle = path, true
		o.Reload = func() (Config, error) { return *c, nil }
	}, fakeParts()).serve().awaitReady()
	admin := []string{"Authorization", "Bearer " + tokenOf("admin")}
	writeFile(t, path, "http_server_config: {headers: {X-Frame-Options: SAMEORIGIN, Referrer-Policy: x}}\n")
	n.do("POST", "/-/reload", "", admin...).want(t, "reload of a wrong file", 500, `header "Referrer-Policy" cannot be set`)
	n.do("GET", "/version", "", admin...).want(t, "after a failed reload", 403, "needs the scope read")
	writeFile(t, path, fmt.Sprintf("http_server_config: {headers: {x-frame-options: SAMEORIGIN, X-Content-Type-Options: ''}}\ntokens: [{name: admin, token_file: %s}]\n", "admin"))
	n.do("POST", "/-/reload", "", admin...).want(t, "reload", 200, "")
	got := n.do("GET", "/version", "", admin...)
	got.want(t, "after a reload", 200, "1.2.3")
	if got.header.Get("X-Frame-Options") != "SAMEORIGIN" || got.header.Get("X-Content-Type-Options") != "" || got.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers: %v", got.header)
	}
}

func TestPagesComeWithAPolicy(t *testing.T) {
	n := openNode(t, nil, fakeParts(route{methods: get, path: "/page", scope: auth.Read, handle: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/html; charset=utf-8")
	}})).serve().awaitReady()
	for _, path := range []string{"/", "/page"} {
		h := n.get(path).header
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src") || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if h := n.get("/version").header; h.Get("Content-Security-Policy") != "" {
		t.Errorf("/version: %v", h)
	}
}

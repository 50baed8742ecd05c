package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"
)

// logBuffer is a log that tests read while a node writes it.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// testNode is a node whose storage is replaced by parts of the test's.
type testNode struct {
	*Node
	t      *testing.T
	log    *logBuffer
	served chan error
}

// openNode opens a node on a free port without serving.
func openNode(t *testing.T, change func(*Config, *Options), assemble func(context.Context, *Node) (*parts, error)) *testNode {
	t.Helper()
	c := Defaults()
	c.HTTP.Listen = "127.0.0.1:0"
	c.HTTP.ShutdownTimeout = 5 * time.Second
	c.Storage.Path = t.TempDir()
	log := &logBuffer{}
	o := Options{KeepMemoryLimit: true, Log: slog.New(slog.NewTextHandler(log, nil)), Build: Build{Version: "1.2.3"}}
	if change != nil {
		change(&c, &o)
	}
	n, err := Open(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	if assemble != nil {
		n.assemble = assemble
	}
	return &testNode{Node: n, t: t, log: log, served: make(chan error, 1)}
}

// serve starts the node; it is stopped with the test.
func (n *testNode) serve() *testNode {
	go func() { n.served <- n.Serve(context.Background()) }()
	n.t.Cleanup(func() { n.Close() })
	return n
}

func (n *testNode) awaitReady() *testNode {
	n.t.Helper()
	select {
	case <-n.Ready():
	case err := <-n.served:
		n.t.Fatalf("the node ended: %v", err)
	case <-time.After(10 * time.Second):
		n.t.Fatal("the node is not ready after 10 s")
	}
	return n
}

func (n *testNode) url(path string) string { return "http://" + n.Address() + path }

type answer struct {
	code   int
	body   string
	header http.Header
}

func (n *testNode) do(method, path, body string, headers ...string) answer {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), method, n.url(path), strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer{response.StatusCode, string(text), response.Header}
}

func (n *testNode) get(path string) answer { n.t.Helper(); return n.do("GET", path, "") }

// want checks a code and that the body contains text.
func (a answer) want(t *testing.T, what string, code int, text string) {
	t.Helper()
	if a.code != code || !strings.Contains(a.body, text) {
		t.Errorf("%s: got %d %q, want %d %q", what, a.code, a.body, code, text)
	}
}

// fakeParts are parts without a database.
func fakeParts(routes ...route) func(context.Context, *Node) (*parts, error) {
	return func(context.Context, *Node) (*parts, error) {
		return &parts{
			routes: routes, apply: func(Config) error { return nil }, cancel: func() {},
			last: func(context.Context) error { return nil }, close: func() error { return nil },
		}, nil
	}
}

func TestOwnRoutes(t *testing.T) {
	n := openNode(t, func(c *Config, _ *Options) { c.Web.RoutePrefix = "/varve" }, fakeParts()).serve().awaitReady()
	for _, prefix := range []string{"", "/prometheus", "/varve"} {
		n.get(prefix+"/").want(t, "page", 200, "<title>Varve</title>")
		n.get(prefix+"/app.js").want(t, "application", 200, "")
		n.get(prefix+"/-/healthy").want(t, "healthy", 200, "healthy")
		n.get(prefix+"/-/ready").want(t, "ready", 200, "ready")
		n.get(prefix+"/metrics").want(t, "metrics", 200, "varve_build_info{")
		n.get(prefix+"/version").want(t, "version", 200, `"version":"1.2.3"`)
		for _, path := range []string{"/nothing", "/rules/test/test", "/config/v1/rules/test/test", "/api/v1/nothing", "/debug/pprof/", "/-/"} {
			n.get(prefix+path).want(t, path, 404, "404 page not found")
		}
		n.get(prefix+"/-/reload").want(t, "reload by GET", 405, "POST")
		n.do("POST", prefix+"/-/reload", "").want(t, "reload", 403, "Lifecycle API is not enabled.")
		n.do("PUT", prefix+"/-/quit", "").want(t, "quit", 403, "Lifecycle API is not enabled.")
	}
	n.get("/metrics").want(t, "metrics", 200, `varve_server_requests_total{code="404",route="none"}`)
	n.get("/metrics").want(t, "metrics", 200, `go_goroutines`)
	n.do("GET", "/metrics", "", "Accept-Encoding", "gzip").want(t, "compressed metrics", 200, "\x1f\x8b")
	if a := n.get("/varve"); a.code != 302 || a.header.Get("Location") != "varve/" {
		t.Errorf("prefix without a slash: %d to %q", a.code, a.header.Get("Location"))
	}
	if a := n.do("HEAD", "/-/ready", ""); a.code != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.code, a.body)
	}
	for _, path := range []string{"/", "/metrics", "/nothing"} {
		h := n.get(path).header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || h.Get("Server") != "" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

func TestPprofIsBehindItsSetting(t *testing.T) {
	n := openNode(t, func(c *Config, _ *Options) { c.Web.EnablePprof = true }, fakeParts()).serve().awaitReady()
	n.get("/debug/pprof/").want(t, "pprof", 200, "goroutine")
	n.get("/debug/pprof/goroutine?debug=1").want(t, "goroutines", 200, "goroutine profile")
	n.get("/prometheus/debug/pprof/cmdline").want(t, "command line", 200, "test")
}

func TestOptions(t *testing.T) {
	n := openNode(t, nil, fakeParts(route{methods: getPost, path: "/a", handle: notFound})).serve().awaitReady()
	if a := n.do("OPTIONS", "/a", ""); a.code != 204 || a.header.Get("Allow") != "GET, POST" {
		t.Errorf("got %d, allowed %q", a.code, a.header.Get("Allow"))
	}
	n.do("OPTIONS", "/b", "").want(t, "no such path", 404, "")
}

func TestOtherSitesChangeNothing(t *testing.T) {
	served := func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("served") }
	n := openNode(t, nil, fakeParts(route{methods: getPost, path: "/change", changes: true, handle: served}, route{methods: getPost, path: "/ask", handle: served})).serve().awaitReady()
	for _, c := range []struct {
		method, path, site string
		code               int
	}{
		{"POST", "/change", "", 200}, {"POST", "/change", "same-origin", 200}, {"POST", "/change", "none", 200},
		{"POST", "/change", "cross-site", 403}, {"POST", "/change", "same-site", 403},
		{"GET", "/change", "cross-site", 200}, {"POST", "/ask", "cross-site", 200},
	} {
		n.do(c.method, c.path, "", "Sec-Fetch-Site", c.site).want(t, c.method+c.path+" from "+c.site, c.code, "")
	}
}

func TestNotReadyDuringRecovery(t *testing.T) {
	recovered := make(chan struct{})
	n := openNode(t, nil, func(ctx context.Context, n *Node) (*parts, error) {
		<-recovered
		return fakeParts(route{methods: getPost, path: "/api/v1/query", handle: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("served") }})(ctx, n)
	}).serve()
	await(t, func() bool { return strings.Contains(n.get("/-/ready").body, "replaying") })
	n.get("/-/ready").want(t, "ready", 503, "not ready: opening the store and replaying its log")
	n.get("/-/healthy").want(t, "healthy", 200, "")
	n.get("/metrics").want(t, "metrics", 200, "varve_build_info")
	n.get("/api/v1/query?query=1").want(t, "query", 503, `"errorType":"unavailable"`)
	n.get("/nothing").want(t, "nothing", 404, "")
	for _, path := range []string{"/api/v1/write", "/prometheus/api/v1/push", "/kv/v1/a/b", "/write"} {
		a := n.do("POST", path, "x")
		if a.code != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q", path, a.code, a.header.Get("Retry-After"))
		}
	}
	close(recovered)
	n.awaitReady()
	n.get("/-/ready").want(t, "ready", 200, "")
	n.get("/api/v1/query").want(t, "query", 200, "served")
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

func TestFailedRecoveryEndsServe(t *testing.T) {
	broken := errors.New("log is damaged")
	n := openNode(t, nil, func(context.Context, *Node) (*parts, error) { return nil, broken }).serve()
	if err := <-n.served; !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if _, err := net.Dial("tcp", n.Address()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestFailedJobEndsServe(t *testing.T) {
	broken := errors.New("no more flushes")
	closed := false
	n := openNode(t, nil, func(ctx context.Context, n *Node) (*parts, error) {
		p, err := fakeParts()(ctx, n)
		p.jobs = []job{{"flush", func(context.Context) error { return broken }}, {"other", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}}
		p.close = func() error { closed = true; return nil }
		return p, err
	}).serve()
	if err := <-n.served; !errors.Is(err, broken) || !strings.Contains(err.Error(), "run flush") {
		t.Fatalf("got %v", err)
	}
	if !closed {
		t.Error("the store was not closed")
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	var order []string
	var mu sync.Mutex
	note := func(what string) { mu.Lock(); order = append(order, what); mu.Unlock() }
	entered, release := make(chan struct{}), make(chan struct{})
	slow := func(ctx *fasthttp.RequestCtx) {
		close(entered)
		<-release
		if ctx.Err() != nil {
			note("request was cancelled")
		}
		note("request")
		ctx.SetBodyString("finished")
	}
	n := openNode(t, nil, func(ctx context.Context, n *Node) (*parts, error) {
		p, err := fakeParts(route{methods: get, path: "/slow", handle: slow})(ctx, n)
		p.jobs = []job{{"job", func(ctx context.Context) error { <-ctx.Done(); note("job"); return ctx.Err() }}}
		p.last = func(context.Context) error { note("last"); return nil }
		p.close = func() error { note("close"); return nil }
		return p, err
	}).serve().awaitReady()

	answered := make(chan answer)
	go func() { answered <- n.get("/slow") }()
	<-entered
	n.Quit()
	await(t, func() bool { // the port is closed while the request goes on
		c, err := net.Dial("tcp", n.Address())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-n.served:
		t.Fatalf("Serve returned %v with a request in flight", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	(<-answered).want(t, "request in flight", 200, "finished")
	if err := <-n.served; err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(order); got != "[request job last close]" {
		t.Errorf("order of the stop: %s", got)
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	stuck := route{methods: get, path: "/stuck", handle: func(*fasthttp.RequestCtx) { close(entered); <-release }}
	n := openNode(t, func(c *Config, _ *Options) { c.HTTP.ShutdownTimeout = 50 * time.Millisecond }, func(ctx context.Context, n *Node) (*parts, error) {
		p, err := fakeParts(stuck)(ctx, n)
		p.cancel = func() { close(release) }
		return p, err
	}).serve().awaitReady()
	go func() {
		if response, err := http.Get(n.url("/stuck")); err == nil {
			response.Body.Close()
		}
	}()
	<-entered
	n.Quit()
	select {
	case <-n.served:
	case <-time.After(10 * time.Second):
		t.Fatal("a stuck request holds up the stop")
	}
	<-release // it was cancelled
	if log := n.log.String(); !strings.Contains(log, "requests did not finish in time") || strings.Contains(log, "connections were cut") {
		t.Error("nobody was told")
	}
}

func TestPanicIsAnswered(t *testing.T) {
	n := openNode(t, nil, fakeParts(route{methods: get, path: "/panic", handle: func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString("half an ans")
		var none *route
		none.handle(ctx)
	}})).serve().awaitReady()
	for range 2 {
		n.get("/panic").want(t, "panic", 500, `"errorType":"internal"`)
	}
	n.get("/-/healthy").want(t, "healthy", 200, "")
	if got := testutil.ToFloat64(n.metrics.panics); got != 2 {
		t.Errorf("counted %v panics", got)
	}
	if log := n.log.String(); !strings.Contains(log, "handler panicked") || !strings.Contains(log, "node_test.go") {
		t.Errorf("the log does not tell where: %s", log)
	}
}

// raw sends bytes as they are and returns all that comes back.
func (n *testNode) raw(text string) string {
	n.t.Helper()
	c, err := net.Dial("tcp", n.Address())
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		n.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		n.t.Fatal(err)
	}
	back, _ := io.ReadAll(bufio.NewReader(c)) // a reset ends it too
	return string(back)
}

func TestBodiesAreBounded(t *testing.T) {
	form := route{methods: post, path: "/form", bodyBytesMax: 100, handle: func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString("query is " + string(ctx.PostArgs().Peek("query")))
	}}
	n := openNode(t, nil, fakeParts(form)).serve().awaitReady()
	const kind = "application/x-www-form-urlencoded"
	n.do("POST", "/form", "query=up&x="+strings.Repeat("y", 50), "Content-Type", kind).want(t, "form", 200, "query is up")
	n.do("POST", "/form", "query="+strings.Repeat("y", 94), "Content-Type", kind).want(t, "just fits", 200, "query is y")
	n.do("POST", "/form", "query="+strings.Repeat("y", 95), "Content-Type", kind).want(t, "one byte more", 413, "larger than 100B")

	chunked := func(size int) string {
		return fmt.Sprintf("POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\nquery=%s\r\n0\r\n\r\n",
			kind, size, strings.Repeat("z", size-6))
	}
	if got := n.raw(chunked(100)); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "query is z") {
		t.Errorf("chunked body: %q", got)
	}
	if got := n.raw(chunked(101)); !strings.HasPrefix(got, "HTTP/1.1 413") {
		t.Errorf("chunked body, one byte more: %q", got)
	}
	if got := n.raw("POST /form HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("broken chunks: %q", got)
	}
	// Nothing is read of a body that is declared too large.
	if got := n.raw("POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("x", 9000)); !strings.HasPrefix(got, "HTTP/1.1 413") {
		t.Errorf("huge body: %q", got)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	n := openNode(t, func(c *Config, _ *Options) {
		c.HTTP.HeaderBytesMax = 4 << 10
		c.HTTP.ReadHeaderTimeout = 200 * time.Millisecond
	}, fakeParts()).serve().awaitReady()
	if got := n.raw("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 8<<10) + "\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("large headers: %q", got)
	}
	start := time.Now()
	if got := n.raw("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); !strings.HasPrefix(got, "HTTP/1.1 408") {
		t.Errorf("slow headers: %q", got)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("slow headers held the connection for %s", took)
	}
	if got := n.raw("nonsense\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("nonsense: %q", got)
	}
}

func TestSlowBodyHasItsOwnTimeout(t *testing.T) {
	var failed atomic.Bool
	n := openNode(t, func(c *Config, _ *Options) {
		c.HTTP.ReadHeaderTimeout = 100 * time.Millisecond
		c.HTTP.ReadTimeout = 600 * time.Millisecond
	}, fakeParts(route{methods: post, path: "/stream", handle: func(ctx *fasthttp.RequestCtx) {
		_, err := io.ReadAll(ctx.RequestBodyStream())
		failed.Store(err != nil)
	}})).serve().awaitReady()
	c, err := net.Dial("tcp", n.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	fmt.Fprint(c, "POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	time.Sleep(200 * time.Millisecond) // longer than the headers may take
	fmt.Fprint(c, "2\r\nab\r\n")
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	io.ReadAll(c)
	if took := time.Since(start); !failed.Load() || took < 500*time.Millisecond || took > 5*time.Second {
		t.Errorf("the body was given up after %s, failed %v", took, failed.Load())
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	n := openNode(t, func(c *Config, _ *Options) { c.HTTP.ConnectionsMax = 2 }, fakeParts()).serve().awaitReady()
	for range 2 {
		c, err := net.Dial("tcp", n.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.raw("GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 503") {
		t.Errorf("the third connection: %q", got)
	}
}

func TestLifecycle(t *testing.T) {
	wanted := Defaults()
	var applied Config
	level := new(slog.LevelVar)
	n := openNode(t, func(c *Config, o *Options) {
		c.Web.EnableLifecycle = true
		o.Level = level
		o.Reload = func() (Config, error) {
			if wanted.Storage.Path == "" {
				return wanted, errors.New("varve.yml:3: nonsense")
			}
			return wanted, nil
		}
	}, func(ctx context.Context, n *Node) (*parts, error) {
		p, err := fakeParts()(ctx, n)
		p.apply = func(c Config) error { applied = c; return nil }
		return p, err
	}).serve().awaitReady()

	listen := n.Config().HTTP.Listen
	wanted.Log.Level = slog.LevelDebug
	wanted.Retention.Size = 48 << 30
	wanted.HTTP.Listen = "127.0.0.1:9"
	n.do("POST", "/-/reload", "").want(t, "reload", 200, "")
	if level.Level() != slog.LevelDebug || applied.Retention.Size != 48<<30 || n.Config().Retention.Size != 48<<30 {
		t.Errorf("live settings were not taken over: %v", n.Config().Values())
	}
	if n.Config().HTTP.Listen != listen || !strings.Contains(n.log.String(), "setting=http.listen") {
		t.Error("a setting that needs a restart was taken over, or nobody was told")
	}
	wanted.Storage.Path = ""
	wanted.Retention.Size = 96 << 30
	n.do("PUT", "/-/reload", "").want(t, "bad reload", 500, "varve.yml:3: nonsense")
	if n.Config().Retention.Size != 48<<30 {
		t.Error("a failed reload changed settings")
	}
	n.get("/metrics").want(t, "metrics", 200, `varve_server_reloads_total{outcome="failure"} 1`)
	n.do("POST", "/-/quit", "").want(t, "quit", 200, "Goodbye")
	if err := <-n.served; err != nil {
		t.Fatal(err)
	}
}

func TestOpenAndCloseWithoutServe(t *testing.T) {
	n := openNode(t, nil, nil)
	address := n.Address()
	c := Defaults()
	c.HTTP.Listen = address
	if _, err := Open(t.Context(), c, Options{KeepMemoryLimit: true}); err == nil || !strings.Contains(Advice(err), "--http.listen") {
		t.Errorf("a port that is taken: %v, advice %q", err, Advice(err))
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := n.Serve(t.Context()); !errors.Is(err, ErrServed) {
		t.Errorf("Serve after Close: %v", err)
	}
	c.Storage.Path = ""
	if _, err := Open(t.Context(), c, Options{KeepMemoryLimit: true}); err == nil {
		t.Error("a Config that cannot work was taken")
	}
}

func TestListeningBeyondTheMachineIsToldOf(t *testing.T) {
	n := openNode(t, nil, nil)
	defer n.Close()
	if strings.Contains(n.log.String(), "beyond this machine") {
		t.Error("a warning about a loopback listener")
	}
	n.listener.Close()
	n.listener = addressed{n.listener, &net.TCPAddr{IP: net.IPv4zero, Port: 7480}}
	n.warnWhenOpen()
	if !strings.Contains(n.log.String(), "beyond this machine") {
		t.Error("no warning about a listener that all can reach")
	}
}

// addressed is a listener that claims an address.
type addressed struct {
	net.Listener
	address net.Addr
}

func (a addressed) Addr() net.Addr { return a.address }

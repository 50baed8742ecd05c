package api

import (
	"context"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/series"
)

// server is an API behind an HTTP server of its own.
type server struct {
	*http.Client
	api  *API
	base string
}

// loaded returns storage with the data of testdata/data.test and three exemplars.
func loaded(t testing.TB) *teststorage.TestStorage {
	t.Helper()
	data, err := os.ReadFile("testdata/data.test")
	if err != nil {
		t.Fatal(err)
	}
	db := promqltest.LoadedStorage(t, string(data))
	app := db.Appender(context.Background())
	for _, code := range []string{"200", "404", "500"} {
		of := labels.FromStrings("__name__", "http_requests_total", "job", "api", "instance", "a:80", "code", code, "http.status_code", code)
		e := exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "tr"+code), Value: 0.7, Ts: 450123, HasTs: true}
		if _, err := app.AppendExemplar(0, of, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return db
}

// loadedUntil is the time of the last sample of data.test.
var loadedUntil = time.Unix(600, 0)

func described(metric string, limit, _ int) map[string][]series.Metadata {
	all := map[string][]series.Metadata{
		"http_requests_total": {{Metric: "http_requests_total", Type: "counter", Unit: "requests", Help: "Total HTTP requests."}},
		"up":                  {{Metric: "up", Type: "gauge", Help: "Scrape health <1>"}, {Metric: "up", Type: "gauge", Help: "Other"}},
		"undescribed":         {},
	}
	if metric != "" {
		return map[string][]series.Metadata{metric: all[metric]}
	}
	return all
}

func depsOf(from storage.Queryable) Deps {
	return Deps{
		Engine:    query.New(query.Options{}),
		Queryable: from,
		Metadata:  described,
		Flags:     map[string]string{"a": "b"},
		Now:       func() time.Time { return loadedUntil },
	}
}

func depsOfTestStorage(t testing.TB) Deps {
	db := loaded(t)
	deps := depsOf(ordered{db})
	deps.Chunks, deps.Exemplars = db, db
	return deps
}

// ordered is storage whose series come in the order of their labels.
type ordered struct{ storage.Queryable }

func (o ordered) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := o.Queryable.Querier(mint, maxt)
	return orderedQuerier{q}, err
}

type orderedQuerier struct{ storage.Querier }

func (q orderedQuerier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return q.Querier.Select(ctx, true, hints, matchers...)
}

// serve serves an API over a listener in memory, or over TCP when tcp is set; then
// request bodies are streamed too.
func serve(t testing.TB, deps Deps, options Options, tcp bool) *server {
	t.Helper()
	a := New(deps, options)
	routes := a.Routes()
	return listen(t, a, func(rc *fasthttp.RequestCtx) { dispatch(routes, rc) }, tcp)
}

// serveHandler serves one handler of an API, in memory.
func serveHandler(t testing.TB, a *API, handler fasthttp.RequestHandler) *server {
	t.Helper()
	return listen(t, a, handler, false)
}

func listen(t testing.TB, a *API, handler fasthttp.RequestHandler, tcp bool) *server {
	t.Helper()
	s := &fasthttp.Server{Handler: handler, Logger: quiet{}, StreamRequestBody: tcp}
	var listener net.Listener
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	if tcp {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	} else {
		inMemory := fasthttputil.NewInmemoryListener()
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return inMemory.Dial() }
		listener = inMemory
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		a.Close()
		_ = s.Shutdown()
		<-done
	})
	base := "http://varve.test"
	if tcp {
		base = "http://" + listener.Addr().String()
	}
	return &server{Client: &http.Client{Transport: transport}, api: a, base: base}
}

// quiet drops what fasthttp logs about connections that tests break.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// dispatch is what a server does with routes.
func dispatch(routes []Route, rc *fasthttp.RequestCtx) {
	known := false
	for _, r := range routes {
		if !r.Matches(string(rc.URI().PathOriginal())) {
			continue
		}
		known = true
		if slices.Contains(r.Methods, string(rc.Method())) {
			r.Handle(rc)
			return
		}
	}
	if known {
		rc.Error("Method Not Allowed", fasthttp.StatusMethodNotAllowed)
		return
	}
	rc.Error("404 page not found", fasthttp.StatusNotFound)
}

type reply struct {
	code   int
	header http.Header
	body   string
}

// do sends a request; a form is sent as the body of a POST.
func (s *server) do(t testing.TB, method, path, form string, header ...string) reply {
	t.Helper()
	request, err := http.NewRequest(method, s.base+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := s.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{response.StatusCode, response.Header, readAll(t, response)}
}

func (s *server) get(t testing.TB, path string) reply { return s.do(t, http.MethodGet, path, "") }

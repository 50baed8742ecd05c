package server

import (
	"fmt"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestTableFind(t *testing.T) {
	var served string
	serve := func(name string) fasthttp.RequestHandler {
		return func(*fasthttp.RequestCtx) { served = name }
	}
	table := newTable([]route{
		{methods: get, path: "/", handle: serve("root")},
		{methods: get, path: "/a", handle: serve("get a")},
		{methods: post, path: "/a", handle: serve("post a")},
		{methods: getPost, path: "/label/{name}/values", handle: serve("values")},
		{methods: []string{"PUT"}, path: "/kv/{space}/*", handle: serve("kv")},
	}, notFound)
	cases := []struct{ method, path, want, values, allowed string }{
		{"GET", "/", "root", "[]", "[]"},
		{"HEAD", "/", "root", "[]", "[]"},
		{"GET", "/a", "get a", "[]", "[]"},
		{"POST", "/a", "post a", "[]", "[]"},
		{"DELETE", "/a", "", "[]", "[GET POST]"},
		{"GET", "/a/", "", "[]", "[]"},
		{"GET", "/A", "", "[]", "[]"},
		{"GET", "//a", "", "[]", "[]"},
		{"GET", "/label/job/values", "values", "[{name job}]", "[]"},
		{"GET", "/label/a%2Fb%20c/values", "values", "[{name a/b c}]", "[]"},
		{"GET", "/label/%zz/values", "", "[]", "[]"},
		{"GET", "/label//values", "", "[]", "[]"},
		{"GET", "/label/a/b/values", "", "[]", "[]"},
		{"GET", "/label/a/values/", "", "[]", "[]"},
		{"PUT", "/label/a/values", "", "[]", "[GET POST]"},
		{"PUT", "/kv/s/x/y", "kv", "[{space s}]", "[]"},
		{"PUT", "/kv/s/", "", "[]", "[]"},
		{"PUT", "/kv/s", "", "[]", "[]"},
		{"GET", "/kv/s/x", "", "[]", "[PUT]"},
	}
	for _, c := range cases {
		served = ""
		r, values, allowed := table.find(c.method, c.path)
		if r != nil {
			r.handle(nil)
		}
		if served != c.want || fmt.Sprint(values) != c.values || fmt.Sprint(allowed) != c.allowed {
			t.Errorf("%s %s: got %q %v %v, want %q %s %s", c.method, c.path, served, values, allowed, c.want, c.values, c.allowed)
		}
	}
}

func TestStripPrefix(t *testing.T) {
	cases := []struct{ configured, path, want string }{
		{"", "/a", "/a"},
		{"", "/prometheus/a", "/a"},
		{"", "/prometheus", ""},
		{"", "/prometheus/", "/"},
		{"", "/prometheusx/a", "/prometheusx/a"},
		{"/x", "/x/a", "/a"},
		{"/x", "/prometheus/a", "/a"},
		{"/x", "/x/prometheus/a", "/prometheus/a"},
		{"/prometheus/deep", "/prometheus/deep/a", "/a"},
		{"/prometheus", "/prometheus/a", "/a"},
	}
	for _, c := range cases {
		if got := stripPrefix(c.path, prefixes(c.configured)); got != c.want {
			t.Errorf("%q with prefix %q: got %q, want %q", c.path, c.configured, got, c.want)
		}
	}
}

func FuzzMatchPath(f *testing.F) {
	f.Add("/label/{name}/values", "/label/a%2fb/values")
	f.Add("/kv/*", "/kv/a/b")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		matchPath(pattern, path)
		if _, ok := matchPath("/api/{name}/values", path); ok && path[:5] != "/api/" {
			t.Fatalf("%q matched", path)
		}
	})
}

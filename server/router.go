package server

import (
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/server/auth"
)

// route is one path of the listener.
//
// A segment of the path written {name} matches any one segment, which the
// handler finds, unescaped, under ctx.UserValue(name). A last segment * matches
// the rest of the path, one segment or more.
type route struct {
	methods []string
	path    string
	handle  fasthttp.RequestHandler
	// changes marks routes whose requests change something: a browser must not be
	// brought to send them by a page of another site.
	changes bool
	// scope is what callers must have; without one only administrators may call.
	scope auth.Scope
	// shared marks routes that are of the whole node: who is bound to a tenant
	// has no access to them.
	shared bool
	// bodyBytesMax above 0 reads the body before the handler runs, and answers
	// 413 when it is larger; at 0 the handler reads and bounds the stream itself.
	bodyBytesMax int
}

// table finds the route of a request.
type table struct {
	exact    map[string][]*route
	patterns []*route
	// fallback answers where there is no route.
	fallback fasthttp.RequestHandler
}

func newTable(routes []route, fallback fasthttp.RequestHandler) *table {
	t := &table{exact: map[string][]*route{}, fallback: fallback}
	for i := range routes {
		r := &routes[i]
		if strings.ContainsAny(r.path, "{*") {
			t.patterns = append(t.patterns, r)
		} else {
			t.exact[r.path] = append(t.exact[r.path], r)
		}
	}
	return t
}

// find returns the route for a method and a path as it was sent, with the
// values of its named segments. Without a route, allowed lists the methods
// that the path has.
func (t *table) find(method, path string) (found *route, values []pathValue, allowed []string) {
	for _, r := range t.exact[path] {
		if r.takes(method) {
			return r, nil, nil
		}
		allowed = append(allowed, r.methods...)
	}
	for _, r := range t.patterns {
		values, ok := matchPath(r.path, path)
		if !ok {
			continue
		}
		if r.takes(method) {
			return r, values, nil
		}
		allowed = append(allowed, r.methods...)
	}
	slices.Sort(allowed)
	return nil, nil, slices.Compact(allowed)
}

func (r *route) takes(method string) bool {
	return slices.Contains(r.methods, method) ||
		method == fasthttp.MethodHead && slices.Contains(r.methods, fasthttp.MethodGet)
}

type pathValue struct{ name, value string }

func matchPath(pattern, path string) ([]pathValue, bool) {
	var values []pathValue
	for {
		want, moreWanted, wantRest := strings.Cut(pattern, "/")
		if want == "*" && !wantRest {
			return values, path != ""
		}
		got, more, gotRest := strings.Cut(path, "/")
		if wantRest != gotRest {
			return nil, false
		}
		if name, ok := strings.CutPrefix(want, "{"); ok {
			value, err := url.PathUnescape(got)
			if err != nil || got == "" {
				return nil, false
			}
			values = append(values, pathValue{strings.TrimSuffix(name, "}"), value})
		} else if want != got {
			return nil, false
		}
		if !wantRest {
			return values, true
		}
		pattern, path = moreWanted, more
	}
}

// stripPrefix cuts the longest prefix off path, at a slash. The prefix alone
// becomes the empty path.
func stripPrefix(path string, prefixes []string) string {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(path, p); ok && (rest == "" || rest[0] == '/') {
			return rest
		}
	}
	return path
}

// prefixes returns what routes may be prefixed with, longest first.
func prefixes(configured string) []string {
	all := []string{"/prometheus"}
	if configured != "" && configured != "/prometheus" {
		all = append(all, configured)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

package server

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"go.yaml.in/yaml/v3"
)

// description is what the tests read of openapi.yaml.
type description struct {
	OpenAPI string
	Tags    []struct{ Name string }
	Paths   map[string]map[string]yaml.Node
	whole   map[string]any
}

// operation is a method of a path.
type operation struct {
	path, route, method string

	Tags       []string
	Summary    string
	Example    string `yaml:"x-example"`
	Answer     int    `yaml:"x-answer"`
	Parameters []struct {
		Name, In string
		Ref      string `yaml:"$ref"`
	}
	Responses map[string]any
}

func readDescription(t *testing.T, text []byte) (description, []operation) {
	t.Helper()
	var d description
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &d.whole); err != nil {
		t.Fatal(err)
	}
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		route := path
		if node, ok := d.Paths[path]["x-route"]; ok {
			route = node.Value
		}
		var common []struct{ Name, In string }
		if node, ok := d.Paths[path]["parameters"]; ok {
			if err := node.Decode(&common); err != nil {
				t.Fatal(err)
			}
		}
		declared := 0
		for _, p := range common {
			if p.In == "path" && strings.Contains(path, "{"+p.Name+"}") {
				declared++
			}
		}
		if declared != strings.Count(path, "{") {
			t.Errorf("%s: its segments are not its parameters", path)
		}
		for method, node := range d.Paths[path] {
			if method == "x-route" || method == "parameters" {
				continue
			}
			o := operation{path: path, route: route, method: strings.ToUpper(method)}
			if err := node.Decode(&o); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			all = append(all, o)
		}
	}
	return d, all
}

// routesOf returns the methods of every path of a node.
func routesOf(n *testNode) map[string][]string {
	methods := map[string][]string{}
	note := func(r *route) { methods[r.path] = append(methods[r.path], r.methods...) }
	table := n.front.routes.Load()
	for _, routes := range table.exact {
		for _, r := range routes {
			note(r)
		}
	}
	for _, r := range table.patterns {
		note(r)
	}
	return methods
}

// TestOpenAPIHasEveryRoute compares openapi.yaml with what a complete node serves.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) { c.Web.EnablePprof = true })
	if a := n.get("/api/v1/openapi.yaml"); a.code != http.StatusOK || a.body != string(openAPI) {
		t.Fatalf("the file is not served: %d", a.code)
	}
	d, all := readDescription(t, openAPI)
	if !strings.HasPrefix(d.OpenAPI, "3.0.") {
		t.Errorf("openapi is %q", d.OpenAPI)
	}
	described := map[string][]string{}
	for _, o := range all {
		if m := described[o.route]; !slices.Contains(m, o.method) {
			described[o.route] = append(m, o.method)
		}
	}
	routes := routesOf(n)
	for path, methods := range routes {
		for _, m := range methods {
			if m != http.MethodOptions && !slices.Contains(described[path], m) {
				t.Errorf("%s %s is served and not in openapi.yaml: describe it there", m, path)
			}
		}
	}
	for path, methods := range described {
		for _, m := range methods {
			if !slices.Contains(routes[path], m) {
				t.Errorf("%s %s is in openapi.yaml and not served", m, path)
			}
		}
	}
}

func TestOpenAPIIsWhole(t *testing.T) {
	d, all := readDescription(t, openAPI)
	checkReferences(t, d.whole, d.whole)
	var tags []string
	for _, tag := range d.Tags {
		tags = append(tags, tag.Name)
	}
	for _, o := range all {
		name := o.method + " " + o.path
		if len(o.Tags) != 1 || !slices.Contains(tags, o.Tags[0]) {
			t.Errorf("%s has the tags %q", name, o.Tags)
		}
		if o.Summary == "" || o.Example == "" || len(o.Responses) == 0 {
			t.Errorf("%s lacks a summary, an example or responses", name)
		}
		for code := range o.Responses {
			if n, err := strconv.Atoi(code); code != "default" && (err != nil || n < 200 || n > 599) {
				t.Errorf("%s answers %q", name, code)
			}
		}
		for _, p := range o.Parameters {
			if p.Ref == "" && (p.Name == "" || !slices.Contains([]string{"query", "header"}, p.In)) {
				t.Errorf("%s has the parameter %+v", name, p)
			}
		}
	}
}

// checkReferences finds what $ref names, anywhere below node.
func checkReferences(t *testing.T, node any, whole map[string]any) {
	t.Helper()
	switch v := node.(type) {
	case map[string]any:
		for key, child := range v {
			if text, ok := child.(string); ok && key == "$ref" {
				checkReference(t, text, whole)
			} else {
				checkReferences(t, child, whole)
			}
		}
	case []any:
		for _, child := range v {
			checkReferences(t, child, whole)
		}
	}
}

func checkReference(t *testing.T, reference string, whole map[string]any) {
	t.Helper()
	var at any = whole
	for _, step := range strings.Split(strings.TrimPrefix(reference, "#/"), "/") {
		m, ok := at.(map[string]any)
		if at = m[step]; !ok || at == nil {
			t.Errorf("%s names nothing", reference)
			return
		}
	}
}

// TestOpenAPIExamples sends every example and compares the status with those that
// are described. Where x-answer does not name one, it is a good one.
func TestOpenAPIExamples(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) {
		c.Web.EnablePprof, c.Web.EnableAdminAPI, c.Retention.Time = true, true, 0
	})
	_, all := readDescription(t, openAPI)
	// This node has no configuration to read again, and is not to end before the last example.
	all = slices.DeleteFunc(all, func(o operation) bool { return o.path == "/-/quit" || o.path == "/-/reload" })
	done := map[string]bool{}
	for _, o := range all {
		if done[o.Example] {
			continue
		}
		done[o.Example] = true
		c, err := parseCurl(o.Example)
		if err != nil {
			t.Errorf("%s: %v", o.Example, err)
			continue
		}
		a := n.do(c.method, c.path, c.body, c.headers...)
		_, described := o.Responses[strconv.Itoa(a.code)]
		if want := o.Answer; want != 0 && a.code != want || want == 0 && a.code/100 != 2 || !described {
			t.Errorf("%s\nis answered %d: %s", o.Example, a.code, a.body[:min(len(a.body), 200)])
		}
	}
	if len(done) < 50 {
		t.Errorf("%d examples", len(done))
	}
}

// curl is a command line as the documentation shows it.
type curl struct {
	method, path, body string
	headers            []string // name, value, name ...
}

// parseCurl reads the flags of curl that the documentation uses. What it reads
// from a file is taken for an empty protobuf message.
func parseCurl(line string) (curl, error) {
	c := curl{method: http.MethodGet}
	words, err := shellWords(line)
	if err != nil || len(words) < 2 || words[0] != "curl" {
		return c, fmt.Errorf("%q is no curl command: %v", line, err)
	}
	var form []string
	asQuery := false
	for i := 1; i < len(words); i++ {
		next := func() string { i++; return words[min(i, len(words)-1)] }
		switch w := words[i]; w {
		case "-X":
			c.method = next()
		case "-G":
			asQuery = true
		case "-H":
			name, value, _ := strings.Cut(next(), ": ")
			c.headers = append(c.headers, name, value)
		case "-d", "--data-binary":
			form = append(form, next())
		case "--data-urlencode":
			name, value, _ := strings.Cut(next(), "=")
			form = append(form, name+"="+url.QueryEscape(value))
		case "-o":
			next()
		default:
			if c.path, err = cutHost(w); err != nil {
				return c, err
			}
		}
	}
	data := strings.Join(form, "&")
	switch {
	case asQuery:
		c.path += "?" + data
	case len(form) > 0:
		if c.body = data; strings.HasPrefix(data, "@") {
			c.body = string(snappy.Encode(nil, nil))
		}
		if c.method == http.MethodGet {
			c.method = http.MethodPost
		}
		if !slices.Contains(c.headers, "Content-Type") {
			c.headers = append(c.headers, "Content-Type", "application/x-www-form-urlencoded")
		}
	}
	return c, nil
}

func cutHost(address string) (string, error) {
	path, ok := strings.CutPrefix(address, "http://127.0.0.1:7480")
	if !ok {
		return "", fmt.Errorf("%q is not of the default address", address)
	}
	return path, nil
}

// shellWords splits a line as a shell does: at spaces that no quote protects.
func shellWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%q has an open quote", line)
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

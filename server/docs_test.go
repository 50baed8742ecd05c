package server

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the generated parts of the documentation anew")

const operations = "../docs/OPERATIONS.md"

// checkSection compares the part of a document between two markers with what it
// must be.
func checkSection(t *testing.T, path, name, want string) {
	t.Helper()
	begin, end := "<!-- "+name+": generated -->\n", "<!-- "+name+": end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no section %q", path, name)
	}
	if got == want {
		return
	}
	if !*rewrite {
		t.Fatalf("section %q of %s is not current: run go test ./server -rewrite", name, path)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsAreDocumented(t *testing.T) {
	var s strings.Builder
	s.WriteString("| Flag and path in the file | Environment | Notation | Default | Meaning |\n|---|---|---|---|---|\n")
	row := func(name, kind, fallback, help string, live bool) {
		if fallback != "" {
			fallback = "`" + fallback + "`"
		}
		if live {
			help += " *Follows a reload.*"
		}
		fmt.Fprintf(&s, "| `%s` | `%s` | %s | %s | %s |\n", name, EnvName(name), kind, fallback, strings.ReplaceAll(help, "|", `\|`))
	}
	row(fileSetting, "path", "", fileHelp+" It cannot stand in the file itself.", false)
	for _, setting := range Settings() {
		row(setting.Name, setting.Type(), setting.Default, setting.Help, setting.Live)
	}
	checkSection(t, operations, "settings", s.String())
}

// TestRoutesAreDocumented lists every route with what openapi.yaml says of it.
func TestRoutesAreDocumented(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) { c.Web.EnablePprof = true })
	for path, m := range routesOf(n) {
		if sorted := slices.Compact(slices.Sorted(slices.Values(m))); len(sorted) != len(m) {
			t.Errorf("%s: two routes share a method: %v", path, m)
		}
	}
	_, all := readDescription(t, openAPI)
	slices.SortFunc(all, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.Example, b.Example), cmp.Compare(a.method, b.method))
	})
	var s strings.Builder
	s.WriteString("| Path | Methods | What | Example |\n|---|---|---|---|\n")
	for len(all) > 0 {
		o := all[0]
		same := func(other operation) bool { return other.path == o.path && other.Example == o.Example }
		var methods []string
		for len(all) > 0 && same(all[0]) {
			methods, all = append(methods, all[0].method), all[1:]
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | `%s` |\n", o.path, strings.Join(methods, ", "), o.Summary, strings.ReplaceAll(o.Example, "|", `\|`))
	}
	checkSection(t, "../docs/API.md", "routes", s.String())
}

// TestRequestsOfDocumentsFindRoutes looks for the route of every curl command that
// asks the default address.
func TestRequestsOfDocumentsFindRoutes(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	seen := 0
	for _, path := range []string{"../README.md", "../docs/API.md", operations, "../docs/MIGRATION.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.ReplaceAll(string(text), "\\\n", " "), "\n") {
			line, _, _ = strings.Cut(line, " #")
			if !strings.HasPrefix(line, "curl ") || !strings.Contains(line, "127.0.0.1:7480") {
				continue
			}
			line, _, _ = strings.Cut(line[strings.LastIndex(line, "curl "):], " <<") // the last of a pipe
			c, err := parseCurl(strings.TrimSpace(line))
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			seen++
			bare, _, _ := strings.Cut(c.path, "?")
			if found, _, allowed := n.front.routes.Load().find(c.method, bare); found == nil {
				t.Errorf("%s: %s: there is no such route; methods of the path: %v", path, line, allowed)
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d requests", seen)
	}
}

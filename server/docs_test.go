package server

import (
	"flag"
	"fmt"
	"maps"
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

// TestRoutesAreDocumented lists every route of a complete node.
func TestRoutesAreDocumented(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) { c.Web.EnablePprof = true })
	table := n.front.routes.Load()
	methods := map[string][]string{}
	note := func(r *route) { methods[r.path] = append(methods[r.path], r.methods...) }
	for _, routes := range table.exact {
		for _, r := range routes {
			note(r)
		}
	}
	for _, r := range table.patterns {
		note(r)
	}
	for path, m := range methods {
		if sorted := slices.Compact(slices.Sorted(slices.Values(m))); len(sorted) != len(m) {
			t.Errorf("%s: two routes share a method: %v", path, m)
		}
	}
	var s strings.Builder
	s.WriteString("| Path | Methods |\n|---|---|\n")
	for _, path := range slices.Sorted(maps.Keys(methods)) {
		fmt.Fprintf(&s, "| `%s` | %s |\n", path, strings.Join(slices.Sorted(slices.Values(methods[path])), ", "))
	}
	checkSection(t, "../docs/API.md", "routes", s.String())
}

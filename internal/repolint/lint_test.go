package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plant writes a module and lints it.
func plant(t *testing.T, files map[string]string, allowed []exception) []string {
	t.Helper()
	root := t.TempDir()
	files["go.mod"] = "module example.org/m\n\ngo 1.26\n"
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mod, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range lint(mod, layers, reserved, allowed) {
		got = append(got, f.String())
	}
	return got
}

// documented returns a package with a comment and the given body.
func documented(name, body string) string {
	return "// Package " + name + " is planted.\npackage " + name + "\n\n" + body
}

func imports(paths ...string) string {
	var b strings.Builder
	for _, p := range paths {
		b.WriteString("import _ \"" + p + "\"\n")
	}
	return b.String()
}

func TestImports(t *testing.T) {
	const m = "example.org/m/"
	for _, c := range []struct {
		name, dir, file string
		imports         string
		want            string // "" when allowed
	}{
		{"down", "tsdb", "tsdb.go", m + "kv", ""},
		{"down to a child", "server", "server.go", m + "kv/pebblekv", ""},
		{"up", "kv", "kv.go", m + "tsdb", "row 1 imports tsdb of row 3"},
		{"across", "ingest", "ingest.go", m + "query", "row 4 imports query of row 4"},
		{"child of a peer", "ingest/otlp", "otlp.go", m + "query/api", "row 4 imports query/api of row 4"},
		{"parent imports child", "ingest", "ingest.go", m + "ingest/otlp", ""},
		{"child imports parent", "ingest/otlp", "otlp.go", m + "ingest", "comes after it inside ingest"},
		{"unlisted child", "query/text", "text.go", m + "query/exec", ""},
		{"order in query", "query/plan", "plan.go", m + "query/exec", "comes after it inside query"},
		{"contract knows no engine", "kv", "kv.go", m + "kv/memkv", "comes after it inside kv"},
		{"tools share a row", "internal/sim", "sim.go", m + "internal/fault", ""},
		{"tools know nobody", "internal/sim", "sim.go", m + "kv", "row 0 imports kv of row 1"},
		{"load generator", "bench", "bench.go", m + "ingest/remotewrite", ""},
		{"load generator and the database", "bench", "bench.go", m + "tsdb", "may import only series"},
		{"load generator in a test", "tsdb", "tsdb_test.go", m + "bench", ""},
		{"load generator below", "tsdb", "tsdb.go", m + "bench", "row 3 imports bench of row 5"},
		{"server and load generator", "server", "server.go", m + "bench", "row 5 imports bench of row 5"},
		{"command", "cmd/varve", "varve.go", m + "internal/terminal", ""},
		{"command below server", "cmd/varve", "varve.go", m + "tsdb", "may import only server"},
		{"unknown import", "tsdb", "tsdb.go", m + "util", "imports util, which is not in the layer table"},
		{"a name that begins alike", "tsdb", "tsdb.go", m + "kvstore", "not in the layer table"},
		{"unknown package", "util", "util.go", "fmt", "the package is not in the layer table"},
		{"engine", "tsdb", "tsdb.go", m + "kv/pebblekv", "only server knows which engine"},
		{"engine in a test", "tsdb", "tsdb_test.go", m + "kv/pebblekv", ""},
		{"suite", "tsdb", "tsdb.go", m + "kv/kvtest", "for tests"},
		{"pebble", "tsdb", "tsdb.go", "github.com/cockroachdb/pebble/v2/sstable", "alone speaks to Pebble"},
		{"pebble at home", "kv/pebblekv", "pebblekv.go", "github.com/cockroachdb/pebble/v2/vfs", ""},
		{"flags", "server", "server.go", "flag", "no global flags"},
		{"test that climbs", "kv", "kv_test.go", m + "tsdb", "row 1 imports tsdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Base(c.dir)
			got := plant(t, map[string]string{c.dir + "/" + c.file: documented(name, imports(c.imports))}, nil)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("got %q, want nothing", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("got %q, want one finding with %q", got, c.want)
			}
		})
	}
}

func TestDocs(t *testing.T) {
	got := plant(t, map[string]string{
		"kv/other.go": "// Package kv is described in the wrong file.\npackage kv\n",
		"chunks/doc.go": documented("chunks", `
type Bare struct{}

func (b *Bare) Do() {}

type hidden struct{}

func (hidden) Do() {}

// Fine is documented.
type Fine[T any] struct{ Field T }

func (f *Fine[T]) Get() {}

const Loose = 1

// A group speaks for its members.
const (
	A = iota
	B
)

var (
	C = 1
	// D is documented.
	D = 2
	E = 3 // E is too.
	f = 4
)
`),
		"chunks/chunk_test.go": "package chunks\n\nfunc TestExported() {}\n",
		"cmd/varve/main.go":    "// Command varve is planted.\npackage main\n\nfunc main() {}\n",
		"cmd/other/start.go":   "package main\n\nfunc main() {}\n",
		"tsdb/only_test.go":    "package tsdb\n",
	}, nil)
	var subjects []string
	for _, line := range got {
		parts := strings.Split(line, ": ")
		subjects = append(subjects, parts[1]+" "+parts[2])
	}
	slices.Sort(subjects)
	expect := []string{
		"doc-comment chunks.(Bare).Do",
		"doc-comment chunks.(Fine).Get",
		"doc-comment chunks.Bare",
		"doc-comment chunks.C",
		"doc-comment chunks.Loose",
		"package-comment cmd/other",
		"package-comment kv",
	}
	if !slices.Equal(subjects, expect) {
		t.Errorf("got  %q\nwant %q\nfrom %q", subjects, expect, got)
	}
}

const longBody = "\n\t_ = 0"

func TestSizes(t *testing.T) {
	files := func() map[string]string {
		return map[string]string{
			"kv/kv.go": documented("kv", "// Six is wide.\ntype Six interface {\n\tA()\n\tB()\n\tC()\n\tD()\n\tE()\n\tF()\n}\n"+
				"\n// Five is not.\ntype Five interface {\n\tA()\n\tB()\n\tC()\n\tD()\n\tE()\n}\n"),
			"kv/memkv/memkv.go": documented("memkv", "// Wide has 21 fields.\ntype Wide struct {\n\ta, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u int\n}\n"+
				"\ntype narrow struct {\n\ta, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t int\n}\n"),
			"index/index.go": documented("index", "func six(a, b, c int, d string, _, _ bool) {}\n\nfunc five(a, b, c, d, e int) {}\n\n"+
				"func long() {"+strings.Repeat(longBody, 69)+"\n}\n\nfunc fits() {"+strings.Repeat(longBody, 68)+"\n}\n"),
			"chunks/doc.go":       documented("chunks", strings.Repeat("\n", 600)+"var _ = 1\n"),
			"chunks/fits.go":      "package chunks\n" + strings.Repeat("\n", 599),
			"chunks/big_test.go":  "package chunks\n" + strings.Repeat("\n", 700),
			"chunks/generated.go": "// Code generated by a tool. DO NOT EDIT.\n\npackage chunks\n" + strings.Repeat("\n", 700),
		}
	}
	want := map[string]string{
		"kv.Six":        "6 methods, the limit is 5",
		"kv/memkv.Wide": "21 fields, the limit is 20",
		"index.six":     "6 parameters, the limit is 5",
		"index.long":    "71 lines, the limit is 70",
		"chunks/doc.go": "604 lines, the limit is 600",
	}
	got := plant(t, files(), nil)
	if len(got) != len(want) {
		t.Errorf("got %d findings, want %d", len(got), len(want))
	}
	for subject, detail := range want {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, ": "+subject+": "+detail) }) {
			t.Errorf("no finding %s: %s in %q", subject, detail, got)
		}
	}

	got = plant(t, files(), []exception{
		{ruleInterface, "kv.Six", "a contract"},
		{ruleStruct, "kv/memkv.Wide", "flags"},
		{ruleParameters, "index.six", "a callback"},
		{ruleFunction, "index.long", "a table"},
		{ruleFile, "chunks/doc.go", ""},
		{ruleFunction, "index.fits", "was long once"},
	})
	for i, part := range []string{"604 lines", "an exception needs a reason", "no longer needed"} {
		if len(got) != 3 || !strings.Contains(got[i], part) {
			t.Fatalf("got %q, want finding %d to contain %q", got, i, part)
		}
	}
}

func TestNestedModulesAndToolFoldersAreLeftOut(t *testing.T) {
	got := plant(t, map[string]string{
		"bench/peers/go.mod":     "module example.org/peers\n",
		"bench/peers/main.go":    "package main\n",
		"series/testdata/bad.go": "package bad\n\nfunc Bare() {}\n",
		".hidden/x.go":           "package x\n",
		"node_modules/x/x.go":    "package x\n",
		"series/doc.go":          documented("series", ""),
	}, nil)
	if len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

func TestRunReportsWhatItCannotRead(t *testing.T) {
	var out, errs strings.Builder
	if code := run(t.TempDir(), &out, &errs); code != 2 || !strings.Contains(errs.String(), "go.mod") {
		t.Errorf("code %d, %q", code, errs.String())
	}
}

func TestTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range layers {
		if seen[l.path] {
			t.Errorf("%s is in the table twice", l.path)
		}
		seen[l.path] = true
		for _, m := range l.may {
			if to, ok := find(layers, m); !ok || to.row >= l.row {
				t.Errorf("%s may import %s, which is not below it", l.path, m)
			}
		}
	}
	for _, g := range reserved {
		if g.why == "" {
			t.Errorf("%s is reserved without a reason", g.path)
		}
	}
}

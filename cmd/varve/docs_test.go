package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/server"
)

const root = "../.."

// documents returns the prose that users read, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths := []string{root + "/README.md", root + "/CHANGELOG.md"}
	for _, pattern := range []string{"/docs/*.md", "/docs/adr/*.md"} {
		more, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, more...)
	}
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	if len(all) < 10 {
		t.Fatalf("%d documents", len(all))
	}
	return all
}

var (
	fence    = regexp.MustCompile("(?ms)^```.*?^```")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	span     = regexp.MustCompile("`([^`\n]+)`")
	dropped  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	target   = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
	flagName = regexp.MustCompile(`^--([a-z][a-z0-9.-]*)(=.*)?$`)
)

// anchors are the fragments of a document's headings.
func anchors(text string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		a := dropped.ReplaceAllString(strings.ToLower(strings.ReplaceAll(m[1], "`", "")), "")
		all = append(all, strings.ReplaceAll(a, " ", "-"))
	}
	return all
}

// TestLinksLead follows every link to a file and a heading of it. Those to other
// hosts are only looked at.
func TestLinksLead(t *testing.T) {
	seen := 0
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			seen++
			if strings.Contains(m[1], "://") {
				if u, err := url.Parse(m[1]); err != nil || u.Scheme != "https" || u.Host == "" {
					t.Errorf("%s links to %s", path, m[1])
				}
				continue
			}
			file, fragment, _ := strings.Cut(m[1], "#")
			to := path
			if file != "" {
				to = filepath.Join(filepath.Dir(path), file)
			}
			content, err := os.ReadFile(to)
			if err != nil {
				if info, statErr := os.Stat(to); statErr != nil || !info.IsDir() {
					t.Errorf("%s links to %s: %v", path, m[1], err)
				}
				continue
			}
			if fragment != "" && !slices.Contains(anchors(string(content)), fragment) {
				t.Errorf("%s links to %s: there is no such heading", path, m[1])
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d links", seen)
	}
}

// TestCommandsOfDocumentsExist parses every command of the product that the
// documents show, in blocks and in the text, and looks for every target of make.
func TestCommandsOfDocumentsExist(t *testing.T) {
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range target.FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, m[1])
	}
	seen := 0
	for path, text := range documents(t) {
		for _, line := range commandLines(text) {
			words := shellWords(line)
			if len(words) == 0 {
				continue
			}
			seen++
			if words[0] == "make" {
				if len(words) > 1 && !strings.Contains(words[1], "=") && !slices.Contains(targets, words[1]) {
					t.Errorf("%s: %s: there is no such target", path, line)
				}
				continue
			}
			if err := checkCommandLine(words[1:]); err != nil {
				t.Errorf("%s: %s: %v", path, line, err)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d commands", seen)
	}
}

// TestFlagsOfDocumentsExist looks for flags that the text names alone.
func TestFlagsOfDocumentsExist(t *testing.T) {
	known := map[string]bool{"help": true}
	for _, c := range (&program{}).commands() {
		for _, one := range append(c.kinds, c) {
			one.eachFlag(func(f *pflag.Flag, _ string) { known[f.Name] = true })
		}
	}
	seen := 0
	for path, text := range documents(t) {
		if !slices.Contains([]string{"README.md", "API.md", "OPERATIONS.md", "MIGRATION.md"}, filepath.Base(path)) {
			continue // others speak of other programs
		}
		for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if f := flagName.FindStringSubmatch(m[1]); f != nil {
				if seen++; !known[f[1]] {
					t.Errorf("%s names %s, which no command has", path, m[1])
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d flags", seen)
	}
}

// TestHelpHasExamples parses the examples in the help of every command.
func TestHelpHasExamples(t *testing.T) {
	check := func(name, help string) {
		examples := 0
		for _, line := range strings.Split(help, "\n") {
			line, isExample := strings.CutPrefix(line, "  varve ")
			if !isExample {
				continue
			}
			examples++
			if line, _, _ = strings.Cut(line, "   "); !strings.HasPrefix(line, name) {
				t.Errorf("the help of %s shows %s", name, line)
			}
			if err := checkCommandLine(shellWords(line)); err != nil {
				t.Errorf("varve %s: %v", line, err)
			}
		}
		if examples == 0 {
			t.Errorf("varve %s has no example", name)
		}
	}
	for _, c := range (&program{}).commands() {
		check(c.name, c.help)
		for _, k := range c.kinds {
			if k.flags != nil {
				check(c.name+" "+k.name, k.help)
			}
		}
		if code, out, _ := call(t, nil, c.name, "--help"); code != exitOK || c.name == "serve" && !strings.Contains(out, "varve serve --config.file") {
			t.Errorf("varve %s --help: exit %d", c.name, code)
		}
	}
}

// commandLines are the calls of varve and make in a document.
func commandLines(text string) []string {
	var lines []string
	keep := func(line string) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		line = strings.Replace(line, "go run ./cmd/varve", "varve", 1)
		for first, rest, ok := strings.Cut(line, " "); ok && strings.HasPrefix(first, "VARVE_"); first, rest, ok = strings.Cut(line, " ") {
			line = rest
		}
		if line = strings.TrimPrefix(line, "bin/"); strings.HasPrefix(line, "varve ") || strings.HasPrefix(line, "make ") {
			lines = append(lines, line)
		}
	}
	for _, block := range fence.FindAllString(text, -1) {
		for _, line := range strings.Split(strings.ReplaceAll(block, "\\\n", " "), "\n") {
			keep(line)
		}
	}
	for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		keep(m[1])
	}
	return lines
}

var substituted = regexp.MustCompile(`\$\([^)]*\)`)

// shellWords splits a line as a shell does, up to a comment, a pipe or a redirection.
func shellWords(line string) []string {
	var words []string
	word, quote, begun := "", rune(0), false
	end := func() {
		if begun {
			words = append(words, word)
		}
		word, begun = "", false
	}
	for _, r := range substituted.ReplaceAllString(line, "1") {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && r == ' ':
			end()
		case quote == 0 && !begun && strings.ContainsRune("#|>&", r):
			return words
		default:
			word, begun = word+string(r), true
		}
	}
	end()
	return words
}

// checkCommandLine parses the words after varve as the program would, without
// running anything.
func checkCommandLine(words []string) error {
	if len(words) == 0 || strings.HasPrefix(words[0], "<") || words[0] == "help" || words[0] == "--help" {
		return nil
	}
	all := (&program{}).commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == words[0] })
	if i < 0 {
		return fmt.Errorf("there is no command %q", words[0])
	}
	c, args := all[i], words[1:]
	if len(c.kinds) > 0 && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		k := slices.IndexFunc(c.kinds, func(k command) bool { return k.name == args[0] })
		if k < 0 {
			return fmt.Errorf("%s knows no %q", c.name, args[0])
		}
		if c.kinds[k].flags != nil {
			c, args = c.kinds[k], args[1:]
		}
	}
	if c.name == "serve" {
		_, err := server.Load(server.Sources{Args: args, ReadFile: func(string) ([]byte, error) { return nil, nil }})
		return err
	}
	if c.flags == nil {
		return nil
	}
	return c.flags().Parse(args)
}

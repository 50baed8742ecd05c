package main

import (
	"bufio"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// module is the parsed source of a module, whatever the build tags.
type module struct {
	path     string
	fset     *token.FileSet
	packages []*pkg
}

// pkg is one folder with Go files.
type pkg struct {
	dir   string // relative to the module's root, with slashes
	files []file
}

// file is one Go file of a package.
type file struct {
	name      string // relative to the module's root, with slashes
	ast       *ast.File
	test      bool
	generated bool
}

// load parses every Go file below root, leaving out nested modules and the
// folders that the go command leaves out.
func load(root string) (module, error) {
	modulePath, err := readModulePath(filepath.Join(root, "go.mod"))
	if err != nil {
		return module{}, err
	}
	mod := module{path: modulePath, fset: token.NewFileSet()}
	byDir := map[string]*pkg{}
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			if relative != "." && skipDir(name, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(relative, ".go") || strings.HasPrefix(entry.Name(), "_") || strings.HasPrefix(entry.Name(), ".") {
			return nil
		}
		return mod.add(byDir, name, relative)
	})
	slices.SortFunc(mod.packages, func(x, y *pkg) int { return cmp.Compare(x.dir, y.dir) })
	return mod, err
}

func (m *module) add(byDir map[string]*pkg, name, relative string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(m.fset, relative, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", relative, err)
	}
	dir := path.Dir(relative)
	p := byDir[dir]
	if p == nil {
		p = &pkg{dir: dir}
		byDir[dir] = p
		m.packages = append(m.packages, p)
	}
	p.files = append(p.files, file{
		name:      relative,
		ast:       parsed,
		test:      strings.HasSuffix(relative, "_test.go"),
		generated: ast.IsGenerated(parsed),
	})
	return nil
}

func skipDir(name, base string) bool {
	if base == "testdata" || base == "vendor" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func readModulePath(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(rest), nil
		}
	}
	return "", fmt.Errorf("read %s: no module line", name)
}

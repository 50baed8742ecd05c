package main

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
)

// checkDocs reports a package without a package comment in its first file to
// read, and exported names without a doc comment.
func checkDocs(mod module, p *pkg) []finding {
	var found []finding
	var first *file
	commented := false
	for i := range p.files {
		f := &p.files[i]
		if f.test {
			continue
		}
		if first == nil {
			first = f
		}
		if opens(p.dir, f) && f.ast.Doc.Text() != "" {
			commented = true
		}
		if !f.generated {
			found = append(found, undocumented(mod, p, f)...)
		}
	}
	if first != nil && !commented {
		found = append(found, finding{first.name, "package-comment", p.dir,
			"no package comment in doc.go, the file named after the package, or a command's main.go"})
	}
	return found
}

// opens reports whether a newcomer looks for the package comment in f.
func opens(dir string, f *file) bool {
	name := strings.TrimSuffix(path.Base(f.name), ".go")
	return name == "doc" || name == path.Base(dir) || name == "main" && f.ast.Name.Name == "main"
}

func undocumented(mod module, p *pkg, f *file) []finding {
	var found []finding
	report := func(pos token.Pos, name string) {
		found = append(found, finding{mod.place(pos), "doc-comment", p.dir + "." + name, "exported without a doc comment"})
	}
	for _, decl := range f.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Doc.Text() == "" && d.Name.IsExported() && receiverExported(d) {
				report(d.Pos(), functionName(d))
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				for _, name := range bareNames(d, spec) {
					report(name.Pos(), name.Name)
				}
			}
		}
	}
	return found
}

// bareNames returns the exported names of spec that neither it nor its group
// documents.
func bareNames(group *ast.GenDecl, spec ast.Spec) []*ast.Ident {
	var names []*ast.Ident
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Doc.Text() == "" && s.Comment.Text() == "" {
			names = []*ast.Ident{s.Name}
		}
	case *ast.ValueSpec:
		if s.Doc.Text() == "" && s.Comment.Text() == "" {
			names = s.Names
		}
	}
	if group.Doc.Text() != "" {
		return nil
	}
	var exported []*ast.Ident
	for _, name := range names {
		if name.IsExported() {
			exported = append(exported, name)
		}
	}
	return exported
}

func receiverExported(d *ast.FuncDecl) bool {
	name := receiverName(d)
	return name == "" || ast.IsExported(name)
}

// functionName returns Name, or (Type).Name for a method.
func functionName(d *ast.FuncDecl) string {
	if receiver := receiverName(d); receiver != "" {
		return "(" + receiver + ")." + d.Name.Name
	}
	return d.Name.Name
}

func receiverName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	for t := d.Recv.List[0].Type; ; {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

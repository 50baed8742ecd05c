package main

import (
	"fmt"
	"go/ast"
)

// The sizes that one can hold in the head.
const (
	fileLinesMax        = 600
	functionLinesMax    = 70
	parametersMax       = 5
	interfaceMethodsMax = 5
	structFieldsMax     = 20
)

// The names of the size rules, for exceptions.
const (
	ruleFile       = "file-lines"
	ruleFunction   = "function-lines"
	ruleParameters = "parameters"
	ruleInterface  = "interface-methods"
	ruleStruct     = "struct-fields"
)

// checkSizes reports what has outgrown its limit. Tests and generated files
// may be of any size.
func checkSizes(mod module, p *pkg) []finding {
	var found []finding
	for _, f := range p.files {
		if f.test || f.generated {
			continue
		}
		s := sizer{mod: mod, dir: p.dir, found: found}
		if n := mod.fset.File(f.ast.FileStart).LineCount(); n > fileLinesMax {
			s.found = append(s.found, finding{f.name, ruleFile, f.name, over(n, "lines", fileLinesMax)})
		}
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				s.function(d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						s.named(t)
					}
				}
			}
		}
		found = s.found
	}
	return found
}

type sizer struct {
	mod   module
	dir   string
	found []finding
}

func (s *sizer) function(d *ast.FuncDecl) {
	if n := s.mod.lines(d.Pos(), d.End()); n > functionLinesMax {
		s.report(d, ruleFunction, functionName(d), over(n, "lines", functionLinesMax))
	}
	if n := d.Type.Params.NumFields(); n > parametersMax {
		s.report(d, ruleParameters, functionName(d), over(n, "parameters", parametersMax))
	}
}

func (s *sizer) named(t *ast.TypeSpec) {
	switch body := t.Type.(type) {
	case *ast.InterfaceType:
		if n := body.Methods.NumFields(); n > interfaceMethodsMax {
			s.report(t, ruleInterface, t.Name.Name, over(n, "methods", interfaceMethodsMax))
		}
	case *ast.StructType:
		if n := body.Fields.NumFields(); n > structFieldsMax {
			s.report(t, ruleStruct, t.Name.Name, over(n, "fields", structFieldsMax))
		}
	}
}

func (s *sizer) report(at ast.Node, rule, name, detail string) {
	s.found = append(s.found, finding{s.mod.place(at.Pos()), rule, s.dir + "." + name, detail})
}

func over(n int, what string, limit int) string {
	return fmt.Sprintf("%d %s, the limit is %d", n, what, limit)
}

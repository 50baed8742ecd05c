package main

import (
	"fmt"
	"strconv"
	"strings"
)

// checkImports reports imports that climb the table or reach a reserved package.
func checkImports(mod module, p *pkg, table []layer, guards []guard) []finding {
	from, ok := find(table, p.dir)
	if !ok {
		return []finding{{p.files[0].name, "layer", p.dir, "the package is not in the layer table"}}
	}
	var found []finding
	for _, f := range p.files {
		for _, spec := range f.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser accepts only valid strings
			}
			target, own := strings.CutPrefix(imported, mod.path+"/")
			if own && target != p.dir {
				to, ok := find(table, target)
				if ok && to.tests && f.test {
					continue
				}
				if detail := climbs(from, p.dir, target, table); detail != "" {
					found = append(found, finding{mod.place(spec.Pos()), "layer", p.dir, detail})
				}
			}
			if detail := trespasses(p.dir, target, f.test, guards); detail != "" {
				found = append(found, finding{mod.place(spec.Pos()), "reserved", p.dir, detail})
			}
		}
	}
	return found
}

// climbs says what is wrong with dir importing target, "" when nothing is.
func climbs(from layer, dir, target string, table []layer) string {
	to, ok := find(table, target)
	switch {
	case !ok:
		return fmt.Sprintf("imports %s, which is not in the layer table", target)
	case top(dir) == top(target) && from.row == to.row && to.step <= from.step:
		return ""
	case from.may != nil && !withinAny(target, from.may):
		return fmt.Sprintf("imports %s, but may import only %s", target, strings.Join(from.may, ", "))
	case to.row < from.row:
		return ""
	case top(dir) == top(target) && from.row == to.row:
		return fmt.Sprintf("imports %s, which comes after it inside %s", target, top(dir))
	default:
		return fmt.Sprintf("row %d imports %s of row %d", from.row, target, to.row)
	}
}

// trespasses says which guard forbids dir to import target.
func trespasses(dir, target string, test bool, guards []guard) string {
	for _, g := range guards {
		if within(target, g.path) && !withinAny(dir, g.users) && !(test && g.tests) {
			return fmt.Sprintf("imports %s: %s", target, g.why)
		}
	}
	return ""
}

// find returns the entry of the table that is nearest to dir.
func find(table []layer, dir string) (layer, bool) {
	var best layer
	for _, l := range table {
		if within(dir, l.path) && len(l.path) > len(best.path) {
			best = l
		}
	}
	return best, best.path != ""
}

// within reports whether path is parent or below it.
func within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (rest == "" || rest[0] == '/')
}

func withinAny(path string, parents []string) bool {
	for _, parent := range parents {
		if within(path, parent) {
			return true
		}
	}
	return false
}

func top(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

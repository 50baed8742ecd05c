package main

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"
)

// finding is one breach of a rule.
type finding struct {
	at      string // file:line, or the exceptions file
	rule    string // what an exception names
	subject string // what an exception names: a file, or package.Name
	detail  string
}

func (f finding) String() string {
	return fmt.Sprintf("%s: %s: %s: %s", f.at, f.rule, f.subject, f.detail)
}

// exception lets one subject break one size rule, for a reason.
type exception struct {
	rule    string
	subject string
	reason  string
}

// lint applies every rule and returns what is left after the exceptions, in
// order of place. An exception without a reason or without use is a finding.
func lint(mod module, table []layer, guards []guard, allowed []exception) []finding {
	var all []finding
	for _, p := range mod.packages {
		all = append(all, checkImports(mod, p, table, guards)...)
		all = append(all, checkDocs(mod, p)...)
		all = append(all, checkSizes(mod, p)...)
	}
	kept := except(all, allowed)
	slices.SortFunc(kept, func(x, y finding) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.rule, y.rule), cmp.Compare(x.subject, y.subject))
	})
	return kept
}

func except(all []finding, allowed []exception) []finding {
	used := make([]bool, len(allowed))
	kept := slices.DeleteFunc(all, func(f finding) bool {
		for i, e := range allowed {
			if e.rule == f.rule && e.subject == f.subject && e.reason != "" {
				used[i] = true
				return true
			}
		}
		return false
	})
	for i, e := range allowed {
		switch {
		case e.reason == "":
			kept = append(kept, finding{"internal/repolint/exceptions.go", "exception", e.subject, "an exception needs a reason"})
		case !used[i]:
			kept = append(kept, finding{"internal/repolint/exceptions.go", "exception", e.subject,
				"the exception from rule " + e.rule + " is no longer needed: remove it"})
		}
	}
	return kept
}

// place returns file:line of pos, the file relative to the module's root.
func (m module) place(pos token.Pos) string {
	p := m.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// lines returns how many lines from and to span, both included.
func (m module) lines(from, to token.Pos) int {
	return m.fset.Position(to).Line - m.fset.Position(from).Line + 1
}

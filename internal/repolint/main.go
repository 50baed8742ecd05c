// Command repolint holds the module to its house style: imports point down the
// layer table, packages and exported names are documented, and files,
// functions, interfaces and structs stay small enough to hold.
//
// Above: make check. Below: the standard library's parser.
// Concurrency: single-threaded.
// Read layers.go first, then exceptions.go; the rules are in imports.go, docs.go
// and sizes.go.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	os.Exit(run(root, os.Stdout, os.Stderr))
}

// run lints the module in root and returns the exit code: 1 for findings, 2
// when the module cannot be read.
func run(root string, stdout, stderr io.Writer) int {
	mod, err := load(root)
	if err != nil {
		fmt.Fprintln(stderr, "repolint:", err)
		return 2
	}
	found := lint(mod, layers, reserved, exceptions)
	for _, f := range found {
		fmt.Fprintln(stdout, f)
	}
	if len(found) > 0 {
		fmt.Fprintf(stderr, "repolint: %d findings in %d packages\n", len(found), len(mod.packages))
		return 1
	}
	return 0
}

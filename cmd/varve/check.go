package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/terminal"
	"github.com/varve-db/varve/server"
)

const checkHelp = `Verify a data folder that no server uses: read every row, decode it, and compare
rows with each other. Nothing is changed.

  varve check
  varve check --storage.path=/var/lib/varve --json

Exits with 1 if anything is damaged, and says where.

`

// checkCommand verifies a data folder.
func checkCommand(ctx context.Context, args []string) error {
	c := server.Inspection{Out: os.Stdout, Progress: io.Discard}
	if screen := terminal.SizeOf(os.Stderr, os.Getenv); screen.Terminal {
		c.Progress = os.Stderr
	}
	return runCheck(ctx, c, args)
}

func runCheck(ctx context.Context, c server.Inspection, args []string) error {
	if err := parseAlone(checkFlags(&c), args); err != nil {
		return err
	}
	return c.Run(ctx)
}

func checkFlags(c *server.Inspection) *pflag.FlagSet {
	set := newFlags("check", checkHelp, c.Out)
	set.StringVar(&c.Path, "storage.path", "./data", "data folder")
	set.BoolVar(&c.JSON, "json", false, "report in JSON")
	return set
}

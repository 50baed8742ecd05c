package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/connect"
	"github.com/varve-db/varve/transfer"
)

const exportHelp = `Copy samples out of a server, as JSON lines.

  varve export --match='{job="node"}' --start=-30d -o node.jsonl.zst
  varve export --match=up | wc -l

A file whose name ends in .gz or .zst is compressed. varve import jsonl reads it, and
so does VictoriaMetrics. Native histograms have no place in the format: how many were
left out is said, and the exit code is 1 then.

`

// exporter is one invocation of varve export.
type exporter struct {
	stdout, stderr io.Writer
	now            time.Time

	url, start, end, to string
	match               []string
	reach               connect.Options
}

// exportCommand copies samples out of a server.
func exportCommand(ctx context.Context, args []string) error {
	e := exporter{stdout: os.Stdout, stderr: os.Stderr, now: time.Now()}
	return e.run(ctx, args)
}

func (e *exporter) set() *pflag.FlagSet {
	set := newFlags("export", exportHelp, e.stderr)
	set.StringVar(&e.url, "url", "http://127.0.0.1:7480", "address of the server")
	set.StringArrayVar(&e.match, "match", nil, "series selector; several are alternatives (default: everything)")
	set.StringVar(&e.start, "start", "", "from this time on")
	set.StringVar(&e.end, "end", "", "up to this time")
	set.StringVarP(&e.to, "output", "o", "-", "file; - is stdout")
	bindReach(set, &e.reach)
	return set
}

func (e *exporter) run(ctx context.Context, args []string) error {
	if err := parseAlone(e.set(), args); err != nil {
		return err
	}
	filter, err := filterOf(e.match, e.start, e.end, e.now)
	if err != nil {
		return err
	}
	client, err := e.reach.Client(1)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	done, err := transfer.Export(ctx, &transfer.Target{URL: e.url, HTTP: client}, filter, e.to, e.stdout)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "exported %d lines, %.1f MiB in %s\n", done.Lines, float64(done.Bytes)/(1<<20), done.Took.Round(time.Millisecond))
	if done.Skipped > 0 {
		return fmt.Errorf("%d native histogram samples were left out: the format has no place for them", done.Skipped)
	}
	return nil
}

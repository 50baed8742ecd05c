// Command varve is the whole database: it serves, asks and measures.
//
// Below: server, and what the commands need. Here are flags, signals and exit
// codes, nothing else. Read main.go first, then serve.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/server"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to stop; after it a second one kills.
	context.AfterFunc(ctx, restore)
	p := program{args: os.Args[1:], env: os.Environ(), stdout: os.Stdout, stderr: os.Stderr, readFile: os.ReadFile}
	os.Exit(p.run(ctx))
}

// program is one invocation.
type program struct {
	args, env      []string
	stdout, stderr io.Writer
	readFile       func(path string) ([]byte, error)
}

// command is one word after varve.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string) error
	// help has an example a line, indented.
	help string
	// flags makes a set that is only looked at; nil is none.
	flags func() *pflag.FlagSet
	// kinds are what the first argument may be, where there is a list.
	kinds []command
}

func (p *program) commands() []command {
	out := io.Discard
	return []command{
		{name: "serve", summary: "run the database (varve serve works without flags)", run: p.serve, help: serveHelp, flags: server.Flags},
		{name: "query", summary: "ask a running server in PromQL", run: queryCommand, help: queryHelp,
			flags: (&questioner{stdout: out}).set},
		{name: "bench", summary: "measure a running server", run: benchCommand, help: benchHelp, kinds: []command{
			{name: "ingest", summary: "by sending samples", help: benchIngestHelp, flags: func() *pflag.FlagSet { return new(ingestFlags).set(out) }},
			{name: "query", summary: "by asking", help: benchQueryHelp, flags: func() *pflag.FlagSet { return new(queryBenchFlags).set(out) }},
		}},
		{name: "backup", summary: "back up a data folder into a folder or an S3 bucket", run: p.backupCommand, help: backupHelp,
			flags: func() *pflag.FlagSet { return new(backupFlags).set(out) }},
		{name: "restore", summary: "make a data folder from a backup", run: p.restoreCommand, help: restoreHelp,
			flags: func() *pflag.FlagSet { return restoreFlags(new(server.Restore), out) }},
		{name: "import", summary: "copy history into a server", run: importCommand, help: importHelp,
			flags: (&importer{stdout: out}).set, kinds: importKinds},
		{name: "export", summary: "copy samples out of a server", run: exportCommand, help: exportHelp,
			flags: (&exporter{stderr: out}).set},
		{name: "check", summary: "verify a data folder that no server uses", run: checkCommand, help: checkHelp,
			flags: func() *pflag.FlagSet { return checkFlags(&server.Inspection{Out: out}) }},
		{name: "retention", summary: "tell what retention would remove", run: p.retentionCommand, help: retentionHelp,
			flags: (&retainer{stdout: out}).set},
		{name: "health", summary: "exit with 0 if a server is ready, else with 1", run: p.health, help: healthHelp,
			flags: func() *pflag.FlagSet { return new(asked).set(out) }},
		{name: "completion", summary: "write a shell's completion of these commands", run: p.completion, help: completionHelp, kinds: shells},
		{name: "version", summary: "say which program this is", run: p.version, help: versionHelp},
	}
}

// errUsage marks errors in the way the program was called.
var errUsage = errors.New("usage")

func (p *program) run(ctx context.Context) int {
	name := "help"
	if len(p.args) > 0 {
		name = strings.TrimLeft(p.args[0], "-")
	}
	if name == "help" || name == "h" {
		fmt.Fprint(p.stdout, p.help())
		if len(p.args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	for _, c := range p.commands() {
		if c.name == name {
			return p.exitCode(c.run(ctx, p.args[1:]))
		}
	}
	fmt.Fprintf(p.stderr, "varve: unknown command %q\n\n%s", p.args[0], p.help())
	return exitUsage
}

func (p *program) exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(p.stderr, "varve: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "varve: %v\n", err)
	return exitFailed
}

func (p *program) help() string {
	var s strings.Builder
	s.WriteString("Varve is a time-series database that speaks Prometheus.\n\nCommands:\n")
	for _, c := range p.commands() {
		fmt.Fprintf(&s, "  varve %-10s %s\n", c.name, c.summary)
	}
	s.WriteString(`
Examples:
  varve serve                                  data in ./data, HTTP on 127.0.0.1:7480
  varve serve --storage.path=/var/lib/varve --retention.time=180d
  varve serve --config.file=/etc/varve.yml     the same settings in a file
  VARVE_RETENTION_SIZE=200GiB varve serve      the same settings in the environment
  varve query 'sum by (job) (rate(http_requests_total[5m]))'
  varve health --url=http://127.0.0.1:7480     for a container's health check

Say varve <command> --help for the flags of a command.
`)
	return s.String()
}

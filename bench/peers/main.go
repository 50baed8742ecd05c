// Command peers puts the same load on Varve, VictoriaMetrics and Prometheus on
// this machine, and prints Markdown tables of what each spent: the writes of
// -what=ingest in turn, the queries of -what=queries side by side.
//
// It is a module of its own, so that the product does not depend on its peers;
// `go build` of the tools in go.mod builds them. The load itself comes from
// `varve bench ingest`, which treats all three alike.
//
// Read main.go first, then servers.go and measure.go; for the queries
// queries.go, questions.go and ask.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	what     string
	varve    string
	binaries string
	scratch  string
	only     string
	series   int
	passes   int
	rounds   int
	perBody  int
	clients  int
	captures string
	copies   int
	start    string
	queries  queryOptions
}

func main() {
	var o options
	flag.StringVar(&o.what, "what", "ingest", "what to measure: ingest or queries")
	flag.StringVar(&o.varve, "varve", "bin/varve", "Varve's binary; it also makes the load")
	flag.StringVar(&o.binaries, "binaries", "bin/peers", "folder of the peers' binaries; missing ones are built")
	flag.StringVar(&o.scratch, "scratch", "", "folder for the servers' data (default: a temporary one)")
	flag.StringVar(&o.only, "only", "varve,victoria-metrics,prometheus", "servers to measure, in this order")
	flag.IntVar(&o.series, "series", 100_000, "series of the fleet")
	flag.IntVar(&o.passes, "passes", 40, "scrapes of the fleet")
	flag.IntVar(&o.rounds, "rounds", 1, "times that everything is measured; the table shows medians")
	flag.IntVar(&o.perBody, "samples-per-request", 2000, "samples in a request")
	flag.IntVar(&o.clients, "connections", 2, "connections of the load")
	flag.StringVar(&o.captures, "captures", "", "captures to send besides, separated by commas")
	flag.IntVar(&o.copies, "copies", 4, "targets that send each capture")
	flag.StringVar(&o.start, "start", "-4h", "when captures begin, before now: so early that they have ended")
	o.queries.register(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	servers, err := choose(o)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if err := s.build(ctx); err != nil {
			return err
		}
	}
	scratch, err := os.MkdirTemp(o.scratch, "varve-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	switch o.what {
	case "ingest":
		return measureLoads(ctx, o, servers, scratch)
	case "queries":
		return measureQueries(ctx, o, servers, scratch)
	}
	return fmt.Errorf("-what is %q, it must be ingest or queries", o.what)
}

func measureLoads(ctx context.Context, o options, servers []server, scratch string) error {
	for _, l := range o.loads() {
		results := make([][]result, len(servers)) // by server and round
		for round := range o.rounds {
			for i, s := range servers {
				fmt.Fprintf(os.Stderr, "round %d: %s on %s\n", round+1, l.name, s.name)
				r, err := measure(ctx, s, l, o.varve, filepath.Join(scratch, s.name))
				if err != nil {
					return fmt.Errorf("measure %s with %s: %w", s.name, l.name, err)
				}
				results[i] = append(results[i], r)
			}
		}
		fmt.Printf("%s\n\n", l.describe)
		var columns []result
		for i := range servers {
			columns = append(columns, median(results[i]))
		}
		fmt.Println(table(servers, columns))
	}
	return nil
}

// choose returns the servers in the order asked for.
func choose(o options) ([]server, error) {
	var chosen []server
	for name := range strings.SplitSeq(o.only, ",") {
		all := known(o)
		i := slices.IndexFunc(all, func(s server) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no server is called %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// load is what is sent: arguments of varve bench ingest.
type load struct {
	name, describe string
	args           []string
}

func (o options) loads() []load {
	common := []string{fmt.Sprintf("--samples-per-request=%d", o.perBody), fmt.Sprintf("--connections=%d", o.clients), "--retries=1000"}
	all := []load{{
		name: "fleet",
		describe: fmt.Sprintf("A fleet of %d series scraped %d times: remote write 1.0, %d samples a request, %d connections.",
			o.series, o.passes, o.perBody, o.clients),
		args: append(slices.Clone(common), fmt.Sprintf("--series=%d", o.series), fmt.Sprintf("--samples=%d", o.series*o.passes)),
	}}
	if o.captures == "" {
		return all
	}
	for file := range strings.SplitSeq(o.captures, ",") {
		all = append(all, load{
			name: filepath.Base(file),
			describe: fmt.Sprintf("%s, sent as %d targets: remote write 1.0, %d samples a request, %d connections.",
				filepath.Base(file), o.copies, o.perBody, o.clients),
			args: append(slices.Clone(common), "--file="+file, fmt.Sprintf("--copies=%d", o.copies), "--start="+o.start),
		})
	}
	return all
}

// build makes the server's binary if it is not there.
func (s server) build(ctx context.Context) error {
	_, err := os.Stat(s.binary)
	if err == nil || !errors.Is(err, os.ErrNotExist) || s.source == "" {
		return err
	}
	fmt.Fprintf(os.Stderr, "building %s\n", s.name)
	args := append([]string{"build", "-trimpath", "-o", s.binary}, s.buildFlags...)
	command := exec.CommandContext(ctx, "go", append(args, s.source)...)
	command.Env = append(os.Environ(), s.buildEnv...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("build %s: %w", s.name, err)
	}
	return nil
}

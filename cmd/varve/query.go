package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/connect"
	"github.com/varve-db/varve/internal/terminal"
)

// queryCommand asks a server a PromQL question.
func queryCommand(ctx context.Context, args []string) error {
	c := questioner{
		stdout: os.Stdout, stderr: os.Stderr, now: time.Now(),
		screen: terminal.SizeOf(os.Stdout, os.Getenv),
	}
	c.color = c.screen.Terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return c.run(ctx, args)
}

// questioner is one invocation of varve query.
type questioner struct {
	stdout, stderr io.Writer
	now            time.Time // its zone is the user's
	screen         terminal.Size
	color          bool

	server, at, start, end, step, format string
	timeout                              time.Duration
	headers                              []string
	reach                                connect.Options
}

const queryHelp = `Ask a server in PromQL.

  varve query up
  varve query 'sum by (job) (rate(http_requests_total[5m]))' --start=-6h
  varve query 'topk(5, count by (__name__) ({__name__=~".+"}))' --time=2026-01-31T12:00
  varve query up --start=-1d --step=1h --format=csv

Times are now, relative to now (-90m, now-1d), Unix seconds, or dates such as
2026-01-31 and 2026-01-31T12:00:05+01:00, local unless they name a zone.

`

func (c *questioner) set() *pflag.FlagSet {
	set := newFlags("query", queryHelp, c.stdout)
	set.StringVar(&c.server, "server", "http://127.0.0.1:7480", "address of the server")
	set.StringVar(&c.at, "time", "now", "time of an instant query")
	set.StringVar(&c.start, "start", "", "start of a range query")
	set.StringVar(&c.end, "end", "", "end of a range query (default now)")
	set.StringVar(&c.step, "step", "", "step of a range query (default: one that fits the terminal)")
	set.StringVar(&c.format, "format", "", "table, graph, json or csv (default: graph for ranges, else table)")
	set.DurationVar(&c.timeout, "timeout", 0, "time that the server may take (default: its own limit)")
	set.StringArrayVar(&c.headers, "header", nil, "HTTP header, as 'Name: value'")
	bindReach(set, &c.reach)
	return set
}

func (c *questioner) run(ctx context.Context, args []string) error {
	set := c.set()
	if err := set.Parse(args); err != nil {
		return usage(err)
	}
	if set.NArg() != 1 {
		return fmt.Errorf("%w: varve query takes one query, in quotes; %d arguments were given", errUsage, set.NArg())
	}
	if err := c.check(set); err != nil {
		return err
	}
	question, err := c.question(set.Arg(0))
	if err != nil {
		return err
	}
	headers, err := cutAll(c.headers, ":")
	if err != nil {
		return err
	}
	reached, err := c.reach.Client(1)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	client := terminal.Client{Server: c.server, HTTP: reached, Header: http.Header{}}
	for _, h := range headers {
		client.Header.Set(h.Name, h.Value)
	}
	answer, err := client.Ask(ctx, question)
	if err != nil {
		return err
	}
	for _, warning := range answer.Warnings {
		fmt.Fprintln(c.stderr, "varve: warning:", warning)
	}
	for _, info := range answer.Infos {
		fmt.Fprintln(c.stderr, "varve: note:", info)
	}
	return c.write(answer, question)
}

// check refuses flags that contradict each other.
func (c *questioner) check(set *pflag.FlagSet) error {
	if formats := []string{"", "table", "graph", "json", "csv"}; !slices.Contains(formats, c.format) {
		return fmt.Errorf("%w: --format is %q, it must be%s", errUsage, c.format, strings.Join(formats, " "))
	}
	switch {
	case c.start != "" && set.Changed("time"):
		return fmt.Errorf("%w: --time is for instant queries, --start for ranges: give one", errUsage)
	case c.start == "" && (c.end != "" || c.step != ""):
		return fmt.Errorf("%w: a range query needs --start", errUsage)
	}
	return nil
}

// question reads the times.
func (c *questioner) question(query string) (terminal.Question, error) {
	q := terminal.Question{Query: query, Timeout: c.timeout}
	if c.start == "" {
		if c.format == "graph" { // a graph of an instant makes no sense: the last hour
			c.start = "-1h"
		} else {
			at, err := terminal.ParseTime(c.at, c.now)
			if err != nil {
				return q, fmt.Errorf("%w: --time: %w", errUsage, err)
			}
			q.End = at
			return q, nil
		}
	}
	end, step := c.end, c.step
	if end == "" {
		end = "now"
	}
	if step == "" {
		step = "0"
	}
	var err error
	if q.Start, q.End, q.Step, err = parseRange(c.start, end, step, c.now); err != nil {
		return q, err
	}
	if q.End.Before(q.Start) {
		return q, fmt.Errorf("%w: --end is before --start", errUsage)
	}
	if q.Step == 0 {
		q.Step = terminal.ChooseStep(q.End.Sub(q.Start), 2*c.screen.Columns)
	}
	return q, nil
}

func (c *questioner) write(a terminal.Answer, q terminal.Question) error {
	format := c.format
	if format == "" {
		format = "table"
		if q.Step > 0 {
			format = "graph"
		}
	}
	switch format {
	case "json":
		_, err := fmt.Fprintf(c.stdout, "%s\n", strings.TrimRight(string(a.Raw), "\n"))
		return err
	case "csv":
		return terminal.WriteCSV(c.stdout, a)
	case "graph":
		if a.Kind == "matrix" && len(a.Series) > 0 {
			return terminal.WriteGraph(c.stdout, a, terminal.GraphOptions{
				Width: c.screen.Columns, Height: min(c.screen.Rows-2, 20), Start: q.Start, End: q.End, Step: q.Step,
				Zone: c.now.Location(), Color: c.color,
			})
		}
	}
	return terminal.WriteTable(c.stdout, a, c.screen.Columns, c.now.Location())
}

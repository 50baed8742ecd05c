package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/bench"
	"github.com/varve-db/varve/internal/connect"
	"github.com/varve-db/varve/internal/terminal"
)

const benchHelp = `Measure a server, this one or another.

  varve bench ingest --series=100000 --pid=$(pgrep -x varve)
  varve bench ingest --url=http://127.0.0.1:8428/api/v1/write --rate=500000
  varve bench query --step=60s 'sum(rate(http_requests_total[5m]))'

Say varve bench ingest --help or varve bench query --help for the flags.
`

const benchIngestHelp = `Send samples to a server and report what it took.

  varve bench ingest --series=100000 --duration=1m
  varve bench ingest --file=node.tsd --copies=50 --protocol=2 --json

`

const benchQueryHelp = `Ask a server again and again and report how long it took.

  varve bench query up --concurrency=4 --count=100
  varve bench query --file=queries.txt --start=-6h --step=60s

`

// benchCommand runs one of the load generators.
func benchCommand(ctx context.Context, args []string) error {
	return benchTo(ctx, args, os.Stdout)
}

func benchTo(ctx context.Context, args []string, stdout io.Writer) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch name {
	case "ingest":
		return benchIngest(ctx, args[1:], stdout)
	case "query":
		return benchQuery(ctx, args[1:], stdout)
	case "help", "-h", "--help":
		_, err := io.WriteString(stdout, benchHelp)
		return err
	default:
		return fmt.Errorf("%w: bench knows ingest and query, not %q", errUsage, name)
	}
}

// ingestFlags are those of bench ingest.
type ingestFlags struct {
	fleet    bench.FleetOptions
	to       bench.IngestOptions
	file     string
	copies   int
	start    string
	interval time.Duration
	labels   []string
	headers  []string
	reach    connect.Options
	json     bool
}

func (f *ingestFlags) set(stdout io.Writer) *pflag.FlagSet {
	set := newFlags("bench ingest", benchIngestHelp, stdout)
	set.StringVar(&f.to.URL, "url", "http://127.0.0.1:7480/api/v1/write", "remote write address of the server")
	set.IntVar((*int)(&f.to.Protocol), "protocol", 1, "version of remote write: 1 or 2")
	set.StringArrayVar(&f.headers, "header", nil, "HTTP header of every request, as 'Name: value'")

	set.IntVar(&f.fleet.Series, "series", 100_000, "series of the made-up fleet")
	set.Uint64Var(&f.fleet.Seed, "seed", 1, "another seed is another fleet, so all its series are new")
	set.StringArrayVar(&f.labels, "label", nil, "label of every series, as name=value")
	set.DurationVar(&f.interval, "interval", 15*time.Second, "time between two scrapes, in sample time")
	set.IntVar(&f.fleet.ChurnPerMinute, "churn", 0, "series replaced by new ones per minute of sample time")
	set.StringVar(&f.file, "file", "", "send this capture (TSD1) instead of a fleet")
	set.IntVar(&f.copies, "copies", 1, "send the capture as so many targets")
	set.StringVar(&f.start, "start", "", "sample time of the first scrape: -6h unless --speed is set; a capture ends now")

	set.IntVar(&f.fleet.SamplesPerRequest, "samples-per-request", 2000, "samples in a request")
	set.IntVar(&f.fleet.Connections, "connections", 2, "connections; the series of a target stay on one")
	set.Float64Var(&f.to.Rate, "rate", 0, "samples a second; 0 for as many as the server takes")
	set.Float64Var(&f.to.Speed, "speed", 0, "sample time over wall time: 1 is real time, 0 no limit")
	set.IntVar(&f.to.Samples, "samples", 0, "stop after so many samples")
	set.DurationVar(&f.to.Duration, "duration", 0, "stop after this time (default 30s unless --samples or --file is set)")
	set.DurationVar(&f.to.Timeout, "timeout", 30*time.Second, "time for the server to answer a request")
	set.IntVar(&f.to.Retries, "retries", 10, "attempts to send a request again after 429, 5xx or no answer")

	set.IntVar(&f.to.PID, "pid", 0, "the server's process: its processor time, memory and writes are reported")
	set.DurationVar(&f.to.Settle, "settle", 0, "go on watching the process so long after the last reply")
	set.BoolVar(&f.json, "json", false, "report in JSON")
	bindReach(set, &f.reach)
	return set
}

func benchIngest(ctx context.Context, args []string, stdout io.Writer) error {
	var f ingestFlags
	set := f.set(stdout)
	if err := set.Parse(args); err != nil {
		return usage(err)
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, set.Arg(0))
	}
	sources, err := f.sources(time.Now())
	if err != nil {
		return err
	}
	if f.to.Samples == 0 && f.to.Duration == 0 && f.file == "" {
		f.to.Duration = 30 * time.Second
	}
	report, err := bench.Ingest(ctx, sources, f.to)
	if report.URL == "" {
		return err
	}
	if f.json {
		if writeErr := writeJSON(stdout, report); writeErr != nil {
			return writeErr
		}
		return err
	}
	if writeErr := report.WriteText(stdout); writeErr != nil {
		return writeErr
	}
	return err
}

// connect says how the server is reached. A header given as such wins.
func (f *ingestFlags) connect() error {
	given, err := cutAll(f.headers, ":")
	if err != nil {
		return err
	}
	headers, err := f.reach.Headers()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	for name := range headers {
		f.to.Headers = append(f.to.Headers, bench.Label{Name: name, Value: headers.Get(name)})
	}
	f.to.Headers = append(f.to.Headers, given...)
	if f.to.TLS, err = f.reach.TLS(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

// sources builds what is sent: a capture or a fleet.
func (f *ingestFlags) sources(now time.Time) ([]bench.Source, error) {
	if p := f.to.Protocol; p != bench.RemoteWrite1 && p != bench.RemoteWrite2 {
		return nil, fmt.Errorf("%w: --protocol is %d, it must be 1 or 2", errUsage, p)
	}
	var err error
	if f.fleet.Labels, err = cutAll(f.labels, "="); err != nil {
		return nil, err
	}
	if err = f.connect(); err != nil {
		return nil, err
	}
	if f.file != "" {
		return f.replay(now)
	}
	f.fleet.Protocol, f.fleet.Interval = f.to.Protocol, f.interval.Milliseconds()
	start := now.Add(-6 * time.Hour)
	if f.to.Speed > 0 {
		start = now
	} else {
		f.fleet.End = now.UnixMilli() // the load overtakes the clock: stop there
	}
	if f.start != "" {
		if start, err = terminal.ParseTime(f.start, now); err != nil {
			return nil, fmt.Errorf("%w: --start: %w", errUsage, err)
		}
	}
	f.fleet.Start = start.UnixMilli()
	sources, err := bench.NewFleet(f.fleet)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return sources, nil
}

func (f *ingestFlags) replay(now time.Time) ([]bench.Source, error) {
	file, err := os.Open(f.file)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	defer file.Close()
	capture, err := bench.ReadCapture(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.file, err)
	}
	first, last, _ := bench.CaptureRange(capture)
	start := now.Add(time.Duration(first-last) * time.Millisecond)
	if f.to.Speed > 0 {
		start = now
	}
	if f.start != "" {
		if start, err = terminal.ParseTime(f.start, now); err != nil {
			return nil, fmt.Errorf("%w: --start: %w", errUsage, err)
		}
	}
	return bench.NewReplay(capture, bench.ReplayOptions{
		Protocol:          f.to.Protocol,
		SamplesPerRequest: f.fleet.SamplesPerRequest,
		Connections:       f.fleet.Connections,
		Start:             start.UnixMilli(),
		Copies:            f.copies,
		Labels:            f.fleet.Labels,
	})
}

// cutAll splits name-separator-value texts.
func cutAll(texts []string, separator string) ([]bench.Label, error) {
	var all []bench.Label
	for _, text := range texts {
		name, value, ok := strings.Cut(text, separator)
		if !ok || name == "" {
			return nil, fmt.Errorf("%w: %q must have the form name%svalue", errUsage, text, separator)
		}
		all = append(all, bench.Label{Name: name, Value: strings.TrimSpace(value)})
	}
	return all, nil
}

// queryBenchFlags are those of bench query.
type queryBenchFlags struct {
	options    bench.QueryOptions
	file       string
	start, end string
	step       string
	headers    []string
	reach      connect.Options
	params     []string
	json       bool
}

func (f *queryBenchFlags) set(stdout io.Writer) *pflag.FlagSet {
	set := newFlags("bench query", benchQueryHelp, stdout)
	set.StringVar(&f.options.Server, "server", "http://127.0.0.1:7480", "address of the server")
	set.StringVar(&f.file, "file", "", "file with a query a line, besides those given as arguments")
	set.StringVar(&f.start, "start", "-1h", "start of range queries")
	set.StringVar(&f.end, "end", "now", "end of range queries, time of instant ones")
	set.StringVar(&f.step, "step", "0", "step of range queries; 0 asks instant queries")
	set.IntVar(&f.options.Concurrency, "concurrency", 1, "requests under way at once")
	set.IntVar(&f.options.Count, "count", 20, "requests a query; 0 for as many as --duration allows")
	set.DurationVar(&f.options.Duration, "duration", 0, "time a query is asked at most")
	set.IntVar(&f.options.Warmup, "warmup", 2, "requests a query that are not measured")
	set.IntVar(&f.options.PID, "pid", 0, "the server's process: its processor time and memory are reported")
	set.StringArrayVar(&f.headers, "header", nil, "HTTP header of every request, as 'Name: value'")
	set.StringArrayVar(&f.params, "param", nil, "further parameter of every request, as name=value")
	set.BoolVar(&f.json, "json", false, "report in JSON")
	bindReach(set, &f.reach)
	return set
}

func benchQuery(ctx context.Context, args []string, stdout io.Writer) error {
	var f queryBenchFlags
	set := f.set(stdout)
	if err := set.Parse(args); err != nil {
		return usage(err)
	}
	if err := f.fill(set.Args(), time.Now()); err != nil {
		return err
	}
	results, err := bench.Query(ctx, f.options)
	write := bench.WriteQueryText
	if f.json {
		write = func(w io.Writer, r []bench.QueryResult) error { return writeJSON(w, r) }
	}
	if writeErr := write(stdout, results); writeErr != nil {
		return writeErr
	}
	for _, r := range results {
		if err == nil && r.Failed > 0 {
			err = fmt.Errorf("%d requests for %q failed: %s", r.Failed, r.Query, r.Error)
		}
	}
	return err
}

// fill turns the flags' texts into options.
func (f *queryBenchFlags) fill(queries []string, now time.Time) error {
	var err error
	if f.options.Queries = queries; f.file != "" {
		file, err := os.Open(f.file)
		if err != nil {
			return fmt.Errorf("open queries: %w", err)
		}
		defer file.Close()
		more, err := bench.ReadQueries(file)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.file, err)
		}
		f.options.Queries = append(f.options.Queries, more...)
	}
	if len(f.options.Queries) == 0 {
		return fmt.Errorf("%w: no query: give some as arguments or with --file", errUsage)
	}
	if f.options.Count == 0 && f.options.Duration == 0 {
		return fmt.Errorf("%w: --count=0 needs a --duration", errUsage)
	}
	if f.options.Start, f.options.End, f.options.Step, err = parseRange(f.start, f.end, f.step, now); err != nil {
		return err
	}
	if f.options.Headers, err = cutAll(f.headers, ":"); err != nil {
		return err
	}
	if f.options.Params, err = cutAll(f.params, "="); err != nil {
		return err
	}
	if f.options.Client, err = f.reach.Client(f.options.Concurrency); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

// parseRange reads --start, --end and --step.
func parseRange(startText, endText, stepText string, now time.Time) (start, end time.Time, step time.Duration, err error) {
	if start, err = terminal.ParseTime(startText, now); err != nil {
		return start, end, step, fmt.Errorf("%w: --start: %w", errUsage, err)
	}
	if end, err = terminal.ParseTime(endText, now); err != nil {
		return start, end, step, fmt.Errorf("%w: --end: %w", errUsage, err)
	}
	if step, err = terminal.ParseDuration(stepText); err != nil {
		return start, end, step, fmt.Errorf("%w: --step: %w", errUsage, err)
	}
	if step > 0 && end.Before(start) {
		return start, end, step, fmt.Errorf("%w: --end is before --start", errUsage)
	}
	return start, end, step, nil
}

func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	if err := out.Encode(v); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

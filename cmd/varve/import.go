package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/connect"
	"github.com/varve-db/varve/internal/terminal"
	"github.com/varve-db/varve/transfer"
)

const importHelp = `Copy history into a server.

  varve import prometheus-tsdb /var/lib/prometheus/data
  varve import remote-read http://prometheus:9090/api/v1/read --start=-90d
  varve import victoria-metrics http://victoria:8428 --start=2025-01-01 --match='{job="node"}'
  varve import jsonl history.jsonl.zst
  varve import text metrics.txt              Prometheus's text format; openmetrics for the other
  varve import influx lines.gz --precision=s --db=telegraf

With --state=FILE an import that was interrupted goes on where it was when it is
called again. Sending something twice does no harm. Exits with 1 if anything of the
source is not in the server afterwards, and says what and why.

`

// importKinds are the sources that importer.open knows.
var importKinds = []command{
	{name: "prometheus-tsdb", summary: "a data folder or snapshot of Prometheus"},
	{name: "remote-read", summary: "a server that answers remote read"},
	{name: "victoria-metrics", summary: "a server of VictoriaMetrics"},
	{name: "jsonl", summary: "a file of JSON lines"},
	{name: "text", summary: "a file in Prometheus's text format"},
	{name: "openmetrics", summary: "a file in OpenMetrics"},
	{name: "influx", summary: "a file in InfluxDB's line protocol"},
}

// importer is one invocation of varve import.
type importer struct {
	stdout, progress io.Writer // progress is nil for none
	stdin            io.Reader
	now              time.Time // its zone is the user's

	url           string
	reach         connect.Options
	match         []string
	start, end    string
	sourceHeaders []string
	precision, db string
	retries       int
	json          bool
	options       transfer.Options
}

// errLost means that an import came to its end and something is missing.
var errLost = errors.New("not everything was imported")

// importCommand copies history into a server.
func importCommand(ctx context.Context, args []string) error {
	i := importer{stdout: os.Stdout, stdin: os.Stdin, now: time.Now()}
	if terminal.SizeOf(os.Stderr, os.Getenv).Terminal {
		i.progress = os.Stderr
	}
	return i.run(ctx, args)
}

func (i *importer) set() *pflag.FlagSet {
	set := newFlags("import", importHelp, i.stdout)
	set.StringVar(&i.url, "url", "http://127.0.0.1:7480", "address of the server")
	set.StringArrayVar(&i.match, "match", nil, "series selector; several are alternatives (default: everything)")
	set.StringVar(&i.start, "start", "", "from this time on")
	set.StringVar(&i.end, "end", "", "up to this time")
	set.StringArrayVar(&i.sourceHeaders, "source-header", nil, "HTTP header for the source, as 'Name: value'")
	set.StringVar(&i.precision, "precision", "ns", "unit of times in the line protocol")
	set.StringVar(&i.db, "db", "", "label db of series in the line protocol")
	set.StringVar(&i.options.State, "state", "", "file that keeps what is done")
	set.IntVar(&i.options.Connections, "connections", 2, "requests under way together")
	set.IntVar(&i.retries, "retries", 10, "attempts to send a request again after 429, 5xx or no answer")
	set.BoolVar(&i.json, "json", false, "report in JSON")
	bindReach(set, &i.reach)
	return set
}

func (i *importer) run(ctx context.Context, args []string) error {
	set := i.set()
	if err := set.Parse(args); err != nil {
		return usage(err)
	}
	if set.NArg() != 2 {
		return fmt.Errorf("%w: varve import takes a kind and a source; see varve import --help", errUsage)
	}
	client, err := i.reach.Client(i.options.Connections)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	from, err := i.open(set.Arg(0), set.Arg(1))
	if err != nil {
		return err
	}
	defer from.Close()
	i.options.Progress = i.progress
	to := &transfer.Target{URL: strings.TrimSuffix(i.url, "/"), HTTP: client, Retries: i.retries}
	report, err := transfer.Import(ctx, from, to, i.options)
	write := report.WriteText
	if i.json {
		write = func(w io.Writer) error { return writeJSON(w, report) }
	}
	if err := errors.Join(err, write(i.stdout)); err != nil {
		return err
	}
	if n := report.LostTotal(); n > 0 {
		return fmt.Errorf("%w: %d were lost", errLost, n)
	}
	return nil
}

// open opens a source of the given kind.
func (i *importer) open(kind, source string) (transfer.Source, error) {
	f, err := filterOf(i.match, i.start, i.end, i.now)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "prometheus-tsdb":
		return transfer.OpenPrometheus(source, "", f)
	case "remote-read", "victoria-metrics":
		if f.Start.IsZero() {
			return nil, fmt.Errorf("%w: %s needs --start", errUsage, kind)
		}
		if f.End.IsZero() {
			f.End = i.now
		}
		header, err := headersOf(i.sourceHeaders)
		if err != nil {
			return nil, err
		}
		if kind == "remote-read" {
			return transfer.OpenRemoteRead(source, http.DefaultClient, header, f)
		}
		return transfer.OpenVictoria(source, http.DefaultClient, header, f)
	case "jsonl", "text", "openmetrics", "influx":
		if len(i.match)+len(i.start)+len(i.end) > 0 {
			return nil, fmt.Errorf("%w: files are imported whole: --match, --start and --end are for other kinds", errUsage)
		}
		o := transfer.LineOptions{Now: i.now, Precision: i.precision, Database: i.db}
		from, err := transfer.OpenLines(source, i.stdin, transfer.Format(kind), o)
		if errors.Is(err, transfer.ErrPrecision) {
			err = fmt.Errorf("%w: --precision: %w", errUsage, err)
		}
		return from, err
	}
	return nil, fmt.Errorf("%w: import knows prometheus-tsdb, remote-read, victoria-metrics, jsonl, text, openmetrics and influx, not %q", errUsage, kind)
}

// filterOf reads what says which samples are wanted.
func filterOf(match []string, start, end string, now time.Time) (f transfer.Filter, err error) {
	if len(match) > 0 {
		if f.Selectors, err = transfer.ParseSelectors(match); err != nil {
			return f, fmt.Errorf("%w: --match: %w", errUsage, err)
		}
	}
	for _, bound := range []struct {
		flag, text string
		to         *time.Time
	}{{"start", start, &f.Start}, {"end", end, &f.End}} {
		if bound.text == "" {
			continue
		}
		if *bound.to, err = terminal.ParseTime(bound.text, now); err != nil {
			return f, fmt.Errorf("%w: --%s: %w", errUsage, bound.flag, err)
		}
	}
	if !f.Start.IsZero() && !f.End.IsZero() && f.End.Before(f.Start) {
		return f, fmt.Errorf("%w: --end is before --start", errUsage)
	}
	return f, nil
}

func headersOf(texts []string) (http.Header, error) {
	all, err := cutAll(texts, ":")
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	for _, one := range all {
		h.Add(one.Name, one.Value)
	}
	return h, nil
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/varve-db/varve/bench"
)

// queryOptions are the flags of -what=queries.
type queryOptions struct {
	sets       string
	match      string
	output     string
	varveFlags string
	repeats    int
	repeatsMin int
	budget     time.Duration

	hosts, cpuHosts, bucketHosts int
	span, cpuSpan                time.Duration
	pods, scrapes                int
}

func (o *queryOptions) register(f *flag.FlagSet) {
	f.StringVar(&o.sets, "sets", "main,tsbs,histogram", "queries: data sets, in this order; there are jitter and big besides")
	f.StringVar(&o.match, "match", "", "queries: ask only those whose title or text matches this regular expression")
	f.StringVar(&o.output, "json", "", "queries: file for everything that was measured")
	f.StringVar(&o.varveFlags, "varve-flags", "", "queries: further flags of varve serve, separated by spaces")
	f.IntVar(&o.repeats, "repeats", 11, "queries: times that each is asked")
	f.IntVar(&o.repeatsMin, "repeats-min", 3, "queries: times that even slow ones are asked")
	f.DurationVar(&o.budget, "budget", 25*time.Second, "queries: time for one on all servers, beyond which it is asked less often")
	f.IntVar(&o.hosts, "hosts", 1000, "queries: hosts of main and jitter, of 3 series each")
	f.IntVar(&o.cpuHosts, "tsbs-hosts", 500, "queries: hosts of tsbs, of 10 series each")
	f.IntVar(&o.bucketHosts, "histogram-hosts", 300, "queries: hosts of histogram, of 12 series each")
	f.DurationVar(&o.span, "span", 6*hour, "queries: time covered by main, jitter and histogram")
	f.DurationVar(&o.cpuSpan, "tsbs-span", 12*hour, "queries: time covered by tsbs")
	f.IntVar(&o.pods, "pods", 5000, "queries: pods of big, of 200 series each")
	f.IntVar(&o.scrapes, "scrapes", 3, "queries: samples of each series of big")
}

func (o queryOptions) dataSet(name string) (bench.DataSet, error) {
	switch name {
	case "main":
		return bench.NewCounterSet(o.hosts, o.span), nil
	case "jitter":
		d := bench.NewCounterSet(o.hosts, o.span)
		d.Name, d.Jitter = name, true
		return d, nil
	case "tsbs":
		return bench.NewCPUSet(o.cpuHosts, o.cpuSpan), nil
	case "histogram":
		return bench.NewBucketSet(o.bucketHosts, o.span), nil
	case "big":
		return bench.NewPodSet(o.pods, o.scrapes), nil
	}
	return bench.DataSet{}, fmt.Errorf("no data set is called %q", name)
}

// outcome is what a question came to on all servers.
type outcome struct {
	Set      string  `json:"set"`
	Title    string  `json:"title"`
	Query    string  `json:"query"`
	Kind     kind    `json:"kind"`
	Span     string  `json:"span,omitempty"`
	Step     string  `json:"step,omitempty"`
	State    string  `json:"state"` // of Varve's data
	Peer     string  `json:"faster_peer,omitempty"`
	Target   float64 `json:"target_ratio"`
	Ratio    float64 `json:"ratio"`     // of Varve's median to that of the faster peer
	CPURatio float64 `json:"cpu_ratio"` // the same of processor time
	Met      bool    `json:"met"`
	Servers  []asked `json:"servers"`
}

// memory is what one server took for a data set.
type memory struct {
	Server  string           `json:"server"`
	Load    bench.LoadReport `json:"load"`
	Loading int64            `json:"peak_rss_loading_bytes"`
	Asking  int64            `json:"peak_rss_asking_bytes"`
}

// setReport is the account of one data set.
type setReport struct {
	Set      string    `json:"set"`
	Series   int       `json:"series"`
	Samples  int       `json:"samples"`
	Sealing  float64   `json:"sealing_seconds"`
	Outcomes []outcome `json:"outcomes"`
	Memory   []memory  `json:"memory"`
}

// running is a server with data.
type running struct {
	server
	process *process
	dir     string
	memory  memory
}

// The states of Varve's data.
const (
	asItLies = "as it lies"
	sealed   = "sealed"
)

var errAnswers = errors.New("answers differ from Prometheus's, or are missing")

func measureQueries(ctx context.Context, o options, servers []server, scratch string) error {
	match, err := regexp.Compile(o.queries.match)
	if err != nil {
		return fmt.Errorf("parse -match: %w", err)
	}
	var reports []setReport
	for name := range strings.SplitSeq(o.queries.sets, ",") {
		set, err := o.queries.dataSet(name)
		if err != nil {
			return err
		}
		var chosen []question
		for _, q := range questionsOf(name) {
			if match.MatchString(q.title) || match.MatchString(q.query) {
				chosen = append(chosen, q)
			}
		}
		if len(chosen) == 0 {
			continue
		}
		r, err := measureSet(ctx, o, set, chosen, arrange(servers, o.queries, filepath.Join(scratch, name)))
		if err != nil {
			return fmt.Errorf("measure data set %s: %w", name, err)
		}
		reports = append(reports, r)
		fmt.Println(setTable(r))
		if err := writeReports(o.queries.output, reports); err != nil {
			return err
		}
	}
	fmt.Println(memoryTable(reports))
	return judge(reports)
}

// arrange gives every server a folder, and the flags that queries need: no
// server may answer from a cache of results, nor refuse what is large.
func arrange(servers []server, o queryOptions, dir string) []*running {
	var all []*running
	for _, s := range servers {
		plain := s.args
		var more []string
		switch s.name {
		case "varve":
			more = strings.Fields(o.varveFlags)
		case "victoria-metrics":
			more = []string{"-search.disableCache", "-search.latencyOffset=0s", "-search.maxSeriesPerAggrFunc=20000000",
				"-search.maxLabelsAPISeries=20000000", "-search.maxLabelsAPIDuration=1m"}
		}
		s.args = func(dir, address string) []string { return append(plain(dir, address), more...) }
		all = append(all, &running{server: s, dir: filepath.Join(dir, s.name), memory: memory{Server: s.name}})
	}
	return all
}

// measureSet starts the servers, gives each the data, and asks.
func measureSet(ctx context.Context, o options, set bench.DataSet, questions []question, servers []*running) (setReport, error) {
	r := setReport{Set: set.Name, Series: set.Series, Samples: set.Samples()}
	defer func() {
		for _, s := range servers {
			if s.process != nil {
				s.process.kill()
			}
			if err := os.RemoveAll(s.dir); err != nil {
				fmt.Fprintln(os.Stderr, "peers:", err)
			}
		}
	}()
	end := time.Now().Truncate(minute)
	for _, s := range servers {
		if err := s.load(ctx, o, set, end); err != nil {
			return r, fmt.Errorf("load %s: %w", s.name, err)
		}
	}
	err := askEvery(ctx, o.queries, &r, asItLies, questions, servers, end)
	if err != nil {
		return r, err
	}
	for _, s := range servers {
		if s.name != "varve" {
			continue
		}
		began := time.Now()
		if _, err := s.flush(ctx, s.process.base, s.dir); err != nil {
			return r, fmt.Errorf("seal: %w", err)
		}
		r.Sealing = time.Since(began).Seconds()
		if err := askEvery(ctx, o.queries, &r, sealed, questions, servers, end); err != nil {
			return r, err
		}
	}
	for _, s := range servers {
		if s.memory.Asking, err = bench.PeakMemory(s.process.pid()); err != nil {
			return r, err
		}
		r.Memory = append(r.Memory, s.memory)
	}
	return r, nil
}

// load starts the server and sends it the data set.
func (s *running) load(ctx context.Context, o options, set bench.DataSet, end time.Time) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	var err error
	if s.process, err = start(ctx, s.server, s.dir); err != nil {
		return err
	}
	s.memory.Load, err = set.Load(ctx, bench.DataOptions{
		Protocol: bench.RemoteWrite1, SamplesPerRequest: o.perBody, Connections: o.clients, End: end,
	}, bench.IngestOptions{URL: s.process.base + "/api/v1/write", PID: s.process.pid(), Timeout: 5 * minute, Retries: 1000})
	if err != nil {
		return fmt.Errorf("%w; its log ends: %s", err, tail(s.process.output.Bytes()))
	}
	fmt.Fprintf(os.Stderr, "%s: %d samples of %s loaded in %.1f s\n", s.name, s.memory.Load.Samples, set.Name, s.memory.Load.Seconds)
	if s.name == "victoria-metrics" { // else the newest are invisible for a moment
		if err := send(ctx, http.MethodPost, s.process.base+"/internal/force_flush", nil); err != nil {
			return err
		}
	}
	if s.memory.Loading, err = bench.PeakMemory(s.process.pid()); err != nil {
		return err
	}
	return bench.ForgetPeakMemory(s.process.pid())
}

// askEvery asks all questions of Varve's data in one state.
func askEvery(ctx context.Context, o queryOptions, r *setReport, state string, questions []question, servers []*running, end time.Time) error {
	if err := settle(ctx, servers); err != nil {
		return err
	}
	for _, q := range questions {
		fmt.Fprintf(os.Stderr, "%s, %s: %s\n", r.Set, state, q.title)
		results, err := askAll(ctx, q, servers, o, end)
		if err != nil {
			return err
		}
		r.Outcomes = append(r.Outcomes, newOutcome(q, state, results))
	}
	return nil
}

const (
	settleWatch = time.Second
	settleShare = 0.03 // of one processor, which a server may use while it is idle
	settleLimit = 3 * minute
)

// settle waits until no server is merging or compacting.
func settle(ctx context.Context, servers []*running) error {
	deadline := time.Now().Add(settleLimit)
	for quiet := 0; quiet < 3 && time.Now().Before(deadline); {
		busy, err := busiest(ctx, servers)
		if err != nil {
			return err
		}
		quiet++
		if busy > time.Duration(settleShare*float64(settleWatch)) {
			quiet = 0
		}
	}
	return nil
}

// busiest returns the most processor time that a server used in settleWatch.
func busiest(ctx context.Context, servers []*running) (time.Duration, error) {
	before := make([]time.Duration, len(servers))
	var err error
	for i, s := range servers {
		if before[i], err = bench.CPUTime(s.process.pid()); err != nil {
			return 0, err
		}
	}
	select {
	case <-time.After(settleWatch):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	var most time.Duration
	for i, s := range servers {
		after, err := bench.CPUTime(s.process.pid())
		if err != nil {
			return 0, err
		}
		most = max(most, after-before[i])
	}
	return most, nil
}

// newOutcome sets Varve's figures against those of the peer with the lower
// median.
func newOutcome(q question, state string, results []asked) outcome {
	o := outcome{Set: q.set, Title: q.title, Query: q.query, Kind: q.kind, State: state, Target: q.target, Servers: results}
	if q.span > 0 {
		o.Span = q.span.String()
	}
	if q.step > 0 {
		o.Step = q.step.String()
	}
	var own, peer *asked
	for i := range results {
		r := &results[i]
		switch {
		case len(r.Millis) == 0:
		case r.Server == "varve":
			own = r
		case peer == nil || r.Median < peer.Median:
			peer = r
		}
	}
	if own == nil || peer == nil {
		return o
	}
	o.Peer, o.Ratio = peer.Server, own.Median/peer.Median
	if peer.CPU > 0 {
		o.CPURatio = own.CPU / peer.CPU
	}
	o.Met = o.Ratio <= o.Target
	return o
}

// judge returns errAnswers if Varve gave a wrong answer, or any server none.
func judge(reports []setReport) error {
	wrong := 0
	for _, r := range reports {
		for _, o := range r.Outcomes {
			for _, s := range o.Servers {
				if s.Error != "" || s.Server == "varve" && !s.Answer.equal() {
					fmt.Fprintf(os.Stderr, "%s, %s, %q on %s: %s\n", o.Set, o.State, o.Query, s.Server, cmp.Or(s.Error, s.Answer.String()))
					wrong++
				}
			}
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d %w", wrong, errAnswers)
	}
	return nil
}

func writeReports(file string, reports []setReport) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(reports, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

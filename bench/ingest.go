package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// IngestOptions says where and how fast bodies are sent. Without Samples and
// Duration, sending ends when the sources do.
type IngestOptions struct {
	URL      string // of the receiver, such as http://127.0.0.1:7480/api/v1/write
	Protocol Protocol
	Headers  []Label
	TLS      *tls.Config // of an https URL; nil: the defaults

	Rate     float64       // samples a second, 0 for as many as it takes
	Speed    float64       // sample time over wall time: 1 is real time, 0 no limit
	Samples  int           // stop when so many were sent, 0 for no limit
	Duration time.Duration // stop after this time, 0 for no limit
	Settle   time.Duration // go on watching the server so long after the last reply

	PID     int           // the server's process, 0 when unknown
	Timeout time.Duration // of a request; default 30 s
	Retries int           // of a body that met an error which may pass; default 10
}

// ErrNotAcknowledged means that samples were refused or given up.
var ErrNotAcknowledged = errors.New("samples were not acknowledged")

// Ingest sends what the sources yield, one connection a source. The first pass,
// which brings the series, is measured apart from the rest. The report is
// valid whatever the error: ErrNotAcknowledged, the context's, or none.
func Ingest(ctx context.Context, sources []Source, o IngestOptions) (IngestReport, error) {
	r, err := newIngest(sources, o)
	if err != nil {
		return IngestReport{}, err
	}
	report := IngestReport{URL: o.URL, Protocol: int(o.Protocol), Connections: len(sources)}
	generator, err := readUsage("/proc", os.Getpid())
	if err != nil {
		return report, err
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	if o.Duration > 0 {
		sending, stop = context.WithTimeout(ctx, o.Duration)
		defer stop()
	}
	r.began = time.Now()
	if report.First, err = r.part(sending, true); err != nil {
		return report, err
	}
	if report.Steady, err = r.part(sending, false); err != nil {
		return report, err
	}
	if err := r.settle(ctx, &report); err != nil {
		return report, err
	}
	after, err := readUsage("/proc", os.Getpid())
	if err != nil {
		return report, err
	}
	report.GeneratorCPUSeconds = after.cpuSeconds - generator.cpuSeconds
	r.sum(&report)
	if ctx.Err() != nil {
		return report, ctx.Err()
	}
	if report.Failed > 0 {
		return report, fmt.Errorf("%d %w: %s", report.Failed, ErrNotAcknowledged, report.FirstError)
	}
	return report, nil
}

// ingest is one run.
type ingest struct {
	options     IngestOptions
	connections []*connection
	began       time.Time
	issued      atomic.Int64 // samples handed to connections
	origin      sync.Once
	firstTime   int64 // of the first body, in sample time
}

func newIngest(sources []Source, o IngestOptions) (*ingest, error) {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 10
	}
	r := &ingest{options: o}
	for _, s := range sources {
		c, err := newConnection(s, o)
		if err != nil {
			return nil, err
		}
		r.connections = append(r.connections, c)
	}
	return r, nil
}

// part runs all connections, through the first pass or to the end.
func (r *ingest) part(ctx context.Context, firstPass bool) (Part, error) {
	before, err := r.serverUsage()
	if err != nil {
		return Part{}, err
	}
	start := time.Now()
	var running sync.WaitGroup
	for _, c := range r.connections {
		c.part = counts{}
		running.Go(func() { r.drive(ctx, c, firstPass) })
	}
	running.Wait()
	var total counts
	for _, c := range r.connections {
		total.add(&c.part)
		c.total.add(&c.part)
	}
	p := Part{
		Seconds:  time.Since(start).Seconds(),
		Samples:  total.acked,
		Requests: total.latencies.total,
		Latency:  total.latencies.summary(),
	}
	if p.Seconds > 0 {
		p.SamplesPerSecond = float64(p.Samples) / p.Seconds
	}
	if r.options.PID == 0 {
		return p, nil
	}
	after, err := r.serverUsage()
	if err != nil {
		return p, err
	}
	cost := after.since(before)
	p.Server = &cost
	return p, nil
}

// drive sends the bodies of c's source when they are due.
func (r *ingest) drive(ctx context.Context, c *connection, firstPass bool) {
	for n := 0; !firstPass || n < c.source.FirstPass(); n++ {
		if c.broken {
			return
		}
		limit := int64(r.options.Samples)
		if limit > 0 && r.issued.Load() >= limit {
			return
		}
		body, ok := c.source.Next(ctx)
		if !ok {
			return
		}
		before := r.issued.Add(int64(body.Samples)) - int64(body.Samples)
		if !sleepUntil(ctx, r.due(body, before)) {
			return
		}
		c.send(ctx, body)
	}
}

// due returns when body may be sent, before which issued samples were.
func (r *ingest) due(body Body, issued int64) time.Time {
	r.origin.Do(func() { r.firstTime = body.Time })
	var wait time.Duration
	if r.options.Rate > 0 {
		wait = time.Duration(float64(issued) / r.options.Rate * float64(time.Second))
	}
	if r.options.Speed > 0 {
		wait = max(wait, time.Duration(float64(body.Time-r.firstTime)/r.options.Speed*float64(time.Millisecond)))
	}
	return r.began.Add(wait)
}

func sleepUntil(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle watches what the server does once it is left alone.
func (r *ingest) settle(ctx context.Context, report *IngestReport) error {
	if r.options.Settle <= 0 || r.options.PID == 0 {
		return nil
	}
	before, err := r.serverUsage()
	if err != nil {
		return err
	}
	sleepUntil(ctx, time.Now().Add(r.options.Settle))
	after, err := r.serverUsage()
	if err != nil {
		return err
	}
	cost := after.since(before)
	report.Settled = &cost
	return nil
}

func (r *ingest) serverUsage() (usage, error) {
	if r.options.PID == 0 {
		return usage{}, nil
	}
	return readUsage("/proc", r.options.PID)
}

// sum adds up what the connections counted.
func (r *ingest) sum(report *IngestReport) {
	var total counts
	for _, c := range r.connections {
		total.add(&c.total)
	}
	report.Samples, report.Stale, report.Failed = total.acked, total.stale, total.failed
	report.Statuses, report.FirstError = total.statuses, total.firstError
	report.FirstTime, report.LastTime = total.firstTime, total.lastTime
	if sent := float64(total.acked + total.failed); sent > 0 {
		report.PlainBytesPerSample = float64(total.plainBytes) / sent
		report.WireBytesPerSample = float64(total.wireBytes) / sent
	}
}

package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Part is the account of one part of an ingest run.
type Part struct {
	Seconds          float64 `json:"seconds"`
	Samples          int     `json:"samples"` // acknowledged
	Requests         int     `json:"requests"`
	SamplesPerSecond float64 `json:"samples_per_second"`
	Latency          Latency `json:"latency"`
	Server           *Cost   `json:"server,omitempty"`
}

// CPUMicros returns the server's processor time per sample in microseconds.
func (p Part) CPUMicros() float64 {
	if p.Server == nil || p.Samples == 0 {
		return 0
	}
	return p.Server.CPUSeconds * 1e6 / float64(p.Samples)
}

// IngestReport is the account of an ingest run.
type IngestReport struct {
	URL         string `json:"url"`
	Protocol    int    `json:"protocol"`
	Connections int    `json:"connections"`

	First   Part  `json:"first_pass"` // every series for the first time
	Steady  Part  `json:"steady"`     // everything after
	Settled *Cost `json:"settled,omitempty"`

	Samples    int            `json:"samples"`       // acknowledged
	Stale      int            `json:"stale_markers"` // of these; queries do not count them
	Failed     int            `json:"failed"`        // samples refused or given up
	Statuses   map[string]int `json:"statuses"`
	FirstError string         `json:"first_error,omitempty"`
	FirstTime  int64          `json:"first_time_ms"` // of the bodies acknowledged
	LastTime   int64          `json:"last_time_ms"`

	PlainBytesPerSample float64 `json:"plain_bytes_per_sample"`
	WireBytesPerSample  float64 `json:"wire_bytes_per_sample"`
	GeneratorCPUSeconds float64 `json:"generator_cpu_seconds"`
}

// WriteText writes r for people.
func (r IngestReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "remote write %d to %s over %d connections\n", r.Protocol, r.URL, r.Connections)
	writePart(&b, "first pass", r.First)
	writePart(&b, "steady", r.Steady)
	if r.Settled != nil {
		fmt.Fprintf(&b, "afterwards   the server used %.2f CPU-s and wrote %s\n", r.Settled.CPUSeconds, size(r.Settled.WrittenBytes))
	}
	fmt.Fprintf(&b, "replies     ")
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&b, " %s (%d)", status, r.Statuses[status])
	}
	fmt.Fprintf(&b, "\nsamples      %d acknowledged, %d not\n", r.Samples, r.Failed)
	if r.FirstError != "" {
		fmt.Fprintf(&b, "first error  %s\n", r.FirstError)
	}
	fmt.Fprintf(&b, "bodies       %.1f bytes a sample, %.1f before compression\n", r.WireBytesPerSample, r.PlainBytesPerSample)
	fmt.Fprintf(&b, "generator    %.2f CPU-s\n", r.GeneratorCPUSeconds)
	_, err := io.WriteString(w, b.String())
	return err
}

func writePart(b *strings.Builder, name string, p Part) {
	if p.Requests == 0 {
		return
	}
	fmt.Fprintf(b, "%-12s %d samples in %.2f s: %.0f samples/s; latency p50 %s, p90 %s, p99 %s, max %s\n", name,
		p.Samples, p.Seconds, p.SamplesPerSecond,
		duration(p.Latency.P50), duration(p.Latency.P90), duration(p.Latency.P99), duration(p.Latency.Max))
	if s := p.Server; s != nil && p.Samples > 0 {
		fmt.Fprintf(b, "%-12s %.3f CPU-us a sample; wrote %s, %.1f bytes a sample; peak memory %s\n", "",
			p.CPUMicros(), size(s.WrittenBytes), float64(s.WrittenBytes)/float64(p.Samples), size(s.PeakBytes))
	}
}

func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
}

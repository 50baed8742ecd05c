package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is one line of the table.
type row struct {
	title  string
	figure func(r result) string
}

var rows = []row{
	{"steady: CPU-us per sample", func(r result) string { return perSample(r.report.Steady, "%.2f") }},
	{"steady: samples/s", func(r result) string {
		return per(float64(r.report.Steady.Samples), r.report.Steady.Seconds, "%.0f")
	}},
	{"steady: p99 of a request, ms", func(r result) string { return fmt.Sprintf("%.1f", r.report.Steady.Latency.P99*1000) }},
	{"first pass: CPU-us per new series", func(r result) string { return perSample(r.report.First, "%.1f") }},
	{"peak memory, MiB", func(r result) string {
		return fmt.Sprintf("%.0f", float64(max(r.report.First.Server.PeakBytes, r.report.Steady.Server.PeakBytes))/(1<<20))
	}},
	{"written per sample by the last reply, bytes", func(r result) string {
		return per(float64(r.report.First.Server.WrittenBytes+r.report.Steady.Server.WrittenBytes), float64(r.report.Samples), "%.1f")
	}},
	{"on disk per sample after a forced merge, bytes", func(r result) string { return per(float64(r.diskBytes), float64(r.report.Samples), "%.2f") }},
	{"ready after kill -9, s", func(r result) string { return fmt.Sprintf("%.2f", r.ready.Seconds()) }},
	{"first answer after kill -9, s", func(r result) string { return fmt.Sprintf("%.2f", r.answer.Seconds()) }},
	{"acknowledged samples lost", func(r result) string {
		return fmt.Sprintf("%d of %d", r.lost(), r.report.Samples)
	}},
}

func perSample(p part, format string) string {
	return per(p.Server.CPUSeconds*1e6, float64(p.Samples), format)
}

func per(amount, n float64, format string) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf(format, amount/n)
}

// table writes a column a server.
func table(servers []server, columns []result) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, s := range servers {
		b.WriteString(" " + s.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(servers)) + "\n")
	for _, r := range rows {
		b.WriteString("| " + r.title + " |")
		for _, c := range columns {
			b.WriteString(" " + r.figure(c) + " |")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// median returns the round whose processor time is in the middle, with the
// median of the times after the kill and the worst loss.
func median(rounds []result) result {
	if len(rounds) == 0 {
		return result{}
	}
	sorted := slices.SortedFunc(slices.Values(rounds), func(x, y result) int {
		return cmp.Compare(x.report.First.Server.CPUSeconds+x.report.Steady.Server.CPUSeconds, y.report.First.Server.CPUSeconds+y.report.Steady.Server.CPUSeconds)
	})
	m := sorted[len(sorted)/2]
	m.ready = middle(rounds, func(r result) time.Duration { return r.ready })
	m.answer = middle(rounds, func(r result) time.Duration { return r.answer })
	for _, r := range rounds {
		if r.lost() > m.lost() {
			m.found = m.report.Samples - m.report.Stale - r.lost()
		}
	}
	return m
}

func middle(rounds []result, of func(result) time.Duration) time.Duration {
	var all []time.Duration
	for _, r := range rounds {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

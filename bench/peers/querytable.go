package main

import (
	"fmt"
	"strings"
)

// setTable writes a line for each question and state of Varve's data. Of each
// server it has the median, p99 and processor time in milliseconds.
func setTable(r setReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d series, %d samples. Milliseconds: median / p99 / processor time.\n\n", r.Set, r.Series, r.Samples)
	b.WriteString("| query | Varve's data |")
	for _, m := range r.Memory {
		fmt.Fprintf(&b, " %s |", m.Server)
	}
	b.WriteString(" reply, KiB | series | ratio | target | met | CPU ratio | faster peer | Varve's answer | VictoriaMetrics' answer |\n|---|---|")
	b.WriteString(strings.Repeat("---:|", len(r.Memory)) + "---:|---:|---:|---:|---|---:|---|---|---|\n")
	for _, o := range r.Outcomes {
		fmt.Fprintf(&b, "| %s: `%s`%s | %s |", o.Title, strings.ReplaceAll(o.Query, "|", `\|`), o.when(), o.State)
		for _, s := range o.Servers {
			if s.Error != "" {
				b.WriteString(" failed |")
				continue
			}
			fmt.Fprintf(&b, " %s / %s / %s |", millis(s.Median), millis(s.P99), millis(s.CPU))
		}
		own, other := o.of("varve"), o.of("victoria-metrics")
		met := "no"
		if o.Met {
			met = "yes"
		}
		fmt.Fprintf(&b, " %.1f | %d |", float64(own.Bytes)/1024, own.Series)
		if o.Peer == "" {
			b.WriteString(" - | " + fmt.Sprint(o.Target) + " | - | - | - |")
		} else {
			fmt.Fprintf(&b, " %.2f | %v | %s | %.2f | %s |", o.Ratio, o.Target, met, o.CPURatio, o.Peer)
		}
		fmt.Fprintf(&b, " %s | %s |\n", own.Answer, other.Answer)
	}
	return b.String()
}

func (o outcome) when() string {
	if o.Kind != rangeQuery {
		return ", " + string(o.Kind)
	}
	return fmt.Sprintf(", %s each %s", short(o.Span), short(o.Step))
}

// short writes 6h0m0s as 6h.
func short(duration string) string {
	return strings.Replace(strings.Replace(duration, "m0s", "m", 1), "h0m", "h", 1)
}

// of returns a server's part, empty when it was not asked.
func (o outcome) of(server string) asked {
	for _, s := range o.Servers {
		if s.Server == server {
			return s
		}
	}
	return asked{}
}

func millis(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// memoryTable writes what the data sets took of each server.
func memoryTable(reports []setReport) string {
	var b strings.Builder
	b.WriteString("| data | server | loading, s | loading, CPU-s | peak memory loading, MiB | peak memory asking, MiB |\n|---|---|---:|---:|---:|---:|\n")
	for _, r := range reports {
		for _, m := range r.Memory {
			fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %.0f | %.0f |\n", r.Set, m.Server,
				m.Load.Seconds, m.Load.Server.CPUSeconds, float64(m.Loading)/(1<<20), float64(m.Asking)/(1<<20))
		}
	}
	return b.String()
}

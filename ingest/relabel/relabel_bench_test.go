package relabel

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// nowhere is a storage that costs nothing.
type nowhere struct{}

func (nowhere) Append(_ context.Context, _ series.TenantID, b *series.Batch) (series.Outcome, error) {
	return series.Outcome{Samples: len(b.Values)}, nil
}

// BenchmarkKnownSeriesAreCheap relabels a request of 10,000 series with ten
// labels by five rules, again and again. ns/series is processor time, that of
// building the batch taken off.
func BenchmarkKnownSeriesAreCheap(b *testing.B) {
	var sets []labels.Labels
	for i := range 10_000 {
		pairs := []string{"__name__", "http_request_duration_seconds_bucket", "job", "api", "instance", fmt.Sprintf("host-%d.example.org:9090", i/100), "le", fmt.Sprint(i % 100)}
		for l := range 6 {
			pairs = append(pairs, fmt.Sprint("label_", l), fmt.Sprint("value-", l))
		}
		sets = append(sets, labels.FromStrings(pairs...))
	}
	const renaming = `
- {source_labels: [__name__], regex: go_gc_.*, action: drop}
- {source_labels: [job, instance], separator: "@", regex: "(.*)@(.*):.*", target_label: host, replacement: "$1-$2"}
- {regex: "k8s_(.+)", action: labelmap}
- {regex: "label_0", action: labeldrop}
- {source_labels: [instance], modulus: 8, target_label: shard, action: hashmod}
`
	const checking = `
- {source_labels: [__name__], regex: go_gc_.*, action: drop}
- {source_labels: [__name__], regex: node_.*, action: drop}
- {source_labels: [job], regex: api, action: keep}
- {regex: "k8s_.*", action: labeldrop}
- {source_labels: [instance], regex: "test.*", action: drop}
`
	for _, c := range []struct{ name, rules string }{{"renaming", renaming}, {"checking", checking}, {"none", ""}} {
		b.Run(c.name, func(b *testing.B) {
			r := New(nowhere{}, mustParse(b, c.rules), Options{})
			var batch series.Batch
			var build, both time.Duration
			for b.Loop() {
				began := cpu()
				batch.Reset()
				for _, ls := range sets {
					batch.AddSeries(ls)
					batch.AddSample(1, 0, 1)
				}
				built := cpu()
				if _, err := r.Append(context.Background(), 0, &batch); err != nil {
					b.Fatal(err)
				}
				build, both = build+built-began, both+cpu()-built
			}
			b.ReportMetric(float64(both)/float64(b.N*len(sets)), "ns/series")
			b.ReportMetric(float64(build)/float64(b.N*len(sets)), "ns/series-built")
		})
	}
}

// cpu returns the processor time of the process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package remotewrite

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/varve-db/varve/series"
)

// scrape fills a batch as one scrape of many targets would: one sample a
// series, about ten labels each.
func scrape(t testing.TB, rows int) *series.Batch {
	t.Helper()
	var b series.Batch
	for i := range rows {
		b.BeginLabels()
		for _, p := range [][2]string{
			{"__name__", fmt.Sprintf("container_network_receive_bytes_%d_total", i%40)},
			{"cluster", "production-europe-1"},
			{"container", "main"},
			{"endpoint", "https-metrics"},
			{"instance", fmt.Sprintf("10.0.%d.%d:10250", i/250%250, i%250)},
			{"interface", "eth0"},
			{"job", "kubelet"},
			{"namespace", fmt.Sprintf("team-%d", i%30)},
			{"node", fmt.Sprintf("node-%04d.internal", i/100)},
			{"pod", fmt.Sprintf("checkout-7f9c6d5b4-%05d", i)},
		} {
			b.AddLabel([]byte(p[0]), []byte(p[1]))
		}
		if reason, detail := b.BeginRow(series.LabelRules{}); reason != "" {
			t.Fatal(detail)
		}
		b.AddSample(1700000000000+int64(i%7), 0, float64(i)*1.25)
	}
	return &b
}

const benchSeries = 10000

func benchmarkDecode(b *testing.B, body []byte, decode func(*Decoder, *series.Batch) error) {
	var d Decoder
	var dst series.Batch
	b.ReportAllocs()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		dst.Reset()
		if err := decode(&d, &dst); err != nil {
			b.Fatal(err)
		}
	}
	if len(dst.Values) != benchSeries {
		b.Fatalf("%d samples", len(dst.Values))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSeries), "ns/sample")
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano())/float64(b.N*benchSeries), "CPU-ns/sample")
	b.ReportMetric(float64(len(body))/benchSeries, "B/sample")
}

func BenchmarkDecodeV1(b *testing.B) {
	body := AppendV1(nil, scrape(b, benchSeries))
	benchmarkDecode(b, body, func(d *Decoder, dst *series.Batch) error { return d.V1(dst, body, series.LabelRules{}) })
}

func BenchmarkDecodeV2(b *testing.B) {
	body := AppendV2(nil, scrape(b, benchSeries))
	benchmarkDecode(b, body, func(d *Decoder, dst *series.Batch) error { return d.V2(dst, body, series.LabelRules{}) })
}

// With metadata on every series, as Prometheus sends it.
func BenchmarkDecodeV2Metadata(b *testing.B) {
	batch := scrape(b, benchSeries)
	for i := range 40 {
		batch.Metadata = append(batch.Metadata, series.Metadata{
			Metric: fmt.Sprintf("container_network_receive_bytes_%d_total", i), Type: "counter", Help: "Cumulative count of bytes received",
		})
	}
	body := AppendV2(nil, batch)
	benchmarkDecode(b, body, func(d *Decoder, dst *series.Batch) error { return d.V2(dst, body, series.LabelRules{}) })
}

package otlp

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/varve-db/varve/series"
)

// exported is what a service of middle size exports: points of several metrics,
// with four attributes each.
func exported(b *testing.B, fill func(m pmetric.Metric, point int)) []byte {
	m := pmetric.NewMetrics()
	rm := m.ResourceMetrics().AppendEmpty()
	for i, key := range []string{"service.name", "service.namespace", "service.instance.id", "host.name", "os.type", "telemetry.sdk.language", "k8s.pod.name"} {
		rm.Resource().Attributes().PutStr(key, fmt.Sprintf("value-of-%d", i))
	}
	sm := rm.ScopeMetrics().AppendEmpty()
	for i := range 20 {
		metric := sm.Metrics().AppendEmpty()
		metric.SetName(fmt.Sprintf("http.server.thing_%d", i))
		metric.SetUnit("s")
		metric.SetDescription("What the thing is about.")
		for point := range 100 {
			fill(metric, point)
		}
	}
	body, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func attributes(to pcommon.Map, point int) {
	to.PutStr("http.request.method", "GET")
	to.PutStr("http.route", fmt.Sprintf("/api/v1/thing/%d", point))
	to.PutInt("http.response.status_code", 200)
	to.PutStr("url.scheme", "https")
}

// BenchmarkNanosecondsPerSample decodes gauges, counters and histograms of ten
// buckets, again and again as a sender exports them.
func BenchmarkNanosecondsPerSample(b *testing.B) {
	const start, at = pcommon.Timestamp(1_700_000_000_000_000_000), pcommon.Timestamp(1_700_000_100_000_000_000)
	number := func(p pmetric.NumberDataPoint, point int) {
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		p.SetDoubleValue(float64(point))
		attributes(p.Attributes(), point)
	}
	for name, fill := range map[string]func(m pmetric.Metric, point int){
		"gauge": func(m pmetric.Metric, point int) {
			if point == 0 {
				m.SetEmptyGauge()
			}
			number(m.Gauge().DataPoints().AppendEmpty(), point)
		},
		"counter": func(m pmetric.Metric, point int) {
			if point == 0 {
				m.SetEmptySum().SetIsMonotonic(true)
				m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			}
			number(m.Sum().DataPoints().AppendEmpty(), point)
		},
		"histogram": func(m pmetric.Metric, point int) {
			if point == 0 {
				m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			}
			p := m.Histogram().DataPoints().AppendEmpty()
			p.SetStartTimestamp(start)
			p.SetTimestamp(at)
			p.SetSum(1)
			p.ExplicitBounds().FromRaw([]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5})
			p.BucketCounts().FromRaw(make([]uint64, 11))
			attributes(p.Attributes(), point)
		},
	} {
		b.Run(name, func(b *testing.B) {
			body := exported(b, fill)
			d := NewDecoder(Options{})
			var batch series.Batch
			decode := func() {
				batch.Reset()
				if err := d.Decode(&batch, body); err != nil {
					b.Fatal(err)
				}
			}
			decode()
			samples := len(batch.Timestamps)
			allocations := testing.AllocsPerRun(5, decode)
			b.SetBytes(int64(len(body)))
			began := processorTime(b)
			for b.Loop() {
				decode()
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(b.N*samples), "cpu-ns/sample")
			b.ReportMetric(allocations/float64(samples), "allocs/sample")
			b.ReportMetric(float64(len(body))/float64(samples), "body-bytes/sample")
		})
	}
}

// processorTime returns the processor time that the process has used.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

package query

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/stats"
)

type metrics struct {
	queueSeconds prometheus.Histogram
	rejected     *prometheus.CounterVec
	samples      prometheus.Counter
	samplesRead  prometheus.Counter
	series       prometheus.Counter
	bytes        prometheus.Counter
	limits       *prometheus.CounterVec
	executed     *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
	killed       prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, g *gate) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		queueSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "varve_query_queue_seconds", Help: "How long queries waited for a slot.",
			Buckets: []float64{0.001, 0.01, 0.1, 1, 10, 60},
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_query_rejected_total", Help: "Queries that got no slot, by reason.",
		}, []string{"reason"}),
		samples:     counter("varve_query_samples_total", "Samples that queries loaded, a window's once per step."),
		samplesRead: counter("varve_query_samples_read_total", "Samples that queries read, each once per selector."),
		series:      counter("varve_query_series_total", "Series that queries' selectors read."),
		bytes:       counter("varve_query_chunk_bytes_total", "Bytes of chunks that queries decoded."),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_query_limit_exceeded_total", Help: "Queries that ended at a limit, by limit.",
		}, []string{"limit"}),
		executed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_query_executed_total", Help: "Queries that were evaluated, by executor and whether they failed.",
		}, []string{"executor", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "varve_query_seconds", Help: "How long queries took, with the time in the queue, by kind: instant or range.",
			Buckets: []float64{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100},
		}, []string{"kind"}),
		killed: counter("varve_query_killed_total", "Queries that an operator ended."),
	}
	if registerer != nil {
		registerer.MustRegister(m.queueSeconds, m.rejected, m.samples, m.samplesRead, m.series, m.bytes, m.limits, m.executed, m.seconds, m.killed,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "varve_query_active", Help: "Queries that hold a slot.",
			}, func() float64 { return float64(g.running()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "varve_query_queue_length", Help: "Queries that wait for a slot.",
			}, func() float64 { return float64(g.waiting.Load()) }))
	}
	return m
}

func (m *metrics) queued(waited time.Duration, err error) {
	m.queueSeconds.Observe(waited.Seconds())
	var canceled promql.ErrQueryCanceled
	switch {
	case err == nil:
	case errors.Is(err, ErrQueueFull):
		m.rejected.WithLabelValues("queue_full").Inc()
	case errors.As(err, &canceled):
		m.rejected.WithLabelValues("canceled").Inc()
	default:
		m.rejected.WithLabelValues("timeout").Inc()
	}
}

func (m *metrics) ran(samples *stats.QuerySamples, budget *Budget, err error) {
	m.samples.Add(float64(samples.TotalSamples))
	m.samplesRead.Add(float64(samples.SamplesRead))
	m.series.Add(float64(budget.Series()))
	m.bytes.Add(float64(budget.Bytes()))
	var limit *LimitError
	var tooMany promql.ErrTooManySamples
	switch {
	case errors.As(err, &limit) && limit.Limit == limitSeries:
		m.limits.WithLabelValues("series").Inc()
	case errors.As(err, &limit):
		m.limits.WithLabelValues("bytes").Inc()
	case errors.As(err, &tooMany):
		m.limits.WithLabelValues("samples").Inc()
	}
}

// ended counts a query that was admitted to the list of active ones.
func (m *metrics) ended(r Request, work Work, took time.Duration, err error) {
	kind := "range"
	if r.Step == 0 {
		kind = "instant"
	}
	m.seconds.WithLabelValues(kind).Observe(took.Seconds())
	if work.Executor == "" {
		return // it got no slot
	}
	outcome := "success"
	if err != nil {
		outcome = "error"
	}
	m.executed.WithLabelValues(work.Executor, outcome).Inc()
}

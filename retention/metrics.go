package retention

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	droppedByAge  prometheus.Counter
	droppedBySize prometheus.Counter
	failures      prometheus.Counter
	erased        prometheus.Counter
	held          prometheus.Counter
	heldBytes     prometheus.Gauge
	bytes         prometheus.Gauge
	clockAhead    prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) metrics {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "varve_retention_dropped_partitions_total", Help: "Partitions dropped, by the rule that gave them up.",
	}, []string{"reason"})
	m := metrics{
		droppedByAge:  dropped.WithLabelValues("age"),
		droppedBySize: dropped.WithLabelValues("size"),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_retention_failed_steps_total", Help: "Retention steps that failed; each is tried again.",
		}),
		erased: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_retention_rewritten_partitions_total", Help: "Partitions rewritten without the series that had expired.",
		}),
		held: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_retention_held_steps_total", Help: "Retention steps at which retention.min-time kept partitions that retention.size would have dropped.",
		}),
		heldBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "varve_retention_held_bytes", Help: "Space above retention.size that retention.min-time keeps.",
		}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "varve_retention_partitions_bytes", Help: "Space that all partitions took when retention last looked.",
		}),
		clockAhead: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "varve_retention_clock_ahead_seconds", Help: "How far the wall clock is ahead of the time that retention believes.",
		}),
	}
	if r != nil {
		r.MustRegister(dropped, m.failures, m.erased, m.held, m.heldBytes, m.bytes, m.clockAhead)
	}
	return m
}

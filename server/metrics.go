package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build says which program this is.
type Build struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
	denied   *prometheus.CounterVec
	crowded  prometheus.Counter
	reloads  *prometheus.CounterVec
	scrapes  prometheus.Counter
	failures prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_server_requests_total", Help: "HTTP requests answered, by route and status code.",
		}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "varve_server_request_seconds", Help: "Time until a request's handler returned; streamed bodies follow.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "varve_server_requests_in_flight", Help: "HTTP requests being handled.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_server_panics_total", Help: "Handlers that panicked; their requests were answered 500.",
		}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_server_denied_requests_total", Help: "Requests answered 401, 403, 413 or 429 because of who sent them, by reason.",
		}, []string{"reason"}),
		crowded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_server_refused_connections_total", Help: "Connections refused because their address had too many.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_server_reloads_total", Help: "Reloads of the configuration, by outcome.",
		}, []string{"outcome"}),
		scrapes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_server_self_scrapes_total", Help: "Times that the node's own metrics were stored.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_server_failed_self_scrapes_total", Help: "Times that the node's own metrics could not be stored.",
		}),
	}
	r.MustRegister(m.requests, m.seconds, m.inFlight, m.panics, m.denied, m.crowded, m.reloads, m.scrapes, m.failures)
	return m
}

func (m *metrics) observe(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// newRegistry returns a registry with the collectors of the process and the
// node's static facts.
func newRegistry(build Build, r Resources) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "varve_build_info", Help: "Always 1; the labels say which program this is.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.GoVersion},
	})
	info.Set(1)
	memory := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "varve_server_memory_limit_bytes", Help: "Memory that the machine or the container allows.",
	})
	memory.Set(float64(r.Memory))
	cores := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "varve_server_cores", Help: "Processor cores that the machine or the container allows.",
	})
	cores.Set(float64(r.Cores))
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info, memory, cores)
	return registry
}

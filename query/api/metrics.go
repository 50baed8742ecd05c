package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	panics   prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_query_requests_total", Help: "Requests to the read API, by handler and status code.",
		}, []string{"handler", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "varve_query_request_seconds", Help: "Time until the answer began to be written, by handler.",
			Buckets: []float64{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60},
		}, []string{"handler"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_query_panics_total", Help: "Requests to the read API that failed in an unexpected way.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.requests, m.seconds, m.panics)
	}
	return m
}

func (m *metrics) served(handler string, code int, took time.Duration) {
	m.requests.WithLabelValues(handler, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(handler).Observe(took.Seconds())
}

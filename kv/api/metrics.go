package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/valyala/fasthttp"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	swept    prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	auto := promauto.With(registerer)
	return &metrics{
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_kv_api_requests_total", Help: "Requests to the generic keyspaces.",
		}, []string{"method", "code"}),
		seconds: auto.NewHistogram(prometheus.HistogramOpts{
			Name: "varve_kv_api_request_seconds", Help: "Duration of requests to the generic keyspaces.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}),
		swept: auto.NewCounter(prometheus.CounterOpts{
			Name: "varve_kv_api_swept_keys_total", Help: "Expired keys removed.",
		}),
	}
}

func (m *metrics) observe(ctx *fasthttp.RequestCtx, took time.Duration) {
	method := string(ctx.Method())
	switch method {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodPut, fasthttp.MethodDelete, fasthttp.MethodPost:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, strconv.Itoa(ctx.Response.StatusCode())).Inc()
	m.seconds.Observe(took.Seconds())
}

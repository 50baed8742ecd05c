package ingest

import "github.com/prometheus/client_golang/prometheus"

// metrics are the numbers of a Handler.
type metrics struct {
	requests      *prometheus.CounterVec        // by protocol and class of status
	samples       [protocols]prometheus.Counter // by protocol
	histograms    [protocols]prometheus.Counter
	exemplars     [protocols]prometheus.Counter
	refused       *prometheus.CounterVec // by reason and kind
	lines         *prometheus.CounterVec // by protocol
	overloaded    prometheus.Counter
	decodeSeconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, received, decoded *gate) *metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "varve_ingest_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "varve_ingest_" + name, Help: help}, value)
	}
	samples := counters("samples_total", "Float samples stored.", "protocol")
	histograms := counters("histograms_total", "Native histogram samples stored.", "protocol")
	exemplars := counters("exemplars_total", "Exemplars stored.", "protocol")
	m := &metrics{
		requests: counters("requests_total", "Requests answered.", "protocol", "code"),
		refused:  counters("refused_total", "What was refused, by reason and kind.", "reason", "kind"),
		lines:    counters("unreadable_lines_total", "Lines that could not be read and were left out.", "protocol"),
		overloaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_ingest_overloaded_total", Help: "Requests turned away because too much was in flight.",
		}),
		decodeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "varve_ingest_decode_seconds", Help: "Time to decompress and decode a request.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 4, 9),
		}),
	}
	for p, name := range protocolNames[1:] {
		m.samples[p+1] = samples.WithLabelValues(name)
		m.histograms[p+1] = histograms.WithLabelValues(name)
		m.exemplars[p+1] = exemplars.WithLabelValues(name)
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.refused, m.lines, m.overloaded, m.decodeSeconds, samples, histograms, exemplars,
			gauge("in_flight_bytes", "Bytes of uncompressed bodies and batches in flight.", func() float64 {
				used, _ := decoded.load()
				return float64(used)
			}),
			gauge("received_bytes", "Bytes of compressed bodies in flight.", func() float64 {
				used, _ := received.load()
				return float64(used)
			}),
			gauge("waiting_requests", "Requests waiting for bytes in flight.", func() float64 {
				_, first := received.load()
				_, second := decoded.load()
				return float64(first + second)
			}))
	}
	return m
}

// stored counts what a request stored and what it had refused.
func (m *metrics) stored(p protocol, o *account) {
	if o.lines.count > 0 {
		m.lines.WithLabelValues(protocolNames[p]).Add(float64(o.lines.count))
	}
	m.samples[p].Add(float64(o.Samples))
	m.histograms[p].Add(float64(o.Histograms))
	m.exemplars[p].Add(float64(o.Exemplars))
	for _, r := range o.Refused.All() {
		for _, k := range []struct {
			kind string
			n    int
		}{{"sample", r.Samples}, {"histogram", r.Histograms}, {"exemplar", r.Exemplars}} {
			if k.n > 0 {
				m.refused.WithLabelValues(string(r.Reason), k.kind).Add(float64(k.n))
			}
		}
	}
}

func (m *metrics) answered(p protocol, status int) {
	m.requests.WithLabelValues(protocolNames[p], string(rune('0'+status/100))+"xx").Inc()
}

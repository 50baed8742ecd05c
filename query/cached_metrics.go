package query

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/varve-db/varve/query/cache"
)

// resultMetrics count what is kept of results, and what that saves.
type resultMetrics struct {
	hits, misses, unsuited, reused, computed prometheus.Counter
}

func newResultMetrics(registerer prometheus.Registerer, c *cache.Cache) *resultMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "varve_query_cache_" + name, Help: help})
	}
	m := &resultMetrics{
		hits:     counter("hits_total", "Range queries answered from kept results, in whole or in part."),
		misses:   counter("misses_total", "Range queries of which no kept result was of use."),
		unsuited: counter("unsuited_total", "Range queries whose results are not kept, as a step's result may depend on the other steps."),
		reused:   counter("reused_steps_total", "Steps of range queries that were taken from kept results."),
		computed: counter("computed_steps_total", "Steps of range queries that were computed because no kept result had them."),
	}
	if registerer != nil {
		registerer.MustRegister(m.hits, m.misses, m.unsuited, m.reused, m.computed,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "varve_query_cache_bytes", Help: "Memory of kept results.",
			}, func() float64 { return float64(c.Usage().Bytes) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "varve_query_cache_entries", Help: "Results that are kept.",
			}, func() float64 { return float64(c.Usage().Entries) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "varve_query_cache_evicted_total", Help: "Kept results that made room for others.",
			}, func() float64 { return float64(c.Usage().Evicted) }))
	}
	return m
}

// extended counts a query of whose steps so many were reused.
func (m *resultMetrics) extended(reused, all int) {
	m.hits.Inc()
	m.reused.Add(float64(reused))
	m.computed.Add(float64(all - reused))
}

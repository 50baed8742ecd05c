package tenant

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varve-db/varve/series"
)

// Usage counts what a tenant does.
type Usage struct {
	Samples atomic.Uint64 // stored, native histograms too
	Refused atomic.Uint64 // samples
	// Throttled samples came too fast; they come again.
	Throttled atomic.Uint64
	Queries   atomic.Uint64
}

// Note counts what came of a batch.
func (u *Usage) Note(o *series.Outcome) {
	u.Samples.Add(uint64(o.Samples + o.Histograms))
	u.refuse(o.Refused)
}

func (u *Usage) refuse(list series.Refusals) {
	for _, r := range list.All() {
		u.Refused.Add(uint64(r.Samples + r.Histograms))
	}
}

// shownMax is how many tenants have metrics of their own: the first ones. All
// others are summed up as "other".
const shownMax = 100

const other = "other"

// collector shows the usage of tenants as metrics.
type collector struct {
	registry *Registry
	active   func() map[series.TenantID]int

	samples, refused, throttled, queries, series, tenants *prometheus.Desc
}

// NewCollector returns the metrics of a registry's tenants. active counts the
// series in memory by tenant.
func NewCollector(r *Registry, active func() map[series.TenantID]int) prometheus.Collector {
	name := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &collector{
		registry: r, active: active,
		samples:   name("varve_tenant_samples_total", "Samples stored, by tenant; those after the first hundred are summed up as other.", "tenant"),
		refused:   name("varve_tenant_refused_samples_total", "Samples refused by the storage or a limit, by tenant.", "tenant"),
		throttled: name("varve_tenant_throttled_samples_total", "Samples answered 429 because their tenant writes too fast, by tenant.", "tenant"),
		queries:   name("varve_tenant_queries_total", "Requests that read, by tenant.", "tenant"),
		series:    name("varve_tenant_active_series", "Series in memory, by tenant.", "tenant"),
		tenants:   name("varve_tenant_known_tenants", "Tenants that are registered, the default one too."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.samples, c.refused, c.throttled, c.queries, c.series, c.tenants} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	list, active := c.registry.List(), c.active()
	type figures struct{ samples, refused, throttled, queries, series float64 }
	sums := map[string]*figures{}
	for i, t := range list {
		name := t.Name
		if i >= shownMax {
			name = other
		}
		f := sums[name]
		if f == nil {
			f = &figures{}
			sums[name] = f
		}
		f.samples += float64(t.Usage.Samples.Load())
		f.refused += float64(t.Usage.Refused.Load())
		f.throttled += float64(t.Usage.Throttled.Load())
		f.queries += float64(t.Usage.Queries.Load())
		f.series += float64(active[t.ID])
	}
	for name, f := range sums {
		to <- prometheus.MustNewConstMetric(c.samples, prometheus.CounterValue, f.samples, name)
		to <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, f.refused, name)
		to <- prometheus.MustNewConstMetric(c.throttled, prometheus.CounterValue, f.throttled, name)
		to <- prometheus.MustNewConstMetric(c.queries, prometheus.CounterValue, f.queries, name)
		to <- prometheus.MustNewConstMetric(c.series, prometheus.GaugeValue, f.series, name)
	}
	to <- prometheus.MustNewConstMetric(c.tenants, prometheus.GaugeValue, float64(len(list)))
}

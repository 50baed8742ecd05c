package api

import (
	"context"

	"github.com/prometheus/prometheus/storage"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/series"
)

// Source is what is stored for one tenant. What is nil but Queryable makes its
// endpoints answer with nothing.
type Source struct {
	Tenant series.TenantID
	// Unknown means that nothing was ever stored for the tenant. All such have one
	// number, and are shown no queries.
	Unknown     bool
	Queryable   storage.Queryable
	Chunks      storage.ChunkQueryable
	Exemplars   storage.ExemplarQueryable
	Metadata    func(metric string, limit, limitPerMetric int) map[string][]series.Metadata
	Cardinality func(ctx context.Context, limit int) (Cardinality, error)
	Deleter     Deleter // nil: there is nothing to delete
}

// source returns what a request may read.
func (d *Deps) source(rc *fasthttp.RequestCtx) Source {
	if d.Source != nil {
		return d.Source(rc)
	}
	return Source{
		Queryable: d.Queryable, Chunks: d.Chunks, Exemplars: d.Exemplars, Metadata: d.Metadata, Cardinality: d.Cardinality,
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/ingest"
	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/api"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tenant"
	"github.com/varve-db/varve/tsdb"
)

// openTenants reads the store's tenants, and lets requests name them.
func openTenants(ctx context.Context, n *Node, c Config, store tenant.Store) (*tenant.Registry, error) {
	known, err := tenant.Open(ctx, store, tenant.Options{Max: orNone(c.Tenants.Max), Now: n.options.Now, Log: n.log})
	if err != nil {
		return nil, err
	}
	known.SetLimits(c.Limits)
	n.access.tenants.Store(known)
	return known, nil
}

// writer returns the number of the tenant for whom a request writes. A new tenant
// gets one; where it cannot have any it is tenant.None, and Append tells why.
func (a *access) writer(ctx *fasthttp.RequestCtx) series.TenantID {
	c, known := callerOf(ctx), a.tenants.Load()
	if c != nil && c.tenant == nil && known != nil {
		if t, err := known.Register(c.name); err == nil {
			c.tenant = t
		}
	}
	return tenantOf(ctx)
}

// door is the storage for requests that name their tenant.
type door struct {
	next  ingest.Appender
	known *tenant.Registry
	now   func() time.Time
}

// Append implements ingest.Appender.
func (d door) Append(ctx context.Context, id series.TenantID, b *series.Batch) (series.Outcome, error) {
	t, err := d.tenant(ctx, id)
	if err != nil {
		return series.Outcome{}, err
	}
	refused, err := t.Enforce(b, d.now())
	if err != nil {
		return series.Outcome{}, fmt.Errorf("%w: %w", ingest.ErrThrottled, err)
	}
	outcome, err := d.next.Append(ctx, t.ID, b)
	if err == nil && !refused.Empty() {
		refused.Merge(outcome.Refused)
		outcome.Refused = refused
	}
	return outcome, err
}

// tenant returns the one with a number, or the one that the request names.
func (d door) tenant(ctx context.Context, id series.TenantID) (*tenant.Tenant, error) {
	if t := d.known.ByID(id); t != nil {
		return t, nil
	}
	c := callerOf(ctx)
	if c == nil {
		return nil, errors.New("a batch of no tenant")
	}
	t, err := d.known.Register(c.name)
	if errors.Is(err, tenant.ErrTooMany) {
		err = fmt.Errorf("%w: tenant %q: %w", ingest.ErrDenied, c.name, err)
	}
	return t, err
}

// appender tells ingest which errors of the database are a matter of load, and
// counts what each tenant writes.
type appender struct {
	db    *tsdb.DB
	known *tenant.Registry
}

// Append implements ingest.Appender.
func (a appender) Append(ctx context.Context, id series.TenantID, b *series.Batch) (series.Outcome, error) {
	outcome, err := a.db.Append(ctx, id, b)
	if errors.Is(err, tsdb.ErrBacklog) || errors.Is(err, tsdb.ErrClosed) {
		err = fmt.Errorf("%w: %w", ingest.ErrOverloaded, err)
	}
	if t := a.known.ByID(id); t != nil && err == nil {
		t.Usage.Note(&outcome)
	}
	return outcome, err
}

// source is what a request may read: the samples of its tenant alone.
func source(db *tsdb.DB) func(*fasthttp.RequestCtx) api.Source {
	return func(ctx *fasthttp.RequestCtx) api.Source {
		id := tenantOf(ctx)
		return api.Source{
			Tenant: id, Unknown: id == tenant.None, Queryable: query.Local(db, id), Chunks: db.ChunkQueryable(id), Exemplars: db.ExemplarQueryable(id),
			Metadata: metadata{db, id}.describe, Cardinality: cardinality{db, id}.count,
			Deleter: deleter{db, id},
		}
	}
}

// deleter deletes a tenant's samples for the API.
type deleter struct {
	db     *tsdb.DB
	tenant series.TenantID
}

// Delete implements api.Deleter.
func (d deleter) Delete(ctx context.Context, selectors [][]*labels.Matcher, mint, maxt int64) error {
	_, err := d.db.Delete(ctx, tsdb.Deletion{Tenant: d.tenant, Selectors: selectors, Min: mint, Max: maxt})
	return err
}

// Deletions implements api.Deleter.
func (d deleter) Deletions() (any, error) {
	list, err := d.db.Deletions(d.tenant)
	if list == nil {
		list = []tsdb.DeletionReport{}
	}
	return list, err
}

// metadata shows a tenant's metadata to the API.
type metadata struct {
	db     *tsdb.DB
	tenant series.TenantID
}

// describe lists at most limit metrics. The database keeps one description of
// each, so no limit of those but 0 ever cuts.
func (m metadata) describe(metric string, limit, limitPerMetric int) map[string][]series.Metadata {
	out := map[string][]series.Metadata{}
	if limit == 0 || limitPerMetric == 0 {
		return out
	}
	for _, d := range m.db.Metadata(m.tenant, metric, limit) {
		out[d.Metric] = []series.Metadata{d}
	}
	return out
}

// cardinality shows a tenant's figures to the API.
type cardinality struct {
	db     *tsdb.DB
	tenant series.TenantID
}

func (c cardinality) count(_ context.Context, limit int) (api.Cardinality, error) {
	s := c.db.Stats(c.tenant, limit)
	out := api.Cardinality{
		Series: s.Series, LabelPairs: int(s.Pairs), Chunks: int64(s.Series), // each has one open
		SeriesByMetric: counts(s.SeriesByMetric), ValuesByLabel: counts(s.ValuesByLabel),
		BytesByLabel: counts(s.BytesByLabel), SeriesByPair: counts(s.SeriesByPair),
	}
	churn := c.db.Churn(c.tenant, limit)
	out.Churn = api.Churn{
		Since: churn.Since, Series: churn.Series, SeriesByMetric: counts(churn.SeriesByMetric),
		ValuesByLabel: counts(churn.ValuesByLabel), SeriesByPair: counts(churn.SeriesByPair),
	}
	if s.MinTime <= s.MaxTime && s.Series > 0 {
		out.TimeMin, out.TimeMax = s.MinTime, s.MaxTime
	}
	return out, nil
}

func counts(list []index.Count) []api.Count {
	out := make([]api.Count, len(list))
	for i, c := range list {
		out[i] = api.Count(c)
	}
	return out
}

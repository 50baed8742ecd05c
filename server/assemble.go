package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/ingest"
	"github.com/varve-db/varve/kv"
	kvapi "github.com/varve-db/varve/kv/api"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/api"
	"github.com/varve-db/varve/retention"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// The folders below storage.path.
const (
	storeFolder    = "store"
	snapshotFolder = "snapshots"
)

// assembleStorage opens the store and builds, bottom-up, everything that stands
// on it. What was opened is closed again when a later step fails.
func assembleStorage(ctx context.Context, n *Node) (p *parts, err error) {
	c := n.Config()
	store, err := openStore(n, c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	queries := &courtesy{}
	db, err := openDB(ctx, n, c, store, queries.yield)
	if err != nil {
		return nil, err
	}
	forget := retention.New(partitions{db}, retention.Options{Policy: policy(c), Now: n.options.Now, Log: n.log, Metrics: n.registry})
	// The clock is judged by what is stored before anything new comes.
	if err := forget.Step(ctx, n.options.Now()); err != nil {
		n.log.Error("retention step failed", "err", err)
	}
	reads := newQueryAPI(n, c, db)
	writes := ingest.New(appender{db}, ingestOptions(n, c))
	spaces := kvapi.New(store, kvapi.Options{
		Now: n.options.Now, Log: n.log, Registerer: n.registry,
		ValueBytesMax: int(c.KV.ValueBytesMax), BatchBytesMax: int(c.KV.BatchBytesMax),
	})
	p = &parts{
		routes: dataRoutes(newAdmin(n, c, db, store), writes, reads, queries, spaces),
		jobs:   []job{{"flushes", db.Run}, {"seals", db.RunSeals}, {"retention", forget.Run}, {"sweep", (&sweep{spaces, n.options.Now, n.log}).run}},
		cancel: reads.Close,
		apply: func(c Config) {
			db.SetRetention(c.Retention.Time)
			forget.SetPolicy(policy(c))
		},
		last: func(context.Context) error { return nil },
		close: func() error {
			reads.Close()
			return errors.Join(db.Close(), store.Close())
		},
	}
	if c.SelfScrape.Interval > 0 {
		scrape := newSelfScrape(n, c, appender{db})
		p.jobs = append(p.jobs, job{"self-scrape", scrape.run})
		p.last = func(ctx context.Context) error { return scrape.end(ctx, n.options.Now()) }
	}
	return p, nil
}

func openStore(n *Node, c Config) (*pebblekv.Store, error) {
	if err := os.MkdirAll(c.Storage.Path, 0o750); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	reserve := int64(0) // found by the store
	switch r := c.Storage.DiskReserve; {
	case !r.Auto && r.Bytes == 0:
		reserve = -1 // none
	case !r.Auto:
		reserve = int64(r.Bytes)
	}
	return pebblekv.Open(filepath.Join(c.Storage.Path, storeFolder), pebblekv.Options{
		Logger: n.log, Registerer: n.registry, Now: n.options.Now,
		MemoryBytes: int64(n.resources.Memory), Cores: n.resources.Cores,
		Reserve: reserve, SyncInterval: c.Storage.Sync.Interval,
	})
}

// Bounds of the samples that wait in memory for their flush: an eighth of the
// memory there is, since a few epochs may wait at once.
const (
	epochShare    = 8
	epochBytesMin = 32 << 20
	epochBytesMax = 1 << 30
)

func openDB(ctx context.Context, n *Node, c Config, store kv.Store, yield func(context.Context) error) (*tsdb.DB, error) {
	return tsdb.Open(ctx, store, tsdb.Options{
		Now: n.options.Now, Random: n.options.Random, Log: n.log, Registerer: n.registry,
		Width: c.Storage.PartitionWidth, Retention: c.Retention.Time, AheadMax: c.Storage.FutureBound,
		EpochAgeMax:   c.Storage.EpochAge,
		EpochBytesMax: min(max(int64(n.resources.Memory/epochShare), epochBytesMin), epochBytesMax), Yield: yield,
	})
}

func newAdmin(n *Node, c Config, db *tsdb.DB, store kv.Checkpointer) *admin {
	return &admin{
		enabled: c.Web.EnableAdminAPI, folder: filepath.Join(c.Storage.Path, snapshotFolder),
		snapshot: store.Checkpoint, flush: db.Flush, seal: db.Seal, blocks: db.Blocks, now: n.options.Now, random: n.options.Random, log: n.log,
	}
}

// dataRoutes are the routes that need the open store.
func dataRoutes(operate *admin, writes *ingest.Handler, reads *api.API, queries *courtesy, spaces *kvapi.Handler) []route {
	all := operate.routes()
	for _, path := range []string{"/api/v1/write", "/api/v1/push", "/api/prom/push"} {
		all = append(all, route{methods: post, path: path, handle: writes.Handle, changes: true})
	}
	all = append(all, route{methods: kvMethods, path: "/kv/v1/*", handle: spaces.Handle, changes: true})
	for _, r := range reads.Routes() {
		all = append(all, route{methods: r.Methods, path: r.Path, handle: queries.query(r.Handle)})
	}
	return all
}

func ingestOptions(n *Node, c Config) ingest.Options {
	o := ingest.Options{
		BodyBytesMax: int(c.Ingest.BodyBytesMax), DecodedBytesMax: int(c.Ingest.DecodedBytesMax),
		MemoryBytes: int64(n.resources.Memory), WaitingMax: c.Ingest.WaitingMax, WaitMax: c.Ingest.WaitMax, RetryAfter: retryAfter,
		LabelRules: series.LabelRules{
			LabelsMax: c.Ingest.LabelsMax, NameBytesMax: c.Ingest.LabelNameBytesMax, ValueBytesMax: c.Ingest.LabelValueBytesMax,
		},
		Logger: n.log, Registerer: n.registry, Now: n.options.Now,
	}
	if b := c.Ingest.InFlightBytesMax; !b.Auto {
		o.InFlightBytesMax = int64(b.Bytes)
	}
	return o
}

func newQueryAPI(n *Node, c Config, db *tsdb.DB) *api.API {
	engine := query.New(query.Options{
		Timeout: c.Query.Timeout, Lookback: c.Query.LookbackDelta,
		ConcurrentMax: c.Query.ConcurrencyMax, QueueMax: orNone(c.Query.QueueMax), QueueWait: c.Query.QueueWait,
		SamplesMax: c.Query.SamplesMax, PointsMax: c.Query.PointsMax,
		SeriesMax: int64(orNone(c.Query.SeriesMax)), BytesMax: int64(orNone(int(min(c.Query.BytesMax, math.MaxInt)))),
		CacheBytes: cacheBytes(c.Query.CacheBytes, n.resources.Memory),
		Logger:     n.log, Registerer: n.registry,
	})
	build := n.options.Build
	return api.New(api.Deps{
		Engine: engine, Queryable: query.Local(db, series.DefaultTenant), Chunks: db.ChunkQueryable(series.DefaultTenant),
		Exemplars: db.ExemplarQueryable(series.DefaultTenant),
		Metadata:  metadata{db}.describe, Runtime: n.runtimeInfo, Cardinality: cardinality{db}.count,
		Config: func() string { return n.Config().YAML() }, Flags: c.Values(), Now: n.options.Now,
	}, api.Options{
		Build:        api.BuildInfo{VarveVersion: build.Version, Revision: build.Revision, BuildDate: build.BuildDate, Runtime: build.GoVersion},
		CORSOrigin:   origins(c.Web.CORSOrigin),
		FormBytesMax: int(c.Query.BodyBytesMax), Logger: n.log, Registerer: n.registry,
	})
}

// Bounds of the memory for results of queries, if the settings name none.
const (
	cacheShare    = 32
	cacheBytesMax = 512 << 20
)

func cacheBytes(s AutoSize, memory uint64) int64 {
	if s.Auto {
		return int64(min(memory/cacheShare, cacheBytesMax))
	}
	return int64(min(s.Bytes, math.MaxInt64))
}

// origins returns the origins that may read answers; nil is all of them, said
// as "*" to browsers. Validate has compiled the expression before.
func origins(expression string) *regexp.Regexp {
	if expression == ".*" {
		return nil
	}
	return regexp.MustCompile(anchored(expression))
}

// orNone turns 0, which says "no bound" in the settings, into what says so in
// options whose 0 is a default.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func policy(c Config) retention.Policy {
	return retention.Policy{Keep: c.Retention.Time, BytesMax: c.Retention.Size}
}

// appender tells ingest which errors of the database are a matter of load.
type appender struct{ db *tsdb.DB }

func (a appender) Append(ctx context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error) {
	outcome, err := a.db.Append(ctx, tenant, b)
	if errors.Is(err, tsdb.ErrBacklog) || errors.Is(err, tsdb.ErrClosed) {
		err = fmt.Errorf("%w: %w", ingest.ErrOverloaded, err)
	}
	return outcome, err
}

// partitions shows the database to retention.
type partitions struct{ db *tsdb.DB }

func (p partitions) Partitions() ([]retention.Partition, error) {
	list, err := p.db.Partitions()
	var out []retention.Partition
	for _, q := range list {
		out = append(out, retention.Partition{Start: q.Start, End: q.End, Bytes: q.Bytes})
	}
	return out, err
}

func (p partitions) DropBefore(ctx context.Context, t int64) error { return p.db.DropBefore(ctx, t) }

// metadata shows the database's metadata to the API.
type metadata struct{ db *tsdb.DB }

// describe lists at most limit metrics. The database keeps one description of
// each, so no limit of those but 0 ever cuts.
func (m metadata) describe(metric string, limit, limitPerMetric int) map[string][]series.Metadata {
	out := map[string][]series.Metadata{}
	if limit == 0 || limitPerMetric == 0 {
		return out
	}
	for _, d := range m.db.Metadata(series.DefaultTenant, metric, limit) {
		out[d.Metric] = []series.Metadata{d}
	}
	return out
}

// cardinality shows the database's figures to the API.
type cardinality struct{ db *tsdb.DB }

func (c cardinality) count(_ context.Context, limit int) (api.Cardinality, error) {
	s := c.db.Stats(limit)
	out := api.Cardinality{
		Series: s.Series, LabelPairs: int(s.Pairs), Chunks: int64(s.Series), // each has one open
		SeriesByMetric: counts(s.SeriesByMetric), ValuesByLabel: counts(s.ValuesByLabel),
		BytesByLabel: counts(s.BytesByLabel), SeriesByPair: counts(s.SeriesByPair),
	}
	if s.MinTime <= s.MaxTime {
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

func newSelfScrape(n *Node, c Config, to Appender) *selfScrape {
	return &selfScrape{
		gather: n.registry, appender: to, instance: instance(c.HTTP.Listen, n.Address()),
		every: c.SelfScrape.Interval, now: n.options.Now, log: n.log, metrics: n.metrics,
	}
}

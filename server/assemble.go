package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"

	"github.com/varve-db/varve/downsample"
	"github.com/varve-db/varve/ingest"
	"github.com/varve-db/varve/ingest/scrape"
	"github.com/varve-db/varve/kv"
	kvapi "github.com/varve-db/varve/kv/api"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/api"
	"github.com/varve-db/varve/retention"
	"github.com/varve-db/varve/server/auth"
	"github.com/varve-db/varve/tenant"
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
	known, err := openTenants(ctx, n, c, store)
	if err != nil {
		return nil, err
	}
	db, err := openDB(ctx, n, c, store, tsdb.Options{Yield: queries.yield, Quota: known})
	if err != nil {
		return nil, err
	}
	if err := db.SetDownsampling(c.Downsample.list()); err != nil {
		return nil, err
	}
	stored := appender{db, known}
	n.registry.MustRegister(tenant.NewCollector(known, db.SeriesByTenant))
	db.SetLifetimes(lifetimes(policy(c), known))
	forget := retention.New(partitions{db, known}, retention.Options{Policy: policy(c), Now: n.options.Now, Log: n.log, Metrics: n.registry})
	// The clock is judged by what is stored before anything new comes.
	if err := forget.Step(ctx, n.options.Now()); err != nil {
		n.log.Error("retention step failed", "err", err)
	}
	relabeler := newRelabeler(n, c, stored)
	scraper := newScraper(n, c, relabeler, db)
	external := c.Scrape.Jobs.ExternalLabels()
	reads := newQueryAPI(n, c, db, scraper)
	writes := ingest.New(door{relabeler, known, n.options.Now}, ingestOptions(n, c))
	spaces := kvapi.New(store, kvapi.Options{
		Now: n.options.Now, Log: n.log, Registerer: n.registry,
		ValueBytesMax: int(c.KV.ValueBytesMax), BatchBytesMax: int(c.KV.BatchBytesMax),
	})
	p = &parts{
		routes: dataRoutes(newAdmin(n, c, db, store), writes, reads, queries, spaces),
		jobs:   []job{{"flushes", db.Run}, {"seals", db.RunSeals}, {"downsampling", downsample.New(db, downsample.Options{Log: n.log}).Run}, {"retention", forget.Run}, {"scrape", scraper.Run}, {"sweep", (&sweep{spaces, n.options.Now, n.log}).run}},
		cancel: reads.Close,
		apply: func(c Config) error {
			known.SetLimits(c.Limits)
			db.SetLifetimes(lifetimes(policy(c), known))
			forget.SetPolicy(policy(c))
			return applyScraping(n, c, relabeler, scraper, external)
		},
		last: func(context.Context) error { return nil },
		close: func() error {
			reads.Close()
			return errors.Join(db.Close(), store.Close())
		},
	}
	p.routes = append(p.routes, (&preview{db: db, known: known, policy: func() retention.Policy { return policy(n.Config()) }, believed: forget.Believed}).route())
	if c.SelfScrape.Interval > 0 {
		scrape := newSelfScrape(n, c, stored)
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

func openDB(ctx context.Context, n *Node, c Config, store kv.Store, o tsdb.Options) (*tsdb.DB, error) {
	return tsdb.Open(ctx, store, tsdb.Options{
		Now: n.options.Now, Random: n.options.Random, Log: n.log, Registerer: n.registry,
		Width: c.Storage.PartitionWidth, Retention: c.Retention.Time, AheadMax: c.Storage.FutureBound,
		EpochAgeMax:   c.Storage.EpochAge,
		EpochBytesMax: min(max(int64(n.resources.Memory/epochShare), epochBytesMin), epochBytesMax), Yield: o.Yield, Quota: o.Quota,
	})
}

func newAdmin(n *Node, c Config, db *tsdb.DB, store kv.Checkpointer) *admin {
	return &admin{
		enabled: c.Web.EnableAdminAPI, folder: filepath.Join(c.Storage.Path, snapshotFolder),
		snapshot: store.Checkpoint, flush: db.Flush, seal: db.Seal, thin: db.Downsample, blocks: db.Blocks, now: n.options.Now, random: n.options.Random, log: n.log,
	}
}

// dataRoutes are the routes that need the open store.
func dataRoutes(operate *admin, writes *ingest.Handler, reads *api.API, queries *courtesy, spaces *kvapi.Handler) []route {
	all := operate.routes()
	for _, r := range writes.Routes() {
		one := route{methods: r.Methods, path: r.Path, handle: r.Handle, scope: auth.Write, changes: true}
		if r.Public {
			one.scope = auth.Public
		}
		all = append(all, one)
	}
	all = append(all,
		route{methods: get, path: "/kv/v1/*", handle: spaces.Handle, scope: auth.Read, shared: true},
		route{methods: kvChanges, path: "/kv/v1/*", handle: spaces.Handle, scope: auth.Write, shared: true, changes: true})
	for _, r := range reads.Routes() {
		one := route{methods: r.Methods, path: r.Path, handle: queries.query(r.Handle), scope: auth.Read}
		if r.Admin {
			one.scope, one.handle, one.changes = auth.Admin, operate.guard(r.Handle), true
		}
		all = append(all, one)
	}
	return all
}

func ingestOptions(n *Node, c Config) ingest.Options {
	o := ingest.Options{
		BodyBytesMax: int(c.Ingest.BodyBytesMax), DecodedBytesMax: int(c.Ingest.DecodedBytesMax), LineBytesMax: int(c.Ingest.LineBytesMax),
		MemoryBytes: int64(n.resources.Memory), WaitingMax: c.Ingest.WaitingMax, WaitMax: c.Ingest.WaitMax, RetryAfter: retryAfter,
		LabelRules: labelRules(c), OTLP: otlpOptions(n, c.OTLP),
		Logger: n.log, Registerer: n.registry, Now: n.options.Now, Tenant: n.access.writer,
	}
	if b := c.Ingest.InFlightBytesMax; !b.Auto {
		o.InFlightBytesMax = int64(b.Bytes)
	}
	return o
}

func newQueryAPI(n *Node, c Config, db *tsdb.DB, scraper *scrape.Scraper) *api.API {
	engine := query.New(query.Options{
		Timeout: c.Query.Timeout, Lookback: c.Query.LookbackDelta, Coarsest: c.Query.Coarsest,
		ConcurrentMax: c.Query.ConcurrencyMax, QueueMax: orNone(c.Query.QueueMax), QueueWait: c.Query.QueueWait,
		SamplesMax: c.Query.SamplesMax, PointsMax: c.Query.PointsMax,
		SeriesMax: int64(orNone(c.Query.SeriesMax)), BytesMax: int64(orNone(int(min(c.Query.BytesMax, math.MaxInt)))),
		CacheBytes: cacheBytes(c.Query.CacheBytes, n.resources.Memory),
		Logger:     n.log, Registerer: n.registry,
	})
	build := n.options.Build
	return api.New(api.Deps{
		Engine: engine, Source: source(db), Runtime: n.runtimeInfo, Scraping: newScraping(scraper),
		Config: func() string { return n.Config().YAML() }, Flags: c.Values(), Now: n.options.Now,
	}, api.Options{
		Build:      api.BuildInfo{VarveVersion: build.Version, Revision: build.Revision, BuildDate: build.BuildDate, Runtime: build.GoVersion},
		CORSOrigin: origins(c.Web.CORSOrigin), ExternalLabels: c.Scrape.Jobs.ExternalLabels(),
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

func newSelfScrape(n *Node, c Config, to Appender) *selfScrape {
	return &selfScrape{
		gather: n.registry, appender: to, instance: instance(c.HTTP.Listen, n.Address()),
		every: c.SelfScrape.Interval, now: n.options.Now, log: n.log, metrics: n.metrics,
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/server/auth"
	"github.com/varve-db/varve/web"
)

// Options are what a node gets besides its Config. The zero value works.
type Options struct {
	Build Build
	Log   *slog.Logger
	// Level is the level of Log, which a reload moves; nil: it stays.
	Level *slog.LevelVar
	// Reload reads the Config again; nil: it cannot be.
	Reload func() (Config, error)
	// Root is the file system in which limits of memory are looked up; default
	// the machine's.
	Root fs.FS
	// KeepMemoryLimit leaves the garbage collector's limit as it is.
	KeepMemoryLimit bool
	// Now and Random are the clock and the source of names; defaults: the
	// process's.
	Now    func() time.Time
	Random func() uint64
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Uint64
	}
	return o
}

// Node is one running database.
type Node struct {
	options   Options
	log       *slog.Logger
	resources Resources
	registry  *prometheus.Registry
	metrics   *metrics
	listener  net.Listener
	started   time.Time

	config atomic.Pointer[Config]
	loaded atomic.Pointer[loaded]
	health health
	front  *front
	access *access
	// assemble opens the store and builds what serves it. Tests replace it.
	assemble func(ctx context.Context, n *Node) (*parts, error)

	ready   chan struct{} // closed once the node serves
	quit    chan struct{} // closed to ask Serve to stop
	ended   chan struct{} // closed when Serve has returned
	asked   sync.Once
	serving atomic.Bool

	reloadMu sync.Mutex // held while a Config is applied
	apply    atomic.Pointer[func(Config) error]
}

// parts is what an assembled node consists of.
type parts struct {
	routes []route
	jobs   []job
	// cancel ends requests that did not finish in time.
	cancel func()
	// apply takes over the live settings of a new Config.
	apply func(Config) error
	// last makes the node's last writes, after all jobs have ended.
	last func(ctx context.Context) error
	// close releases the store.
	close func() error
}

// loaded is how the last reading of the configuration went.
type loaded struct {
	at time.Time // of the last success
	ok bool
}

// job is something that runs as long as the node does.
type job struct {
	name string
	run  func(ctx context.Context) error
}

// ErrServed means that Serve was called twice.
var ErrServed = errors.New("the node serves already or was closed")

// Open takes the port and prepares a node. The store is opened by Serve, so
// that the listener can tell how that goes.
func Open(ctx context.Context, c Config, o Options) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("check the configuration: %w", err)
	}
	o = o.withDefaults()
	n := &Node{
		options: o, log: o.Log, resources: FindResources(o.Root), started: o.Now(), assemble: assembleStorage,
		ready: make(chan struct{}), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	n.config.Store(&c)
	n.loaded.Store(&loaded{n.started, true})
	if !c.Storage.Memory.Auto {
		n.resources.Memory, n.resources.Source = c.Storage.Memory.Bytes, "storage.memory"
	}
	limit := limitMemory(n.resources, o.KeepMemoryLimit)
	n.log.Info("resources found", "cores", n.resources.Cores, "memory", n.resources.Memory, "memory_from", n.resources.Source, "memory_limit", limit)
	n.registry = newRegistry(o.Build, n.resources)
	n.metrics = newMetrics(n.registry)
	pages, err := web.Load()
	if err != nil {
		return nil, err
	}
	gate, err := auth.Open(c.Web.ConfigFile, auth.Options{Log: n.log, Now: o.Now})
	if err != nil {
		return nil, err
	}
	n.access = &access{gate: gate, log: n.log, denied: n.metrics.denied}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.HTTP.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.HTTP.Listen, err)
	}
	n.listener = listener
	n.warnWhenOpen()
	n.front = &front{
		prefixes: prefixes(c.Web.RoutePrefix), log: n.log, metrics: n.metrics, now: o.Now, access: n.access, pages: pages,
	}
	n.front.routes.Store(newTable(n.ownRoutes(), n.unassembled))
	return n, nil
}

// Address returns the listener's address.
func (n *Node) Address() string { return n.listener.Addr().String() }

// Ready is closed once the node serves all its routes.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Config returns the settings in force.
func (n *Node) Config() Config { return *n.config.Load() }

// Serve opens the store and serves until ctx ends, somebody quits the node, or
// a part of it fails. It stops accepting, lets requests in flight finish, ends
// the jobs, and closes the store; an acknowledged write is never lost by it.
func (n *Node) Serve(ctx context.Context) error {
	if !n.serving.CompareAndSwap(false, true) {
		return ErrServed
	}
	defer close(n.ended)
	server := newHTTPServer(n.Config().HTTP, n.front.handle, n.log)
	n.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "varve_server_open_connections", Help: "Open HTTP connections.",
	}, func() float64 { return float64(server.GetOpenConnectionsCount()) }))
	broken := make(chan error, 1)
	secure := n.access.gate.TLS()
	incoming := bound(n.listener, n.Config().HTTP.AddressConnectionsMax, secure, n.metrics.crowded.Inc)
	go func() { broken <- server.Serve(incoming) }()
	n.log.Info("listening", "address", n.Address(), "tls", secure != nil, "guarded", n.access.gate.Guarded())

	n.health.set(phaseRecovering)
	p, err := n.assemble(ctx, n)
	if err != nil {
		n.stopHTTP(server, func() {})
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("open the database: %w", err)
	}
	err = n.runParts(ctx, p, server, broken)
	n.log.Info("stopped")
	return err
}

// runParts serves with all parts, and takes them down in order.
func (n *Node) runParts(ctx context.Context, p *parts, server *fasthttp.Server, broken <-chan error) error {
	jobs, endJobs := context.WithCancel(context.WithoutCancel(ctx))
	defer endJobs()
	var running sync.WaitGroup
	failed := make(chan error, len(p.jobs))
	for _, j := range p.jobs {
		running.Go(func() {
			if err := j.run(jobs); err != nil && jobs.Err() == nil {
				failed <- fmt.Errorf("run %s: %w", j.name, err)
			}
		})
	}
	n.apply.Store(&p.apply)
	n.front.routes.Store(newTable(append(n.ownRoutes(), p.routes...), notFound))
	n.health.set(phaseReady)
	close(n.ready)
	n.log.Info("ready", "address", n.Address(), "after", n.options.Now().Sub(n.started).Round(time.Millisecond))

	err := n.wait(ctx, failed, broken)
	n.health.set(phaseStopping)
	n.log.Info("stopping")
	n.stopHTTP(server, p.cancel)
	endJobs()
	running.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWritesMax)
	defer cancel()
	if lastErr := p.last(last); lastErr != nil {
		n.log.Warn("last writes failed", "err", lastErr)
	}
	if closeErr := p.close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close the database: %w", closeErr))
	}
	return err
}

// lastWritesMax bounds what a stopping node still writes about itself.
const lastWritesMax = 5 * time.Second

func (n *Node) wait(ctx context.Context, failed, broken <-chan error) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.quit:
		return nil
	case err := <-failed:
		return err
	case err := <-broken:
		return fmt.Errorf("accept connections: %w", errors.Join(err, errors.New("the listener was closed")))
	}
}

// stopHTTP stops accepting, and lets requests in flight finish and clients take
// their answers as long as the settings allow. Then it calls cancel and gives
// what is left a moment to end. Requests are waited for before the server is
// shut down, because that ends their contexts.
func (n *Node) stopHTTP(server *fasthttp.Server, cancel func()) {
	n.front.stopping.Store(true)
	if err := n.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		n.log.Warn("close of the listener failed", "err", err)
	}
	patience, stop := context.WithTimeout(context.Background(), n.Config().HTTP.ShutdownTimeout)
	defer stop()
	n.awaitRequests(patience)
	if n.shutdown(patience, server) {
		return
	}
	n.log.Warn("requests did not finish in time and are cancelled", "requests", n.front.inFlight.Load(), "connections", server.GetOpenConnectionsCount())
	cancel()
	last, stopLast := context.WithTimeout(context.Background(), cancelMax)
	defer stopLast()
	n.awaitRequests(last)
	if !n.shutdown(last, server) {
		n.log.Warn("connections were cut", "connections", server.GetOpenConnectionsCount())
	}
}

// cancelMax is how long cancelled requests have to end.
const cancelMax = 2 * time.Second

// awaitRequests returns when no handler runs any more, or when ctx ends.
func (n *Node) awaitRequests(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.front.inFlight.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// shutdown waits until all connections are closed, and reports whether they are.
func (n *Node) shutdown(ctx context.Context, server *fasthttp.Server) bool {
	if ctx.Err() != nil && n.front.inFlight.Load() > 0 {
		return false
	}
	err := server.ShutdownWithContext(ctx)
	return err == nil || errors.Is(err, net.ErrClosed)
}

// Quit asks Serve to stop, without waiting for it.
func (n *Node) Quit() { n.asked.Do(func() { close(n.quit) }) }

// Close stops the node and waits for Serve to return. It may be called twice,
// and without Serve.
func (n *Node) Close() error {
	n.Quit()
	if n.serving.CompareAndSwap(false, true) {
		close(n.ended)
		return n.listener.Close()
	}
	<-n.ended
	return nil
}

// Reload reads the configuration again and takes over what can change while
// the node runs. Other settings that differ are named in the log.
func (n *Node) Reload() error {
	n.reloadMu.Lock()
	defer n.reloadMu.Unlock()
	err := n.reloadLocked()
	if err != nil {
		n.loaded.Store(&loaded{n.loaded.Load().at, false})
		n.metrics.reloads.WithLabelValues("failure").Inc()
		return fmt.Errorf("reload the configuration: %w", err)
	}
	n.loaded.Store(&loaded{n.options.Now(), true})
	n.metrics.reloads.WithLabelValues("success").Inc()
	return nil
}

func (n *Node) reloadLocked() error {
	if n.options.Reload == nil {
		return errors.New("this node was started without a source of settings")
	}
	if err := n.access.gate.Reload(); err != nil {
		return err
	}
	wanted, err := n.options.Reload()
	if err != nil {
		return err
	}
	merged := n.Config()
	merged.Scrape.Jobs, merged.Scrape.Relabel = wanted.Scrape.Jobs, wanted.Scrape.Relabel
	merged.Limits, merged.Retention.Policies = wanted.Limits, wanted.Retention.Policies
	before, after := merged.Values(), wanted.Values()
	for _, s := range Settings() {
		switch {
		case before[s.Name] == after[s.Name]:
		case !s.Live:
			n.log.Warn("setting changed, a restart is needed for it", "setting", s.Name, "in_force", before[s.Name], "wanted", after[s.Name])
		default:
			if err := s.bind(&merged).Set(after[s.Name]); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			n.log.Info("setting changed", "setting", s.Name, "before", before[s.Name], "now", after[s.Name])
		}
	}
	if err := merged.Validate(); err != nil {
		return err
	}
	n.config.Store(&merged)
	if n.options.Level != nil {
		n.options.Level.Set(merged.Log.Level)
	}
	if apply := n.apply.Load(); apply != nil {
		return (*apply)(merged)
	}
	return nil
}

// warnWhenOpen tells when others than this machine can reach the listener.
func (n *Node) warnWhenOpen() {
	a, ok := n.listener.Addr().(*net.TCPAddr)
	switch gate := n.access.gate; {
	case !ok || a.IP.IsLoopback():
	case !gate.Guarded():
		n.log.Warn("listening beyond this machine without authentication: whoever reaches the port can read and write everything",
			"address", n.Address())
	case gate.TLS() == nil:
		n.log.Warn("listening beyond this machine without TLS: passwords and tokens can be read on the way", "address", n.Address())
	}
}

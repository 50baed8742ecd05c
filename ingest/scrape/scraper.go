package scrape

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/logging"

	"github.com/varve-db/varve/series"
)

// Appender stores batches; it returns when a batch is durable.
type Appender interface {
	Append(ctx context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error)
}

// Options tune a Scraper. The zero value works.
type Options struct {
	// Tenant owns what is scraped.
	Tenant series.TenantID
	// LabelRules are what label sets are held to; a scrape that breaks one fails.
	LabelRules series.LabelRules
	// Stored returns the labels under which a series is stored, and whether it is,
	// where the Appender changes them. The default is that it does not.
	Stored func(ls series.Labels) (series.Labels, bool)
	// StartTimestamps stores when counters began, where targets tell, with their
	// samples; OpenMetrics' series _created are left out then.
	StartTimestamps bool
	// UpdateInterval is how long changes of targets are gathered before they take
	// effect; default 1 s.
	UpdateInterval time.Duration

	Log        *slog.Logger
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	if o.Stored == nil {
		o.Stored = func(ls series.Labels) (series.Labels, bool) { return ls, true }
	}
	if o.UpdateInterval == 0 {
		o.UpdateInterval = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}

// Scraper scrapes what its Config says while Run runs.
type Scraper struct {
	to      Appender
	stored  storage.Queryable
	options Options
	metrics *metrics
	refused complaint

	initial Config
	changes chan change
	ended   chan struct{} // closed when Run has returned
	live    atomic.Pointer[scrape.Manager]

	transactions sync.Pool // *transaction
}

// change is a Config to be applied; done receives the outcome.
type change struct {
	config Config
	done   chan error
}

// New returns a Scraper that starts with config, writes to to, and looks for
// newer samples in stored, which reads what to has written.
func New(to Appender, stored storage.Queryable, config Config, o Options) *Scraper {
	o = o.withDefaults()
	s := &Scraper{
		to: to, stored: stored, options: o, metrics: newMetrics(o.Registerer), initial: config,
		changes: make(chan change), ended: make(chan struct{}),
	}
	s.transactions.New = func() any { return &transaction{scraper: s} }
	return s
}

// ErrStopped means that Run has returned, or that its context ended.
var ErrStopped = errors.New("scraping has stopped")

// Apply makes config the one that is scraped by, once Run runs. Jobs that it
// does not change go on undisturbed.
func (s *Scraper) Apply(ctx context.Context, config Config) error {
	c := change{config, make(chan error, 1)}
	select {
	case s.changes <- c:
		return <-c.done
	case <-s.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run scrapes until ctx ends, and returns when no scrape is under way any more.
// Like Prometheus it leaves no stale markers then: whoever starts again goes on
// with the same series. It must be called once.
func (s *Scraper) Run(ctx context.Context) error {
	defer close(s.ended)
	var running *session
	apply := func(c Config) (err error) {
		if running == nil {
			if !c.scrapes() {
				return nil
			}
			if running, err = s.begin(ctx); err != nil {
				return err
			}
			s.live.Store(running.targets)
		}
		return running.apply(c)
	}
	defer func() {
		if running != nil {
			running.stop()
		}
	}()
	if err := apply(s.initial); err != nil {
		return fmt.Errorf("apply the scrape configuration: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-s.changes:
			c.done <- apply(c.config)
		}
	}
}

// session is Prometheus's discovery and scraping at work.
type session struct {
	log     *slog.Logger
	found   *discovery.Manager
	targets *scrape.Manager
	cancel  context.CancelFunc // of discovery
	running sync.WaitGroup
}

func (s *Scraper) begin(ctx context.Context) (*session, error) {
	o := s.options
	sdMetrics, err := discovery.CreateAndRegisterSDMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	targets, err := scrape.NewManager(&scrape.Options{
		AppendMetadata: true, ParseST: o.StartTimestamps, DiscoveryReloadInterval: model.Duration(o.UpdateInterval),
	}, o.Log, logging.NewJSONFileLogger, nil, s, o.Registerer)
	if err != nil {
		return nil, err
	}
	r := &session{log: o.Log, targets: targets}
	ctx, r.cancel = context.WithCancel(ctx)
	r.found = discovery.NewManager(ctx, o.Log, o.Registerer, sdMetrics, discovery.Name("scrape"), discovery.Updatert(o.UpdateInterval))
	if r.found == nil {
		r.cancel()
		return nil, errors.New("set up the discovery of targets")
	}
	r.running.Go(func() { _ = r.found.Run() }) // its error is that its context ended
	r.running.Go(func() { _ = targets.Run(r.found.SyncCh()) })
	return r, nil
}

func (r *session) apply(c Config) error {
	if c.loaded == nil {
		var err error
		if c, err = none(); err != nil {
			return err
		}
	}
	found, err := c.discoveries()
	if err != nil {
		return err
	}
	if err := r.targets.ApplyConfig(c.loaded); err != nil {
		return err
	}
	if err := r.found.ApplyConfig(found); err != nil {
		return err
	}
	r.log.Info("scrape configuration applied", "jobs", len(found))
	return nil
}

// stop ends discovery first, so that no target comes while the loops end.
func (r *session) stop() {
	r.cancel()
	r.targets.Stop()
	r.running.Wait()
}

package api

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/watch"
	"github.com/varve-db/varve/series"
)

// Deps are what the API reads from. Engine and Queryable or Source must be there;
// what is nil of the rest makes its endpoints answer with nothing.
type Deps struct {
	// Source tells what a request may read, where there are several tenants; nil:
	// all read the same, which is in the fields of a Source below.
	Source func(*fasthttp.RequestCtx) Source

	Engine    *query.Engine
	Queryable storage.Queryable
	// Chunks serves streamed remote reads; without it they are encoded anew.
	Chunks    storage.ChunkQueryable
	Exemplars storage.ExemplarQueryable
	// Metadata describes the family called metric, or all when it is empty. Less
	// than nothing means no limit.
	Metadata func(metric string, limit, limitPerMetric int) map[string][]series.Metadata
	// Cardinality counts what the storage's index holds.
	Cardinality func(ctx context.Context, limit int) (Cardinality, error)
	Runtime     func() (RuntimeInfo, error)
	// Scraping tells about targets; nil: there are none.
	Scraping Scraping
	// Config returns the configuration in use as YAML.
	Config func() string
	Flags  map[string]string
	// Now is the time that absent parameters mean; default time.Now.
	Now func() time.Time
}

// Options tune an API. The zero value works.
type Options struct {
	Build BuildInfo
	// CORSOrigin is matched by the origins that may read answers; nil allows all.
	CORSOrigin *regexp.Regexp
	// ExternalLabels are added to what federation and remote read give away.
	ExternalLabels map[string]string
	// Features says, by category and name, what the rest of the server offers.
	Features map[string]map[string]bool

	// ListMax is how many names, values or series an answer lists when the
	// request sets no limit; default 1 million.
	ListMax int
	// FormBytesMax bounds the form in a request's body; default 10 MiB.
	FormBytesMax int
	// ReadSamplesMax bounds the samples of an unstreamed remote read; default 50 million.
	ReadSamplesMax int
	// ReadFrameBytes is about how large a frame of a streamed one is; default 1 MiB.
	ReadFrameBytes int

	// Watch says when to look whether a client is still there.
	Watch      watch.Options
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	orDefault(&o.ListMax, 1_000_000)
	orDefault(&o.FormBytesMax, 10<<20)
	orDefault(&o.ReadSamplesMax, 50_000_000)
	orDefault(&o.ReadFrameBytes, 1<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

// API answers HTTP requests about stored samples.
type API struct {
	deps    Deps
	options Options
	metrics *metrics
	buffers buffers

	mu      sync.Mutex
	closed  bool
	running map[*call]context.CancelCauseFunc
}

// New returns an API.
func New(deps Deps, options Options) *API {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Scraping == nil {
		deps.Scraping = nothing{}
	}
	o := options.withDefaults()
	return &API{deps: deps, options: o, metrics: newMetrics(o.Registerer), running: map[*call]context.CancelCauseFunc{}}
}

// errClosing is the cause of calls that Close cancels.
var errClosing = errors.New("the server is shutting down")

// Close cancels the calls that are running and refuses new ones. It may be called
// twice.
func (a *API) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, cancel := range a.running {
		cancel(errClosing)
	}
}

func (a *API) enter(c *call, cancel context.CancelCauseFunc) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return &failure{kindUnavailable, errClosing}
	}
	a.running[c] = cancel
	return nil
}

func (a *API) leave(c *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.running, c)
}

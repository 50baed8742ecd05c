package query

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/plan"
)

// Options tune an Engine. The zero value works; a limit below zero means none.
type Options struct {
	// Timeout is the longest that a query may run; default 2 minutes.
	Timeout time.Duration
	// Lookback is how long a sample stands for its series; default 5 minutes.
	Lookback time.Duration
	// Coarsest bounds the windows that are read in place of samples; default
	// plan.Auto.
	Coarsest plan.Coarsest
	// SubqueryStep is the step of subqueries that name none; default 1 minute.
	SubqueryStep time.Duration

	// ConcurrentMax queries run together (default 20, at least one), QueueMax
	// more wait (default 500, none when below zero), each for at most QueueWait
	// (default 30 seconds).
	ConcurrentMax int
	QueueMax      int
	QueueWait     time.Duration

	// SamplesMax is how many samples a query may hold in memory; default 50 million.
	SamplesMax int
	// PointsMax is how many steps a range query may have; default 11,000.
	PointsMax int
	// SeriesMax is how many series one selector may read; default 5 million.
	SeriesMax int64
	// BytesMax is how many bytes of chunks a query may decode; default 4 GiB.
	BytesMax int64
	// TextMax is how many bytes a query's text may have; default 256 KiB.
	TextMax int
	// DepthMax is how deep a query may be nested; default 1,000.
	DepthMax int

	// CacheBytes is how much memory results of range queries may take that are kept
	// for the next time; none by default. What took less than CacheCostMin and some
	// time for each point is not kept; default 1 millisecond, below zero all is.
	CacheBytes   int64
	CacheCostMin time.Duration

	// LedgerMax is how many entries the ledger of costs keeps; default 1,000.
	LedgerMax int

	// NoExperimentalFunctions refuses what Prometheus calls experimental
	// functions and aggregations; NoPerStepStats refuses statistics per step.
	NoExperimentalFunctions bool
	NoPerStepStats          bool
	// Off in Prometheus unless asked for, and here.
	DelayedNameRemoval bool
	UseStartTimestamps bool
	FillModifiers      bool
	UnquotedUTF8Names  bool

	// ReferenceOnly evaluates everything on Prometheus's engine. Claims, if it is
	// not nil, says which subexpressions the columnar executor may take.
	ReferenceOnly bool
	Claims        func(parser.Expr) bool

	// Now is the time of entries in the ledger; default time.Now.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	orDefault(&o.Timeout, 2*time.Minute)
	orDefault(&o.Lookback, 5*time.Minute)
	orDefault(&o.SubqueryStep, time.Minute)
	orDefault(&o.ConcurrentMax, 20)
	orDefault(&o.QueueMax, 500)
	orDefault(&o.QueueWait, 30*time.Second)
	orDefault(&o.SamplesMax, 50_000_000)
	orDefault(&o.PointsMax, 11_000)
	orDefault(&o.SeriesMax, 5_000_000)
	orDefault(&o.BytesMax, 4<<30)
	orDefault(&o.TextMax, 256<<10)
	orDefault(&o.DepthMax, 1000)
	orDefault(&o.CacheCostMin, time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[N int | int64 | time.Duration](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}

func (o Options) parser() parser.Parser {
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions: !o.NoExperimentalFunctions,
		EnableBinopFillModifiers:    o.FillModifiers,
		EnableUnquotedUTF8Names:     o.UnquotedUTF8Names,
	})
}

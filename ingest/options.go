package ingest

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/ingest/otlp"
	"github.com/varve-db/varve/series"
)

// Options tune a Handler. The zero value works.
type Options struct {
	// BodyBytesMax bounds a body as it is sent; default 32 MiB.
	BodyBytesMax int
	// DecodedBytesMax bounds a body without its compression; default 128 MiB.
	DecodedBytesMax int
	// BatchBytesMax bounds what one request's batch takes; default 512 MiB.
	BatchBytesMax int

	// LineBytesMax bounds a line of the formats that have lines; default 16 MiB.
	LineBytesMax int

	// MemoryBytes is the memory of the machine or its share for this process;
	// 0 means unknown. It sets the default of InFlightBytesMax.
	MemoryBytes int64
	// InFlightBytesMax bounds uncompressed bodies and batches of all requests
	// together; default a sixteenth of MemoryBytes, or 256 MiB. It is at
	// least DecodedBytesMax. Bodies still compressed have half of it, apart.
	InFlightBytesMax int64
	// WaitingMax bounds the requests that wait for bytes in flight; default 1,024.
	WaitingMax int
	// WaitMax is how long one waits; default 5 s.
	WaitMax time.Duration
	// RetryAfter is what a sender is told when it is turned away; default 5 s.
	RetryAfter time.Duration
	// RetainedBytesMax bounds a buffer that is kept for reuse; default 8 MiB.
	RetainedBytesMax int

	// Tenant tells for whom a request writes; default: series.DefaultTenant.
	Tenant func(*fasthttp.RequestCtx) series.TenantID
	// LabelRules are the limits of label sets.
	LabelRules series.LabelRules
	// OTLP says how OpenTelemetry's metrics become series; LabelRules and
	// BatchBytesMax hold for them, too.
	OTLP otlp.Options

	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: metrics are kept and not exposed
	Now        func() time.Time      // default time.Now
	After      func(time.Duration) <-chan time.Time
}

func (o Options) withDefaults() Options {
	o.BodyBytesMax = defaultTo(o.BodyBytesMax, 32<<20)
	o.DecodedBytesMax = defaultTo(o.DecodedBytesMax, 128<<20)
	o.BatchBytesMax = defaultTo(o.BatchBytesMax, 512<<20)
	o.LineBytesMax = defaultTo(o.LineBytesMax, 16<<20)
	o.InFlightBytesMax = defaultTo(o.InFlightBytesMax, defaultTo(o.MemoryBytes/16, 256<<20))
	o.InFlightBytesMax = max(o.InFlightBytesMax, int64(o.DecodedBytesMax))
	o.WaitingMax = defaultTo(o.WaitingMax, 1024)
	o.WaitMax = defaultTo(o.WaitMax, 5*time.Second)
	o.RetryAfter = defaultTo(o.RetryAfter, 5*time.Second)
	o.RetainedBytesMax = defaultTo(o.RetainedBytesMax, 8<<20)
	if o.Tenant == nil {
		o.Tenant = func(*fasthttp.RequestCtx) series.TenantID { return series.DefaultTenant }
	}
	o.LabelRules = o.LabelRules.WithDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	return o
}

func defaultTo[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

package tenant

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/varve-db/varve/series"
)

// Limits are what one tenant may do; 0 sets no limit of the tenant's own.
type Limits struct {
	// SamplesPerSecond is the rate of writing, SamplesBurst how much may come at
	// once; without it ten seconds' worth.
	SamplesPerSecond int
	SamplesBurst     int
	// SeriesMax bounds the series in memory, SeriesPerMetricMax those of a metric.
	SeriesMax          int
	SeriesPerMetricMax int

	// RequestBytesMax bounds a write request's body as it is sent.
	RequestBytesMax uint64

	// Labels and their lengths.
	LabelsMax          int
	LabelNameBytesMax  int
	LabelValueBytesMax int

	// AgeMax and AheadMax bound the times of samples around the clock.
	AgeMax   time.Duration
	AheadMax time.Duration
}

// LimitSet has the limits of all tenants.
type LimitSet struct {
	Default Limits
	Tenants map[string]Limits // by name
}

// Of returns the limits of the tenant called name.
func (s *LimitSet) Of(name string) Limits {
	if l, ok := s.Tenants[name]; ok {
		return l
	}
	return s.Default
}

// filters reports whether batches have to be looked through.
func (l *Limits) filters() bool {
	return l.LabelsMax > 0 || l.LabelNameBytesMax > 0 || l.LabelValueBytesMax > 0 || l.AgeMax > 0 || l.AheadMax > 0
}

// SetLimits takes over limits, for tenants that come later too; nil: there are none.
func (r *Registry) SetLimits(s *LimitSet) {
	if s == nil {
		s = &LimitSet{}
	}
	r.limits.Store(s)
	for _, t := range r.List() {
		t.setLimits(s.Of(t.Name))
	}
}

// LimitsOf returns the limits of the tenant called name, which need not exist yet.
func (r *Registry) LimitsOf(name string) Limits { return r.limits.Load().Of(name) }

func (t *Tenant) setLimits(l Limits) { t.limits.Store(&l) }

// ErrTooFast means that a tenant writes faster than it may.
var ErrTooFast = errors.New("written too fast")

// burstSeconds is how long the rate may be saved up where no burst is set.
const burstSeconds = 10

// pace lets through what comes at a bounded rate.
type pace struct {
	mu   sync.Mutex
	left float64 // samples; less than none after a large batch
	at   time.Time
}

// take takes n samples if there are any left. A batch is not divided: one that is
// larger than what is left goes through, and those after it wait the longer.
func (p *pace) take(n, perSecond, burst int, now time.Time) bool {
	if burst == 0 {
		burst = burstSeconds * perSecond
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		p.left = float64(burst)
	} else if passed := now.Sub(p.at); passed > 0 {
		p.left = min(float64(burst), p.left+passed.Seconds()*float64(perSecond))
	}
	p.at = now
	if p.left <= 0 {
		return false
	}
	p.left -= float64(n)
	return true
}

// Enforce holds a batch to the tenant's limits: it fails with ErrTooFast for one
// that comes too fast, and takes out of it what else must not be stored, which it
// returns.
func (t *Tenant) Enforce(b *series.Batch, now time.Time) (series.Refusals, error) {
	l := t.limits.Load()
	if l.SamplesPerSecond > 0 {
		n := len(b.Timestamps) + len(b.Histograms)
		if n > 0 && !t.pace.take(n, l.SamplesPerSecond, l.SamplesBurst, now) {
			t.Usage.Throttled.Add(uint64(n))
			return series.Refusals{}, fmt.Errorf("%w: tenant %s may write %d samples a second (samples-per-second)", ErrTooFast, t.Name, l.SamplesPerSecond)
		}
	}
	if !l.filters() {
		return series.Refusals{}, nil
	}
	f := filter{limits: l, batch: b, now: now}
	f.run()
	t.Usage.refuse(f.refused)
	return f.refused, nil
}

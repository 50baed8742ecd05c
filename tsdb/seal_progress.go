package tsdb

import (
	"context"
	"sync/atomic"
	"time"
)

// Steps of a seal at which it looks around: whether it has to end, whether
// queries should go first, whether its progress should be logged. One is a few
// milliseconds of work.
const (
	sealStepSamples = 1 << 16
	sealStepSeries  = 64 // what a series costs besides, in samples
	sealLogEvery    = 10 * time.Second
)

// sealProgress is how far the running seal is; there is at most one. Its fields
// are read while the seal goes on.
type sealProgress struct {
	running                 atomic.Bool
	started                 atomic.Int64 // milliseconds since 1970
	series, seriesAll       atomic.Uint64
	samples, samplesAll     atomic.Uint64
	waitedTotal, waitsTotal atomic.Int64 // nanoseconds, and how often, of all seals
}

// begin starts the count of a seal. Series and samples are counted once for each
// input that has them.
func (p *sealProgress) begin(now time.Time, series, samples uint64) {
	p.series.Store(0)
	p.samples.Store(0)
	p.seriesAll.Store(series)
	p.samplesAll.Store(samples)
	p.started.Store(now.UnixMilli())
	p.running.Store(true)
}

func (p *sealProgress) end() {
	p.running.Store(false)
	for _, n := range []*atomic.Uint64{&p.series, &p.samples, &p.seriesAll, &p.samplesAll} {
		n.Store(0)
	}
	p.started.Store(0)
}

// pace lets a seal yield and tell of itself.
type pace struct {
	started, logged time.Time
	waited          time.Duration
	work            uint64 // since the last step, in samples
	background      bool
}

// advance counts what was done of a series, and steps when it is time to.
func (s *sealer) advance(ctx context.Context, inputs, samples int) error {
	p := &s.db.sealing
	p.series.Add(uint64(inputs))
	p.samples.Add(uint64(samples))
	if s.pace.work += uint64(samples) + sealStepSeries; s.pace.work < sealStepSamples {
		return nil
	}
	s.pace.work = 0
	return s.step(ctx)
}

// step returns an error when the seal has to end.
func (s *sealer) step(ctx context.Context) error {
	if err := s.goOn(ctx); err != nil {
		return err
	}
	now := s.db.options.Now()
	if now.Sub(s.pace.logged) >= sealLogEvery {
		s.pace.logged = now
		p := &s.db.sealing
		s.db.log.Info("partition being sealed", "generation", s.id.String(), "series", p.series.Load(), "series_all", p.seriesAll.Load(),
			"samples", p.samples.Load(), "samples_all", p.samplesAll.Load(), "seconds", now.Sub(s.pace.started).Seconds(), "waited_seconds", s.pace.waited.Seconds())
	}
	return s.yield(ctx, now)
}

// yield lets queries go first, if this seal was not asked for and nobody waits
// for it. It has waited at most as long as it has worked, but for one pause.
func (s *sealer) yield(ctx context.Context, now time.Time) error {
	pause := s.db.options.Yield
	if pause == nil || !s.pace.background || s.db.sealsWanted.Load() > 0 || s.pace.waited > now.Sub(s.pace.started)-s.pace.waited {
		return nil
	}
	if err := pause(ctx); err != nil {
		return err
	}
	waited := s.db.options.Now().Sub(now)
	if waited <= 0 {
		return nil
	}
	s.pace.waited += waited
	s.db.sealing.waitedTotal.Add(int64(waited))
	s.db.sealing.waitsTotal.Add(1)
	return s.goOn(ctx)
}

package tsdb

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// importing is a database with a clock, flushed and sealed as things fall due.
type importing struct {
	*DB
	t        *testing.T
	now      time.Time
	registry *prometheus.Registry
	sent     uint64
}

func newImporting(t *testing.T) *importing {
	p := &importing{t: t, now: testNow, registry: prometheus.NewRegistry()}
	o := testOptions()
	o.Now, o.Registerer = func() time.Time { return p.now }, p.registry
	p.DB = openDB(t, memkv.New(memkv.Options{}), o)
	return p
}

// pass lets time pass, second by second.
func (p *importing) pass(d time.Duration) {
	p.t.Helper()
	for end := p.now.Add(d); p.now.Before(end); p.now = p.now.Add(time.Second) {
		if err := p.Step(context.Background()); err != nil {
			p.t.Fatal(err)
		}
		if p.now.Second()%5 != 0 {
			continue
		}
		if err := p.SealDue(context.Background()); err != nil {
			p.t.Fatal(err)
		}
	}
}

// send stores samples of series from to to-1, one every 15 s of a span.
func (p *importing) send(from, to int, start time.Time, span time.Duration) {
	p.t.Helper()
	var b series.Batch
	for i := from; i < to; i++ {
		b.AddSeries(labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
		for at := time.Duration(0); at < span; at += 15 * time.Second {
			b.AddSample(start.Add(at).UnixMilli(), 0, at.Seconds())
			p.sent++
		}
	}
	mustAppend(p.t, p.DB, series.DefaultTenant, &b)
}

// sealed returns how many sealed blocks there are, how many samples they hold, and how
// often a sample was written into sealed rows.
func (p *importing) sealed() (blocks int, samples uint64, times float64) {
	p.t.Helper()
	for _, b := range mustBlocks(p.t, p.DB) {
		if b.State == "sealed" {
			blocks++
			samples += b.Stats.Samples
		}
	}
	return blocks, samples, counterOf(p.t, p.registry, "varve_tsdb_sealed_samples_total") / float64(p.sent)
}

// TestImportIsSealedSoon takes in six hours up to now within seconds.
func TestImportIsSealedSoon(t *testing.T) {
	p := newImporting(t)
	for at := 6 * time.Hour; at > 0; at -= 30 * time.Minute {
		p.send(0, 10, p.now.Add(-at), 30*time.Minute)
		p.pass(time.Second)
	}
	p.pass(time.Minute)
	blocks, samples, times := p.sealed()
	if blocks == 0 || blocks > 3 || samples < p.sent*4/5 || times > 1 {
		t.Errorf("%d sealed blocks with %d of %d samples, written %.2f times", blocks, samples, p.sent, times)
	}
	if got := readAll(t, p.DB, series.DefaultTenant); uint64(10*len(got[`{__name__="m", i="3"}`])) != p.sent {
		t.Errorf("series 3 has %d samples", len(got[`{__name__="m", i="3"}`]))
	}
}

// TestLiveIsSealedAsEver takes in samples as they are made, and a stray old one now
// and then.
func TestLiveIsSealedAsEver(t *testing.T) {
	p := newImporting(t)
	for range 110 {
		p.send(0, 5, p.now, time.Minute)
		p.pass(time.Minute)
		p.send(7, 8, p.now.Add(-9*time.Hour), 15*time.Second)
	}
	if blocks, _, _ := p.sealed(); blocks != 0 {
		t.Errorf("%d sealed blocks after 110 minutes", blocks)
	}
	for range 25 {
		p.send(0, 5, p.now, time.Minute)
		p.pass(time.Minute)
	}
	if blocks, samples, times := p.sealed(); blocks != 1 || samples < p.sent/2 || times > 1 {
		t.Errorf("%d sealed blocks after more than two hours, with %d of %d samples, written %.2f times", blocks, samples, p.sent, times)
	}
}

// TestImportOfDays takes in ten days, a day each second in order; then series by
// series, each with all days. When it has been over for a minute all days are merged.
func TestImportOfDays(t *testing.T) {
	Sequential(t)
	const day = 24 * time.Hour
	for _, c := range []struct {
		name string
		send func(p *importing, begin time.Time)
	}{
		{"day by day", func(p *importing, begin time.Time) {
			for at := begin; at.Before(begin.Add(10 * day)); at = at.Add(day) {
				p.send(0, 8, at, day)
				p.pass(2 * time.Second)
			}
		}},
		{"series by series", func(p *importing, begin time.Time) {
			for i := range 40 {
				p.send(i, i+1, begin, 10*day)
				p.pass(3 * time.Second)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("it takes in millions of samples")
			}
			p := newImporting(t)
			c.send(p, testNow.Truncate(day).Add(-11*day))
			p.pass(time.Minute)
			blocks, samples, times := p.sealed()
			if blocks != 10 || samples != p.sent || times > 2 {
				t.Errorf("%d sealed blocks with %d of %d samples, written %.2f times", blocks, samples, p.sent, times)
			}
		})
	}
}

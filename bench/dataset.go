package bench

import (
	"context"
	"fmt"
	"time"
)

// DataSet describes made-up series that were scraped at a steady interval for a
// span of time: something to ask about. How many connections carry it makes no
// difference to its samples.
type DataSet struct {
	Name     string
	Series   int
	Member   func(i int) Member // of the series, those of a target one after another
	Interval time.Duration
	Span     time.Duration
	// Jitter gives every series a phase of its own and moves each of its samples
	// by some milliseconds. Without it a target has a phase, which its series
	// share.
	Jitter bool
}

// Member is one series of a data set.
type Member struct {
	Labels []Label
	Target int
	Kind   Kind
	Start  float64
}

// DataOptions says how a data set is sent.
type DataOptions struct {
	Protocol          Protocol
	SamplesPerRequest int // and what remains of a target, whose series stay together
	Connections       int
	End               time.Time // no sample is later
}

// jitterMax bounds how far jitter moves a sample.
const jitterMax = 20 // milliseconds

// Samples returns how many samples the set has.
func (d DataSet) Samples() int { return d.Series * d.passes() }

func (d DataSet) passes() int { return int(d.Span / d.Interval) }

// Sources returns a source for every connection. A series always goes through
// the same one.
func (d DataSet) Sources(o DataOptions) ([]*DataSource, error) {
	interval := d.Interval.Milliseconds()
	if d.Series < 1 || d.passes() < 1 || interval <= jitterMax {
		return nil, fmt.Errorf("data set %s has %d series scraped every %v for %v: it needs one scrape of one series, and an interval above %d ms",
			d.Name, d.Series, d.Interval, d.Span, jitterMax)
	}
	first := o.End.UnixMilli() - int64(d.passes())*interval
	if err := checkTimestamp(first); err != nil {
		return nil, err
	}
	var sources []*DataSource
	for range max(1, o.Connections) {
		sources = append(sources, &DataSource{set: d, at: first, end: o.End.UnixMilli(), until: o.End.UnixMilli()})
	}
	pages := 0
	var b pageBuilder
	for from := 0; from < d.Series; pages++ {
		p, to := b.build(d, from, o)
		s := sources[pages%len(sources)]
		s.pages = append(s.pages, p)
		from = to
	}
	return sources[:min(pages, len(sources))], nil
}

// DataSource yields the bodies of one connection, scrape after scrape.
type DataSource struct {
	set   DataSet
	pages []*page
	next  int
	at    int64 // when the pass begins, milliseconds since 1970
	end   int64
	until int64
}

// Until has Next yield nothing more once a pass would begin at ms or later,
// until it is called again. So several sources can be kept abreast: a receiver
// may refuse what is an hour older than the newest sample it has.
func (s *DataSource) Until(ms int64) { s.until = min(ms, s.end) }

// FirstPass implements Source.
func (s *DataSource) FirstPass() int { return len(s.pages) }

// Next implements Source.
func (s *DataSource) Next(ctx context.Context) (Body, bool) {
	if s.next == len(s.pages) {
		s.next = 0
		s.at += s.set.Interval.Milliseconds()
	}
	if s.at >= s.until || ctx.Err() != nil {
		return Body{}, false
	}
	p := s.pages[s.next]
	s.next++
	p.stamp(s.at, &p.scrape, p.phase)
	return Body{Bytes: p.block, Plain: p.plain, Samples: len(p.models), Time: s.at}, true
}

// page is a template whose values depend on nothing but its place in the set.
type page struct {
	template
	scrape   scrape
	jitter   *random // of timestamps; nil for none
	interval uint64  // milliseconds
}

// phase spreads targets over the interval. With jitter every series counts as a
// target.
func (p *page) phase(target int) int64 {
	at := int64(uint64(target) * 0x9e3779b97f4a7c15 >> 16 % (p.interval - jitterMax))
	if p.jitter != nil {
		at += int64(p.jitter.next() % jitterMax)
	}
	return at
}

type pageBuilder struct {
	encoder    encoder
	compressor compressor
}

// build makes the page of the series from from on, and returns where it ends.
func (b *pageBuilder) build(d DataSet, from int, o DataOptions) (p *page, to int) {
	p = &page{scrape: scrape{random: newRandom(uint64(from) + 1)}, interval: uint64(d.Interval.Milliseconds())}
	if d.Jitter {
		r := newRandom(uint64(from) + 2)
		p.jitter = &r
	}
	b.encoder.reset(o.Protocol)
	var patches []patch
	var targets []int
	target, shared := -1, -1
	for to = from; to < d.Series; to++ {
		m := d.Member(to)
		if m.Target != target {
			if to-from >= o.SamplesPerRequest {
				break
			}
			target, shared = m.Target, -1
		}
		sortLabels(m.Labels)
		sample := b.encoder.series(m.Labels, timestampMin, 0)
		column := m.Target
		if d.Jitter {
			column, shared = to, -1
		}
		patches = append(patches, patch{sample + sampleValue, 8, -1}, patch{sample + sampleTimestamp, timestampBytes, shared})
		targets = append(targets, -1, column)
		shared = sample + sampleTimestamp
		p.models = append(p.models, model{m.Kind, m.Start})
	}
	p.compress(&b.encoder, &b.compressor, patches, targets)
	return p, to
}

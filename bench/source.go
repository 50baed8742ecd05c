package bench

import (
	"context"
	"fmt"
)

// Body is one compressed request.
type Body struct {
	Bytes   []byte
	Plain   int // bytes before compression
	Samples int
	Stale   int // how many of the samples are stale markers, which no query counts
	// Time is when the samples were taken, in milliseconds since 1970.
	Time int64
}

// Source yields the bodies that one connection sends, in order.
type Source interface {
	// Next returns the next body, which is valid until the call after, and false
	// when there is none or ctx is done.
	Next(ctx context.Context) (Body, bool)
	// FirstPass returns how many bodies bring every series once, 0 if unknown.
	FirstPass() int
}

// FleetOptions says how a fleet is scraped and sent.
type FleetOptions struct {
	Fleet
	Protocol          Protocol
	SamplesPerRequest int
	Connections       int
	Start             int64 // milliseconds since 1970
	End               int64 // no pass begins later; 0 for no end
	Interval          int64 // milliseconds between two scrapes of a target
	ChurnPerMinute    int   // series replaced by new ones, per minute of sample time
}

// NewFleet returns a source for every connection. A pod's page always goes
// through the same connection, since receivers may demand samples in order.
func NewFleet(o FleetOptions) ([]Source, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	b := newBuilder(o.Fleet, o.Protocol)
	groups := divide(o.Series, len(b.lines), o.SamplesPerRequest)
	connections := min(o.Connections, len(groups))
	sources := make([]Source, connections)
	for i := range sources {
		s := &fleetSource{options: o, builder: b, scrape: scrape{random: newRandom(o.Seed + uint64(i) + 1)}}
		if i > 0 { // builders are not shared: connections encode churn together
			s.builder = newBuilder(o.Fleet, o.Protocol)
		}
		for j := i; j < len(groups); j += connections {
			s.templates = append(s.templates, s.builder.build(groups[j]))
			for _, part := range groups[j] {
				s.series += part.len()
			}
		}
		s.share = float64(s.series) / float64(o.Series)
		sources[i] = s
	}
	return sources, nil
}

func (o FleetOptions) check() error {
	for _, n := range []struct {
		name       string
		value, max int64
	}{
		{"number of series", int64(o.Series), 1 << 28},
		{"number of samples per request", int64(o.SamplesPerRequest), 1 << 20},
		{"number of connections", int64(o.Connections), 1 << 12},
		{"interval in milliseconds", o.Interval, 1 << 40},
	} {
		if n.value < 1 || n.value > n.max {
			return fmt.Errorf("%s is %d, it must be from 1 to %d", n.name, n.value, n.max)
		}
	}
	return checkTimestamp(o.Start)
}

// divide cuts the pages of pods with pageLines series each into requests.
func divide(seriesTotal, pageLines, perRequest int) [][]podPart {
	var groups [][]podPart
	var open []podPart
	size := 0
	for done, pod := 0, 0; done < seriesTotal; pod++ {
		page := min(pageLines, seriesTotal-done)
		done += page
		for from := 0; from < page; {
			n := min(page-from, perRequest-size)
			open = append(open, podPart{pod: pod, from: from, to: from + n})
			from, size = from+n, size+n
			if size == perRequest {
				groups, open, size = append(groups, open), nil, 0
			}
		}
	}
	if open != nil {
		groups = append(groups, open)
	}
	return groups
}

// fleetSource scrapes its templates' pods again and again.
type fleetSource struct {
	options   FleetOptions
	builder   *builder
	templates []*template
	series    int
	share     float64 // of the fleet's series
	scrape    scrape

	pass, next int
	owed       float64 // series that churn has yet to replace
	victim     int     // template whose pod goes next
	part       int
}

// FirstPass implements Source.
func (s *fleetSource) FirstPass() int { return len(s.templates) }

// Next implements Source.
func (s *fleetSource) Next(ctx context.Context) (Body, bool) {
	if ctx.Err() != nil {
		return Body{}, false
	}
	if s.next == len(s.templates) {
		s.next = 0
		s.pass++
		s.churn()
	}
	t := s.templates[s.next]
	s.next++
	at := s.options.Start + int64(s.pass)*s.options.Interval
	if s.options.End > 0 && at > s.options.End || checkTimestamp(at+s.options.Interval) != nil {
		return Body{}, false
	}
	t.stamp(at, &s.scrape, s.phase)
	return Body{Bytes: t.block, Plain: t.plain, Samples: len(t.models), Time: at}, true
}

// phase spreads the targets over the interval, as Prometheus does.
func (s *fleetSource) phase(target int) int64 {
	return int64(uint64(target) * 0x9e3779b97f4a7c15 % uint64(s.options.Interval))
}

// churn replaces pods until this pass's share of new series is reached.
func (s *fleetSource) churn() {
	s.owed += float64(s.options.ChurnPerMinute) * s.share * float64(s.options.Interval) / 60000
	var touched *template
	for s.owed >= 1 {
		t := s.templates[s.victim]
		if s.part == len(t.pods) {
			s.part = 0
			s.victim = (s.victim + 1) % len(s.templates)
			continue
		}
		if touched != t && touched != nil {
			s.builder.encode(touched)
		}
		s.owed -= float64(t.pods[s.part].len())
		s.builder.replace(t, s.part)
		s.part++
		touched = t
	}
	if touched != nil {
		s.builder.encode(touched)
	}
}

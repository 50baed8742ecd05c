package scrape

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"

	"github.com/varve-db/varve/series"
)

// Target is one target as it was when it was asked for.
type Target struct {
	Pool string // the job
	// Discovered are the labels before relabelling, Labels those that its series get.
	Discovered, Labels labels.Labels
	URL                string

	Health     string // up, down or unknown
	LastError  string
	LastScrape time.Time
	Took       time.Duration // the last scrape
	// Interval and Timeout are in Prometheus's notation.
	Interval, Timeout string

	// Families describes the metric families that the last scrapes showed: all, or
	// the one called metric if it is not empty.
	Families func(metric string) []series.Metadata
}

// Pools returns the names of the jobs that have started, in order.
func (s *Scraper) Pools() []string {
	m := s.live.Load()
	if m == nil {
		return nil
	}
	names := m.ScrapePools()
	slices.Sort(names)
	return names
}

// Active returns the targets that are scraped, ordered by job and URL.
func (s *Scraper) Active() []Target {
	m := s.live.Load()
	if m == nil {
		return nil
	}
	return describe(m.TargetsActive())
}

// Dropped returns the targets that relabelling dropped, as many as the
// configuration keeps, and how many there are in each job.
func (s *Scraper) Dropped() ([]Target, map[string]int) {
	m := s.live.Load()
	if m == nil {
		return nil, map[string]int{}
	}
	return describe(m.TargetsDropped()), m.TargetsDroppedCounts()
}

func describe(pools map[string][]*scrape.Target) []Target {
	var all []Target
	builder := labels.NewBuilder(labels.EmptyLabels())
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		first := len(all)
		for _, t := range pools[pool] {
			one := Target{
				Pool: pool, Discovered: t.DiscoveredLabels(builder), Labels: t.Labels(builder), URL: t.URL().String(),
				Health: string(t.Health()), LastScrape: t.LastScrape(), Took: t.LastScrapeDuration(),
				Interval: t.GetValue(model.ScrapeIntervalLabel), Timeout: t.GetValue(model.ScrapeTimeoutLabel),
				Families: func(metric string) []series.Metadata { return families(t, metric) },
			}
			if err := t.LastError(); err != nil {
				one.LastError = err.Error()
			}
			all = append(all, one)
		}
		slices.SortFunc(all[first:], func(a, b Target) int {
			return cmp.Or(cmp.Compare(a.URL, b.URL), labels.Compare(a.Discovered, b.Discovered))
		})
	}
	return all
}

func families(t *scrape.Target, metric string) []series.Metadata {
	convert := func(m scrape.MetricMetadata) series.Metadata {
		return series.Metadata{Metric: m.MetricFamily, Type: m.Type, Unit: m.Unit, Help: m.Help}
	}
	if metric != "" {
		m, ok := t.GetMetadata(metric)
		if !ok {
			return nil
		}
		return []series.Metadata{convert(m)}
	}
	var all []series.Metadata
	for _, m := range t.ListMetadata() {
		all = append(all, convert(m))
	}
	slices.SortFunc(all, func(a, b series.Metadata) int { return cmp.Compare(a.Metric, b.Metric) })
	return all
}

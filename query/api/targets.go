package api

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// Scraping tells what is scraped into the storage.
type Scraping interface {
	// Pools returns the names of the jobs, in order.
	Pools() []string
	// Active returns the targets that are scraped, in order of their jobs.
	Active() []Target
	// Dropped returns the targets that relabelling dropped, which may be cut, and
	// how many there are in each job.
	Dropped() ([]Target, map[string]int)
}

// Target is something that is, or could be, scraped.
type Target struct {
	Pool string // its job
	// Discovered are the labels before relabelling, Labels those that its series get.
	Discovered, Labels labels.Labels
	// URL is where it is scraped, GlobalURL where a browser elsewhere finds it.
	URL, GlobalURL string

	Health     string // up, down or unknown
	LastError  string
	LastScrape time.Time
	Took       time.Duration // the last scrape
	// Interval and Timeout are in Prometheus's notation.
	Interval, Timeout string

	// Families describes the metric families that it showed: all, or the one
	// called metric if it is not empty.
	Families func(metric string) []series.Metadata
}

// nothing is the Scraping of a server that scrapes nothing.
type nothing struct{}

func (nothing) Pools() []string                     { return nil }
func (nothing) Active() []Target                    { return nil }
func (nothing) Dropped() ([]Target, map[string]int) { return nil, nil }

// scraping tells about targets to those whose samples they become: the default
// tenant's.
func (a *API) scraping(c *call) Scraping {
	if c.from.Tenant != series.DefaultTenant {
		return nothing{}
	}
	return a.deps.Scraping
}

func (a *API) scrapePools(_ context.Context, c *call) (answer, error) {
	pools := a.scraping(c).Pools()
	return answer{data: text(func(dst []byte) []byte {
		o := openObject(dst)
		o.list("scrapePools", pools)
		return o.close()
	})}, nil
}

func (a *API) targets(_ context.Context, c *call) (answer, error) {
	pool, state := c.params.get("scrapePool"), strings.ToLower(c.params.get("state"))
	every := state == "" || state == "any"
	var active, dropped []Target
	var counts map[string]int
	if every || state == "active" {
		active = inPool(a.scraping(c).Active(), pool)
	}
	if every || state == "dropped" {
		dropped, counts = a.scraping(c).Dropped()
		dropped = inPool(dropped, pool)
	}
	return answer{data: text(func(dst []byte) []byte {
		o := openObject(dst)
		o.name("activeTargets")
		o.dst = appendList(o.dst, active, appendTarget)
		o.name("droppedTargets")
		o.dst = appendList(o.dst, dropped, appendDroppedTarget)
		o.name("droppedTargetCounts")
		each := openObject(o.dst)
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			each.int(name, int64(counts[name]))
		}
		o.dst = each.close()
		return o.close()
	})}, nil
}

func inPool(list []Target, pool string) []Target {
	if pool == "" {
		return list
	}
	return slices.DeleteFunc(list, func(t Target) bool { return t.Pool != pool })
}

func appendList[T any](dst []byte, list []T, appendOne func([]byte, *T) []byte) []byte {
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOne(dst, &list[i])
	}
	return append(dst, ']')
}

func appendTarget(dst []byte, t *Target) []byte {
	o := openObject(dst)
	o.labels("discoveredLabels", t.Discovered)
	o.labels("labels", t.Labels)
	o.text("scrapePool", t.Pool)
	o.text("scrapeUrl", t.URL)
	o.text("globalUrl", t.GlobalURL)
	o.text("lastError", t.LastError)
	o.time("lastScrape", t.LastScrape)
	o.number("lastScrapeDuration", t.Took.Seconds())
	o.text("health", t.Health)
	o.text("scrapeInterval", t.Interval)
	o.text("scrapeTimeout", t.Timeout)
	return o.close()
}

func appendDroppedTarget(dst []byte, t *Target) []byte {
	o := openObject(dst)
	o.labels("discoveredLabels", t.Discovered)
	o.text("scrapePool", t.Pool)
	return o.close()
}

func (o *object) labels(name string, set labels.Labels) {
	o.name(name)
	o.dst = appendLabels(o.dst, set)
}

// family is the metadata of a target's metric family.
type family struct {
	target labels.Labels
	series.Metadata
}

// targetMetadata describes the metric families of each target, and leaves their
// name out where the request has it.
func (a *API) targetMetadata(_ context.Context, c *call) (answer, error) {
	limit, err := c.params.limitNumber("limit")
	if err != nil {
		return answer{}, err
	}
	var matchers []*labels.Matcher
	if selector := c.params.get("match_target"); selector != "" {
		parsed, err := a.deps.Engine.ParseSelectors([]string{selector})
		if err != nil {
			return answer{}, invalidParam("match_target", err)
		}
		matchers = parsed[0]
	}
	metric := c.params.get("metric")
	var found []family
	for _, t := range a.scraping(c).Active() {
		if !matchAll(t.Labels, matchers) {
			continue
		}
		for _, m := range t.Families(metric) {
			if metric != "" {
				m.Metric = ""
			}
			found = append(found, family{t.Labels, m})
		}
		if limit >= 0 && len(found) >= limit {
			found = found[:limit]
			break
		}
	}
	return answer{data: text(func(dst []byte) []byte { return appendList(dst, found, appendFamily) })}, nil
}

func matchAll(set labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(set.Get(m.Name)) {
			return false
		}
	}
	return true
}

func appendFamily(dst []byte, f *family) []byte {
	o := openObject(dst)
	o.labels("target", f.target)
	if f.Metric != "" {
		o.text("metric", f.Metric)
	}
	o.text("type", string(f.Type))
	o.text("help", f.Help)
	o.text("unit", f.Unit)
	return o.close()
}

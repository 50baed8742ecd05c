package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// listed is a Scraping with a few targets.
type listed struct{}

func (listed) Pools() []string { return []string{"a", "b"} }

func (listed) Active() []Target {
	one := func(pool, instance string) Target {
		return Target{
			Pool: pool, Discovered: labels.FromStrings("__address__", instance, "job", pool), Labels: labels.FromStrings("instance", instance, "job", pool),
			URL: "http://" + instance + "/metrics", GlobalURL: "http://global/" + instance, Health: "up", LastScrape: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
			Took: 12500 * time.Microsecond, Interval: "15s", Timeout: "10s",
			Families: func(metric string) []series.Metadata {
				all := []series.Metadata{{Metric: "up", Type: "gauge", Help: "h <1>", Unit: "u"}, {Metric: pool + "_total", Type: "counter"}}
				return slices.DeleteFunc(all, func(m series.Metadata) bool { return metric != "" && m.Metric != metric })
			},
		}
	}
	broken := one("b", "h3")
	broken.Health, broken.LastError, broken.LastScrape = "down", `Get "x": refused`, time.Time{}
	return []Target{one("a", "h1"), one("a", "h2"), broken}
}

func (listed) Dropped() ([]Target, map[string]int) {
	return []Target{{Pool: "b", Discovered: labels.FromStrings("__address__", "h4")}}, map[string]int{"b": 7, "a": 0}
}

func TestTargets(t *testing.T) {
	deps := depsOf(newStuck())
	deps.Scraping = listed{}
	s := serve(t, deps, Options{}, false)
	const (
		h1      = `{"discoveredLabels":{"__address__":"h1","job":"a"},"labels":{"instance":"h1","job":"a"},"scrapePool":"a","scrapeUrl":"http://h1/metrics","globalUrl":"http://global/h1","lastError":"","lastScrape":"2026-01-02T03:04:05.000006Z","lastScrapeDuration":0.0125,"health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}`
		h3      = `{"discoveredLabels":{"__address__":"h3","job":"b"},"labels":{"instance":"h3","job":"b"},"scrapePool":"b","scrapeUrl":"http://h3/metrics","globalUrl":"http://global/h3","lastError":"Get \"x\": refused","lastScrape":"0001-01-01T00:00:00Z","lastScrapeDuration":0.0125,"health":"down","scrapeInterval":"15s","scrapeTimeout":"10s"}`
		dropped = `"droppedTargets":[{"discoveredLabels":{"__address__":"h4"},"scrapePool":"b"}],"droppedTargetCounts":{"a":0,"b":7}`
		up      = `"type":"gauge","help":"h \u003c1\u003e","unit":"u"}`
	)
	h2 := strings.ReplaceAll(h1, "h1", "h2")
	for path, want := range map[string]string{
		"/api/v1/scrape_pools":                            `{"scrapePools":["a","b"]}`,
		"/api/v1/targets":                                 `{"activeTargets":[` + h1 + "," + h2 + "," + h3 + `],` + dropped + `}`,
		"/api/v1/targets?state=ANY&scrapePool=b":          `{"activeTargets":[` + h3 + `],` + dropped + `}`,
		"/api/v1/targets?state=active&scrapePool=b":       `{"activeTargets":[` + h3 + `],"droppedTargets":[],"droppedTargetCounts":{}}`,
		"/api/v1/targets?state=dropped":                   `{"activeTargets":[],` + dropped + `}`,
		"/api/v1/targets?state=dropped&scrapePool=a":      `{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{"a":0,"b":7}}`,
		"/api/v1/targets/metadata?metric=up&limit=1":      `[{"target":{"instance":"h1","job":"a"},` + up + `]`,
		`/api/v1/targets/metadata?match_target={job="b"}`: `[{"target":{"instance":"h3","job":"b"},"metric":"up",` + up + `,{"target":{"instance":"h3","job":"b"},"metric":"b_total","type":"counter","help":"","unit":""}]`,
		`/api/v1/targets/metadata?match_target={job="c"}`: `[]`,
		`/api/v1/targets/metadata?metric=none`:            `[]`,
	} {
		got := s.get(t, path)
		if got.body != `{"status":"success","data":`+want+`}` {
			t.Errorf("%s:\n got %s\nwant %s", path, got.body, want)
		}
	}
	s.ask(t, "GET", "/api/v1/targets/metadata?limit=x", nil).failed(t, 400, "bad_data")
	s.ask(t, "GET", "/api/v1/targets/metadata?match_target={", nil).failed(t, 400, "bad_data")
}

func TestNoTargets(t *testing.T) {
	s := serve(t, depsOf(newStuck()), Options{}, false)
	for path, want := range map[string]string{
		"/api/v1/scrape_pools":     `{"scrapePools":[]}`,
		"/api/v1/targets":          `{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}`,
		"/api/v1/targets/metadata": `[]`,
	} {
		if got := s.get(t, path); got.body != `{"status":"success","data":`+want+`}` {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

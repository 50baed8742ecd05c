package server

import (
	"context"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/varve-db/varve/ingest/relabel"
	"github.com/varve-db/varve/ingest/scrape"
	"github.com/varve-db/varve/query/api"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// Bounds of the memory for label sets whose relabelling is known.
const (
	relabelShare    = 64
	relabelBytesMin = 8 << 20
	relabelBytesMax = 512 << 20
)

// newRelabeler stands between all doors and the storage.
func newRelabeler(n *Node, c Config, to relabel.Appender) *relabel.Relabeler {
	return relabel.New(to, c.Scrape.Relabel, relabel.Options{
		LabelRules: labelRules(c), Registerer: n.registry,
		CacheBytes: int64(min(max(n.resources.Memory/relabelShare, relabelBytesMin), relabelBytesMax)),
	})
}

func newScraper(n *Node, c Config, to *relabel.Relabeler, db *tsdb.DB) *scrape.Scraper {
	return scrape.New(to, db.Queryable(series.DefaultTenant), c.Scrape.Jobs, scrape.Options{
		LabelRules: labelRules(c), Stored: to.Stored, StartTimestamps: c.Scrape.StartTimestamps,
		Log: n.log, Registerer: n.registry,
	})
}

func labelRules(c Config) series.LabelRules {
	return series.LabelRules{
		LabelsMax: c.Ingest.LabelsMax, NameBytesMax: c.Ingest.LabelNameBytesMax, ValueBytesMax: c.Ingest.LabelValueBytesMax,
	}
}

// scrapeApplyMax bounds how long a reload waits for the one before it.
const scrapeApplyMax = time.Minute

// applyScraping takes over the sections of the file that scraping and
// relabelling read.
func applyScraping(n *Node, c Config, relabeler *relabel.Relabeler, scraper *scrape.Scraper, external map[string]string) error {
	if !maps.Equal(external, c.Scrape.Jobs.ExternalLabels()) {
		n.log.Warn("setting changed, a restart is needed for it", "setting", "global.external_labels")
	}
	relabeler.SetRules(c.Scrape.Relabel)
	ctx, cancel := context.WithTimeout(context.Background(), scrapeApplyMax)
	defer cancel()
	return scraper.Apply(ctx, c.Scrape.Jobs)
}

// scraping shows the scraper to the API.
type scraping struct {
	*scrape.Scraper
	host string // by which a browser elsewhere reaches this machine
}

func newScraping(s *scrape.Scraper) scraping {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return scraping{s, host}
}

// Active implements api.Scraping.
func (s scraping) Active() []api.Target { return s.targets(s.Scraper.Active()) }

// Dropped implements api.Scraping.
func (s scraping) Dropped() ([]api.Target, map[string]int) {
	list, counts := s.Scraper.Dropped()
	return s.targets(list), counts
}

func (s scraping) targets(list []scrape.Target) []api.Target {
	out := make([]api.Target, len(list))
	for i, t := range list {
		out[i] = api.Target{
			Pool: t.Pool, Discovered: t.Discovered, Labels: t.Labels, URL: t.URL, GlobalURL: s.global(t.URL),
			Health: t.Health, LastError: t.LastError, LastScrape: t.LastScrape, Took: t.Took,
			Interval: t.Interval, Timeout: t.Timeout, Families: t.Families,
		}
	}
	return out
}

// global puts this machine's name where a URL says localhost.
func (s scraping) global(text string) string {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname()) {
		return text
	}
	port := u.Port()
	if u.Host = s.host; port != "" {
		u.Host = net.JoinHostPort(s.host, port)
	}
	return u.String()
}

package scrape

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are this package's own; Prometheus's scraper and discovery add theirs
// once there is something to scrape.
type metrics struct {
	commits *prometheus.CounterVec
	samples prometheus.Counter
	refused *prometheus.CounterVec
	late    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_scrape_commits_total", Help: "Scrapes handed to the storage, by whether it took them.",
		}, []string{"outcome"}),
		samples: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_scrape_samples_total", Help: "Samples and histograms of scrapes that were stored.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_scrape_refused_samples_total", Help: "Samples, histograms and exemplars of scrapes that the storage refused, by reason.",
		}, []string{"reason"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_scrape_late_markers_total", Help: "Stale markers left out because their series had newer samples.",
		}),
	}
	r.MustRegister(m.commits, m.samples, m.refused, m.late)
	return m
}

// complaint lets a message through once in a while: targets repeat themselves.
type complaint struct {
	mu   sync.Mutex
	last time.Time
}

const complaintEvery = 10 * time.Second

func (c *complaint) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.last) < complaintEvery {
		return false
	}
	c.last = now
	return true
}

package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestScrapingFromTheFile runs a node whose file scrapes, relabels, and changes
// while the node runs.
func TestScrapingFromTheFile(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte("# HELP a_total About a.\n# TYPE a_total counter\na_total{pod=\"p1\"} 1\ngo_threads 5\n"))
	}))
	defer target.Close()
	address := strings.TrimPrefix(target.URL, "http://")
	path := filepath.Join(t.TempDir(), "varve.yml")
	file := func(more string) {
		t.Helper()
		text := fmt.Sprintf("scrape_configs:\n- {job_name: one, scrape_interval: 200ms, static_configs: [{targets: [%q]}], basic_auth: {username: u, password: hidden}}\n%s", address, more)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() (Config, error) {
		return Load(Sources{Args: []string{"--config.file=" + path}, ReadFile: os.ReadFile})
	}
	file("write_relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]\n")
	n := startFull(t, filepath.Join(t.TempDir(), "data"), func(c *Config, o *Options) {
		loaded, err := load()
		if err != nil {
			t.Fatal(err)
		}
		c.Scrape, c.Web.EnableLifecycle = loaded.Scrape, true
		o.Now, o.Reload = time.Now, load
	})
	has := func(query, text string) func() bool {
		return func() bool { return strings.Contains(n.query(query, time.Now()).body, text) }
	}
	await(t, has(`a_total{pod="p1",job="one"}`, `"1"`))
	await(t, has(`up{instance="`+address+`"}`, `"1"`))
	n.get("/api/v1/query?query=go_threads").want(t, "dropped by a rule", 200, `"result":[]`)
	n.get("/api/v1/scrape_pools").want(t, "pools", 200, `["one"]`)
	n.get("/api/v1/targets").want(t, "targets", 200, `"scrapeUrl":"http://`+address+`/metrics"`)
	n.get("/api/v1/targets?state=active").want(t, "health", 200, `"health":"up"`)
	n.get("/api/v1/targets/metadata?metric=a_total").want(t, "target metadata", 200, `"help":"About a."`)
	n.get("/api/v1/metadata?metric=a_total").want(t, "metadata", 200, `"help":"About a."`)
	n.get("/api/v1/status/tsdb").want(t, "churn", 200, `"seriesCreatedByMetricName":[{"name":"`)
	n.get("/metrics").want(t, "metrics", 200, "varve_relabel_dropped_samples_total")
	config := n.get("/api/v1/status/config")
	config.want(t, "config", 200, "job_name: one")
	if strings.Contains(config.body, "hidden") || !strings.Contains(config.body, "regex: go_.*") {
		t.Errorf("%s", config.body)
	}

	file(fmt.Sprintf("- {job_name: two, scrape_interval: 200ms, static_configs: [{targets: [%q]}]}\n", address))
	n.do("POST", "/-/reload", "").want(t, "reload", 200, "")
	await(t, has(`go_threads{job="two"}`, `"5"`))
	n.get("/api/v1/scrape_pools").want(t, "pools", 200, `["one","two"]`)

	file("- {job_name: one}\n")
	n.do("POST", "/-/reload", "").want(t, "a wrong file", 500, "found multiple scrape configs")
	n.get("/api/v1/scrape_pools").want(t, "pools as before", 200, `["one","two"]`)
	n.stop()
}

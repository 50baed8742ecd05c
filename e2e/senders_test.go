//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// senders are Debian's node exporter, and Debian's Prometheus, which scrapes it,
// Varve and itself every second and writes all that to Varve.
type senders struct {
	endpoint // Prometheus
	t        testing.TB
	process  *process
	config   string
	textfile string // metrics that the node exporter adds to its own
}

// mustFind returns the path of an installed program.
func mustFind(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install Debian's packages prometheus and prometheus-node-exporter, or set E2E_WITHOUT_SENDERS=1", err)
	}
	return path
}

const senderConfig = `global: {scrape_interval: 1s, scrape_timeout: 1s}
remote_write:
- url: %s/api/v1/write
  remote_timeout: 20s
  metadata_config: {send: true, send_interval: 2s}
  queue_config: {min_shards: 2, max_shards: 4, capacity: 4000, max_samples_per_send: 500, batch_send_deadline: 500ms, min_backoff: 50ms, max_backoff: 500ms}
`

const scrapeConfig = `scrape_configs:
- {job_name: prometheus, static_configs: [{targets: [%s]}]}
- {job_name: node, static_configs: [{targets: [%s]}]}
- {job_name: varve, static_configs: [{targets: [%s]}]}
`

func startSenders(t testing.TB, to *node) *senders {
	t.Helper()
	prometheus, exporter := mustFind(t, "prometheus"), mustFind(t, "prometheus-node-exporter")
	folder := t.TempDir()
	address, exporterAddress := freeAddress(t), freeAddress(t)
	s := &senders{
		endpoint: endpoint{t, "http://" + address}, t: t,
		config: filepath.Join(folder, "prometheus.yml"), textfile: filepath.Join(folder, "text", "odd.prom"),
	}
	if err := os.Mkdir(filepath.Dir(s.textfile), 0o755); err != nil {
		t.Fatal(err)
	}
	s.expose(0)
	start(t, "node exporter", exporter, "--web.listen-address="+exporterAddress, "--collector.textfile.directory="+filepath.Dir(s.textfile), "--log.level=error", "--no-collector.systemd")
	wait(t, "the node exporter answers", func() bool { return answers("http://" + exporterAddress + "/metrics") })
	s.configure(fmt.Sprintf(senderConfig, to.url) + fmt.Sprintf(scrapeConfig, address, exporterAddress, to.address))
	s.process = start(t, "prometheus", prometheus, "--config.file="+s.config, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address="+address)
	wait(t, "Prometheus is ready", func() bool { return answers(s.url + "/-/ready") })
	return s
}

func answers(url string) bool {
	response, err := client.Get(url)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == 200
}

func (s *senders) configure(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// expose gives the node exporter metrics that real ones rarely have: values
// other than finite ones, a counter that restarts, a series that comes and goes.
func (s *senders) expose(turn int) {
	s.t.Helper()
	text := fmt.Sprintf("odd_gauge{v=\"nan\"} NaN\nodd_gauge{v=\"inf\"} +Inf\nodd_gauge{v=\"negative inf\"} -Inf\n"+
		"odd_gauge{v=\"tiny\"} 5e-324\nodd_gauge{v=\"\\\"quoted\\\"\\n\\\\é\"} %g\n"+
		"# HELP odd_resets_total A counter that restarts.\n# TYPE odd_resets_total counter\nodd_resets_total %d\n", 1/float64(turn+3), turn%3*17)
	if turn%2 == 0 {
		text += fmt.Sprintf("odd_visitor{turn=\"%d\"} 1\n", turn%6)
	}
	next := s.textfile + ".next"
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.textfile); err != nil {
		s.t.Fatal(err)
	}
}

// vector asks an instant query whose answer is short, and returns the values.
func (e endpoint) vector(query string) []string {
	e.t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	e.data(&data, "/api/v1/query", "query", query)
	var values []string
	for _, s := range data.Result {
		values = append(values, fmt.Sprint(s.Value[1]))
	}
	return values
}

// stopScraping takes the targets away and waits until Prometheus has noted the
// end of all their series. The jobs must stay: the series of a job that is gone
// get no stale markers.
func (s *senders) stopScraping(to *node) {
	s.t.Helper()
	s.configure(fmt.Sprintf(senderConfig, to.url) + fmt.Sprintf(scrapeConfig, "", "", ""))
	s.process.signal(syscall.SIGHUP)
	wait(s.t, "the targets are gone", func() bool { return len(s.vector("up")) == 0 })
}

// drained reports whether Prometheus has nothing more to send.
func (s *senders) drained() bool {
	s.t.Helper()
	metrics := string(s.get("/metrics").want(s.t, "metrics", 200).body)
	value := func(name string) float64 { return sumOf(s.t, metrics, "prometheus_remote_storage_"+name) }
	for _, lost := range []string{"samples_failed_total", "samples_dropped_total"} {
		if n := value(lost); n > 0 {
			s.t.Errorf("%s is %v: Prometheus gave samples up", lost, n)
		}
	}
	return value("samples_pending") == 0 &&
		value("highest_timestamp_in_seconds") == value("queue_highest_sent_timestamp_seconds") &&
		value("samples_total")-value("samples_retried_total") >= value("samples_in_total")
}

// sumOf adds up the values of a metric in the text format.
func sumOf(t testing.TB, text, name string) float64 {
	t.Helper()
	sum, found := 0.0, false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			t.Fatalf("metric %s: %v", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		t.Fatalf("there is no metric %s", name)
	}
	return sum
}

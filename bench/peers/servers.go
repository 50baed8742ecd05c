package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// server is a program under measurement.
type server struct {
	name       string
	binary     string
	source     string // package to build the binary from; Varve's is given
	buildFlags []string
	buildEnv   []string

	args      func(dir, address string) []string
	readyPath string
	params    url.Values // of every query
	// flush asks for everything in memory to be written out, and returns the
	// folder in which the data is then.
	flush func(ctx context.Context, base, dir string) (string, error)
}

func known(o options) []server {
	return []server{
		{
			name: "varve", binary: o.varve, readyPath: "/-/ready",
			args: func(dir, address string) []string {
				return []string{"serve", "--storage.path=" + dir, "--http.listen=" + address, "--web.enable-admin-api", "--self-scrape.interval=0s"}
			},
			params: url.Values{"nocache": {"1"}},
			flush: func(ctx context.Context, base, dir string) (string, error) {
				return dir, send(ctx, http.MethodPost, base+"/api/v1/admin/tsdb/seal", nil)
			},
		},
		{
			name: "victoria-metrics", binary: filepath.Join(o.binaries, "victoria-metrics"), readyPath: "/health",
			source:   "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics",
			buildEnv: []string{"CGO_ENABLED=1"}, // its releases use the C library of zstd
			args: func(dir, address string) []string {
				return []string{"-storageDataPath=" + dir, "-httpListenAddr=" + address, "-retentionPeriod=100y",
					"-search.maxUniqueTimeseries=20000000", "-search.maxSamplesPerQuery=10000000000", "-search.maxQueryDuration=10m"}
			},
			params: url.Values{"nocache": {"1"}},
			flush: func(ctx context.Context, base, dir string) (string, error) {
				if err := send(ctx, http.MethodPost, base+"/internal/force_flush", nil); err != nil {
					return "", err
				}
				return dir, send(ctx, http.MethodPost, base+"/internal/force_merge", nil)
			},
		},
		{
			name: "prometheus", binary: filepath.Join(o.binaries, "prometheus"), readyPath: "/-/ready",
			source:     "github.com/prometheus/prometheus/cmd/prometheus",
			buildFlags: []string{"-tags", "netgo,remove_all_sd"},
			buildEnv:   []string{"CGO_ENABLED=0"},
			args: func(dir, address string) []string {
				return []string{"--config.file=" + os.DevNull, "--storage.tsdb.path=" + dir, "--web.listen-address=" + address,
					"--web.enable-remote-write-receiver", "--web.enable-admin-api", "--query.max-samples=1000000000", "--query.timeout=10m"}
			},
			flush: prometheusSnapshot,
		},
	}
}

// prometheusSnapshot has Prometheus write its head as a block: what the data
// takes once the log is cut, which it does after hours.
func prometheusSnapshot(ctx context.Context, base, dir string) (string, error) {
	var reply struct {
		Data struct{ Name string }
	}
	if err := send(ctx, http.MethodPost, base+"/api/v1/admin/tsdb/snapshot", &reply); err != nil {
		return "", err
	}
	return filepath.Join(dir, "snapshots", reply.Data.Name), nil
}

// send sends an empty request and decodes the JSON reply into reply, unless nil.
func send(ctx context.Context, method, address string, reply any) error {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read the reply of %s: %w", address, err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %s", address, response.Status, strings.TrimSpace(string(body)))
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(body, reply)
}

// countSamples asks how many samples of the load the server has, metric by
// metric, since count_over_time drops the names that tell series apart.
func countSamples(ctx context.Context, s server, base string, r report) (int, error) {
	const margin = 10 * time.Minute
	from, at := time.UnixMilli(r.FirstTime).Add(-margin), time.UnixMilli(r.LastTime).Add(margin)
	form := url.Values{"match[]": {`{load="peers"}`}, "start": {fmt.Sprint(from.Unix())}, "end": {fmt.Sprint(at.Unix())}}
	var names struct{ Data []string }
	if err := send(ctx, http.MethodGet, base+"/api/v1/label/__name__/values?"+form.Encode(), &names); err != nil {
		return 0, err
	}
	total := 0
	for _, name := range names.Data {
		n, err := askNumber(ctx, s, base, url.Values{
			"query": {fmt.Sprintf(`sum(count_over_time({__name__=%q,load="peers"}[%ds]))`, name, int(at.Sub(from).Seconds()))},
			"time":  {fmt.Sprint(at.Unix())},
		})
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// askNumber asks an instant query that has one result, or none for 0.
func askNumber(ctx context.Context, s server, base string, form url.Values) (int, error) {
	for name, values := range s.params {
		form[name] = values
	}
	var reply struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := send(ctx, http.MethodPost, base+"/api/v1/query?"+form.Encode(), &reply); err != nil {
		return 0, err
	}
	if len(reply.Data.Result) == 0 {
		return 0, nil
	}
	text, _ := reply.Data.Result[0].Value[1].(string)
	var n float64
	if _, err := fmt.Sscan(text, &n); err != nil {
		return 0, fmt.Errorf("read the number %q: %w", text, err)
	}
	return int(n), nil
}

package scrape

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

func matchersOf(t *testing.T, selector string) []*labels.Matcher {
	t.Helper()
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return matchers
}

const fullConfig = `
global:
  scrape_interval: 30s
  evaluation_interval: 1m
  external_labels: {region: eu}
scrape_configs:
- job_name: all
  scrape_timeout: 5s
  metrics_path: /m
  scheme: https
  params: {module: [http]}
  honor_labels: true
  honor_timestamps: false
  scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0]
  always_scrape_classic_histograms: true
  convert_classic_histograms_to_nhcb: true
  enable_compression: false
  body_size_limit: 1MB
  sample_limit: 5
  label_limit: 6
  label_name_length_limit: 7
  label_value_length_limit: 8
  target_limit: 9
  basic_auth: {username: u, password: secret-1}
  tls_config: {ca_file: ca.pem, insecure_skip_verify: true}
  proxy_url: http://proxy:3128
  static_configs: [{targets: [a, b], labels: {x: y}}]
  file_sd_configs: [{files: [t.yml], refresh_interval: 1m}]
  http_sd_configs: [{url: "http://sd/", authorization: {credentials: secret-2}}]
  relabel_configs: [{source_labels: [__address__], target_label: instance}]
  metric_relabel_configs: [{regex: x, action: labeldrop}]
- job_name: plain
  authorization: {credentials: secret-3}
`

func TestParseTakesPrometheusFile(t *testing.T) {
	c, err := Parse([]byte(fullConfig), "/etc/varve", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.LimitBodies(64 << 20)
	text := c.YAML()
	for _, want := range []string{
		"scrape_interval: 30s", "region: eu", "job_name: all", "password: <secret>", "ca_file: /etc/varve/ca.pem", "- /etc/varve/t.yml",
		"sample_limit: 5", "body_size_limit: 1MiB", "body_size_limit: 64MiB", "convert_classic_histograms_to_nhcb: true", "credentials: <secret>",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "secret-") {
		t.Error("a secret is shown")
	}
	if again, err := Parse([]byte(text), "/etc/varve", nil); err != nil || again.YAML() != text {
		t.Errorf("what is shown does not parse to the same: %v", err)
	}
	if got := c.ExternalLabels(); len(got) != 1 || got["region"] != "eu" {
		t.Error(got)
	}
	if !c.scrapes() || (Config{}).scrapes() || (Config{}).YAML() != "" || (Config{}).ExternalLabels() != nil {
		t.Error("the zero value says something")
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"scrape_configs: [{}]":                                                        "job_name is empty",
		"scrape_configs: [{job_name: a}, {job_name: a}]":                              `found multiple scrape configs with job name "a"`,
		"scrape_configs: [{job_name: a, scrape_intervall: 5s}]":                       "line 1: field scrape_intervall not found",
		"scrape_configs: [{job_name: a, scrape_interval: 5}]":                         "not a valid duration string",
		"scrape_configs: [{job_name: a, scrape_timeout: 2m}]":                         "scrape timeout greater than scrape interval",
		"scrape_configs:\n- job_name: a\n  kubernetes_sd_configs: [{role: pod}]":      "line 3: kubernetes_sd_configs is not supported: targets are found by static_configs, file_sd_configs, http_sd_configs",
		"scrape_configs: [{job_name: a, relabel_configs: [{action: x}]}]":             `unknown relabel action "x"`,
		"global: {query_log_file: q.log}":                                             "line 1: query_log_file is not supported",
		"scrape_configs: [{job_name: a, static_configs: [{targets: ['http://x/']}]}]": "is not a valid hostname",
		"scrape_configs: 5":               "cannot unmarshal",
		"scrape_config_files: [none.yml]": "",
	} {
		_, err := Parse([]byte(text), t.TempDir(), nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s:\n got %v\nwant %q", text, err, want)
		}
	}
}

// FuzzParse never panics, and what it takes it also shows and takes again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(fullConfig))
	f.Add([]byte("scrape_configs: [{job_name: a}]"))
	f.Add([]byte("global: {}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text, "/x", nil)
		if err != nil {
			return
		}
		if shown := c.YAML(); strings.HasPrefix(shown, "#") {
			t.Error(shown)
		}
	})
}

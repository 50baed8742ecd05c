package server

import (
	"strings"
	"testing"
)

const sectionsFile = `# the file of a small site
storage:
  path: /x
global:
  external_labels: {region: eu}
scrape_configs: # what to fetch
- job_name: node
  static_configs: [{targets: [h1:9100]}]
  basic_auth: {username: u, password: hidden-1}
log.level: warn
write_relabel_configs:
- {source_labels: [__name__], regex: go_.*, action: drop}
`

func TestSectionsOfTheFile(t *testing.T) {
	c, err := load(sectionsFile, nil, "--config.file=varve.yml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Storage.Path != "/x" || c.Log.Level.String() != "WARN" {
		t.Errorf("%v", c.Values())
	}
	text := c.YAML()
	for _, want := range []string{"job_name: node", "password: <secret>", "region: eu", "regex: go_.*", "body_size_limit: 128MiB", "    path: /x"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "hidden-1") {
		t.Error("a password is shown")
	}
	again, err := load(text, nil, "--config.file=varve.yml")
	if err != nil || again.YAML() != text {
		t.Errorf("what is shown says something else: %v\n%s", err, again.YAML())
	}
	if strings.Contains(Defaults().YAML(), "scrape_configs") {
		t.Error("a node that is told nothing scrapes")
	}
	flow, err := load(`{storage: {path: /x}, scrape_configs: [{job_name: a}], log.level: warn}`, nil, "--config.file=varve.yml")
	if err != nil || !strings.Contains(flow.YAML(), "job_name: a") || flow.Storage.Path != "/x" {
		t.Errorf("keys on one line: %v\n%s", err, flow.YAML())
	}
}

func TestErrorsOfSectionsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"storage: {path: /x}\nscrape_configs:\n- job_name: a\n  scrape_intervall: 5s\n": `varve.yml:4: unknown field "scrape_intervall"`,
		"scrape_configs:\n- job_name: a\n  ec2_sd_configs: []\n":                        "varve.yml:3: ec2_sd_configs is not supported: targets are found by static_configs, file_sd_configs, http_sd_configs",
		"scrape_configs:\n- job_name: a\n- job_name: a\n":                               `varve.yml: found multiple scrape configs with job name "a"`,
		"log.level: warn\nglobal:\n  scrape_interval: x\n":                              `varve.yml: not a valid duration string: "x"`,
		"log.level: warn\nglobal:\n  query_log_file: x\n":                               "varve.yml:3: query_log_file is not supported",
		"log.level: warn\nwrite_relabel_configs:\n- {action: drop, regx: x}\n":          `varve.yml:3: unknown field "regx"`,
		"write_relabel_configs:\n- {action: hashmod, target_label: x}\n":                "varve.yml: write_relabel_configs: rule 1: relabel configuration for hashmod requires non-zero modulus",
		"scrape_config: []\n":                             `varve.yml:1: unknown setting "scrape_config"`,
		"scrape_configs: 5\n":                             "varve.yml:1: cannot unmarshal !!int",
		"scrape_configs:\n- job_name: a\n  job_name: b\n": "varve.yml:3:",
		"remote_write: []\n":                              `varve.yml:1: unknown setting "remote_write"`,
	} {
		_, err := load(text, nil, "--config.file=varve.yml")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

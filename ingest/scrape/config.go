package scrape

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/alecthomas/units"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/file" // file_sd_configs
	_ "github.com/prometheus/prometheus/discovery/http" // http_sd_configs
	"github.com/prometheus/prometheus/model/labels"
	yamlv2 "go.yaml.in/yaml/v2"
	"go.yaml.in/yaml/v3"
)

// Config is what a configuration file says about scraping. The zero value
// scrapes nothing. It is read-only once it has been handed on.
type Config struct{ loaded *config.Config }

// Keys lists the top-level keys of a configuration file that Parse reads.
func Keys() []string { return []string{"global", "scrape_config_files", "scrape_configs"} }

// Parse reads the sections that Keys lists. Files that they name are sought in
// dir. Its errors are those of the YAML package, with line numbers of text.
func Parse(text []byte, dir string, log *slog.Logger) (Config, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := checkSupported(text); err != nil {
		return Config{}, err
	}
	loaded, err := config.Load(string(text), log)
	if err != nil {
		return Config{}, err
	}
	loaded.SetDirectory(dir)
	if _, err := loaded.GetScrapeConfigs(); err != nil { // those in files of their own
		return Config{}, err
	}
	return Config{loaded}, nil
}

// checkSupported names what Prometheus's file may say and this package does not
// do: a clearer word than that the field is unknown.
func checkSupported(text []byte) error {
	var file struct {
		Global map[string]yaml.Node   `yaml:"global"`
		Jobs   []map[string]yaml.Node `yaml:"scrape_configs"`
	}
	if yaml.Unmarshal(text, &file) != nil {
		return nil // the full reading says what is wrong
	}
	var errs []string
	for _, key := range []string{"query_log_file", "query_max_series", "query_max_samples_read", "query_max_duration"} {
		if n, ok := file.Global[key]; ok {
			errs = append(errs, fmt.Sprintf("line %d: %s is not supported: queries have settings of their own", n.Line, key))
		}
	}
	for _, job := range file.Jobs {
		for key, n := range job {
			if strings.HasSuffix(key, sdSuffix) && !slices.Contains(discoveries(), key) {
				errs = append(errs, fmt.Sprintf("line %d: %s is not supported: targets are found by static_configs, %s", n.Line, key, strings.Join(discoveries(), ", ")))
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	slices.Sort(errs)
	return &yamlv2.TypeError{Errors: errs}
}

const sdSuffix = "_sd_configs"

// discoveries lists the kinds of service discovery there are, static_configs
// apart.
func discoveries() []string {
	var keys []string
	for _, name := range discovery.RegisteredConfigNames() {
		if name != "static" {
			keys = append(keys, name+sdSuffix)
		}
	}
	slices.Sort(keys)
	return keys
}

// LimitBodies bounds the bodies of the jobs that have no body_size_limit.
func (c Config) LimitBodies(bytes uint64) {
	if c.loaded == nil {
		return
	}
	limit := units.Base2Bytes(bytes)
	if c.loaded.GlobalConfig.BodySizeLimit == 0 {
		c.loaded.GlobalConfig.BodySizeLimit = limit // for jobs in files of their own
	}
	for _, job := range c.loaded.ScrapeConfigs {
		if job.BodySizeLimit == 0 {
			job.BodySizeLimit = limit
		}
	}
}

// ExternalLabels returns the labels that go with what is given away.
func (c Config) ExternalLabels() map[string]string {
	if c.loaded == nil || c.loaded.GlobalConfig.ExternalLabels.IsEmpty() {
		return nil
	}
	all := map[string]string{}
	c.loaded.GlobalConfig.ExternalLabels.Range(func(l labels.Label) { all[l.Name] = l.Value })
	return all
}

// YAML returns the sections with all defaults, and secrets hidden; nothing for
// the zero value.
func (c Config) YAML() string {
	if c.loaded == nil {
		return ""
	}
	text, err := yamlv2.Marshal(struct {
		Global config.GlobalConfig    `yaml:"global"`
		Files  []string               `yaml:"scrape_config_files,omitempty"`
		Jobs   []*config.ScrapeConfig `yaml:"scrape_configs,omitempty"`
	}{c.loaded.GlobalConfig, c.loaded.ScrapeConfigFiles, c.loaded.ScrapeConfigs})
	if err != nil {
		return fmt.Sprintf("# the scrape configuration cannot be shown: %v\n", err)
	}
	return string(text)
}

// scrapes reports whether there is any job, or may be in files.
func (c Config) scrapes() bool {
	return c.loaded != nil && len(c.loaded.ScrapeConfigs)+len(c.loaded.ScrapeConfigFiles) > 0
}

// discoveries returns how each job finds its targets.
func (c Config) discoveries() (map[string]discovery.Configs, error) {
	jobs, err := c.loaded.GetScrapeConfigs()
	if err != nil {
		return nil, err
	}
	all := map[string]discovery.Configs{}
	for _, job := range jobs {
		all[job.JobName] = job.ServiceDiscoveryConfigs
	}
	return all, nil
}

// none is a loaded configuration without jobs.
func none() (Config, error) { return Parse(nil, "", nil) }

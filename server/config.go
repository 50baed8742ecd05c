package server

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/varve-db/varve/ingest/relabel"
	"github.com/varve-db/varve/ingest/scrape"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/retention"
	"github.com/varve-db/varve/tenant"
)

// Config is everything a node is told. Load fills it from flags, environment,
// a file and the defaults; the table in settings.go says how each field is
// called there and what it means.
type Config struct {
	File       string // the configuration file that was read, if any
	Storage    StorageConfig
	Retention  RetentionConfig
	Downsample DownsampleConfig
	HTTP       HTTPConfig
	Web        WebConfig
	Query      QueryConfig
	Ingest     IngestConfig
	OTLP       OTLPConfig
	KV         KVConfig
	Scrape     ScrapeConfig
	SelfScrape SelfScrapeConfig
	Tenants    TenantsConfig
	Limits     *tenant.LimitSet // in the file, in a section that is no setting; nil: none
	Log        LogConfig
}

// StorageConfig is where and how samples are stored.
type StorageConfig struct {
	Path           string
	Sync           Sync
	Memory         AutoSize
	DiskReserve    AutoSize
	PartitionWidth time.Duration
	EpochAge       time.Duration
	FutureBound    time.Duration
}

// RetentionConfig is how long samples are kept. Zero means no bound.
type RetentionConfig struct {
	Time time.Duration
	Size uint64 // bytes
	// TimeMin is the age up to which nothing goes for its size.
	TimeMin time.Duration
	// Policies stand in the file only; nil: there are none.
	Policies *retention.Rules
}

// DownsampleConfig says of what windows are made.
type DownsampleConfig struct {
	Widths [2]time.Duration // zeros at the end
}

// list returns the widths.
func (d DownsampleConfig) list() (widths []time.Duration) {
	for _, width := range d.Widths {
		if width > 0 {
			widths = append(widths, width)
		}
	}
	return widths
}

// HTTPConfig is the listener and its limits.
type HTTPConfig struct {
	Listen         string
	HeaderBytesMax uint64
	ConnectionsMax int
	// AddressConnectionsMax bounds the connections of one address.
	AddressConnectionsMax int
	// BodyRateMin is how many bytes a second a body must arrive with.
	BodyRateMin       uint64
	ReadHeaderTimeout time.Duration
	ReadTimeout       time.Duration
	WriteTimeout      time.Duration
	IdleTimeout       time.Duration
	ShutdownTimeout   time.Duration
}

// WebConfig is what the listener offers besides the data.
type WebConfig struct {
	RoutePrefix     string
	CORSOrigin      string // a regular expression, anchored
	EnableAdminAPI  bool
	EnablePprof     bool
	EnableLifecycle bool
	ConfigFile      string // users, tokens and TLS
}

// QueryConfig bounds queries.
type QueryConfig struct {
	SamplesMax     int
	SeriesMax      int
	Timeout        time.Duration
	ConcurrencyMax int
	QueueMax       int
	QueueWait      time.Duration
	LookbackDelta  time.Duration
	Coarsest       plan.Coarsest // windows that queries read in place of samples
	PointsMax      int
	BytesMax       uint64
	CacheBytes     AutoSize
	BodyBytesMax   uint64
}

// IngestConfig bounds writes.
type IngestConfig struct {
	BodyBytesMax       uint64
	DecodedBytesMax    uint64
	LineBytesMax       uint64
	InFlightBytesMax   AutoSize
	WaitingMax         int
	WaitMax            time.Duration
	LabelsMax          int
	LabelNameBytesMax  int
	LabelValueBytesMax int
}

// KVConfig bounds the generic keyspaces.
type KVConfig struct {
	ValueBytesMax uint64
	BatchBytesMax uint64
}

// ScrapeConfig is what the node fetches itself, and by which rules it changes
// what comes in through any door.
type ScrapeConfig struct {
	StartTimestamps bool
	// Jobs and Relabel stand in the file, in sections that are no settings.
	Jobs    scrape.Config
	Relabel relabel.Rules
}

// SelfScrapeConfig is the node's record of its own metrics.
type SelfScrapeConfig struct {
	Interval time.Duration // 0: no record
}

// TenantsConfig bounds the tenants.
type TenantsConfig struct {
	Max int
}

// LogConfig is what the node says about itself.
type LogConfig struct {
	Level  slog.Level
	Format string // text or json
}

// Sync says when a write is acknowledged: after its own fsync when Interval is
// zero, else before the fsync that comes every Interval.
type Sync struct{ Interval time.Duration }

// AutoSize is a number of bytes, or left to the node to find.
type AutoSize struct {
	Auto  bool
	Bytes uint64
}

// YAML returns every setting as a configuration file would say it, and the
// file's other sections with secrets hidden.
func (c Config) YAML() string {
	root := map[string]any{}
	for name, text := range c.Values() {
		if name == fileSetting {
			continue
		}
		at := root
		path := strings.Split(name, ".")
		for _, p := range path[:len(path)-1] {
			next, ok := at[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[p] = next
			}
			at = next
		}
		at[path[len(path)-1]] = text
	}
	if r, ok := root["retention"].(map[string]any); ok && c.Retention.Policies != nil {
		var list any
		if err := yaml.Unmarshal([]byte(c.Retention.Policies.YAML("")), &list); err != nil {
			panic(fmt.Sprintf("what rules write is YAML: %v", err))
		}
		r["policies"] = list
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		panic(fmt.Sprintf("nested maps of texts are always YAML: %v", err))
	}
	return string(text) + c.Scrape.Jobs.YAML() + c.Scrape.Relabel.YAML() + limitsYAML(c.Limits)
}

// Values returns every setting as text, by name.
func (c Config) Values() map[string]string {
	values := map[string]string{fileSetting: c.File}
	for _, s := range Settings() {
		values[s.Name] = s.bind(&c).String()
	}
	return values
}

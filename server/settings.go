package server

import "strings"

// Setting describes one setting: the flag --Name, the environment variable
// EnvName, the path Name in the YAML file, and a row of the documentation are
// all made from it.
type Setting struct {
	Name    string
	Default string
	Help    string
	// Live settings follow a reload; the others need a restart.
	Live bool

	bind func(*Config) field
}

// fileSetting names the one setting that a file cannot hold: the file itself.
const fileSetting = "config.file"

const fileHelp = "YAML file with settings: storage.path is written as storage: {path: ...}."

const envPrefix = "VARVE_"

// EnvName returns the environment variable of the setting called name.
func EnvName(name string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// Type returns the setting's notation in a word or two.
func (s Setting) Type() string { return s.bind(new(Config)).Type() }

// Settings returns the table of all settings that a file may hold, in the
// order in which they are documented.
func Settings() []Setting {
	groups := [][]Setting{
		storageSettings(), retentionSettings(), httpSettings(), webSettings(), querySettings(), ingestSettings(), otlpSettings(), scrapeSettings(), kvSettings(), ownSettings(),
	}
	var all []Setting
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func storageSettings() []Setting {
	return []Setting{
		{Name: "storage.path", Default: "./data", Help: "Folder of all data. It is made when it does not exist.",
			bind: func(c *Config) field { return textValue{&c.Storage.Path} }},
		{Name: "storage.sync", Default: "fsync", Help: "When a write is acknowledged: after its fsync (fsync), or before, with an fsync at every interval (interval:100ms): faster on slow disks, and a crash of the process or the machine loses up to one interval.",
			bind: func(c *Config) field { return syncValue{&c.Storage.Sync} }},
		{Name: "storage.memory", Default: "auto", Help: "Memory that the node sizes its buffers, caches and garbage collector for. auto is what the machine or the container allows.",
			bind: func(c *Config) field { return autoSizeValue{&c.Storage.Memory} }},
		{Name: "storage.disk-reserve", Default: "auto", Help: "Free disk space below which writes are answered 503 while reads and retention go on.",
			bind: func(c *Config) field { return autoSizeValue{&c.Storage.DiskReserve} }},
		{Name: "storage.partition-width", Default: "1d", Help: "Time window of one partition, 2h to 31d: a divisor of a day, or whole days. Retention drops whole partitions. It is fixed when the folder is made.",
			bind: func(c *Config) field { return durationValue{&c.Storage.PartitionWidth} }},
		{Name: "storage.epoch-age", Default: "10m", Help: "Age at which samples in memory are flushed into partitions. They are durable before.",
			bind: func(c *Config) field { return durationValue{&c.Storage.EpochAge} }},
		{Name: "storage.future-bound", Default: "10m", Help: "How far ahead of this machine's clock a sample may be; later ones are refused.",
			bind: func(c *Config) field { return durationValue{&c.Storage.FutureBound} }},
	}
}

func retentionSettings() []Setting {
	return []Setting{
		{Name: "retention.time", Default: "90d", Live: true, Help: "How long samples are kept that no policy is about; 0 keeps them for ever.",
			bind: func(c *Config) field { return durationValue{&c.Retention.Time} }},
		{Name: "retention.size", Default: "0", Live: true, Help: "Space that all partitions together may take; the oldest are dropped above it. 0 sets no bound.",
			bind: func(c *Config) field { return sizeValue{&c.Retention.Size} }},
		{Name: "retention.min-time", Default: "0", Live: true, Help: "Age up to which nothing is dropped for retention.size.",
			bind: func(c *Config) field { return durationValue{&c.Retention.TimeMin} }},
		{Name: "downsample.widths", Default: "none", Help: "Widths of the windows that are made of partitions once they are over: of 5m, 1h, or both. They cost little space beside the samples, and may be kept longer; none makes none.",
			bind: func(c *Config) field { return widthsValue{&c.Downsample} }},
	}
}

func httpSettings() []Setting {
	return []Setting{
		{Name: "http.listen", Default: "127.0.0.1:7480", Help: "Address and port of the HTTP listener. Beyond this machine listen only with users or tokens in web.config.file, or behind something that checks who comes.",
			bind: func(c *Config) field { return textValue{&c.HTTP.Listen} }},
		{Name: "http.max-header-bytes", Default: "64KiB", Help: "Size of a request's line and headers; larger ones are answered 431. It is also each connection's read buffer.",
			bind: func(c *Config) field { return sizeValue{&c.HTTP.HeaderBytesMax} }},
		{Name: "http.max-connections", Default: "4096", Help: "Open connections; more are answered 503 and closed.",
			bind: func(c *Config) field { return countValue{&c.HTTP.ConnectionsMax} }},
		{Name: "http.max-connections-per-address", Default: "1024", Help: "Open connections of one address; more are answered 429 and closed. 0 sets no bound but http.max-connections.",
			bind: func(c *Config) field { return countValue{&c.HTTP.AddressConnectionsMax} }},
		{Name: "http.read-header-timeout", Default: "10s", Help: "Time to send a request's headers.",
			bind: func(c *Config) field { return durationValue{&c.HTTP.ReadHeaderTimeout} }},
		{Name: "http.read-timeout", Default: "5m", Help: "Time to send a request's body.",
			bind: func(c *Config) field { return durationValue{&c.HTTP.ReadTimeout} }},
		{Name: "http.min-body-rate", Default: "1KiB", Help: "Bytes a second with which a body of a known size must arrive, after a grace of 30 s; slower requests are cut off. 0 leaves it to http.read-timeout.",
			bind: func(c *Config) field { return sizeValue{&c.HTTP.BodyRateMin} }},
		{Name: "http.write-timeout", Default: "10m", Help: "Time for a client to take a response.",
			bind: func(c *Config) field { return durationValue{&c.HTTP.WriteTimeout} }},
		{Name: "http.idle-timeout", Default: "2m", Help: "Time after which a connection without requests is closed.",
			bind: func(c *Config) field { return durationValue{&c.HTTP.IdleTimeout} }},
		{Name: "http.shutdown-timeout", Default: "30s", Help: "Time that requests in flight have to finish when the node stops.",
			bind: func(c *Config) field { return durationValue{&c.HTTP.ShutdownTimeout} }},
	}
}

func webSettings() []Setting {
	return []Setting{
		{Name: "web.config.file", Default: "", Help: "YAML file with TLS, users and tokens, in the shape of Prometheus's web configuration. It is read again when it changes, and at a reload.",
			bind: func(c *Config) field { return textValue{&c.Web.ConfigFile} }},
		{Name: "web.route-prefix", Default: "", Help: "Path under which everything is served as well, for reverse proxies. The root and /prometheus always work.",
			bind: func(c *Config) field { return textValue{&c.Web.RoutePrefix} }},
		{Name: "web.cors-origin", Default: ".*", Help: "Regular expression of the origins whose pages may read the query API; it is anchored.",
			bind: func(c *Config) field { return textValue{&c.Web.CORSOrigin} }},
		{Name: "web.enable-admin-api", Default: "false", Help: "Serve /api/v1/admin/tsdb/*: snapshots and flushes on request.",
			bind: func(c *Config) field { return boolValue{&c.Web.EnableAdminAPI} }},
		{Name: "web.enable-pprof", Default: "false", Help: "Serve profiles under /debug/pprof.",
			bind: func(c *Config) field { return boolValue{&c.Web.EnablePprof} }},
		{Name: "web.enable-lifecycle", Default: "false", Help: "Let POST /-/reload read the configuration again and POST /-/quit stop the node.",
			bind: func(c *Config) field { return boolValue{&c.Web.EnableLifecycle} }},
	}
}

func querySettings() []Setting {
	return []Setting{
		{Name: "query.max-samples", Default: "50000000", Help: "Samples that one query may hold in memory.",
			bind: func(c *Config) field { return countValue{&c.Query.SamplesMax} }},
		{Name: "query.max-series", Default: "5000000", Help: "Series that one selector of a query may read; 0 sets no bound.",
			bind: func(c *Config) field { return countValue{&c.Query.SeriesMax} }},
		{Name: "query.timeout", Default: "2m", Help: "Time that a query may take; a request may ask for less.",
			bind: func(c *Config) field { return durationValue{&c.Query.Timeout} }},
		{Name: "query.max-concurrency", Default: "20", Help: "Queries that run at once; others wait.",
			bind: func(c *Config) field { return countValue{&c.Query.ConcurrencyMax} }},
		{Name: "query.max-queue", Default: "500", Help: "Queries that wait for their turn; more are answered 503.",
			bind: func(c *Config) field { return countValue{&c.Query.QueueMax} }},
		{Name: "query.queue-wait", Default: "30s", Help: "How long a query waits for its turn before it is answered 503.",
			bind: func(c *Config) field { return durationValue{&c.Query.QueueWait} }},
		{Name: "query.lookback-delta", Default: "5m", Help: "How far back an instant selector looks for a sample.",
			bind: func(c *Config) field { return durationValue{&c.Query.LookbackDelta} }},
		{Name: "query.max-source-resolution", Default: "auto", Help: "The coarsest windows that queries read in place of samples, where these suit the step and the range: auto for any, raw for none, or a width such as 5m. A request may ask for other ones.",
			bind: func(c *Config) field { return coarsestValue{&c.Query.Coarsest} }},
		{Name: "query.max-bytes", Default: "4GiB", Help: "Bytes of chunks that one query may decode; 0 sets no bound.",
			bind: func(c *Config) field { return sizeValue{&c.Query.BytesMax} }},
		{Name: "query.cache-bytes", Default: "auto", Help: "Memory for results of range queries, so that a refresh computes only what is new; 0 keeps none. auto is a thirty-second of the memory, at most 512MiB.",
			bind: func(c *Config) field { return autoSizeValue{&c.Query.CacheBytes} }},
		{Name: "query.max-points", Default: "11000", Help: "Steps that one range query may have.",
			bind: func(c *Config) field { return countValue{&c.Query.PointsMax} }},
		{Name: "query.max-body-bytes", Default: "4MiB", Help: "Size of a query request's form; larger ones are answered 400.",
			bind: func(c *Config) field { return sizeValue{&c.Query.BodyBytesMax} }},
	}
}

func ingestSettings() []Setting {
	return []Setting{
		{Name: "ingest.max-body-bytes", Default: "32MiB", Help: "Size of a write request as it is sent, compressed.",
			bind: func(c *Config) field { return sizeValue{&c.Ingest.BodyBytesMax} }},
		{Name: "ingest.max-decoded-bytes", Default: "128MiB", Help: "Size of a write request once decompressed.",
			bind: func(c *Config) field { return sizeValue{&c.Ingest.DecodedBytesMax} }},
		{Name: "ingest.max-line-bytes", Default: "16MiB", Help: "Size of a line of Influx's protocol, text or JSON lines, which are read piece by piece: their bodies may be of any size.",
			bind: func(c *Config) field { return sizeValue{&c.Ingest.LineBytesMax} }},
		{Name: "ingest.max-in-flight-bytes", Default: "auto", Help: "Bytes that all write requests together may take while they are served; others wait. auto is a sixteenth of the memory.",
			bind: func(c *Config) field { return autoSizeValue{&c.Ingest.InFlightBytesMax} }},
		{Name: "ingest.max-waiting", Default: "1024", Help: "Write requests that wait for their turn; more are answered 503 and come again.",
			bind: func(c *Config) field { return countValue{&c.Ingest.WaitingMax} }},
		{Name: "ingest.max-wait", Default: "5s", Help: "How long a write request waits for its turn before it is answered 503.",
			bind: func(c *Config) field { return durationValue{&c.Ingest.WaitMax} }},
		{Name: "ingest.max-labels", Default: "256", Help: "Labels that one series may have.",
			bind: func(c *Config) field { return countValue{&c.Ingest.LabelsMax} }},
		{Name: "ingest.max-label-name-bytes", Default: "1024", Help: "Bytes that a label's name may have.",
			bind: func(c *Config) field { return countValue{&c.Ingest.LabelNameBytesMax} }},
		{Name: "ingest.max-label-value-bytes", Default: "65536", Help: "Bytes that a label's value may have.",
			bind: func(c *Config) field { return countValue{&c.Ingest.LabelValueBytesMax} }},
	}
}

func scrapeSettings() []Setting {
	return []Setting{
		{Name: "scrape.start-timestamps", Default: "false", Help: "Store when counters began, where scraped targets tell, with their samples. Series _created of OpenMetrics are left out then.",
			bind: func(c *Config) field { return boolValue{&c.Scrape.StartTimestamps} }},
	}
}

func kvSettings() []Setting {
	return []Setting{
		{Name: "kv.max-value-bytes", Default: "16MiB", Help: "Bytes that a value of a keyspace may have; larger ones are answered 413.",
			bind: func(c *Config) field { return sizeValue{&c.KV.ValueBytesMax} }},
		{Name: "kv.max-batch-bytes", Default: "64MiB", Help: "Bytes that a batch for a keyspace may have; larger ones are answered 413.",
			bind: func(c *Config) field { return sizeValue{&c.KV.BatchBytesMax} }},
	}
}

func ownSettings() []Setting {
	return []Setting{
		{Name: "self-scrape.interval", Default: "15s", Help: "How often the node's own metrics are stored as series of job varve; 0 stores none.",
			bind: func(c *Config) field { return durationValue{&c.SelfScrape.Interval} }},
		{Name: "tenants.max", Default: "1000", Help: "Tenants that there may be besides the default one. A tenant is made by its first write, which names it in X-Scope-OrgID.",
			bind: func(c *Config) field { return countValue{&c.Tenants.Max} }},
		{Name: "log.level", Default: "info", Live: true, Help: "The least important messages that are logged: debug, info, warn or error.",
			bind: func(c *Config) field { return levelValue{&c.Log.Level} }},
		{Name: "log.format", Default: "text", Help: "Notation of the log on standard error.",
			bind: func(c *Config) field { return choiceValue{&c.Log.Format, []string{"text", "json"}} }},
	}
}

package server

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Validate reports every value that cannot work, and what would.
func (c *Config) Validate() error {
	return errors.Join(
		c.Storage.validate(),
		c.HTTP.validate(),
		c.Web.validate(),
		c.Query.validate(),
		c.Ingest.validate(),
		check(c.KV.ValueBytesMax > 0 && c.KV.ValueBytesMax <= 1<<30, "kv.max-value-bytes is %s: use 1B to 1GiB", formatSize(c.KV.ValueBytesMax)),
		check(c.KV.BatchBytesMax > 0 && c.KV.BatchBytesMax <= 1<<30, "kv.max-batch-bytes is %s: use 1B to 1GiB", formatSize(c.KV.BatchBytesMax)),
		c.Retention.validate(c.Storage.PartitionWidth),
		c.Downsample.validate(c.Storage.PartitionWidth),
		check(c.SelfScrape.Interval == 0 || c.SelfScrape.Interval >= time.Second,
			"self-scrape.interval is %s: use at least 1s, or 0 for none", model.Duration(c.SelfScrape.Interval)),
	)
}

func (d *DownsampleConfig) validate(partition time.Duration) error {
	for _, width := range d.list() {
		if err := check((width == 5*time.Minute || width == time.Hour) && partition%width == 0,
			"downsample.widths has %s: use 5m, 1h, or both", model.Duration(width)); err != nil {
			return err
		}
	}
	return nil
}

func (s *StorageConfig) validate() error {
	return errors.Join(
		check(s.Path != "", "storage.path is empty: name a folder"),
		within("storage.partition-width", s.PartitionWidth, 2*time.Hour, 31*24*time.Hour),
		check(wholeDays(s.PartitionWidth), "storage.partition-width is %s: use a divisor of a day (2h, 3h, 4h, 6h, 8h, 12h) or whole days", model.Duration(s.PartitionWidth)),
		within("storage.epoch-age", s.EpochAge, 10*time.Second, 2*time.Hour),
		within("storage.future-bound", s.FutureBound, time.Second, 10*365*24*time.Hour),
		check(s.Sync.Interval <= time.Minute, "storage.sync is an interval of %s: use at most 1m", model.Duration(s.Sync.Interval)),
		check(s.Memory.Auto || s.Memory.Bytes >= 64<<20, "storage.memory is %s: use at least 64MiB, or auto", formatSize(s.Memory.Bytes)),
	)
}

// wholeDays reports whether windows of that width meet at the ends of days.
func wholeDays(width time.Duration) bool {
	const day = 24 * time.Hour
	return width > 0 && (width%day == 0 || day%width == 0)
}

func (h *HTTPConfig) validate() error {
	return errors.Join(
		checkAddress("http.listen", h.Listen),
		check(h.HeaderBytesMax >= 4<<10 && h.HeaderBytesMax <= 16<<20, "http.max-header-bytes is %s: use 4KiB to 16MiB", formatSize(h.HeaderBytesMax)),
		check(h.ConnectionsMax > 0, "http.max-connections is 0: nobody could connect"),
		within("http.read-header-timeout", h.ReadHeaderTimeout, 100*time.Millisecond, time.Hour),
		within("http.read-timeout", h.ReadTimeout, 100*time.Millisecond, 24*time.Hour),
		within("http.write-timeout", h.WriteTimeout, 100*time.Millisecond, 24*time.Hour),
		within("http.idle-timeout", h.IdleTimeout, 100*time.Millisecond, 24*time.Hour),
		within("http.shutdown-timeout", h.ShutdownTimeout, 0, time.Hour),
	)
}

func (w *WebConfig) validate() error {
	_, err := regexp.Compile(anchored(w.CORSOrigin))
	return errors.Join(
		check(err == nil, "web.cors-origin is not a regular expression: %v", err),
		check(w.RoutePrefix == cleanPrefix(w.RoutePrefix), "web.route-prefix is %q: write it as /path, without a slash at the end", w.RoutePrefix),
	)
}

func (q *QueryConfig) validate() error {
	return errors.Join(
		check(q.SamplesMax > 0, "query.max-samples is 0: no query could run"),
		check(q.ConcurrencyMax > 0, "query.max-concurrency is 0: no query could run"),
		within("query.timeout", q.Timeout, time.Millisecond, 24*time.Hour),
		within("query.lookback-delta", q.LookbackDelta, time.Millisecond, 30*24*time.Hour),
		check(q.BytesMax == 0 || q.BytesMax >= 1<<20, "query.max-bytes is %s: use at least 1MiB, or 0 for no bound", formatSize(q.BytesMax)),
		check(q.CacheBytes.Auto || q.CacheBytes.Bytes == 0 || q.CacheBytes.Bytes >= 1<<20, "query.cache-bytes is %s: use at least 1MiB, auto, or 0 to keep no results", formatSize(q.CacheBytes.Bytes)),
		check(q.PointsMax > 0, "query.max-points is 0: no range query could run"),
		within("query.queue-wait", q.QueueWait, time.Millisecond, time.Hour),
		check(q.BodyBytesMax >= 1<<10, "query.max-body-bytes is %s: use at least 1KiB", formatSize(q.BodyBytesMax)),
	)
}

func (i *IngestConfig) validate() error {
	return errors.Join(
		check(i.BodyBytesMax >= 1<<10 && i.BodyBytesMax <= 1<<30, "ingest.max-body-bytes is %s: use 1KiB to 1GiB", formatSize(i.BodyBytesMax)),
		check(i.DecodedBytesMax >= i.BodyBytesMax && i.DecodedBytesMax <= 2<<30, "ingest.max-decoded-bytes is %s: use at least ingest.max-body-bytes (%s) and at most 2GiB",
			formatSize(i.DecodedBytesMax), formatSize(i.BodyBytesMax)),
		check(i.LineBytesMax >= 1<<10 && i.LineBytesMax <= 256<<20, "ingest.max-line-bytes is %s: use 1KiB to 256MiB", formatSize(i.LineBytesMax)),
		check(i.InFlightBytesMax.Auto || i.InFlightBytesMax.Bytes >= i.DecodedBytesMax, "ingest.max-in-flight-bytes is %s: use at least ingest.max-decoded-bytes (%s), or auto",
			formatSize(i.InFlightBytesMax.Bytes), formatSize(i.DecodedBytesMax)),
		check(i.WaitingMax > 0, "ingest.max-waiting is 0: use at least 1"),
		within("ingest.max-wait", i.WaitMax, time.Millisecond, time.Minute),
		check(i.LabelsMax > 0, "ingest.max-labels is 0: a series has at least one label, its name"),
		check(i.LabelNameBytesMax >= len("__name__"), "ingest.max-label-name-bytes is %d: use at least %d", i.LabelNameBytesMax, len("__name__")),
		check(i.LabelValueBytesMax > 0, "ingest.max-label-value-bytes is 0: a metric's name is a label value"),
	)
}

func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func within(name string, d, low, high time.Duration) error {
	return check(d >= low && d <= high, "%s is %s: use %s to %s", name, model.Duration(d), model.Duration(low), model.Duration(high))
}

func checkAddress(name, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s is %q: write it as host:port, for example 127.0.0.1:7480 or :7480", name, address)
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return check(err == nil, "%s is %q: the port must be a number from 0 to 65535", name, address)
}

// anchored makes a regular expression match whole strings, as Prometheus does.
func anchored(expression string) string { return "^(?:" + expression + ")$" }

func cleanPrefix(p string) string {
	p = strings.Trim(p, "/")
	if p == "" {
		return ""
	}
	return "/" + p
}

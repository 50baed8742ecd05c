package bench

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// connection sends the bodies of one source over one connection.
type connection struct {
	source  Source
	client  *fasthttp.HostClient
	request fasthttp.Request
	reply   fasthttp.Response
	retries int
	timeout time.Duration

	broken bool // the receiver failed for good
	part   counts
	total  counts
}

// counts is what became of bodies.
type counts struct {
	latencies  latencies // of acknowledged requests
	acked      int       // samples
	stale      int       // of these
	failed     int       // samples
	plainBytes int64
	wireBytes  int64
	statuses   map[string]int // replies by status, or kind of failure
	firstError string
	firstTime  int64 // of the samples acknowledged
	lastTime   int64
}

const (
	retryPause    = 50 * time.Millisecond
	retryPauseMax = 2 * time.Second
	replyShown    = 200 // bytes of an error's text
)

func newConnection(s Source, o IngestOptions) (*connection, error) {
	target, err := url.Parse(o.URL)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("parse URL %q: it needs the form http://host:port/path", o.URL)
	}
	c := &connection{source: s, retries: o.Retries, timeout: o.Timeout}
	secure := target.Scheme == "https"
	c.client = &fasthttp.HostClient{
		Addr:                      fasthttp.AddMissingPort(target.Host, secure),
		IsTLS:                     secure,
		TLSConfig:                 o.TLS,
		MaxConns:                  1,
		MaxIdemponentCallAttempts: 1,
	}
	contentType, version := o.Protocol.headers()
	c.request.Header.SetMethod(fasthttp.MethodPost)
	c.request.SetRequestURI(o.URL)
	c.request.Header.SetContentType(contentType)
	c.request.Header.Set("Content-Encoding", "snappy")
	c.request.Header.Set("X-Prometheus-Remote-Write-Version", version)
	c.request.Header.SetUserAgent("varve-bench")
	for _, h := range o.Headers {
		c.request.Header.Set(h.Name, h.Value)
	}
	return c, nil
}

// send sends body until it is acknowledged, refused, or given up.
func (c *connection) send(ctx context.Context, body Body) {
	c.part.plainBytes += int64(body.Plain)
	c.part.wireBytes += int64(len(body.Bytes))
	c.request.SetBodyRaw(body.Bytes)
	pause := retryPause
	for attempt := 0; ; attempt++ {
		start := time.Now()
		err := c.client.DoTimeout(&c.request, &c.reply, c.timeout)
		took := time.Since(start)
		status := c.reply.StatusCode()
		switch {
		case err != nil:
			c.part.count("no reply", err.Error())
		case status/100 == 2:
			c.part.count(strconv.Itoa(status), "")
			c.part.acknowledge(body, took)
			return
		default:
			c.part.count(strconv.Itoa(status), replyText(status, c.reply.Body()))
			if status/100 == 4 && status != fasthttp.StatusTooManyRequests {
				c.part.failed += body.Samples
				return
			}
		}
		if attempt == c.retries || !sleepUntil(ctx, time.Now().Add(pause)) {
			c.part.failed += body.Samples
			c.broken = true
			return
		}
		pause = min(2*pause, retryPauseMax)
	}
}

func replyText(status int, body []byte) string {
	text := strings.TrimSpace(string(body[:min(len(body), replyShown)]))
	return fmt.Sprintf("status %d: %s", status, text)
}

func (c *counts) count(status, problem string) {
	if c.statuses == nil {
		c.statuses = map[string]int{}
	}
	c.statuses[status]++
	if c.firstError == "" {
		c.firstError = problem
	}
}

func (c *counts) acknowledge(body Body, took time.Duration) {
	c.latencies.add(took)
	c.acked += body.Samples
	c.stale += body.Stale
	c.seen(body.Time, body.Time)
}

func (c *counts) seen(first, last int64) {
	if c.firstTime == 0 || first < c.firstTime {
		c.firstTime = first
	}
	c.lastTime = max(c.lastTime, last)
}

func (c *counts) add(other *counts) {
	c.latencies.merge(&other.latencies)
	c.acked += other.acked
	c.stale += other.stale
	c.failed += other.failed
	c.plainBytes += other.plainBytes
	c.wireBytes += other.wireBytes
	for status, n := range other.statuses {
		if c.statuses == nil {
			c.statuses = map[string]int{}
		}
		c.statuses[status] += n
	}
	if c.firstError == "" {
		c.firstError = other.firstError
	}
	if other.firstTime != 0 {
		c.seen(other.firstTime, other.lastTime)
	}
}

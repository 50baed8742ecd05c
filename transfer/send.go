package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/snappy"

	"github.com/varve-db/varve/ingest/remotewrite"
	"github.com/varve-db/varve/series"
)

// Target is the server that samples are sent to.
type Target struct {
	URL    string // base, such as http://127.0.0.1:7480
	HTTP   *http.Client
	Header http.Header // of every request
	// Retries is how often a request is repeated that the server cannot take now,
	// or does not answer; default 10. The pause doubles from half a second to 30.
	Retries int
	// Sleep pauses; default: it waits for as long.
	Sleep func(ctx context.Context, d time.Duration) error
}

func requestOf(b *series.Batch) request {
	q := request{body: remotewrite.AppendV2(nil, b), samples: len(b.Timestamps), histograms: len(b.Histograms), exemplars: len(b.Exemplars)}
	q.body = snappy.Encode(nil, q.body)
	return q
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write sends a request until it is answered for good, and counts the answer.
func (t *Target) write(ctx context.Context, q request, c *counts) error {
	a, err := t.persist(ctx, q.body, c)
	if err != nil {
		return err
	}
	written, confirmed := a.written()
	switch {
	case a.status/100 == 2 && !confirmed:
		return fmt.Errorf("write to %s: the server does not say what it wrote: does it speak remote write 2.0?", t.URL)
	case a.status/100 == 2, a.status == http.StatusBadRequest && confirmed:
		c.wrote(q, written, a.text)
		return nil
	}
	return fmt.Errorf("write to %s: status %d: %s", t.URL, a.status, a.text)
}

// answered is a server's answer.
type answered struct {
	status int
	header http.Header
	text   string // the first bytes of the body
}

// The headers that confirm what was written.
var writtenHeaders = [3]string{
	"X-Prometheus-Remote-Write-Samples-Written", "X-Prometheus-Remote-Write-Histograms-Written", "X-Prometheus-Remote-Write-Exemplars-Written",
}

// written reads how many samples, histograms and exemplars were written.
func (a answered) written() (n [3]int, ok bool) {
	for i, name := range writtenHeaders {
		v, err := strconv.Atoi(a.header.Get(name))
		if err != nil {
			return n, false
		}
		n[i] = v
	}
	return n, true
}

// persist sends a body, again and again while the server cannot take it.
func (t *Target) persist(ctx context.Context, body []byte, c *counts) (answered, error) {
	retries, pause := t.Retries, 500*time.Millisecond
	if retries == 0 {
		retries = 10
	}
	wait := t.Sleep
	if wait == nil {
		wait = sleep
	}
	for {
		a, err := t.once(ctx, body)
		again := err != nil || a.status == http.StatusTooManyRequests || a.status/100 == 5
		if !again {
			c.request(len(body))
			return a, nil
		}
		if ctx.Err() != nil {
			return a, context.Cause(ctx)
		}
		if err == nil {
			err = fmt.Errorf("status %d: %s", a.status, a.text)
		}
		if retries--; retries < 0 {
			return a, fmt.Errorf("send to %s: %w", t.URL, err)
		}
		c.retry()
		d := pause
		if s, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && s > 0 {
			d = max(d, time.Duration(min(s, 60))*time.Second)
		}
		if err := wait(ctx, d); err != nil {
			return a, err
		}
		pause = min(2*pause, 30*time.Second)
	}
}

func (t *Target) once(ctx context.Context, body []byte) (a answered, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(t.URL, "/")+"/api/v1/write", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	for name, values := range t.Header {
		q.Header[name] = values
	}
	q.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
	q.Header.Set("Content-Encoding", "snappy")
	q.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	reply, err := t.HTTP.Do(q)
	if err != nil {
		return a, err
	}
	defer reply.Body.Close()
	const shown = 4 << 10
	text, err := io.ReadAll(io.LimitReader(reply.Body, shown))
	if err != nil {
		return a, err
	}
	return answered{reply.StatusCode, reply.Header, strings.TrimSpace(string(text))}, nil
}

// A refusal as the server puts it into words.
var (
	refusal = regexp.MustCompile(`refused ([^()]*) \(([a-z0-9_]+)\): ([^;]*)`)
	amount  = regexp.MustCompile(`[0-9]+`)
)

// losses reads why something was refused out of an answer's text; what it does not
// account for of missing is told with the text as a whole.
func losses(text string, missing int) []Loss {
	var all []Loss
	for _, m := range refusal.FindAllStringSubmatch(text, -1) {
		l := Loss{Reason: m[2], Example: m[3]}
		for _, n := range amount.FindAllString(m[1], -1) {
			v, _ := strconv.Atoi(n) // digits
			l.N += v
		}
		l.N = min(l.N, missing)
		missing -= l.N
		if l.N > 0 {
			all = append(all, l)
		}
	}
	if missing > 0 {
		all = append(all, Loss{Reason: "refused", N: missing, Example: text})
	}
	return all
}

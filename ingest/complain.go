package ingest

import (
	"log/slog"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/series"
)

// complaints logs what goes wrong, each kind at most once in a while: senders
// repeat themselves.
type complaints struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // when a kind was logged; kinds are few
}

const (
	complaintEvery = 10 * time.Second
	complaintKinds = 64
)

// due reports whether kind may be logged now.
func (c *complaints) due(kind string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	last, known := c.last[kind]
	if known && now.Sub(last) < complaintEvery || !known && len(c.last) >= complaintKinds {
		return false
	}
	c.last[kind] = now
	return true
}

func (c *complaints) refused(r series.Refusals) {
	for _, e := range r.All() {
		if c.due("refused " + string(e.Reason)) {
			c.log.Warn("samples refused", "reason", string(e.Reason), "samples", e.Samples, "histograms", e.Histograms,
				"exemplars", e.Exemplars, "series", e.Series, "detail", e.Detail)
		}
	}
}

// unreadable logs that lines of a request could not be read.
func (c *complaints) unreadable(p protocol, lines badLines) {
	if lines.count > 0 && c.due("lines "+protocolNames[p]) {
		c.log.Warn("lines could not be read", "protocol", protocolNames[p], "lines", lines.count, "first", lines.first[0])
	}
}

// failed logs a request of which nothing is known to be stored.
func (c *complaints) failed(kind string, level slog.Level, ctx *fasthttp.RequestCtx, err error) {
	if c.due(kind) {
		c.log.Log(ctx, level, "write request failed", "kind", kind, "sender", ctx.RemoteAddr().String(), "error", err)
	}
}

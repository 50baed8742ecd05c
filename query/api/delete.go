package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/valyala/fasthttp"
)

// Deleter deletes samples of one tenant.
type Deleter interface {
	// Delete deletes the samples in [mint, maxt], milliseconds, of the series that
	// satisfy all matchers of one of the selectors. It returns when no read finds
	// them any more.
	Delete(ctx context.Context, selectors [][]*labels.Matcher, mint, maxt int64) error
	// Deletions returns what encoding/json writes as the list of deletions.
	Deletions() (any, error)
}

// deletionRoutes are the endpoints of deletion.
func (a *API) deletionRoutes() []Route {
	change := []string{fasthttp.MethodPost, fasthttp.MethodPut}
	return []Route{
		{change, "/api/v1/admin/tsdb/delete_series", a.serve("admin_tsdb_delete_series", a.deleteSeries, failJSON), true},
		{change, "/api/v1/admin/tsdb/clean_tombstones", a.serve("admin_tsdb_clean_tombstones", a.cleanTombstones, failJSON), true},
		{[]string{fasthttp.MethodGet}, "/api/v1/admin/deletions", a.json("admin_deletions", a.deletions), true},
	}
}

// deleteSeries answers when the samples are gone. A client that leaves does not
// stop it half-way; there is no half-way.
func (a *API) deleteSeries(ctx context.Context, c *call) error {
	if err := c.params.wellFormed(); err != nil {
		return err
	}
	if len(c.params.all("match[]")) == 0 {
		return badData(errors.New("no match[] parameter provided"))
	}
	l, err := a.lookup(c.params, func(err error) error { return invalidParam("match[]", err) })
	if err != nil {
		return err
	}
	if l.end.Before(l.start) {
		return badData(errors.New("end timestamp must not be before start time"))
	}
	if c.from.Deleter != nil && !c.from.Unknown {
		if err := c.from.Deleter.Delete(context.WithoutCancel(ctx), l.selectors, milliseconds(l.start), milliseconds(l.end)); err != nil {
			return err
		}
	}
	return noContent(c)
}

// cleanTombstones has nothing to wait for: what a deletion was answered for is
// gone from the disk, or goes with the last query that still reads it.
func (a *API) cleanTombstones(_ context.Context, c *call) error { return noContent(c) }

func noContent(c *call) error {
	c.end()
	c.http.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// deletions lists the tenant's deletions.
func (a *API) deletions(_ context.Context, c *call) (answer, error) {
	list := any([]struct{}{})
	if c.from.Deleter != nil && !c.from.Unknown {
		var err error
		if list, err = c.from.Deleter.Deletions(); err != nil {
			return answer{}, err
		}
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return answer{}, fmt.Errorf("encode deletions: %w", err)
	}
	return answer{data: text(func(dst []byte) []byte {
		return append(append(append(dst, `{"deletions":`...), encoded...), '}')
	})}, nil
}

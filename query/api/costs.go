package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/ledger"
)

// introduce says in a request who asks, and why, as far as headers tell.
func (c *call) introduce(request *query.Request) {
	header := func(name string) string { return string(c.http.Request.Header.Peek(name)) }
	request.Client, request.User = c.http.RemoteAddr().String(), header("X-Grafana-User")
	request.Origin = ledger.Origin{
		Tenant:    c.from.Tenant,
		Dashboard: header("X-Dashboard-Uid"), Panel: header("X-Panel-Id"), Datasource: header("X-Datasource-Uid"),
		Rule: header("X-Rule-Uid"), RuleName: header("X-Rule-Name"), RuleFolder: header("X-Rule-Folder"),
	}
}

// activeQueries lists the queries that wait or run.
func (a *API) activeQueries(_ context.Context, c *call) (answer, error) {
	list := slices.DeleteFunc(a.deps.Engine.Active(), func(q query.Active) bool {
		return c.from.Unknown || q.Request.Origin.Tenant != c.from.Tenant
	})
	now := a.deps.Now()
	return answer{data: text(func(dst []byte) []byte {
		dst = append(dst, `{"queries":[`...)
		for i := range list {
			if i > 0 {
				dst = append(dst, ',')
			}
			q := &list[i]
			o := openObject(dst)
			o.int("id", int64(q.ID))
			o.text("query", q.Request.Query)
			o.number("start", float64(q.Request.Start.UnixMilli())/1000)
			if q.Request.Step > 0 {
				o.number("end", float64(q.Request.End.UnixMilli())/1000)
				o.number("step", q.Request.Step.Seconds())
			}
			o.time("since", q.Since)
			o.number("ageSeconds", max(now.Sub(q.Since), 0).Seconds())
			o.text("client", q.Request.Client)
			o.texts("user", q.Request.User)
			o.origin(q.Request.Origin)
			o.text("phase", phase(q.Running))
			o.progress(q.Work)
			dst = o.close()
		}
		return append(dst, "]}"...)
	})}, nil
}

func phase(running bool) string {
	if running {
		return "running"
	}
	return "queued"
}

// endQuery ends a query. Pages of other sites cannot: browsers ask first whether
// they may, and are not told so.
func (a *API) endQuery(_ context.Context, c *call) (answer, error) {
	id, err := strconv.ParseUint(c.params.get("id"), 10, 64)
	if err != nil {
		return answer{}, invalidParam("id", errors.New("it must be the id of a query that runs"))
	}
	if c.from.Unknown || !a.deps.Engine.Kill(c.from.Tenant, id) {
		return answer{}, &failure{kindNotFound, fmt.Errorf("there is no query %d that waits or runs", id)}
	}
	a.options.Logger.Info("query ended by an operator", "id", id, "client", c.http.RemoteAddr().String())
	return answer{data: text(func(dst []byte) []byte {
		o := openObject(dst)
		o.int("ended", int64(id))
		return o.close()
	})}, nil
}

// progress appends how far a query is.
func (o *object) progress(w query.Work) {
	o.texts("executor", w.Executor)
	o.int("seriesDone", w.Rows)
	o.int("seriesTotal", w.RowsAll)
	o.int("samples", w.Samples)
	o.int("samplesDecoded", w.Decoded)
	o.int("heldPoints", w.Held)
	o.int("peakPoints", w.Peak)
	o.int("bytesRead", w.Bytes)
	o.int("seriesRead", w.Series)
}

// origin appends the members that are known of why a query is asked.
func (o *object) origin(from ledger.Origin) {
	o.texts("dashboard", from.Dashboard)
	o.texts("panel", from.Panel)
	o.texts("datasource", from.Datasource)
	o.texts("rule", from.Rule)
	o.texts("ruleName", from.RuleName)
	o.texts("ruleFolder", from.RuleFolder)
}

// texts appends a member that may be missing.
func (o *object) texts(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

// ledgerEntries is how many entries of the ledger are listed unless more or less are
// asked for.
const ledgerEntries = 100

// queryLedger lists what queries cost so far.
func (a *API) queryLedger(_ context.Context, c *call) (answer, error) {
	limit, err := c.params.limit()
	if err != nil {
		return answer{}, err
	}
	if limit == 0 {
		limit = ledgerEntries
	}
	name := c.params.get("sort")
	if name == "" {
		name = "seconds"
	}
	orders := ledger.Orders()
	order := orders[name]
	if order == nil {
		known := strings.Join(slices.Sorted(maps.Keys(orders)), ", ")
		return answer{}, invalidParam("sort", fmt.Errorf("%q is none of %s", name, known))
	}
	list, total, evicted := a.deps.Engine.Ledger().Entries(c.from.Tenant, order, limit)
	if c.from.Unknown {
		list, total = nil, 0
	}
	return answer{data: text(func(dst []byte) []byte {
		whole := openObject(dst)
		whole.name("entries")
		whole.dst = append(whole.dst, '[')
		for i := range list {
			if i > 0 {
				whole.dst = append(whole.dst, ',')
			}
			whole.dst = appendEntry(whole.dst, &list[i])
		}
		whole.dst = append(whole.dst, ']')
		whole.int("total", int64(total))
		whole.int("evicted", evicted)
		return whole.close()
	})}, nil
}

func appendEntry(dst []byte, e *ledger.Entry) []byte {
	o := openObject(dst)
	o.text("query", e.Query)
	o.text("lastQuery", e.Last)
	o.origin(e.Origin)
	o.int("count", e.Count)
	o.int("errors", e.Errors)
	o.number("seconds", e.Total.Seconds)
	o.number("maxSeconds", e.SecondsMax)
	o.number("cpuSeconds", e.Total.CPUSeconds)
	o.int("samples", e.Total.Samples)
	o.int("bytes", e.Total.Bytes)
	o.int("series", e.Total.Series)
	o.time("firstSeen", e.FirstSeen)
	o.time("lastSeen", e.LastSeen)
	return o.close()
}

package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/plan"
)

// errTruncated is the warning of an answer that a limit has shortened.
var errTruncated = errors.New("results truncated due to limit")

// query answers an instant query.
func (a *API) query(ctx context.Context, c *call) (answer, error) {
	limit, err := c.params.limit()
	if err != nil {
		return answer{}, err
	}
	at, err := c.params.timeOr("time", a.deps.Now())
	if err != nil {
		return answer{}, err
	}
	request := query.Request{Start: at, End: at}
	if request.Timeout, err = c.params.timeout(); err != nil {
		return answer{}, err
	}
	if err := evaluable("time", at); err != nil {
		return answer{}, err
	}
	return a.ask(ctx, c, request, limit)
}

// queryRange answers a range query.
func (a *API) queryRange(ctx context.Context, c *call) (answer, error) {
	limit, err := c.params.limit()
	if err != nil {
		return answer{}, err
	}
	request, err := a.rangeRequest(c.params)
	if err != nil {
		return answer{}, err
	}
	if request.Timeout, err = c.params.timeout(); err != nil {
		return answer{}, err
	}
	return a.ask(ctx, c, request, limit)
}

func (a *API) rangeRequest(p *params) (query.Request, error) {
	start, err := parseTime(p.get("start"))
	if err != nil {
		return query.Request{}, invalidParam("start", err)
	}
	end, err := parseTime(p.get("end"))
	if err != nil {
		return query.Request{}, invalidParam("end", err)
	}
	if end.Before(start) {
		return query.Request{}, invalidParam("end", errors.New("end timestamp must not be before start time"))
	}
	step, err := parseDuration(p.get("step"))
	if err != nil {
		return query.Request{}, invalidParam("step", err)
	}
	if step <= 0 {
		return query.Request{}, invalidParam("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	if err := a.checkPoints(start, end, step); err != nil {
		return query.Request{}, err
	}
	if step < time.Millisecond {
		return query.Request{}, invalidParam("step", errors.New("steps of less than a millisecond are not accepted"))
	}
	for _, bound := range []struct {
		name string
		time time.Time
	}{{"start", start}, {"end", end}} {
		if err := evaluable(bound.name, bound.time); err != nil {
			return query.Request{}, err
		}
	}
	return query.Request{Start: start, End: end, Step: step}, nil
}

// checkPoints bounds the points of a series. The difference of times saturates
// at 292 years, so it is also counted in milliseconds.
func (a *API) checkPoints(start, end time.Time, step time.Duration) error {
	limit := a.deps.Engine.PointsMax()
	span := uint64(milliseconds(end)) - uint64(milliseconds(start))
	if end.Sub(start)/step > time.Duration(limit) || span/uint64(max(step.Milliseconds(), 1)) > uint64(limit) {
		return badData(fmt.Errorf("exceeded maximum resolution of %s points per timeseries. Try decreasing the query resolution (?step=XX)", thousands(limit)))
	}
	return nil
}

func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// evaluable refuses times that nanoseconds since 1970 do not reach, which is how
// the engine counts.
func evaluable(name string, t time.Time) error {
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return invalidParam(name, errors.New("queries cannot be evaluated before 1677 or after 2262"))
	}
	return nil
}

// ask runs a query and prepares its answer.
func (a *API) ask(ctx context.Context, c *call, request query.Request, limit int) (answer, error) {
	request.Query = c.params.get("query")
	if err := queryOptions(c, &request); err != nil {
		return answer{}, err
	}
	result, err := a.deps.Engine.Run(ctx, c.from.Queryable, request)
	if err != nil {
		return answer{}, invalidQuery(err)
	}
	c.atEnd(result.Close)
	value, warnings := result.Value, result.Warnings
	switch v := value.(type) {
	case promql.Matrix:
		if limit > 0 && len(v) > limit {
			value, warnings = v[:limit], warnings.Add(errTruncated)
		}
	case promql.Vector:
		if limit > 0 && len(v) > limit {
			value, warnings = v[:limit], warnings.Add(errTruncated)
		}
	}
	data := &row{parts: []part{
		text(func(dst []byte) []byte {
			dst = appendString(append(dst, `{"resultType":`...), string(value.Type()), escapeHTML)
			return append(dst, `,"result":`...)
		}),
		valuePart(value),
		text(func(dst []byte) []byte {
			if c.params.get("stats") != "" {
				dst = appendStats(append(dst, `,"stats":`...), result)
			}
			return append(dst, '}')
		}),
	}}
	return answer{data: data, warnings: statsWarning(c.params.get("stats"), warnings), query: request.Query}, nil
}

// queryOptions reads what instant and range queries have in common.
func queryOptions(c *call, request *query.Request) error {
	if s := c.params.get("lookback_delta"); s != "" {
		d, err := parseDuration(s)
		if err != nil {
			return badData(fmt.Errorf("error parsing lookback delta duration: %w", err))
		}
		request.Lookback = d
	}
	if s := string(c.http.Request.Header.Peek("X-Prometheus-Use-Start-Timestamps")); s != "" {
		use, err := strconv.ParseBool(s)
		if err != nil {
			return badData(fmt.Errorf("error parsing X-Prometheus-Use-Start-Timestamps header: %w", err))
		}
		request.UseStartTimestamps = &use
	}
	c.introduce(request)
	if c.params.get("stats") == statsAll {
		request.PerStepStats, request.Measure = true, true
	}
	if s := c.params.get("nocache"); s != "" {
		no, err := strconv.ParseBool(s)
		if err != nil {
			return invalidParam("nocache", err)
		}
		request.NoCache = no
	}
	coarsest, err := plan.ParseCoarsest(c.params.get("max_source_resolution"))
	if err != nil {
		return invalidParam("max_source_resolution", err)
	}
	request.Coarsest = coarsest
	switch s := c.params.get("executor"); s {
	case "", "columnar":
	case "reference":
		request.Reference = true
	default:
		return invalidParam("executor", fmt.Errorf("%q is neither columnar nor reference", s))
	}
	return nil
}

// Any value of the parameter stats asks for statistics; statsAll asks for those of
// each step too.
const (
	statsTrue = "true"
	statsAll  = "all"
)

func statsWarning(stats string, warnings annotations.Annotations) annotations.Annotations {
	switch stats {
	case "", statsTrue, statsAll:
		return warnings
	default:
		return warnings.Add(fmt.Errorf("value %q for parameter \"stats\" is deprecated and will be rejected in the next major release, use %q or %q", stats, statsTrue, statsAll))
	}
}

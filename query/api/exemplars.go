package api

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/promql/parser"
)

// queryExemplars lists the exemplars of the series that a query's selectors match.
func (a *API) queryExemplars(ctx context.Context, c *call) (answer, error) {
	start, err := c.params.timeOr("start", timeMin)
	if err != nil {
		return answer{}, err
	}
	end, err := c.params.timeOr("end", timeMax)
	if err != nil {
		return answer{}, err
	}
	if end.Before(start) {
		return answer{}, badData(errors.New("end timestamp must not be before start timestamp"))
	}
	timeout, err := c.params.timeout()
	if err != nil {
		return answer{}, err
	}
	expr, err := a.deps.Engine.Parse(c.params.get("query"))
	if err != nil {
		return answer{}, err
	}
	selectors := parser.ExtractSelectors(expr)
	if len(selectors) == 0 || c.from.Exemplars == nil {
		return answer{data: &exemplarsPart{}}, nil
	}
	ctx, _, leave, err := a.deps.Engine.Admit(ctx, timeout)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	q, err := c.from.Exemplars.ExemplarQuerier(ctx)
	if err != nil {
		return answer{}, err
	}
	found, err := q.Select(milliseconds(start), milliseconds(end), selectors...)
	if err != nil {
		return answer{}, err
	}
	return answer{data: &exemplarsPart{list: found}}, nil
}

// exemplarsPart writes exemplars by series.
type exemplarsPart struct {
	list []exemplar.QueryResult
	at   int
}

func (p *exemplarsPart) next(dst []byte) ([]byte, bool) {
	if p.at == 0 {
		dst = append(dst, '[')
	}
	for limit := len(dst) + blockBytes; p.at < len(p.list); {
		if p.at > 0 {
			dst = append(dst, ',')
		}
		dst = appendExemplars(dst, p.list[p.at])
		p.at++
		if len(dst) > limit && p.at < len(p.list) {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

func appendExemplars(dst []byte, of exemplar.QueryResult) []byte {
	dst = appendLabels(append(dst, `{"seriesLabels":`...), of.SeriesLabels)
	dst = append(dst, `,"exemplars":[`...)
	for i, e := range of.Exemplars {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendLabels(append(dst, `{"labels":`...), e.Labels)
		dst = appendValue(append(dst, `,"value":`...), e.Value)
		dst = appendTime(append(dst, `,"timestamp":`...), e.Ts)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

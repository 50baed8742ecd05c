package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// lookup is what the endpoints about labels and series ask.
type lookup struct {
	limit      int // 0: none
	start, end time.Time
	selectors  [][]*labels.Matcher
	timeout    time.Duration
}

// lookup reads the parameters; a selector's error is wrapped by of.
func (a *API) lookup(p *params, of func(error) error) (l lookup, err error) {
	if l.limit, err = p.limit(); err != nil {
		return l, err
	}
	if l.start, err = p.timeOr("start", timeMin); err != nil {
		return l, err
	}
	if l.end, err = p.timeOr("end", timeMax); err != nil {
		return l, err
	}
	if l.timeout, err = p.timeout(); err != nil {
		return l, err
	}
	if l.selectors, err = a.selectors(p.all("match[]")); err != nil {
		return l, of(err)
	}
	return l, nil
}

// selectors parses series selectors, each of which must leave something out.
func (a *API) selectors(texts []string) ([][]*labels.Matcher, error) {
	sets, err := a.deps.Engine.ParseSelectors(texts)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return m != nil && !m.Matches("") }) {
			return nil, errors.New("match[] must contain at least one non-empty matcher")
		}
	}
	return sets, nil
}

// hintLimit is one more than what is wanted, so that a shortened answer is noticed.
func hintLimit(limit int) int {
	if limit > 0 && limit < math.MaxInt {
		return limit + 1
	}
	return limit
}

// cap is the limit that holds: the request's, or the server's.
func (a *API) cap(l lookup) int {
	if l.limit > 0 || a.options.ListMax < 0 {
		return l.limit
	}
	return a.options.ListMax
}

// list collects strings from one or several selections and lists them in order.
func (a *API) list(ctx context.Context, c *call, l lookup, ask func(context.Context, storage.Querier, *storage.LabelHints, []*labels.Matcher) ([]string, annotations.Annotations, error)) (answer, error) {
	ctx, _, leave, err := a.deps.Engine.Admit(ctx, l.timeout)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	q, err := c.from.Queryable.Querier(milliseconds(l.start), milliseconds(l.end))
	if err != nil {
		return answer{}, err
	}
	c.atEnd(func() { _ = q.Close() }) // the strings belong to the querier
	limit := a.cap(l)
	hints := &storage.LabelHints{Limit: hintLimit(limit)}
	selections := l.selectors
	if len(selections) == 0 {
		selections = [][]*labels.Matcher{nil}
	}
	var warnings annotations.Annotations
	found := map[string]struct{}{}
	var list []string
	for _, selection := range selections {
		strings, notes, err := ask(ctx, q, hints, selection)
		if err != nil {
			return answer{}, err
		}
		warnings.Merge(notes)
		if len(selections) == 1 {
			list = strings
			break
		}
		for _, s := range strings {
			found[s] = struct{}{}
		}
	}
	if len(selections) > 1 {
		list = slices.Collect(maps.Keys(found))
	}
	if !slices.IsSorted(list) {
		slices.Sort(list)
	}
	if limit > 0 && len(list) > limit {
		list, warnings = list[:limit], warnings.Add(errTruncated)
	}
	return answer{data: &stringsPart{list: list}, warnings: warnings}, nil
}

// labelNames lists label names.
func (a *API) labelNames(ctx context.Context, c *call) (answer, error) {
	l, err := a.lookup(c.params, badData)
	if err != nil {
		return answer{}, err
	}
	return a.list(ctx, c, l, func(ctx context.Context, q storage.Querier, hints *storage.LabelHints, selection []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, hints, selection...)
	})
}

// labelValues lists the values of the label that the path names.
func (a *API) labelValues(ctx context.Context, c *call) (answer, error) {
	name, err := labelInPath(string(c.http.URI().PathOriginal()))
	if err != nil {
		return answer{}, err
	}
	l, err := a.lookup(c.params, badData)
	if err != nil {
		return answer{}, err
	}
	return a.list(ctx, c, l, func(ctx context.Context, q storage.Querier, hints *storage.LabelHints, selection []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, name, hints, selection...)
	})
}

// labelInPath takes the label's name from ".../label/{name}/values". It is
// percent-encoded, and may be escaped besides, as U__ says.
func labelInPath(path string) (string, error) {
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/"), "/values")
	name, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return "", badData(fmt.Errorf("invalid label name: %w", err))
	}
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return "", badData(fmt.Errorf("invalid label name: %q", name))
	}
	return name, nil
}

// stringsPart writes an array of strings.
type stringsPart struct {
	list []string
	at   int
}

func (p *stringsPart) next(dst []byte) ([]byte, bool) {
	if p.at == 0 {
		dst = append(dst, '[')
	}
	for limit := len(dst) + blockBytes; p.at < len(p.list); {
		if p.at > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, p.list[p.at], escapeHTML)
		p.at++
		if len(dst) > limit && p.at < len(p.list) {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

package api

import (
	"context"
	"maps"
	"slices"

	"github.com/varve-db/varve/series"
)

// metadata describes metric families. A limit of zero is none, as everywhere else.
func (a *API) metadata(ctx context.Context, c *call) (answer, error) {
	limit, err := c.params.limitNumber("limit")
	if err != nil {
		return answer{}, err
	}
	perMetric, err := c.params.limitNumber("limit_per_metric")
	if err != nil {
		return answer{}, err
	}
	if limit == 0 {
		limit = -1
	}
	if perMetric == 0 {
		perMetric = -1
	}
	var found map[string][]series.Metadata
	if c.from.Metadata != nil {
		found = c.from.Metadata(c.params.get("metric"), limit, perMetric)
	}
	names := slices.Sorted(maps.Keys(found))
	return answer{data: &metadataPart{of: found, names: names, limit: limit, perMetric: perMetric}}, nil
}

// metadataPart writes an object of arrays, none of which is empty.
type metadataPart struct {
	of        map[string][]series.Metadata
	names     []string
	limit     int // families yet to be written, below zero: all
	perMetric int
	begun     bool
	written   int
}

func (p *metadataPart) next(dst []byte) ([]byte, bool) {
	if !p.begun {
		p.begun, dst = true, append(dst, '{')
	}
	for limit := len(dst) + blockBytes; len(p.names) > 0 && p.limit != p.written; {
		list := p.of[p.names[0]]
		if len(list) > 0 {
			if p.written > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, p.names[0], escapeHTML), ':')
			dst = appendMetadata(dst, list, p.perMetric)
			p.written++
		}
		p.names = p.names[1:]
		if len(dst) > limit {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

func appendMetadata(dst []byte, list []series.Metadata, limit int) []byte {
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	dst = append(dst, '[')
	for i, m := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		o := openObject(dst)
		o.text("type", string(m.Type))
		o.text("unit", m.Unit)
		o.text("help", m.Help)
		dst = o.close()
	}
	return append(dst, ']')
}

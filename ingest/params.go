package ingest

import (
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/valyala/fasthttp"
)

// extraLabels returns the labels that a request wants on all of its series:
// extra_label=name=value, any number of them. Of two with the same name the last
// counts.
func extraLabels(ctx *fasthttp.RequestCtx) ([]labels.Label, error) {
	var list []labels.Label
	for _, arg := range ctx.QueryArgs().PeekMulti("extra_label") {
		name, value, ok := strings.Cut(string(arg), "=")
		if !ok || name == "" {
			return nil, bad("extra_label is %q, write it as name=value", arg)
		}
		for i := range list {
			if list[i].Name == name {
				list = append(list[:i], list[i+1:]...)
				break
			}
		}
		list = append(list, labels.Label{Name: name, Value: value})
	}
	return list, nil
}

// timestampParam returns the time of samples that have none: timestamp in
// milliseconds, or now.
func (h *Handler) timestampParam(ctx *fasthttp.RequestCtx) (int64, error) {
	text := string(ctx.QueryArgs().Peek("timestamp"))
	if text == "" {
		return h.options.Now().UnixMilli(), nil
	}
	t, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, bad("timestamp is %q, write it in milliseconds since 1970", text)
	}
	return t, nil
}

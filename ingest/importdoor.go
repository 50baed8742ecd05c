package ingest

import (
	"mime"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/ingest/text"
)

// ImportText serves samples as they are exposed to scrapers: Prometheus's text
// format, or OpenMetrics when Content-Type says so.
func (h *Handler) ImportText(ctx *fasthttp.RequestCtx) {
	h.importLines(ctx, expositionText, func(w *worker) (lineFormat, error) {
		o := text.Options{Rules: h.options.LabelRules}
		var err error
		if o.OpenMetrics, err = isOpenMetrics(ctx); err != nil {
			return lineFormat{}, err
		}
		if o.Labels, err = extraLabels(ctx); err != nil {
			return lineFormat{}, err
		}
		if o.Timestamp, err = h.timestampParam(ctx); err != nil {
			return lineFormat{}, err
		}
		w.text.Begin(o)
		return lineFormat{decode: w.text.Line, split: splitLines, open: w.text.Open}, nil
	})
}

// ImportLines serves series as JSON, one a line, as the export writes them.
func (h *Handler) ImportLines(ctx *fasthttp.RequestCtx) {
	h.importLines(ctx, jsonLines, func(w *worker) (lineFormat, error) {
		var err error
		if w.lines.Labels, err = extraLabels(ctx); err != nil {
			return lineFormat{}, err
		}
		return lineFormat{decode: w.lines.Line, split: splitLines, open: never}, nil
	})
}

// importLines serves a format of lines whose answers are plain text.
func (h *Handler) importLines(ctx *fasthttp.RequestCtx, p protocol, begin func(*worker) (lineFormat, error)) {
	a := &account{}
	err := h.streamed(ctx, a, begin)
	status, words := h.verdict(ctx, a, err)
	h.conclude(ctx, p, a, status)
	replyText(ctx, words)
}

// isOpenMetrics reports which of the two formats of text the body is in. Types
// that say nothing, such as that of a form, which curl sends unasked, are
// Prometheus's.
func isOpenMetrics(ctx *fasthttp.RequestCtx) (bool, error) {
	contentType := string(ctx.Request.Header.ContentType())
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil, media == "":
		return false, nil
	case media == "application/openmetrics-text":
		return true, nil
	case media == "application/vnd.google.protobuf", media == mediaType:
		return false, unsupported("content type %q is not supported, text/plain and application/openmetrics-text are", contentType)
	}
	return false, nil
}

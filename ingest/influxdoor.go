package ingest

import (
	"encoding/json"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/ingest/influx"
)

// influxVersion is what senders of line protocol are told that they speak to.
const influxVersion = "1.8.0"

// Influx serves writes of InfluxDB's line protocol, versions 1 and 2.
func (h *Handler) Influx(ctx *fasthttp.RequestCtx) {
	a := &account{}
	err := h.streamed(ctx, a, func(w *worker) (lineFormat, error) {
		o, err := h.influxOptions(ctx)
		if err != nil {
			return lineFormat{}, err
		}
		w.influx.Begin(o)
		return lineFormat{decode: w.influx.Line, split: influx.Split, open: never}, nil
	})
	status, words := h.verdict(ctx, a, err)
	if err == nil && !a.faultless() {
		words = "partial write: " + words // by which senders know not to repeat it
	}
	h.conclude(ctx, influxLines, a, status)
	replyInflux(ctx, words)
}

// influxOptions reads the parameters of a write.
func (h *Handler) influxOptions(ctx *fasthttp.RequestCtx) (influx.Options, error) {
	args := ctx.QueryArgs()
	o := influx.Options{Database: string(args.Peek("db")), Now: h.options.Now().UnixMilli(), Rules: h.options.LabelRules}
	if o.Database == "" {
		o.Database = string(args.Peek("bucket"))
	}
	var err error
	if o.Precision, err = influx.ParsePrecision(string(args.Peek("precision"))); err != nil {
		return o, bad("precision: %w", err)
	}
	o.Labels, err = extraLabels(ctx)
	return o, err
}

// replyInflux puts the words of an error into the body, where both versions of
// the protocol look for them.
func replyInflux(ctx *fasthttp.RequestCtx, words string) {
	ctx.Response.Header.Set("X-Influxdb-Version", influxVersion)
	if words == "" {
		return
	}
	reply := struct {
		Error   string `json:"error"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}{words, influxCode(ctx.Response.StatusCode()), words}
	body, err := json.Marshal(reply)
	if err != nil {
		replyText(ctx, words) // impossible: these are strings
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}

// influxCode is what version 2 calls a status.
func influxCode(status int) string {
	switch {
	case status == fasthttp.StatusTooManyRequests:
		return "too many requests"
	case status == fasthttp.StatusServiceUnavailable:
		return "unavailable"
	case status >= fasthttp.StatusInternalServerError:
		return "internal error"
	}
	return "invalid"
}

// InfluxQuery answers what senders ask before they write: whether a database is
// there, or that it be made. There is one of every name.
func (h *Handler) InfluxQuery(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Influxdb-Version", influxVersion)
	ctx.SetContentType("application/json")
	q := strings.ToUpper(strings.Join(strings.Fields(string(ctx.FormValue("q"))), " "))
	if strings.HasPrefix(q, "CREATE DATABASE") {
		ctx.SetBodyString(`{"results":[{"statement_id":0}]}` + "\n")
		return
	}
	ctx.SetBodyString(`{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["_internal"]]}]}]}` + "\n")
}

// InfluxPing answers whether the server is there.
func (h *Handler) InfluxPing(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Influxdb-Version", influxVersion)
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// InfluxHealth answers as /health of version 2 does.
func (h *Handler) InfluxHealth(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Influxdb-Version", influxVersion)
	ctx.SetContentType("application/json")
	ctx.SetBodyString(`{"name":"influxdb","message":"ready for queries and writes","status":"pass","checks":[],"version":"` + influxVersion + `"}` + "\n")
}

// Package text reads metrics as they are exposed to scrapers: Prometheus's text
// format and OpenMetrics 1.0, line by line, so that a body of any length can be
// read in pieces.
//
// Promise: samples, exemplars, and what HELP, TYPE and UNIT say of a metric are
// kept. Start timestamps of OpenMetrics, the series that end in _created, become
// those of the samples beside them. Values of le and quantile are written as
// Prometheus writes them. What Prometheus's parsers accept is read as they read
// it; a line that is not of the format is an error and adds nothing, and does no
// harm to the others. A series that breaks a rule is counted in Batch.Refused.
//
// Above: ingest. Below: series, series/decimal, Prometheus's label and metric types.
// Concurrency: a Decoder belongs to one goroutine at a time.
// Read decoder.go first, then sample.go and created.go; family.go reads comments.
package text

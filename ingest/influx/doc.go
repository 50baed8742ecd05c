// Package influx reads the line protocol of InfluxDB, which Telegraf and many
// agents speak:
//
//	cpu,host=a,region=eu usage_user=1.5,usage_system=2i 1700000000000000000
//
// Promise: a field becomes the series {__name__="measurement_field", tags...},
// the field alone naming it where the measurement is empty; a label db names the
// database unless a tag of that name does. Numbers and truth values are samples,
// strings are left out. A line that is not of the protocol is an error and adds
// nothing; a series that breaks a rule is counted in Batch.Refused. Nothing is
// allocated per sample once the batch and the decoder have grown, and the labels
// of a line are encoded once for all of its fields.
//
// Above: ingest. Below: series, series/decimal.
// Concurrency: a Decoder belongs to one goroutine at a time; Split and
// ParsePrecision are pure.
// Read decoder.go first, then emit.go; scan.go knows escapes and quotes.
package influx

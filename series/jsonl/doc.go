// Package jsonl is the format in which series are exported and imported as
// text, one JSON object a line:
//
//	{"metric":{"__name__":"up","job":"node"},"values":[1,0.5,null],"timestamps":[1700000000000,1700000015000,1700000030000]}
//
// Promise: a line that AppendLine wrote gives the same labels, timestamps and
// float bits when it is read. Infinities are the strings "Infinity" and
// "-Infinity", the usual NaN is null, as VictoriaMetrics writes and reads them;
// any other NaN, stale markers among them, is "NaN:" and its bits in
// hexadecimal. A line that is not of the format is an error and adds nothing; a
// series that breaks a rule is counted in Batch.Refused.
//
// Above: ingest reads lines, query/api writes them. Below: series, series/decimal.
// Concurrency: AppendLine is pure; a Decoder belongs to one goroutine at a time.
// Read encode.go first, then decode.go; scan.go knows JSON.
package jsonl

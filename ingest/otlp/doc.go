// Package otlp turns the bodies of OTLP metrics requests
// (ExportMetricsServiceRequest in protobuf or in JSON) into batches, by the
// names, labels and values that Prometheus gives the same data.
//
// Promise: a body that is not the message is an error and nothing of it may be
// stored; a data point that cannot be stored is left out, counted in
// Batch.Refused, and does not harm its neighbours. Decoding copies what it keeps;
// the memory that a body can claim is bounded by a multiple of its length. Gauges
// and sums are decoded without allocation once the decoder has seen their names.
//
// How a door uses it: one Options for all requests, with one Deltas in it if
// senders may send deltas; a Decoder per worker, made by NewDecoder and kept. A
// request's uncompressed body goes to Decode (application/x-protobuf) or to
// DecodeJSON (application/json), with an empty batch. An error is answered 400,
// and is errors.Is ErrMalformed or ErrTooLarge. What Batch.Refused and the
// storage's refusals count is partial_success.rejected_data_points, in words
// its error_message; AppendResponse and AppendResponseJSON write that reply.
//
// Above: ingest. Below: series, Prometheus's otlptranslator for names and its
// histogram types.
// Concurrency: a Decoder belongs to one goroutine at a time; a Deltas is shared.
// Read decoder.go first, then labels.go, point.go and histogram.go; json.go
// rewrites JSON as protobuf, deltas.go adds up what came in pieces.
package otlp

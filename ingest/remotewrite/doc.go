// Package remotewrite turns the uncompressed bodies of Prometheus remote write
// 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2.Request) into
// batches, and batches into bodies.
//
// Promise: a body that is not the protobuf message is an error and nothing of
// it may be stored; a series that breaks a rule is left out, counted exactly in
// Batch.Refused, and does not harm its neighbours. Bits of floats are kept.
// Decoding copies what it keeps and allocates neither per series nor per float
// sample once the batch and the decoder have grown; the memory a body can claim
// is bounded by a multiple of its length.
//
// Above: ingest. Below: series and Prometheus's histogram types.
// Concurrency: the functions are pure; a Decoder belongs to one goroutine at a time.
// Read decoder.go first, then v1.go, v2.go and histogram.go; wire.go holds the
// protobuf wire format, encode.go the way back.
package remotewrite

// Package ingest is the HTTP door for samples: it turns what senders post, in
// whatever protocol, into batches, hands the batches to the storage, and answers
// with the status, the counts and the words that the protocol asks for.
//
// Promise: a reply of 204 (200 of OTLP) means that every sample, histogram and
// exemplar of the request is stored. A reply of 400 says how much was refused
// and why, and that sending the request again is pointless; 429 and 5xx mean that
// it must be sent again, which is harmless. Bytes in flight and requests waiting
// are bounded; beyond the bounds requests are answered 503 with Retry-After.
//
// There are two kinds of doors. Bodies of remote write and OTLP are read whole
// and stored at once (handler.go, otlpdoor.go). Bodies of lines are streamed:
// read, decoded and stored piece by piece (stream.go, lines.go), with all doors
// of that kind differing in a lineFormat alone. A new door is a folder with a
// decoder, a file that reads its parameters and writes its reply, a protocol in
// request.go, and a line in routes.go; gates, compression, buffers, the account
// of a request, its metrics and its log are shared.
//
// Above: server, which serves Routes. Below: ingest/remotewrite, otlp, influx and
// text, and series/jsonl, for the formats; series for the batch, kv for the error
// of a full disk; the storage is an Appender.
// Concurrency: a Handler serves any number of requests at once. No lock is held
// while another is taken or while anything waits.
// Read handler.go first, then reply.go, stream.go, body.go and gate.go.
package ingest

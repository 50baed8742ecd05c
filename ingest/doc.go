// Package ingest is the HTTP door for samples: it turns what a remote write
// sender posts into a batch, hands the batch to the storage, and answers with
// the status, the counts and the words that the protocol asks for.
//
// Promise: a reply of 204 means that every sample, histogram and exemplar of the
// request is stored. A reply of 400 says how much was refused and why, and that
// sending the request again is pointless; 5xx means that it must be sent again,
// which is harmless. Bytes in flight and requests waiting are bounded; beyond
// the bounds requests are answered 503 with Retry-After.
//
// Above: server, which maps paths to Handle. Below: ingest/remotewrite for the
// formats, series for the batch, kv for the error of a full disk; the storage
// is an Appender.
// Concurrency: a Handler serves any number of requests at once. No lock is held
// while another is taken or while anything waits.
// Read handler.go first, then body.go and gate.go.
package ingest

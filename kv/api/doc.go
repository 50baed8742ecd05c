// Package api is the HTTP door of the generic keyspaces: values of any bytes
// under keys of any bytes, with conditions, expiry, listings and atomic batches,
// on any kv.Store.
//
// Above: server hands it everything below /kv/v1/ and steps Sweep. Below: kv,
// kv/keyspace.
// Concurrency: Handle and Sweep may run together; a key is read, checked and
// written under the lock of its stripe (locks.go). Several stripes are locked in
// ascending order.
// Invariant: an expired row is never returned and never satisfies a condition,
// whether or not it has been removed.
//
// # Requests
//
// A keyspace's name has 1 to 128 bytes of [a-zA-Z0-9._-]; keyspaces need not be
// created. A key is everything after the keyspace's slash, percent-decoded: it
// may hold slashes and any bytes (%00), up to 4 KiB; the server's buffer for
// request headers should have 16 KiB, for a key with every byte encoded.
//
//	GET    /kv/v1/{keyspace}/{key}   the value; HEAD without its body
//	PUT    /kv/v1/{keyspace}/{key}   body is the value; 201 if the key is new, else 204
//	DELETE /kv/v1/{keyspace}/{key}   204, also if there is no such key
//	GET    /kv/v1/{keyspace}         a page of rows, in key order (list.go)
//	POST   /kv/v1/{keyspace}         an atomic batch (batch.go)
//
// Each value has a strong ETag. If-Match and If-None-Match hold lists of tags or
// *; a condition that fails is answered 412, or 304 to GET and HEAD with
// If-None-Match. PUT takes an expiry as ?ttl=30s or in the header Varve-TTL (a
// duration as in PromQL); GET tells it in the header Varve-Expires. Writes are on
// stable storage when they are answered.
//
// An error is {"status":"error","errorType":"...","error":"..."}.
//
// Read handler.go first, then record.go, value.go, list.go, batch.go and sweep.go.
package api

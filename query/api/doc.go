// Package api is the read side of Prometheus's HTTP API over storage interfaces:
// queries, labels, series, exemplars, metadata, status, federation and remote
// read, with Prometheus's parameters, error texts, status codes and JSON.
//
// Above: server, which mounts Routes. Below: query, which runs queries within
// limits, and query/watch, which notices clients that leave.
// Concurrency: an API's handlers run together; a call, its parameters and its
// body belong to one request.
// Invariant: an answer is well-formed JSON or an error with its status code; once
// the first byte of an answer is sent, a failure closes the connection.
// Read api.go first, then handle.go, query.go and body.go.
package api

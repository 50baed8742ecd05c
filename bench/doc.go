// Package bench puts load on a server that speaks remote write or Prometheus's
// HTTP API, Varve or another, and reports what the load cost it.
//
// Above: cmd/varve's bench commands and the comparison in bench/peers. Below:
// a snappy, a zstd and an HTTP library; nothing of the database, so that a
// mistake in the product cannot hide in its own measurement.
//
// The generator must stay far cheaper than the server it shares a machine with.
// So a request's body is encoded and compressed once: labels stay as they are,
// and before each send only the values and timestamps are written over, in the
// compressed bytes. See template.go.
//
// Concurrency: Ingest and Query start and stop their own goroutines; a Source
// belongs to one connection.
// Read ingest.go first, then fleet.go, template.go and replay.go; query.go stands
// alone. dataset.go and datasets.go make what queries are compared on.
package bench

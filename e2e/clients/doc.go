// Package clients lets each protocol's own client library write to Varve: the
// OpenTelemetry SDK, InfluxDB's client, and client_golang's for remote write. It is
// a module of its own, so that the product does not depend on them.
package clients

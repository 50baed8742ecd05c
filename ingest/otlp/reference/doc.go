// Package reference proves that package otlp makes of OTLP requests what
// Prometheus makes of them: it holds tests alone, apart because Prometheus's
// translator brings much with it.
//
// Above: nothing. Below: ingest/otlp.
// Concurrency: none.
// Read prometheus_test.go first; golden_test.go has a request of each kind.
package reference

// Package tsdbtest lends Prometheus's test scripts a tsdb.DB as storage.
//
// Above: tests only. Below: tsdb, kv/memkv.
// Concurrency: a Storage belongs to the test that made it.
// Read storage.go.
package tsdbtest

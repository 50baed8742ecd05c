// Package tsdb keeps one node's samples in a keyspace: an append is durable in
// the log before it returns, waits in the head until its epoch is flushed, and
// is found by Select, sample by sample, or by SelectColumns, series by series,
// wherever it is.
//
// Above: ingest, query, retention and server, through interfaces of their own.
// Below: tsdb/head, tsdb/block, index, chunks, kv and series.
//
// Concurrency: a DB's methods may be called together. One flush runs at a time.
// Lock order: eraseMu, sealMu, flushMu, dropMu, epochMu, viewMu; the locks of index and head are
// leaves.
//
// Invariants: a sample is readable only after its batch is durable. An epoch's
// rows leave the log only after the mark that it is flushed is durable, together
// with its chunks. A view lists each flush and each epoch at most once, and a
// flush whose epoch is in the same view is read from memory.
//
// Read db.go first, then append.go, flush.go, seal.go, recover.go, view.go,
// selectseries.go and columns.go.
package tsdb

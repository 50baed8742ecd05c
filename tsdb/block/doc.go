// Package block lays the samples of a partition out as rows of the keyspace and
// reads them back. A partition is a window of time of one tenant; it consists
// of generations, each with its own series numbers (ordinals) and index, and a
// generation of flushes, each written at once from one epoch.
//
// Above: tsdb. Below: chunks, index, tsdb/head, kv and its keyspace.
// Concurrency: a Reader is safe for concurrent use; a Writer is not.
// Invariant: no key is written twice; a flush is readable if and only if its
// summary row exists, and all its rows arrive together with it.
// Read keys.go first, then writer.go, reader.go and match.go.
package block

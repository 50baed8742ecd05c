// Package pebblekv is an ordered keyspace on disk, kept by Pebble: one log whose
// fsync all commits in flight share, and sorted tables below it.
//
// Above: server opens it; everything else sees a kv.Store. Below: kv, Pebble.
// Concurrency: as kv.Store says. Close waits for calls that are under way.
// Invariants: what Apply acknowledged with kv.Sync is on stable storage; a failed
// fsync is never retried, Options.Fatal ends the process; damaged bytes become
// kv.ErrCorrupt, never other values; below the disk reserve writes are refused
// while everything else goes on.
//
// A data folder holds Pebble's files and besides them FORMAT (format.go), BALLAST
// (space.go) and the folder tmp-ingest (table.go).
// Read open.go first, then store.go, apply.go and space.go.
package pebblekv

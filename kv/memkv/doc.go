// Package memkv is an ordered keyspace in memory: the model against which other
// engines and the packages above them are tested, and a store for tests that
// need no disk. Nothing outlives Close.
//
// Above: tests. Below: kv and a copy-on-write B-tree.
// Concurrency: as kv.Store says; writes are serialized by one lock.
// Invariant: a tree that an iterator or a snapshot holds never changes.
// Read memkv.go first, then table.go.
package memkv

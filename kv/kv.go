// Package kv is the contract of an ordered byte keyspace: point reads, scans,
// atomic batches and snapshots, and a few capabilities that an engine may have
// besides.
//
// Above: tsdb and the packages that keep their state in rows. Below: nothing;
// pebblekv keeps the promise on disk, memkv in memory, and kvtest judges both.
// Concurrency: a Store's methods may be called together; an Iterator and a
// Batch belong to one goroutine at a time.
// Read kv.go first, then batch.go and errors.go.
package kv

import "context"

// Reader reads an ordered keyspace.
type Reader interface {
	// Get returns a copy of the value of key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan returns an iterator over the keys in [lower, upper); a nil upper is
	// the end of the keyspace. It is not positioned: SeekGE comes first. It sees
	// the keyspace as it was when Scan returned, until it is closed.
	Scan(lower, upper []byte) (Iterator, error)
}

// Snapshot is a Reader that sees the keyspace at one moment, for all its reads.
type Snapshot interface {
	Reader
	Close() error
}

// Store is an ordered byte keyspace.
type Store interface {
	Reader
	// Apply makes all of batch visible at once or not at all. With Sync it
	// returns after the batch is on stable storage; concurrent calls share one
	// fsync. The batch may be reused afterwards.
	Apply(batch *Batch, durability Durability) error
	// Snapshot pins the present state.
	Snapshot() Snapshot
	// Close releases the store. Iterators and snapshots must be closed before.
	Close() error
}

// Durability says when Apply may return.
type Durability bool

// Sync waits for stable storage; NoSync returns once the batch is visible. A
// later Sync makes earlier NoSync batches durable too.
const (
	Sync   Durability = true
	NoSync Durability = false
)

// Iterator walks keys in ascending order. Key and Value return memory that is
// valid until the next move; the caller must not change it.
type Iterator interface {
	// SeekGE moves to the first key that is at least key, and reports whether
	// there is one inside the bounds.
	SeekGE(key []byte) bool
	// Next moves on and reports whether there is a key.
	Next() bool
	Key() []byte
	// Value returns the value. After an error it is nil and Err tells.
	Value() []byte
	// Err returns the error that ended the walk or spoilt a value.
	Err() error
	Close() error
}

// Table is a sorted run of new keys that is built apart from the keyspace and
// becomes part of it through Ingest.
type Table interface {
	// Set adds a key, which must be above the last one. The bytes are copied.
	Set(key, value []byte) error
	// Size returns the bytes written so far, about what they take on disk.
	Size() uint64
	// Finish completes the table; only Ingest or Abandon may follow.
	Finish() error
	// Abandon drops the table and its file. After Ingest it does nothing.
	Abandon()
}

// Ingester is a Store that takes prebuilt tables.
type Ingester interface {
	// NewTable starts a table.
	NewTable() (Table, error)
	// Ingest makes finished tables visible and durable, all at once or not at
	// all. Their key ranges must not overlap each other.
	Ingest(ctx context.Context, tables []Table) error
}

// Exciser is a Store that drops a span of keys at a cost that does not grow
// with what lies in it. Open iterators keep seeing the span; snapshots may not.
type Exciser interface {
	// Excise removes the keys in [lower, upper), durably.
	Excise(ctx context.Context, lower, upper []byte) error
}

// Checkpointer is a Store that can be copied consistently while in use.
type Checkpointer interface {
	// Checkpoint writes a store with the present content into dir, a folder on
	// the same file system that must not exist.
	Checkpoint(dir string) error
}

// SpaceUser is a Store that knows how much space a span takes.
type SpaceUser interface {
	// Usage estimates the bytes on disk of the keys in [lower, upper).
	Usage(lower, upper []byte) (uint64, error)
}

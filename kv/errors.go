package kv

import "errors"

// What callers branch on.
var (
	// ErrNotFound means that the key does not exist.
	ErrNotFound = errors.New("key not found")
	// ErrCorrupt means that stored bytes are damaged.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrFull means that the disk's reserve is reached: reads go on, writes
	// are refused until there is space again.
	ErrFull = errors.New("disk space reserve reached")
	// ErrInUse means that another process has the data folder open.
	ErrInUse = errors.New("data folder is in use by another process")
	// ErrNewerFormat means that a newer version wrote the data folder.
	ErrNewerFormat = errors.New("data folder has a newer format than this version reads")
)

package backup

import (
	"context"
	"errors"
	"io"
	"time"
)

// Repository keeps objects by name. Names are paths with slashes. An object is
// there with its whole content or not at all.
type Repository interface {
	// Put stores size bytes of content under name, durably.
	Put(ctx context.Context, name string, content io.Reader, size int64) error
	// Get reads an object, or fails with ErrNotFound.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the objects whose names begin with prefix, by name.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Remove removes an object; one that is not there is no error.
	Remove(ctx context.Context, name string) error
}

// Object describes what a Repository holds.
type Object struct {
	Name    string
	Size    int64 // bytes
	Changed time.Time
}

var (
	// ErrNotFound means that a repository has no such object, or no such backup.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt means that what was read is not what was written.
	ErrCorrupt = errors.New("corrupt")
)

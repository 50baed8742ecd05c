package pebblekv

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	crdberrors "github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"

	"github.com/varve-db/varve/kv"
)

// wrap names what failed, and marks damage as kv.ErrCorrupt.
func wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrCorrupt), !pebble.IsCorruptionError(err):
		return fmt.Errorf("%s: %w", what, err)
	}
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return fmt.Errorf("%s: file %s: %w: %w", what, info.Path, kv.ErrCorrupt, err)
	}
	return fmt.Errorf("%s: %w: %w", what, kv.ErrCorrupt, err)
}

const (
	adviceInUse   = "stop the process that uses it, or choose another data folder"
	adviceNewer   = "run the version that wrote it, or a newer one"
	adviceCorrupt = "restore the folder from a backup, or start with a new data folder; nothing was changed"
)

// openError explains why a folder cannot be opened. Whatever is not the
// operating system refusing something is damage: Pebble opens every folder that
// is whole.
func openError(dir string, err error) error {
	what := fmt.Sprintf("open store in %s", dir)
	var errno syscall.Errno
	switch {
	case errors.Is(err, kv.ErrCorrupt), errors.Is(err, pebble.ErrDBDoesNotExist):
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, fs.ErrNotExist), pebble.IsCorruptionError(err):
	case errors.As(err, &errno):
		return fmt.Errorf("%s: %w", what, err)
	}
	if details := crdberrors.FlattenDetails(err); details != "" {
		what += ": " + details
	}
	return fmt.Errorf("%s: %w (%s): %w", what, kv.ErrCorrupt, adviceCorrupt, err)
}

// damaged says that a file of the folder cannot be trusted.
func damaged(path, detail string) error {
	return fmt.Errorf("file %s: %s: %w (%s)", path, detail, kv.ErrCorrupt, adviceCorrupt)
}

// lockError explains why the folder could not be locked. The lock itself fails
// without naming a file; a file that cannot be created has a path.
func lockError(dir string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("open store in %s: lock: %w", dir, err)
	}
	return fmt.Errorf("open store in %s: %w (%s): %w", dir, kv.ErrInUse, adviceInUse, err)
}

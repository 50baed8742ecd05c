package server

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/varve-db/varve/kv"
)

// Advice says what a person can do about an error of Open or Serve, or nothing
// when the error says it all.
func Advice(err error) string {
	switch {
	case errors.Is(err, kv.ErrInUse):
		return "another process has the data folder open: stop it, or give this one a folder of its own with --storage.path"
	case errors.Is(err, kv.ErrNewerFormat):
		return "a newer version wrote the data folder: start that version again, or restore a copy made before the upgrade"
	case errors.Is(err, kv.ErrCorrupt):
		return "stored bytes are damaged: keep a copy of the data folder as it is, then restore the last snapshot (docs/OPERATIONS.md, \"Damaged data\")"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another process has the port: stop it, or choose another with --http.listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have that address: choose another with --http.listen"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, kv.ErrFull):
		return "the disk is full: make space, or move the data folder to a larger disk"
	case errors.Is(err, fs.ErrPermission):
		return "the operating system refuses: check the owner of the data folder, and use a port above 1023"
	}
	return ""
}

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
)

// Folder is a Repository in a folder.
type Folder struct {
	root *os.Root
	put  atomic.Uint64 // numbers files being written
}

// NewFolder returns the repository in root, which stays the caller's to close.
func NewFolder(root *os.Root) *Folder { return &Folder{root: root} }

// unfinished marks files being written; a crash leaves them, and nobody reads them.
const unfinished = ".unfinished-"

// Put writes a file of another name, syncs it, and renames it.
func (f *Folder) Put(_ context.Context, name string, content io.Reader, size int64) (err error) {
	dir := path.Dir(name)
	if err := f.root.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make folder %s: %w", dir, err)
	}
	temporary := path.Join(dir, fmt.Sprintf("%s%d-%d-%s", unfinished, os.Getpid(), f.put.Add(1), path.Base(name)))
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", name, err), ignoreMissing(f.root.Remove(temporary)))
		}
	}()
	if err := f.write(temporary, content, size); err != nil {
		return err
	}
	if err := f.root.Rename(temporary, name); err != nil {
		return err
	}
	return f.syncFolders(dir)
}

func (f *Folder) write(name string, content io.Reader, size int64) error {
	file, err := f.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, content)
	if err == nil && n != size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, n, size)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolders makes the entries in dir, and those of dir above it, durable.
func (f *Folder) syncFolders(dir string) error {
	for {
		d, err := f.root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("sync folder %s: %w", dir, err)
		}
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}

// Get opens a file.
func (f *Folder) Get(_ context.Context, name string) (io.ReadCloser, error) {
	file, err := f.root.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotFound
		}
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return file, nil
}

// List walks the folder of prefix, which ends in a slash.
func (f *Folder) List(ctx context.Context, prefix string) ([]Object, error) {
	var list []Object
	err := fs.WalkDir(f.root.FS(), path.Clean(prefix), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir() || strings.HasPrefix(entry.Name(), unfinished):
			return ctx.Err()
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		list = append(list, Object{name, info.Size(), info.ModTime()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	slices.SortFunc(list, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Remove deletes a file.
func (f *Folder) Remove(_ context.Context, name string) error {
	if err := ignoreMissing(f.root.Remove(name)); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

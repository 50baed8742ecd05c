package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Restore writes the files of a backup into a folder and syncs them. Files that
// are there with the right content, from an attempt that was interrupted, stay;
// all others go.
func Restore(ctx context.Context, from Repository, m *Manifest, to *os.Root, o Options) (Report, error) {
	o = o.withDefaults()
	if err := removeOthers(to, m); err != nil {
		return Report{}, err
	}
	c := &copying{options: o, total: m.Bytes()}
	err := c.each(ctx, m.Files, func(ctx context.Context, i int) error { return c.restore(ctx, from, m.Files[i], to) })
	if err != nil {
		return Report{}, err
	}
	folders := map[string]bool{".": true}
	for _, f := range m.Files {
		folders[path.Dir(f.Path)] = true
	}
	folder := NewFolder(to)
	for dir := range folders {
		if err := folder.syncFolders(dir); err != nil {
			return Report{}, err
		}
	}
	return c.report(m), nil
}

// removeOthers removes the files that are not the backup's: a store that has been
// opened makes some, which must not meet those of another state.
func removeOthers(in *os.Root, m *Manifest) error {
	files, err := listFiles(in.FS())
	if err != nil {
		return fmt.Errorf("list what is in the folder: %w", err)
	}
	wanted := map[string]bool{}
	for _, f := range m.Files {
		wanted[f.Path] = true
	}
	for _, f := range files {
		if wanted[f.Path] {
			continue
		}
		if err := in.Remove(f.Path); err != nil {
			return fmt.Errorf("remove %s: %w", f.Path, err)
		}
	}
	return nil
}

func (c *copying) restore(ctx context.Context, from Repository, f File, to *os.Root) error {
	there, err := holds(ctx, to, f)
	if err != nil {
		return fmt.Errorf("look at %s: %w", f.Path, err)
	}
	if !there {
		if err := download(ctx, from, f, to); err != nil {
			return fmt.Errorf("restore %s: %w", f.Path, err)
		}
		c.copied.Add(1)
		c.copiedBytes.Add(f.Size)
	}
	c.advance(f.Size)
	return nil
}

// holds reports whether the folder has the file with its content.
func holds(ctx context.Context, in *os.Root, f File) (bool, error) {
	file, err := in.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	sum, err := sumOf(ctx, file, f.Size)
	err = errors.Join(err, file.Close())
	if errors.Is(err, ErrCorrupt) { // it has another length
		return false, nil
	}
	return sum == f.SHA256, err
}

func download(ctx context.Context, from Repository, f File, to *os.Root) error {
	in, err := open(ctx, from, f)
	if err != nil {
		return err
	}
	if dir := path.Dir(f.Path); dir != "." {
		err = to.MkdirAll(dir, 0o750)
	}
	if err == nil {
		err = writeFile(ctx, to, f, in)
	}
	return errors.Join(err, in.Close())
}

func writeFile(ctx context.Context, to *os.Root, f File, in io.Reader) error {
	out, err := to.OpenFile(f.Path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), reader{ctx, in})
	if sum := sumText(h); err == nil && sum != f.SHA256 {
		err = fmt.Errorf("%w: its SHA-256 is %s instead of %s", ErrCorrupt, sum, f.SHA256)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// Verify reads all files of a backup, and returns what is wrong with them.
func Verify(ctx context.Context, in Repository, m *Manifest, o Options) (Report, error) {
	c := &copying{options: o.withDefaults(), total: m.Bytes()}
	wrong := make([]error, len(m.Files))
	err := c.each(ctx, m.Files, func(ctx context.Context, i int) error {
		if err := readObject(ctx, in, m.Files[i]); err != nil {
			wrong[i] = fmt.Errorf("verify %s: %w", m.Files[i].Path, err)
		}
		c.advance(m.Files[i].Size)
		return ctx.Err()
	})
	return c.report(m), errors.Join(err, errors.Join(wrong...))
}

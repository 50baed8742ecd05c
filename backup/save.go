package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options tune Save, Restore and Verify. The zero value works.
type Options struct {
	Version string // of the program, for the manifest
	// Parallel is how many files are copied at a time; default 4.
	Parallel int
	// Trust skips reading back what was uploaded.
	Trust bool
	// Progress is called as bytes are dealt with, by several goroutines.
	Progress func(done, total int64)
	// Now and Random name backups; they must be set for Save.
	Now    func() time.Time
	Random func() uint64
}

func (o Options) withDefaults() Options {
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	return o
}

// Report is what an operation did.
type Report struct {
	Name        string `json:"name"` // of the backup
	Files       int    `json:"files"`
	Bytes       int64  `json:"bytes"`
	CopiedFiles int    `json:"copiedFiles"` // the rest was there
	CopiedBytes int64  `json:"copiedBytes"`
}

// Save copies the files of from, which must not change meanwhile, into a new
// backup. Content that the repository holds is not sent again. When Save fails
// there is no new backup; what was sent serves the next attempt.
func Save(ctx context.Context, from fs.FS, to Repository, o Options) (Report, error) {
	o = o.withDefaults()
	files, err := listFiles(from)
	if err != nil {
		return Report{}, fmt.Errorf("list files: %w", err)
	}
	taken := o.Now().UTC()
	m := &Manifest{
		Format: manifestFormat, Version: o.Version, Taken: taken, Files: files,
		Name: fmt.Sprintf("%s-%08x", taken.Format("20060102T150405Z"), uint32(o.Random())),
	}
	s := &saving{copying{options: o, total: m.Bytes()}, from, to, nil, nil}
	if s.held, err = heldObjects(ctx, to); err != nil {
		return Report{}, err
	}
	if s.proven, err = provenObjects(ctx, to); err != nil {
		return Report{}, err
	}
	err = s.each(ctx, m.Files, func(ctx context.Context, i int) error { return s.save(ctx, &m.Files[i]) })
	if err != nil {
		return Report{}, err
	}
	// Somebody may have removed what was there at the start.
	held, err := heldObjects(ctx, to)
	if err != nil {
		return Report{}, err
	}
	for _, f := range m.Files {
		if size, ok := held[f.object()]; f.Size > 0 && (!ok || size != f.Size) {
			return Report{}, fmt.Errorf("check %s: its object %s has gone from the repository: %w", f.Path, f.object(), ErrNotFound)
		}
	}
	text, err := encodeManifest(m)
	if err != nil {
		return Report{}, err
	}
	if err := to.Put(ctx, backupsPrefix+m.Name+nameSuffix, bytes.NewReader(text), int64(len(text))); err != nil {
		return Report{}, fmt.Errorf("store manifest: %w", err)
	}
	return s.report(m), nil
}

// listFiles returns the files in from by path, their sums not known yet.
func listFiles(from fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(from, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file", path)
		}
		files = append(files, File{Path: path, Size: info.Size()})
		return nil
	})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

// heldObjects returns the sizes of the objects in a repository, by name.
func heldObjects(ctx context.Context, in Repository) (map[string]int64, error) {
	objects, err := in.List(ctx, objectsPrefix)
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	held := make(map[string]int64, len(objects))
	for _, o := range objects {
		held[o.Name] = o.Size
	}
	return held, nil
}

// provenObjects returns the objects of the newest backup, which were read back
// before it was written.
func provenObjects(ctx context.Context, in Repository) (map[string]bool, error) {
	m, err := Load(ctx, in, Latest)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	proven := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		proven[f.object()] = true
	}
	return proven, nil
}

// copying is one operation over many files.
type copying struct {
	options     Options
	total       int64
	done        atomic.Int64
	copied      atomic.Int64
	copiedBytes atomic.Int64
}

func (c *copying) report(m *Manifest) Report {
	return Report{m.Name, len(m.Files), m.Bytes(), int(c.copied.Load()), c.copiedBytes.Load()}
}

func (c *copying) each(ctx context.Context, files []File, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.options.Parallel)
	for i := range files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx, i)
		})
	}
	return group.Wait()
}

func (c *copying) advance(n int64) { c.options.Progress(c.done.Add(n), c.total) }

// saving is a backup being made.
type saving struct {
	copying
	from   fs.FS
	to     Repository
	held   map[string]int64 // sizes of objects, by name
	proven map[string]bool  // those that need not be read back
}

// save finds the sum of a file and uploads it unless it is there.
func (s *saving) save(ctx context.Context, f *File) error {
	in, err := s.from.Open(f.Path)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	f.SHA256, err = sumOf(ctx, in, f.Size)
	if err = errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	there, err := s.there(ctx, *f)
	if err == nil && !there {
		err = s.upload(ctx, *f)
		s.copied.Add(1)
		s.copiedBytes.Add(f.Size)
	}
	if err != nil {
		return fmt.Errorf("back up %s: %w", f.Path, err)
	}
	s.advance(f.Size)
	return nil
}

// there reports whether the repository has the content of a file. What another
// attempt left, which was interrupted, is read first.
func (s *saving) there(ctx context.Context, f File) (bool, error) {
	if f.Size == 0 {
		return true, nil
	}
	if size, ok := s.held[f.object()]; !ok || size != f.Size {
		return false, nil
	}
	if s.options.Trust || s.proven[f.object()] {
		return true, nil
	}
	err := readObject(ctx, s.to, f)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *saving) upload(ctx context.Context, f File) error {
	in, err := s.from.Open(f.Path)
	if err != nil {
		return err
	}
	err = s.to.Put(ctx, f.object(), reader{ctx, in}, f.Size)
	if err = errors.Join(err, in.Close()); err != nil {
		return err
	}
	if s.options.Trust {
		return nil
	}
	return readObject(ctx, s.to, f)
}

// readObject reads the object of a file and compares its sum.
func readObject(ctx context.Context, from Repository, f File) error {
	in, err := open(ctx, from, f)
	if err != nil {
		return err
	}
	sum, err := sumOf(ctx, in, f.Size)
	if err = errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("read back %s: %w", f.object(), err)
	}
	if sum != f.SHA256 {
		return fmt.Errorf("read back %s: %w: its SHA-256 is %s", f.object(), ErrCorrupt, sum)
	}
	return nil
}

// open reads the content of a file. Nothing is stored for an empty one.
func open(ctx context.Context, from Repository, f File) (io.ReadCloser, error) {
	if f.Size == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return from.Get(ctx, f.object())
}

// sumOf returns the SHA-256 of what in holds, which must be size bytes.
func sumOf(ctx context.Context, in io.Reader, size int64) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, reader{ctx, in})
	if err == nil && n != size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, n, size)
	}
	return sumText(h), err
}

func sumText(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// reader ends with its context.
type reader struct {
	ctx context.Context
	in  io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}

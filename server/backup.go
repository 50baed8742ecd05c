package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/varve-db/varve/backup"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/tsdb"
)

// Repository is where backups are: a folder, or s3://bucket/path.
type Repository struct {
	Where  string
	Bucket backup.BucketOptions
}

const bucketScheme = "s3://"

// open returns the repository; a folder is made if it may be.
func (r Repository) open(make bool) (backup.Repository, func() error, error) {
	if rest, ok := strings.CutPrefix(r.Where, bucketScheme); ok {
		name, prefix, _ := strings.Cut(rest, "/")
		if name == "" {
			return nil, nil, fmt.Errorf("open repository %q: the bucket has no name", r.Where)
		}
		bucket, err := backup.NewBucket(name, prefix, r.Bucket)
		return bucket, func() error { return nil }, err
	}
	if r.Where == "" {
		return nil, nil, errors.New("open repository: say where backups are")
	}
	if make {
		if err := os.MkdirAll(r.Where, 0o750); err != nil {
			return nil, nil, fmt.Errorf("open repository: %w", err)
		}
	}
	root, err := os.OpenRoot(r.Where)
	if err != nil {
		return nil, nil, fmt.Errorf("open repository: %w", err)
	}
	return backup.NewFolder(root), root.Close, nil
}

// Console is where a command tells what it does.
type Console struct {
	Out      io.Writer // gets the report
	Progress io.Writer // gets a line that rewrites itself; io.Discard for none
	JSON     bool      // write the report as JSON
}

func (c Console) progress(verb string) func(done, total int64) {
	return func(done, total int64) {
		fmt.Fprintf(c.Progress, "\r%s %3d %% of %s ", verb, done*100/max(total, 1), byteText(uint64(total)))
	}
}

func (c Console) report(v any, text string) error {
	fmt.Fprint(c.Progress, "\r\x1b[K")
	if c.JSON {
		encoder := json.NewEncoder(c.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	_, err := io.WriteString(c.Out, text)
	return err
}

// Backup copies a data folder into a repository.
type Backup struct {
	Repository
	Console
	Path string // the data folder (storage.path)
	// URL is the server that uses the folder, which takes a snapshot of it; ""
	// when none does.
	URL     string
	Client  *http.Client
	Keep    backup.Keep // applied after the backup, unless zero
	Options backup.Options
}

// Run takes a snapshot, copies it, and removes it again.
func (b Backup) Run(ctx context.Context) (err error) {
	to, done, err := b.open(true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	var dir string
	if b.URL == "" {
		dir, err = b.snapshotOffline()
	} else {
		dir, err = b.snapshotServer(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	options := b.Options
	options.Progress = b.progress("backed up")
	report, err := backup.Save(ctx, os.DirFS(dir), to, options)
	if err != nil {
		return fmt.Errorf("back up %s: %w", b.Path, err)
	}
	text := fmt.Sprintf("backup   %s\nsize     %s in %d files\ncopied   %s in %d files\n", report.Name,
		byteText(uint64(report.Bytes)), report.Files, byteText(uint64(report.CopiedBytes)), report.CopiedFiles)
	result := struct {
		backup.Report
		Removed []string `json:"removed,omitempty"`
		Freed   int64    `json:"freedBytes,omitempty"`
	}{Report: report}
	if b.Keep != (backup.Keep{}) {
		if result.Removed, result.Freed, err = backup.Prune(ctx, to, b.Keep, b.Options.Now()); err != nil {
			return err
		}
		text += fmt.Sprintf("removed  %d older backups, %s\n", len(result.Removed), byteText(uint64(result.Freed)))
	}
	return b.report(result, text)
}

// snapshotServer asks the server for a snapshot and returns its folder.
func (b Backup) snapshotServer(ctx context.Context) (string, error) {
	at, err := url.JoinPath(b.URL, "/api/v1/admin/tsdb/snapshot")
	if err != nil {
		return "", fmt.Errorf("take a snapshot: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, nil)
	if err != nil {
		return "", fmt.Errorf("take a snapshot: %w", err)
	}
	response, err := b.Client.Do(request)
	if err != nil {
		return "", fmt.Errorf("take a snapshot: %w (is a server running? --offline backs up a folder that none uses)", err)
	}
	defer response.Body.Close()
	var reply struct {
		Error string
		Data  struct{ Name string }
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&reply)
	if err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("take a snapshot: %s answers %s: %s", at, response.Status, reply.Error)
	}
	dir := filepath.Join(b.Path, snapshotFolder, filepath.Base(reply.Data.Name))
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("find the snapshot: %w (storage.path must be the folder that the server uses)", err)
	}
	return dir, nil
}

// snapshotOffline opens the store of a folder that no server uses, and copies it.
func (b Backup) snapshotOffline() (dir string, err error) {
	from := filepath.Join(b.Path, storeFolder)
	if _, err := os.Stat(from); err != nil {
		return "", fmt.Errorf("open data folder: %w", err)
	}
	store, err := pebblekv.Open(from, pebblekv.Options{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	taker := admin{snapshot: store.Checkpoint}
	dir = filepath.Join(b.Path, snapshotFolder, fmt.Sprintf("backup-%016x", b.Options.Random()))
	return dir, taker.copyInto(dir)
}

// Backups looks into a repository.
type Backups struct {
	Repository
	Console
}

// List names the backups in a repository.
func (b Backups) List(ctx context.Context) (err error) {
	from, done, err := b.open(false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	names, err := backup.Names(ctx, from)
	if err != nil {
		return err
	}
	type line struct {
		Name  string    `json:"name"`
		Taken time.Time `json:"taken"`
		Files int       `json:"files"`
		Bytes int64     `json:"bytes"`
	}
	lines := []line{}
	var text strings.Builder
	for _, name := range names {
		m, err := backup.Load(ctx, from, name)
		if err != nil {
			return err
		}
		l := line{name, m.Taken, len(m.Files), m.Bytes()}
		lines = append(lines, l)
		fmt.Fprintf(&text, "%s  %s  %10s\n", l.Name, l.Taken.Format(time.RFC3339), byteText(uint64(l.Bytes)))
	}
	return b.report(lines, text.String())
}

// Verify reads a backup and compares all its checksums.
func (b Backups) Verify(ctx context.Context, name string) (err error) {
	from, done, err := b.open(false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	m, err := backup.Load(ctx, from, name)
	if err != nil {
		return err
	}
	report, err := backup.Verify(ctx, from, m, backup.Options{Progress: b.progress("verified")})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return b.report(report, fmt.Sprintf("backup   %s\nwhole    %s in %d files\n", report.Name, byteText(uint64(report.Bytes)), report.Files))
}

// Restore makes a data folder from a backup.
type Restore struct {
	Repository
	Console
	Name   string // of the backup, or latest
	Path   string // the data folder to make
	Random func() uint64
}

// restoring is the folder beside the data folder in which one is put together.
const restoring = ".restoring"

// Run restores into a folder beside the data folder, gives the store an identity
// of its own, and renames it. An interrupted one goes on where it stopped.
func (r Restore) Run(ctx context.Context) (err error) {
	from, done, err := r.open(false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	target := filepath.Join(r.Path, storeFolder)
	if _, err := os.Stat(target); err == nil {
		return fmt.Errorf("restore into %s: it holds a store; choose another folder, or move that one away", r.Path)
	}
	m, err := backup.Load(ctx, from, r.Name)
	if err != nil {
		return err
	}
	temporary := filepath.Join(r.Path, restoring)
	if err := os.MkdirAll(temporary, 0o750); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	root, err := os.OpenRoot(temporary)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	report, err := backup.Restore(ctx, from, m, root, backup.Options{Progress: r.progress("restored")})
	if err != nil {
		return fmt.Errorf("restore %s: %w", m.Name, err)
	}
	if err := reidentify(filepath.Join(temporary, storeFolder), r.Random); err != nil {
		return fmt.Errorf("restore %s: %w", m.Name, err)
	}
	if err := os.Rename(filepath.Join(temporary, storeFolder), target); err != nil {
		return fmt.Errorf("restore %s: %w", m.Name, err)
	}
	if err := errors.Join(os.RemoveAll(temporary), syncFolder(r.Path)); err != nil {
		return fmt.Errorf("restore %s: %w", m.Name, err)
	}
	return r.report(report, fmt.Sprintf("restored %s\nsize     %s in %d files\ninto     %s\n",
		report.Name, byteText(uint64(report.Bytes)), report.Files, r.Path))
}

func reidentify(dir string, random func() uint64) error {
	store, err := pebblekv.Open(dir, pebblekv.Options{})
	if err != nil {
		return err
	}
	return errors.Join(tsdb.Reidentify(store, random), store.Close())
}

// syncFolder makes the entries of a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/varve-db/varve/kv"
)

// tableDir holds tables until they are ingested, by a link into the folder. What
// a crash leaves there is removed at the next start.
const tableDir = "tmp-ingest"

type tableNames struct{ next atomic.Uint64 }

// emptyTables creates the folder for tables, empty and durable, so that a later
// ingest needs no more than the table's own file.
func (s *Store) emptyTables() error {
	dir := s.files.PathJoin(s.dir, tableDir)
	if err := s.files.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove unfinished tables: %w", err)
	}
	if err := makeDir(s.files, dir); err != nil {
		return fmt.Errorf("create folder for tables: %w", err)
	}
	return nil
}

// table is a kv.Table in a file of its own.
type table struct {
	store   *Store
	path    string
	file    *tableFile
	writer  *sstable.Writer
	rows    int
	size    uint64
	state   tableState
	removed bool // the file
}

type tableState uint8

const (
	tableOpen tableState = iota
	tableFinished
	tableGone // ingested, abandoned or failed
)

// tableFile lets a table be given up without the fsync of its end.
type tableFile struct {
	objstorage.Writable
	abandoned bool
}

func (f *tableFile) Finish() error {
	if f.abandoned {
		f.Abort()
		return nil
	}
	return f.Writable.Finish()
}

// NewTable starts a table. Below a quarter of the disk reserve it returns
// kv.ErrFull.
func (s *Store) NewTable() (kv.Table, error) {
	if err := s.enter("new table"); err != nil {
		return nil, err
	}
	defer s.leave()
	if s.options.ReadOnly {
		return nil, errors.New("new table: the store is open for reading only")
	}
	if err := s.space.admitTable(0); err != nil {
		return nil, fmt.Errorf("new table: %w", err)
	}
	path := s.files.PathJoin(s.dir, tableDir, fmt.Sprintf("%06d.sst", s.tables.next.Add(1)))
	file, err := s.files.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("new table: %w", err)
	}
	t := &table{store: s, path: path, file: &tableFile{Writable: objstorageprovider.NewFileWritable(file)}}
	t.writer = sstable.NewWriter(t.file, s.engineOptions.MakeWriterOptions(levels-1, s.db.TableFormat()))
	return t, nil
}

func (t *table) Set(key, value []byte) error {
	if t.state != tableOpen {
		return errors.New("set in table: the table is finished")
	}
	if err := t.writer.Set(key, value); err != nil {
		return fmt.Errorf("set in table: %w", err)
	}
	t.rows++
	return nil
}

func (t *table) Size() uint64 {
	if t.state == tableOpen && t.rows > 0 {
		return t.writer.Raw().EstimatedSize()
	}
	return t.size
}

func (t *table) Finish() error {
	if t.state != tableOpen {
		return errors.New("finish table: the table is finished")
	}
	t.size = t.Size()
	t.state = tableFinished
	if err := t.writer.Close(); err != nil {
		t.Abandon()
		return fmt.Errorf("finish table: %w", err)
	}
	t.store.space.left(int64(t.size))
	return nil
}

func (t *table) Abandon() {
	if t.state == tableOpen {
		t.file.abandoned = true
		if err := t.writer.Close(); err != nil {
			t.store.log.Debug("close abandoned table", "file", t.path, "error", err)
		}
	}
	t.state = tableGone
	t.remove()
}

func (t *table) remove() {
	if t.removed {
		return
	}
	t.removed = true
	if err := t.store.files.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.store.log.Warn("table file cannot be removed", "file", t.path, "error", err)
	}
}

// Ingest makes finished tables visible and durable. If their keys overlap rows
// that are still in memory, those are flushed first and writers wait.
func (s *Store) Ingest(ctx context.Context, tables []kv.Table) error {
	if err := s.enter("ingest"); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	var paths []string
	for _, one := range tables {
		t, ok := one.(*table)
		switch {
		case !ok || t.store != s:
			return errors.New("ingest: a table belongs to another store")
		case t.state != tableFinished:
			return errors.New("ingest: a table is not finished, or was used already")
		case t.rows > 0:
			paths = append(paths, t.path)
		}
	}
	if len(paths) > 0 {
		if err := s.space.admitTable(0); err != nil {
			return fmt.Errorf("ingest: %w", err)
		}
		if err := s.db.Ingest(ctx, paths); err != nil {
			return wrap("ingest", err)
		}
	}
	for _, one := range tables {
		t := one.(*table)
		t.state, t.removed = tableGone, t.rows > 0 // the engine removed the file
		t.remove()
	}
	return nil
}

// Excise removes the keys in [lower, upper), from snapshots too. Tables inside
// the span are dropped, those at its ends are cut without being rewritten.
func (s *Store) Excise(ctx context.Context, lower, upper []byte) error {
	if err := s.enter("excise"); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("excise: %w", err)
	}
	if len(upper) == 0 {
		return errors.New("excise: no upper bound")
	}
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	return wrap("excise", s.db.Excise(ctx, pebble.KeyRange{Start: lower, End: upper}))
}

// Usage estimates the bytes on disk of the keys in [lower, upper); a nil upper
// is the end of the keyspace. Rows that are only in the log do not count.
func (s *Store) Usage(lower, upper []byte) (uint64, error) {
	if err := s.enter("usage"); err != nil {
		return 0, err
	}
	defer s.leave()
	if upper == nil {
		upper = lastKey
	}
	if bytes.Compare(lower, upper) >= 0 {
		return 0, nil
	}
	n, err := s.db.EstimateDiskUsage(lower, upper)
	return n, wrap("usage", err)
}

// lastKey is above every key that is in use: no family begins with 0xFF.
var lastKey = []byte("\xff\xff\xff\xff\xff\xff\xff\xff")

// Checkpoint writes a store with the present content into dir, by links where
// the file system has them. The folder can be opened once Checkpoint returned.
func (s *Store) Checkpoint(dir string) error {
	if err := s.enter("checkpoint"); err != nil {
		return err
	}
	defer s.leave()
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return wrap(fmt.Sprintf("checkpoint into %s", dir), err)
	}
	if err := writeFormat(s.files, dir); err != nil {
		return fmt.Errorf("checkpoint into %s: %w", dir, err)
	}
	return nil
}

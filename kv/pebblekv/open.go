package pebblekv

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Open opens the store in dir, and creates it unless options say ReadOnly. The
// error wraps kv.ErrInUse, kv.ErrNewerFormat or kv.ErrCorrupt where one applies,
// and says what to do.
func Open(dir string, options Options) (*Store, error) {
	options = options.withDefaults()
	if !options.ReadOnly {
		if err := makeDir(options.FS, dir); err != nil {
			return nil, fmt.Errorf("open store in %s: create folder: %w", dir, err)
		}
	}
	lock, err := pebble.LockDirectory(dir, options.FS)
	if err != nil {
		return nil, lockError(dir, err)
	}
	s, err := openLocked(dir, options, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// openLocked opens the folder that lock holds; the store closes the lock.
func openLocked(dir string, options Options, lock *pebble.Lock) (*Store, error) {
	formatted, err := checkFormat(options.FS, dir)
	empty := false
	if err == nil {
		empty, err = checkLogs(options.FS, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	s := &Store{dir: dir, options: options, lock: lock, log: options.Logger}
	s.space = newSpace(dir, options)
	s.events = newEvents(options)
	s.files = vfs.OnDiskFull(options.FS, s.space.diskFull)
	if !options.ReadOnly {
		if err := s.prepare(formatted); err != nil {
			return nil, fmt.Errorf("open store in %s: %w", dir, err)
		}
	}
	if err := s.openEngine(); err != nil {
		return nil, err
	}
	if err := s.finishOpen(empty); err != nil {
		return nil, errors.Join(fmt.Errorf("open store in %s: %w", dir, err), s.db.Close())
	}
	return s, nil
}

// prepare writes what the folder needs before the engine opens it.
func (s *Store) prepare(formatted bool) error {
	if !formatted {
		if err := writeFormat(s.files, s.dir); err != nil {
			return err
		}
	}
	if err := s.emptyTables(); err != nil {
		return err
	}
	s.space.ensureBallast()
	return nil
}

// openEngine opens Pebble. A panic there comes from bytes that pass their
// checksums and still make no sense.
func (s *Store) openEngine() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("open store in %s: %w", s.dir, damaged(s.dir, fmt.Sprint(r)))
		}
	}()
	p := s.options.pebbleOptions()
	p.FS, p.Lock = s.files, s.lock
	p.Logger, p.EventListener = s.events, s.events.listener()
	p.WithFSDefaults()
	p.EnsureDefaults() // tables are written with the same options
	s.engineOptions = p
	s.db, err = pebble.Open(s.dir, p)
	if err != nil {
		return openError(s.dir, err)
	}
	return nil
}

func (s *Store) finishOpen(empty bool) error {
	if empty {
		// The first log of a new store is begun before the engine raises its
		// format, and lacks the promises by which damage is told from a torn end.
		if err := s.db.Flush(); err != nil {
			return fmt.Errorf("begin log: %w", err)
		}
	}
	s.metrics = newMetrics(s)
	if s.options.Registerer != nil {
		if err := s.options.Registerer.Register(s.metrics); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	if s.options.SyncInterval > 0 && !s.options.ReadOnly {
		s.syncLoop.start(s)
	}
	return nil
}

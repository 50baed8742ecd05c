package pebblekv

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/varve-db/varve/kv"
)

// Store is a kv.Store on disk, with all the capabilities that kv names.
type Store struct {
	dir           string
	options       Options
	log           *slog.Logger
	lock          *pebble.Lock
	files         vfs.FS // with the ballast behind it
	db            *pebble.DB
	engineOptions *pebble.Options
	space         *space
	events        *events
	metrics       *metrics
	syncLoop      syncLoop
	tables        tableNames

	// mu is held shared by every call that uses db, and exclusively by Close.
	mu     sync.RWMutex
	closed bool
}

var (
	_ kv.Store        = (*Store)(nil)
	_ kv.Ingester     = (*Store)(nil)
	_ kv.Exciser      = (*Store)(nil)
	_ kv.Checkpointer = (*Store)(nil)
	_ kv.SpaceUser    = (*Store)(nil)
)

// enter begins a call that uses the engine; leave ends it.
func (s *Store) enter(what string) error {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return fmt.Errorf("%s: %w", what, kv.ErrClosed)
	}
	return nil
}

func (s *Store) leave() { s.mu.RUnlock() }

// Get returns a copy of the value of key.
func (s *Store) Get(key []byte) ([]byte, error) {
	if err := s.enter("get"); err != nil {
		return nil, err
	}
	defer s.leave()
	return get(s.db, key)
}

func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, kv.ErrNotFound
	}
	if err != nil {
		return nil, wrap("get", err)
	}
	result := append([]byte{}, value...)
	return result, wrap("get", closer.Close())
}

// Scan returns an iterator over [lower, upper).
func (s *Store) Scan(lower, upper []byte) (kv.Iterator, error) {
	if err := s.enter("scan"); err != nil {
		return nil, err
	}
	defer s.leave()
	return scan(s.db, lower, upper)
}

// Snapshot pins the present state. What Excise removes disappears from it too.
// After Close its reads return kv.ErrClosed.
func (s *Store) Snapshot() kv.Snapshot {
	if s.enter("snapshot") != nil {
		return &snapshot{store: s}
	}
	defer s.leave()
	return &snapshot{store: s, pinned: s.db.NewSnapshot()}
}

// Close waits for calls under way and closes the store. It returns an error when
// iterators or snapshots are still open. After a failure that Options.Fatal was
// told of, it does nothing.
func (s *Store) Close() error {
	if s.events.failed.Load() {
		return errors.New("close store: it failed before, and cannot be closed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.syncLoop.stop()
	s.closed = true
	if s.options.Registerer != nil {
		s.options.Registerer.Unregister(s.metrics)
	}
	var syncErr error
	if !s.options.ReadOnly {
		// Everything is durable before the log is marked as closed: see logCheck.
		syncErr = s.db.LogData(nil, pebble.Sync)
	}
	if err := errors.Join(syncErr, s.db.Close(), s.lock.Close()); err != nil {
		return fmt.Errorf("close store in %s: %w", s.dir, err)
	}
	return nil
}

type snapshot struct {
	store  *Store
	pinned *pebble.Snapshot // nil if the store was closed, or the snapshot is
}

func (n *snapshot) enter(what string) error {
	if err := n.store.enter(what); err != nil {
		return err
	}
	if n.pinned == nil {
		n.store.leave()
		return fmt.Errorf("%s: snapshot: %w", what, kv.ErrClosed)
	}
	return nil
}

func (n *snapshot) Get(key []byte) ([]byte, error) {
	if err := n.enter("get"); err != nil {
		return nil, err
	}
	defer n.store.leave()
	return get(n.pinned, key)
}

func (n *snapshot) Scan(lower, upper []byte) (kv.Iterator, error) {
	if err := n.enter("scan"); err != nil {
		return nil, err
	}
	defer n.store.leave()
	return scan(n.pinned, lower, upper)
}

func (n *snapshot) Close() error {
	if n.enter("close snapshot") != nil {
		return nil
	}
	defer n.store.leave()
	pinned := n.pinned
	n.pinned = nil
	return wrap("close snapshot", pinned.Close())
}

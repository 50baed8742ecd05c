package memkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tidwall/btree"

	"github.com/varve-db/varve/kv"
)

// Options tunes a Store; the zero value works.
type Options struct {
	// Refuse, when set, is asked before each write; a write for which it returns
	// an error has no effect and returns that error. It lets tests play a full
	// or a failing disk. It may be called concurrently.
	Refuse func() error
}

// Store is a kv.Store in memory, with the capabilities kv.Ingester, kv.Exciser
// and kv.SpaceUser.
type Store struct {
	options Options

	mu     sync.RWMutex
	tree   *tree // replaced by a copy of itself whenever a reader pins it
	closed bool
}

var (
	_ kv.Store     = (*Store)(nil)
	_ kv.Ingester  = (*Store)(nil)
	_ kv.Exciser   = (*Store)(nil)
	_ kv.SpaceUser = (*Store)(nil)
)

type item struct{ key, value []byte }

type tree = btree.BTreeG[item]

func newTree() *tree {
	less := func(a, b item) bool { return bytes.Compare(a.key, b.key) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// New returns an empty store.
func New(options Options) *Store {
	return &Store{options: options, tree: newTree()}
}

// Get returns a copy of the value of key.
func (s *Store) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, fmt.Errorf("get: %w", kv.ErrClosed)
	}
	return get(s.tree, key)
}

func get(t *tree, key []byte) ([]byte, error) {
	found, ok := t.Get(item{key: key})
	if !ok {
		return nil, kv.ErrNotFound
	}
	return append([]byte{}, found.value...), nil
}

// Scan returns an iterator over [lower, upper).
func (s *Store) Scan(lower, upper []byte) (kv.Iterator, error) {
	pinned, err := s.pin()
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	return newIterator(pinned, lower, upper), nil
}

func (s *Store) pin() (*tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, kv.ErrClosed
	}
	return s.tree.Copy(), nil
}

// Apply makes all of batch visible. There is no stable storage to wait for.
func (s *Store) Apply(batch *kv.Batch, _ kv.Durability) error {
	for _, op := range batch.Ops() {
		if op.Kind == kv.OpDeleteRange && len(op.Value) == 0 {
			return errors.New("apply batch: a range deletion has no upper bound")
		}
	}
	return s.write("apply batch", func(t *tree) {
		for _, op := range batch.Ops() {
			switch op.Kind {
			case kv.OpSet:
				t.Set(item{bytes.Clone(op.Key), append([]byte{}, op.Value...)})
			case kv.OpDelete:
				t.Delete(item{key: op.Key})
			case kv.OpDeleteRange:
				deleteRange(t, op.Key, op.Value)
			}
		}
	})
}

// write runs change on the present tree.
func (s *Store) write(what string, change func(*tree)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%s: %w", what, kv.ErrClosed)
	}
	if s.options.Refuse != nil {
		if err := s.options.Refuse(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	change(s.tree)
	return nil
}

func deleteRange(t *tree, lower, upper []byte) {
	var doomed []item
	t.Ascend(item{key: lower}, func(i item) bool {
		if bytes.Compare(i.key, upper) >= 0 {
			return false
		}
		doomed = append(doomed, i)
		return true
	})
	for _, i := range doomed {
		t.Delete(i)
	}
}

// Excise removes the keys in [lower, upper). Snapshots keep them.
func (s *Store) Excise(ctx context.Context, lower, upper []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("excise: %w", err)
	}
	if len(upper) == 0 {
		return errors.New("excise: no upper bound")
	}
	return s.write("excise", func(t *tree) { deleteRange(t, lower, upper) })
}

// Usage returns the bytes of the keys and values in [lower, upper).
func (s *Store) Usage(lower, upper []byte) (uint64, error) {
	pinned, err := s.pin()
	if err != nil {
		return 0, fmt.Errorf("usage: %w", err)
	}
	var total uint64
	pinned.Ascend(item{key: lower}, func(i item) bool {
		if upper != nil && bytes.Compare(i.key, upper) >= 0 {
			return false
		}
		total += uint64(len(i.key) + len(i.value))
		return true
	})
	return total, nil
}

// Snapshot pins the present state. After Close its reads return kv.ErrClosed.
func (s *Store) Snapshot() kv.Snapshot {
	pinned, err := s.pin()
	return &snapshot{tree: pinned, err: err}
}

// Close drops the contents.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.tree = nil
	return nil
}

type snapshot struct {
	tree *tree
	err  error // why there is no tree
}

func (s *snapshot) Get(key []byte) ([]byte, error) {
	if s.err != nil {
		return nil, fmt.Errorf("get from snapshot: %w", s.err)
	}
	return get(s.tree, key)
}

func (s *snapshot) Scan(lower, upper []byte) (kv.Iterator, error) {
	if s.err != nil {
		return nil, fmt.Errorf("scan snapshot: %w", s.err)
	}
	return newIterator(s.tree, lower, upper), nil
}

func (s *snapshot) Close() error {
	s.tree, s.err = nil, kv.ErrClosed
	return nil
}

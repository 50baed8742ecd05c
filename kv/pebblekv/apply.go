package pebblekv

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/varve-db/varve/kv"
)

// batchBytesMax bounds one batch: Pebble cannot hold 4 GiB, and a batch is
// copied into the log in one piece.
const batchBytesMax = 1 << 30

// relievingBytesMax is how much a batch that deletes something may also set
// below the disk reserve, so that space can be freed by changing a record.
const relievingBytesMax = 4 << 10

// Apply makes batch visible and, with kv.Sync, durable. Concurrent calls share
// one fsync.
func (s *Store) Apply(batch *kv.Batch, durability kv.Durability) error {
	if err := s.enter("apply batch"); err != nil {
		return err
	}
	defer s.leave()
	if s.options.ReadOnly {
		return errors.New("apply batch: the store is open for reading only")
	}
	size, relieving, err := weigh(batch)
	if err != nil {
		return fmt.Errorf("apply batch: %w", err)
	}
	if err := s.space.admit(size, relieving); err != nil {
		return fmt.Errorf("apply batch: %w", err)
	}
	return wrap("apply batch", s.commit(batch, size, durability))
}

// weigh returns the bytes of batch, and whether it is one that frees space.
func weigh(batch *kv.Batch) (size int64, relieving bool, err error) {
	var setBytes int64
	deletes := false
	for _, op := range batch.Ops() {
		bytes := int64(len(op.Key) + len(op.Value))
		size += bytes + 16 // with what the log adds, roughly
		switch {
		case op.Kind == kv.OpSet:
			setBytes += bytes
		case op.Kind == kv.OpDeleteRange && len(op.Value) == 0:
			return 0, false, errors.New("a range deletion has no upper bound")
		default:
			deletes = true
		}
	}
	if size > batchBytesMax {
		return 0, false, fmt.Errorf("it has %d bytes, more than %d", size, batchBytesMax)
	}
	return size, deletes && setBytes <= relievingBytesMax, nil
}

func (s *Store) commit(batch *kv.Batch, size int64, durability kv.Durability) error {
	b := s.db.NewBatchWithSize(int(size)+64, pebble.WithMaxRetainedSizeBytes(4<<20))
	for _, op := range batch.Ops() {
		var err error
		switch op.Kind {
		case kv.OpSet:
			err = b.Set(op.Key, op.Value, nil)
		case kv.OpDelete:
			err = b.Delete(op.Key, nil)
		case kv.OpDeleteRange:
			if bytes.Compare(op.Key, op.Value) < 0 {
				err = b.DeleteRange(op.Key, op.Value, nil)
			}
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
	}
	options := pebble.NoSync
	if durability == kv.Sync {
		if s.options.SyncInterval > 0 {
			s.syncLoop.dirty.Store(true)
		} else {
			options = pebble.Sync
		}
	}
	if err := b.Commit(options); err != nil {
		return errors.Join(err, b.Close())
	}
	s.events.commits.Add(1)
	s.events.commitBytes.Add(uint64(size))
	return b.Close()
}

// SyncLog makes all that was applied before durable. With Options.SyncInterval
// the store calls it itself; a caller of kv.NoSync may.
func (s *Store) SyncLog() error {
	if err := s.enter("sync log"); err != nil {
		return err
	}
	defer s.leave()
	return wrap("sync log", s.db.LogData(nil, pebble.Sync))
}

// syncLoop fsyncs the log every interval in which something was written.
type syncLoop struct {
	dirty atomic.Bool // set before the batch commits, cleared before the fsync
	end   chan struct{}
	done  sync.WaitGroup
}

func (l *syncLoop) start(s *Store) {
	l.end = make(chan struct{})
	l.done.Go(func() {
		ticker := time.NewTicker(s.options.SyncInterval)
		defer ticker.Stop()
		for {
			select {
			case <-l.end:
				return
			case <-ticker.C:
			}
			if l.dirty.Swap(false) {
				// A failed fsync never comes back from here: see events.Fatalf.
				if err := s.db.LogData(nil, pebble.Sync); err != nil {
					s.events.fail(fmt.Errorf("sync log: %w", err))
				}
			}
		}
	})
}

// stop ends the loop. Closing the engine makes durable what is left.
func (l *syncLoop) stop() {
	if l.end != nil {
		close(l.end)
		l.done.Wait()
	}
}

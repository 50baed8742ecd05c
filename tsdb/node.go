package tsdb

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
)

// Node is the identity of a data folder. It is made with the folder and changes
// when a backup is restored.
type Node struct {
	ID          [16]byte
	Incarnation uint32
}

// String returns the identity as text.
func (n Node) String() string { return hex.EncodeToString(n.ID[:]) + fmt.Sprintf("-%d", n.Incarnation) }

// Node returns the identity of the folder.
func (db *DB) Node() Node { return db.node }

// The settings of the store, N | name string -> value.
var (
	nodeKey    = keyspace.AppendString([]byte{keyspace.Node}, "node")    // 16 B id, u32 incarnation
	horizonKey = keyspace.AppendString([]byte{keyspace.Node}, "horizon") // i64 milliseconds, big-endian
	widthKey   = keyspace.AppendString([]byte{keyspace.Node}, "width")   // u64 milliseconds, big-endian
)

// Reidentify gives a store that was copied an identity of its own, before it is
// opened: its node must not be taken for the one that was copied.
func Reidentify(store kv.Store, random func() uint64) error {
	value, err := store.Get(nodeKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return nil // it will be made
	case err != nil:
		return fmt.Errorf("read node identity: %w", err)
	case len(value) != 20:
		return fmt.Errorf("read node identity: %w", kv.ErrCorrupt)
	}
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, random()), random())
	var batch kv.Batch
	batch.Set(nodeKey, binary.BigEndian.AppendUint32(id, binary.BigEndian.Uint32(value[16:])+1))
	if err := store.Apply(&batch, kv.Sync); err != nil {
		return fmt.Errorf("store node identity: %w", err)
	}
	return nil
}

// loadNode reads or makes the identity, and reads the horizon.
func (db *DB) loadNode(context.Context) error {
	value, err := db.store.Get(nodeKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		binary.BigEndian.PutUint64(db.node.ID[:], db.options.Random())
		binary.BigEndian.PutUint64(db.node.ID[8:], db.options.Random())
		db.node.Incarnation = 1
		var batch kv.Batch
		batch.Set(nodeKey, binary.BigEndian.AppendUint32(append([]byte(nil), db.node.ID[:]...), db.node.Incarnation))
		if err := db.store.Apply(&batch, kv.Sync); err != nil {
			return fmt.Errorf("store node identity: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read node identity: %w", err)
	case len(value) != 20:
		return fmt.Errorf("read node identity: %w", kv.ErrCorrupt)
	default:
		copy(db.node.ID[:], value)
		db.node.Incarnation = binary.BigEndian.Uint32(value[16:])
	}
	value, err = db.store.Get(horizonKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		db.horizon.Store(timeMin)
	case err != nil:
		return fmt.Errorf("read retention horizon: %w", err)
	case len(value) != 8:
		return fmt.Errorf("read retention horizon: %w", kv.ErrCorrupt)
	default:
		db.horizon.Store(int64(binary.BigEndian.Uint64(value)))
	}
	return db.checkWidth()
}

// checkWidth holds a folder to the window with which it was made: windows of two
// widths would overlap.
func (db *DB) checkWidth() error {
	width := uint64(db.options.Width.Milliseconds())
	value, err := db.store.Get(widthKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		var batch kv.Batch
		batch.Set(widthKey, binary.BigEndian.AppendUint64(nil, width))
		return db.store.Apply(&batch, kv.Sync)
	case err != nil:
		return fmt.Errorf("read partition width: %w", err)
	case len(value) != 8:
		return fmt.Errorf("read partition width: %w", kv.ErrCorrupt)
	}
	if stored := binary.BigEndian.Uint64(value); stored != width {
		return fmt.Errorf("the folder was made with a partition width of %d ms, not %d ms: start with the width it was made with", stored, width)
	}
	return nil
}

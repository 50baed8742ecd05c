package memkv

import (
	"bytes"

	"github.com/tidwall/btree"
)

// iterator walks a pinned tree.
type iterator struct {
	cursor       btree.IterG[item]
	lower, upper []byte
	valid        bool
}

func newIterator(pinned *tree, lower, upper []byte) *iterator {
	return &iterator{cursor: pinned.Iter(), lower: bytes.Clone(lower), upper: bytes.Clone(upper)}
}

func (i *iterator) SeekGE(key []byte) bool {
	if bytes.Compare(key, i.lower) < 0 {
		key = i.lower
	}
	return i.settle(i.cursor.Seek(item{key: key}))
}

func (i *iterator) Next() bool {
	return i.valid && i.settle(i.cursor.Next())
}

// settle notes whether the cursor is on a key inside the bounds.
func (i *iterator) settle(found bool) bool {
	i.valid = found && (i.upper == nil || bytes.Compare(i.cursor.Item().key, i.upper) < 0)
	return i.valid
}

func (i *iterator) Key() []byte {
	if !i.valid {
		return nil
	}
	return i.cursor.Item().key
}

func (i *iterator) Value() []byte {
	if !i.valid {
		return nil
	}
	return i.cursor.Item().value
}

func (i *iterator) Err() error { return nil }

func (i *iterator) Close() error {
	i.cursor.Release()
	i.valid = false
	return nil
}

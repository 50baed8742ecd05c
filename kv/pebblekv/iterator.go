package pebblekv

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/varve-db/varve/kv"
)

// iterator is a kv.Iterator over Pebble's.
type iterator struct {
	cursor *pebble.Iterator
	err    error // of a value that could not be read
}

func scan(r pebble.Reader, lower, upper []byte) (kv.Iterator, error) {
	if len(lower) == 0 {
		lower = nil
	}
	cursor, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, wrap("scan", err)
	}
	return &iterator{cursor: cursor}, nil
}

func (i *iterator) SeekGE(key []byte) bool {
	if len(key) == 0 { // Pebble's checks in race builds take no empty key
		return i.cursor.First()
	}
	return i.cursor.SeekGE(key)
}

func (i *iterator) Next() bool {
	// Pebble's Next on an unpositioned or ended iterator would begin again.
	return i.cursor.Valid() && i.cursor.Next()
}

func (i *iterator) Key() []byte {
	if !i.cursor.Valid() {
		return nil
	}
	return i.cursor.Key()
}

func (i *iterator) Value() []byte {
	if !i.cursor.Valid() {
		return nil
	}
	value, err := i.cursor.ValueAndErr()
	if err != nil {
		i.err = err
		return nil
	}
	return value
}

func (i *iterator) Err() error {
	if i.err != nil {
		return wrap("read value", i.err)
	}
	return wrap("iterate", i.cursor.Error())
}

// Close ends the iteration. What Err has told is not an error again.
func (i *iterator) Close() error {
	told := i.Err() != nil
	err := i.cursor.Close()
	if told {
		return nil
	}
	return wrap("close iterator", err)
}

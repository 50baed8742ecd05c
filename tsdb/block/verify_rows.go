package block

import (
	"bytes"
	"context"
	"errors"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
)

// Rows walks rows of which some may be damaged: where the store cannot read on,
// it says so once and goes on behind the place.
type Rows struct {
	Reader kv.Reader
	// Damaged is told that the rows behind key cannot be read.
	Damaged func(key []byte, err error)
	// Read, if set, is told the bytes of the rows read.
	Read func(bytes int)
}

// Bounds of the part of a key, behind the prefix walked, that is stepped up to
// get behind damage.
const (
	stepBytesMin = 8
	stepBytesMax = 24
)

// Walk calls visit with the rows whose keys begin with prefix, in order. A visit
// moves on by returning a nil key, or skips to the first key at or above the one
// that it returns. An error of visit ends the walk.
func (w Rows) Walk(ctx context.Context, prefix []byte, visit func(key, value []byte) (next []byte, err error)) error {
	upper := keyspace.PrefixEnd(prefix)
	base := prefix // where the present damage begins
	from := prefix
	for attempt := -1; from != nil; {
		reached, damage, err := w.scan(ctx, from, upper, visit)
		if err != nil || damage == nil {
			return err
		}
		if reached != nil || attempt < 0 {
			if reached != nil {
				base = reached
			}
			w.Damaged(base, damage)
			attempt = -1
			if n := len(prefix) + stepBytesMin - len(base); n > 0 {
				base = append(bytes.Clone(base), make([]byte, n)...)
			}
			base = base[:min(len(base), len(prefix)+stepBytesMax)]
		}
		attempt++
		from = stepOver(base, len(prefix), attempt)
	}
	return nil
}

// stepOver returns keys ever further above base, nil when there are none with the
// same first fixed bytes.
func stepOver(base []byte, fixed, attempt int) []byte {
	steps := [...]int{1, 8, 64}
	at := len(base) - 1 - attempt/len(steps)
	if at < fixed {
		return nil
	}
	key := bytes.Clone(base[:at+1])
	for carry := steps[attempt%len(steps)]; carry > 0; at-- {
		if at < fixed {
			return nil
		}
		sum := int(key[at]) + carry
		key[at], carry = byte(sum), sum>>8
	}
	return key
}

// scan walks from a key on; damage ends it, and reached is the last key before it,
// or the one that was sought from there.
func (w Rows) scan(ctx context.Context, from, upper []byte, visit func(key, value []byte) ([]byte, error)) (reached []byte, damage, err error) {
	it, err := w.Reader.Scan(from, upper)
	if err != nil {
		if IsDamage(err) {
			return nil, err, nil
		}
		return nil, nil, err
	}
	defer it.Close()
	valid := it.SeekGE(from)
	for n := 1; valid; n++ {
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
		}
		key, value := it.Key(), it.Value()
		if value == nil && it.Err() != nil {
			break
		}
		reached = append(reached[:0], key...)
		if w.Read != nil {
			w.Read(len(key) + len(value))
		}
		next, err := visit(key, value)
		if err != nil {
			return nil, nil, err
		}
		if next != nil {
			reached = append(reached[:0], next...)
			valid = it.SeekGE(next)
		} else {
			valid = it.Next()
		}
	}
	if err := it.Err(); err != nil {
		if IsDamage(err) {
			return reached, err, nil
		}
		return nil, nil, err
	}
	return nil, nil, ctx.Err()
}

// IsDamage reports whether err says that stored bytes are damaged.
func IsDamage(err error) bool {
	return errors.Is(err, kv.ErrCorrupt) || errors.Is(err, ErrCorrupt) || errors.Is(err, chunks.ErrCorrupt) || errors.Is(err, column.ErrCorrupt)
}

// IDs returns the generations of which there are rows, readable or not.
func (w Rows) IDs(ctx context.Context) (ids []ID, err error) {
	err = w.Walk(ctx, []byte{keyspace.Partitions}, func(key, _ []byte) ([]byte, error) {
		id, _, err := cutID(key)
		if err != nil {
			w.Damaged(bytes.Clone(key), err)
			return nil, nil
		}
		if n := len(ids); n == 0 || ids[n-1] != id {
			ids = append(ids, id)
		}
		// To the rows of the next one: its chunks may be what cannot be read.
		return append(keyspace.PrefixEnd(id.Prefix()), familyChunks), nil
	})
	return ids, err
}

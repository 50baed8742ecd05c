package block

import (
	"encoding/binary"
	"fmt"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/head"
)

// Reader reads the flushes of one generation.
type Reader struct {
	store      kv.Reader
	generation Generation
	prefix     []byte
	ordinals   uint32 // that the flushes know
	lastFlush  uint32
	facts      *Facts // nil if none are kept
}

// NewReader returns a reader of the flushes that g lists.
func NewReader(store kv.Reader, g Generation) *Reader {
	last := g.Flushes[len(g.Flushes)-1]
	return &Reader{
		store: store, generation: g, prefix: g.ID.Prefix(),
		ordinals: last.FirstOrdinal + last.NewSeries, lastFlush: last.Flush,
	}
}

// Sealed reports whether the generation is sealed: then Sealed* read its samples,
// and Chunks has none.
func (r *Reader) Sealed() bool { return r.generation.Flushes[0].Sealed != nil }

// Series returns the number of series of the generation.
func (r *Reader) Series() uint32 { return r.ordinals }

// key returns the generation's prefix with a family and parts of a key.
func (r *Reader) key(family byte, parts ...uint32) []byte {
	key := make([]byte, 0, len(r.prefix)+1+4*len(parts))
	key = append(append(key, r.prefix...), family)
	for _, p := range parts {
		key = keyspace.AppendUint32(key, p)
	}
	return key
}

// seekGap is up to how many ordinals ahead stepping is cheaper than seeking.
const seekGap = 16

// rows calls visit with the value of each ordinal that has a row below prefix.
// ordinals must ascend.
func (r *Reader) rows(prefix []byte, ordinals []uint32, visit func(i int, value []byte) error) error {
	if len(ordinals) == 0 {
		return nil
	}
	lower := keyspace.AppendUint32(prefix[:len(prefix):len(prefix)], ordinals[0])
	upper := keyspace.PrefixEnd(keyspace.AppendUint32(prefix[:len(prefix):len(prefix)], ordinals[len(ordinals)-1]))
	it, err := r.store.Scan(lower, upper)
	if err != nil {
		return err
	}
	defer it.Close()
	at := uint32(0)
	var seek []byte
	valid := it.SeekGE(lower)
	for i, ordinal := range ordinals {
		for valid {
			if at = binary.BigEndian.Uint32(it.Key()[len(prefix):]); at >= ordinal {
				break
			}
			if ordinal-at > seekGap {
				seek = keyspace.AppendUint32(append(seek[:0], prefix...), ordinal)
				valid = it.SeekGE(seek)
			} else {
				valid = it.Next()
			}
		}
		if !valid {
			break
		}
		if at == ordinal {
			value := it.Value()
			if value == nil && it.Err() != nil {
				return it.Err()
			}
			if err := visit(i, value); err != nil {
				return err
			}
		}
	}
	return it.Err()
}

// Labels calls visit with the label set of each ordinal; ordinals must ascend.
// The labels are valid until visit returns.
func (r *Reader) Labels(ordinals []uint32, visit func(i int, ls series.Labels) error) error {
	found := 0
	checked := func(i int, ls series.Labels) error {
		found++
		if err := ls.Check(); err != nil {
			return fmt.Errorf("%w: labels of series %d: %w", ErrCorrupt, ordinals[i], err)
		}
		return visit(i, ls)
	}
	var err error
	if r.Sealed() {
		err = r.sealedLabels(ordinals, checked)
	} else {
		err = r.rows(r.key(familyLabels), ordinals, func(i int, value []byte) error { return checked(i, value) })
	}
	if err == nil && found != len(ordinals) {
		err = fmt.Errorf("%w: %d of %d label sets are missing", ErrCorrupt, len(ordinals)-found, len(ordinals))
	}
	return err
}

// Chunks calls visit with the chunk row of each ordinal that has one in flush;
// ordinals must ascend. The row is valid until visit returns.
func (r *Reader) Chunks(flush uint32, ordinals []uint32, visit func(i int, row []byte) error) error {
	return r.rows(r.key(familyChunks, flush), ordinals, visit)
}

// Exemplars calls visit with the exemplars in [mint, maxt] of each ordinal that
// has some in flush; ordinals must ascend.
func (r *Reader) Exemplars(flush uint32, ordinals []uint32, mint, maxt int64, visit func(i int, exemplars []head.Exemplar)) error {
	return r.rows(r.key(familyExemplars, flush), ordinals, func(i int, row []byte) error {
		exemplars, err := decodeExemplars(nil, row, r.generation.ID.Start, mint, maxt)
		if err == nil && len(exemplars) > 0 {
			visit(i, exemplars)
		}
		return err
	})
}

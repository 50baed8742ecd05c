package block

import (
	"bytes"
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
	w, err := r.walk(prefix, prefix, ordinals)
	if err != nil {
		return err
	}
	defer w.it.Close()
	return w.rows(prefix, ordinals, visit)
}

// rowWalk goes through the rows of some ordinals below one prefix or several.
type rowWalk struct {
	it    kv.Iterator
	valid bool
	begun bool
	seek  []byte
}

// walk begins a walk through the rows of the ordinals below the prefixes from first
// to last.
func (r *Reader) walk(first, last []byte, ordinals []uint32) (*rowWalk, error) {
	lower := keyspace.AppendUint32(first[:len(first):len(first)], ordinals[0])
	upper := keyspace.PrefixEnd(keyspace.AppendUint32(last[:len(last):len(last)], ordinals[len(ordinals)-1]))
	it, err := r.store.Scan(lower, upper)
	if err != nil {
		return nil, err
	}
	return &rowWalk{it: it}, nil
}

// rows visits the rows below prefix, which is above the one before.
func (w *rowWalk) rows(prefix []byte, ordinals []uint32, visit func(i int, value []byte) error) error {
	w.begin(prefix, ordinals[0])
	for i, ordinal := range ordinals {
		at, ok := w.at(prefix)
		for ; ok && at < ordinal; at, ok = w.at(prefix) {
			if ordinal-at > seekGap {
				w.to(prefix, ordinal)
			} else {
				w.valid = w.it.Next()
			}
		}
		if !ok {
			break
		}
		if at == ordinal {
			value := w.it.Value()
			if value == nil && w.it.Err() != nil {
				return w.it.Err()
			}
			if err := visit(i, value); err != nil {
				return err
			}
		}
	}
	return w.it.Err()
}

// begin moves to the first row that is wanted. Where all rows are, it is the one
// behind the last, and a step is cheaper than a seek.
func (w *rowWalk) begin(prefix []byte, ordinal uint32) {
	if w.begun {
		if w.valid && bytes.Compare(w.it.Key(), prefix) < 0 {
			w.valid = w.it.Next() // not from the row of a later flush
		}
		if at, ok := w.at(prefix); ok && at >= ordinal || !w.valid {
			return
		}
	}
	w.begun = true
	w.to(prefix, ordinal)
}

func (w *rowWalk) to(prefix []byte, ordinal uint32) {
	w.seek = keyspace.AppendUint32(append(w.seek[:0], prefix...), ordinal)
	w.valid = w.it.SeekGE(w.seek)
}

// at returns the ordinal of the row, if that lies below prefix.
func (w *rowWalk) at(prefix []byte) (ordinal uint32, ok bool) {
	if !w.valid {
		return 0, false
	}
	key := w.it.Key()
	if len(key) != len(prefix)+4 || !bytes.HasPrefix(key, prefix) {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[len(prefix):]), true
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

// Flushed calls visit with the chunk rows of each ordinal in all flushes, one flush
// after the other, of which it tells the index; ordinals must ascend. A row is valid
// until visit returns.
func (r *Reader) Flushed(ordinals []uint32, visit func(flush, i int, row []byte) error) error {
	if len(ordinals) == 0 {
		return nil
	}
	prefix := r.key(familyChunks, r.generation.Flushes[0].Flush)
	w, err := r.walk(prefix, r.key(familyChunks, r.lastFlush), ordinals)
	if err != nil {
		return err
	}
	defer w.it.Close()
	for n, flush := range r.generation.Flushes {
		prefix = keyspace.AppendUint32(prefix[:len(prefix)-4], flush.Flush)
		err := w.rows(prefix, ordinals, func(i int, row []byte) error { return visit(n, i, row) })
		if err != nil {
			return err
		}
	}
	return nil
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

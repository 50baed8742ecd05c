package block

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
)

// chargedMax bounds what a damaged row may make a reader decode: a cell has at
// most as many entries as bytes, each of SamplesMax samples.
const chargedMax = 1 << 30

var errTooMuch = errors.New("too much is decoded")

// readSealed reads everything of the sealed generation and returns the number of
// samples, or an error, which must say that something is damaged.
func readSealed(t *testing.T, store kv.Reader, g Generation) int {
	t.Helper()
	r := NewReader(store, g)
	ordinals := r.all().ToArray()
	var s SealedReader
	var charged int64
	wanted := Range{Min: math.MinInt64, Max: math.MaxInt64, Charge: func(n int64) error {
		if charged += n; charged > chargedMax {
			return errTooMuch
		}
		return nil
	}}
	samples := 0
	err := s.Floats(r, ordinals, wanted, func(i int, c chunks.Chunk) {
		if i < 0 || i >= len(ordinals) || len(c.Times) != len(c.Values) || len(c.Times) == 0 || len(c.Starts) > 0 && len(c.Starts) != len(c.Times) {
			t.Fatalf("series %d of %d: %d times, %d values, %d starts", i, len(ordinals), len(c.Times), len(c.Values), len(c.Starts))
		}
		samples += len(c.Times)
	})
	if err != nil && !IsDamage(err) && !errors.Is(err, errTooMuch) {
		t.Fatalf("an error of another kind: %v", err)
	}
	if _, err := Verify(context.Background(), store, g.ID, nil); err != nil {
		t.Fatalf("verify: %v", err)
	}
	return samples
}

// FuzzSealedRows puts arbitrary bytes in the place of a cell or a column of
// timestamps and reads.
func FuzzSealedRows(f *testing.F) {
	content := sealedStore(f)
	g := list(f, content).Readable[0]
	var cells [][]byte
	for _, family := range []byte("vt") {
		it, err := content.Scan(sealedKey(family), sealedKey(family+1))
		if err != nil {
			f.Fatal(err)
		}
		for ok := it.SeekGE(sealedKey(family)); ok; ok = it.Next() {
			f.Add(family == 't', append([]byte{}, it.Value()...))
			if family == 'v' {
				cells = append(cells, append([]byte{}, it.Key()...))
			}
		}
		it.Close()
	}
	f.Add(true, []byte{})
	f.Fuzz(func(t *testing.T, times bool, row []byte) {
		store := memkv.New(memkv.Options{})
		it, err := content.Scan(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer it.Close()
		var batch kv.Batch
		for ok := it.SeekGE(nil); ok; ok = it.Next() {
			if len(it.Key()) == len(sealedID.Prefix()) {
				continue // the directory
			}
			if k := it.Key()[len(sealedID.Prefix())]; k == 'v' || k == 't' || k == 's' {
				batch.Set(append([]byte{}, it.Key()...), it.Value())
			}
		}
		key := cells[0]
		if times {
			key = sealedKey('t', 0, 0, 0, 0)
		}
		batch.Set(key, row)
		if err := store.Apply(&batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
		readSealed(t, store, g)
	})
}

// FuzzDecodeSealed decodes arbitrary descriptions of sealed generations; what is
// accepted divides time into slices that are there.
func FuzzDecodeSealed(f *testing.F) {
	f.Add(list(f, sealedStore(f)).Readable[0].Flushes[0].Sealed.append(nil, sealedID.Start), int64(0))
	f.Add([]byte{0, 1, 1, 0, 0, 0}, int64(-1))
	f.Fuzz(func(t *testing.T, row []byte, at int64) {
		s, err := decodeSealed(row, sealedID.Start)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		for _, at := range []int64{at, math.MinInt64, math.MaxInt64, s.Slices.Start} {
			if n := s.Slices.of(at); n < 0 || n >= s.Slices.Count {
				t.Fatalf("time %d is in slice %d of %+v", at, n, s.Slices)
			}
		}
	})
}

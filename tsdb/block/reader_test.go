package block

import (
	"fmt"
	"slices"
	"testing"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
)

// TestFlushedReadsWhatChunksDo walks through the rows of several flushes, of which
// some have no row of a series.
func TestFlushedReadsWhatChunksDo(t *testing.T) {
	store := memkv.New(memkv.Options{})
	const series = 100
	g := Generation{ID: goldenID}
	var batch kv.Batch
	for flush := range uint32(9) {
		g.Flushes = append(g.Flushes, Summary{Flush: 2 * flush, NewSeries: series})
		for ordinal := range uint32(series) {
			switch {
			case flush == 4 || flush == 6 || flush == 7, flush%2 == 1 && ordinal%(flush+1) > 0:
				continue
			case flush == 8 && ordinal != series-1: // the last row of all, behind two flushes without any
				continue
			}
			r := NewReader(store, Generation{ID: goldenID, Flushes: []Summary{{}}})
			batch.Set(r.key(familyChunks, 2*flush, ordinal), fmt.Append(nil, flush, " ", ordinal))
		}
	}
	if err := store.Apply(&batch, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	r := NewReader(store, g)
	for first := uint32(0); first < series; first += 7 {
		for _, step := range []uint32{1, 3, 40} {
			var ordinals []uint32
			for o := first; o < series; o += step {
				ordinals = append(ordinals, o)
			}
			var got, want []string
			for n, f := range g.Flushes {
				err := r.Chunks(f.Flush, ordinals, func(i int, row []byte) error { want = append(want, fmt.Sprint(n, i, string(row))); return nil })
				if err != nil {
					t.Fatal(err)
				}
			}
			err := r.Flushed(ordinals, func(flush, i int, row []byte) error { got = append(got, fmt.Sprint(flush, i, string(row))); return nil })
			if err != nil || len(want) == 0 || !slices.Equal(got, want) {
				t.Fatalf("from %d by %d: %d rows, want %d, %v", first, step, len(got), len(want), err)
			}
		}
	}
}

package tsdb

import (
	"context"
	"slices"
	"testing"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/tsdb/block"
)

// exciseLog remembers which spans were excised.
type exciseLog struct {
	Store
	spans [][2][]byte
}

func (s *exciseLog) Excise(ctx context.Context, lower, upper []byte) error {
	s.spans = append(s.spans, [2][]byte{slices.Clone(lower), slices.Clone(upper)})
	return s.Store.Excise(ctx, lower, upper)
}

// TestSealDueExcisesNothingInMemory seals what is due and expects no row of the
// inputs to be left, and none of the spans that were excised to hold a key that
// the seal's batch wrote; a seal that was asked for excises whole generations.
func TestSealDueExcisesNothingInMemory(t *testing.T) {
	for _, due := range []bool{true, false} {
		p := newPaced(t, 300, nil)
		log := &exciseLog{Store: p.store}
		p.store = log
		inputs, err := p.Blocks()
		if err != nil || len(inputs) != 2 {
			t.Fatal(inputs, err)
		}
		if due {
			p.sealDue(t)
		} else {
			mustSeal(t, p.DB)
		}
		result, err := p.Blocks()
		if err != nil || len(result) != 1 {
			t.Fatal(result, err)
		}
		prefix := block.ID{Start: p.window(testNow.UnixMilli()), Generation: result[0].Generation}.Prefix()
		for _, family := range []byte("chmpstvx") {
			for _, key := range rowsOf(t, log, family) {
				if !slices.Equal(key[:len(prefix)], prefix) {
					t.Errorf("due %v: the row %x of an input is left", due, key)
				}
			}
		}
		touched := 0
		for _, in := range inputs {
			var batch kv.Batch
			block.Generation{ID: block.ID{Start: p.window(testNow.UnixMilli()), Generation: in.Generation}}.DeleteSummaries(&batch)
			for _, op := range batch.Ops() {
				for _, span := range log.spans {
					if slices.Compare(op.Key, span[0]) >= 0 && slices.Compare(op.Key, span[1]) < 0 {
						touched++
					}
				}
			}
		}
		if want := map[bool]int{true: 0, false: len(inputs)}[due]; touched != want {
			t.Errorf("due %v: %d of the deletions lie in spans that were excised, want %d", due, touched, want)
		}
	}
}

package block

import (
	"context"
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// writeWindows stores a generation of windows of n series and returns it with what
// it holds.
func writeWindows(t testing.TB, store *memkv.Store, n int) (Generation, []*window.Windows) {
	t.Helper()
	resolution, ok := ResolutionOf(5 * time.Minute)
	if !ok {
		t.Fatal("no resolution of 5m")
	}
	id := ID{Tenant: 3, Resolution: resolution, Generation: 9}
	w := NewWindowWriter(store, id, (24 * time.Hour).Milliseconds(), Derived{Sources: []uint32{2, 7}})
	defer w.Abandon()
	var all []*window.Windows
	for i := range n {
		rows := &window.Windows{}
		for k := range 2000 {
			rows.Append([]int64{int64(k)*40_000 + int64(i%3)}, []float64{float64(k * i)}, 300_000)
		}
		ls := series.AppendLabels(nil, labels.FromStrings("__name__", fmt.Sprintf("m%03d", i/50), "x", fmt.Sprintf("%03d", i)))
		if err := w.Add(ls, rows); err != nil {
			t.Fatal(err)
		}
		all = append(all, rows)
	}
	g, tables, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Ingest(context.Background(), tables); err != nil {
		t.Fatal(err)
	}
	var batch kv.Batch
	g.AddSummary(&batch)
	if err := store.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
	return g, all
}

func TestWindowsAreReadAsWritten(t *testing.T) {
	store := memkv.New(memkv.Options{})
	g, all := writeWindows(t, store, 300)
	listed, err := List(context.Background(), store, func(key []byte, err error) { t.Error(err) })
	if err != nil || len(listed.Readable) != 1 || listed.Readable[0].ID != g.ID ||
		!reflect.DeepEqual(listed.Readable[0].Flushes[0].Derived, g.Flushes[0].Derived) {
		t.Fatalf("listed %+v, %v, want %+v", listed, err, g)
	}
	c, err := NewReader(store, g).NewWindowCursor()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, order := range [][]int{{0, 1, 2, 299, 5, 5, 77}, {299, 0}} {
		for _, i := range order {
			got, want := &window.Windows{}, &window.Windows{}
			if err := c.Read(uint32(i), got); err != nil {
				t.Fatal(err)
			}
			want.Join(all[i])
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("series %d differs", i)
			}
		}
	}
	if err := c.Read(300, &window.Windows{}); !IsDamage(err) {
		t.Fatalf("a series that is not there: %v", err)
	}
}

// TestVerifyOfWindows changes a byte of each row in turn: either the row is damaged,
// or figures do not fit.
func TestVerifyOfWindows(t *testing.T) {
	store := memkv.New(memkv.Options{})
	g, _ := writeWindows(t, store, 200)
	ctx := context.Background()
	v, err := Verify(ctx, store, g.ID, nil)
	if err != nil || v.Damaged != 0 || v.Series != 200 || v.Samples != g.Flushes[0].Samples {
		t.Fatalf("verified %+v, %v", v, err)
	}
	lower, upper := g.ID.Span()
	it, err := store.Scan(lower, upper)
	if err != nil {
		t.Fatal(err)
	}
	var ops []kv.Op
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		ops = append(ops, kv.Op{Key: append([]byte{}, it.Key()...), Value: append([]byte{}, it.Value()...)})
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if op.Key[prefixBytes] == familySummary {
			continue // it says of itself what there is
		}
		damaged := append([]byte{}, op.Value...)
		damaged[len(damaged)/2] ^= 0x40
		for _, value := range [][]byte{damaged, op.Value} {
			var batch kv.Batch
			batch.Set(op.Key, value)
			if err := store.Apply(&batch, kv.Sync); err != nil {
				t.Fatal(err)
			}
			v, err := Verify(ctx, store, g.ID, nil)
			if err != nil {
				t.Fatal(err)
			}
			if damage := v.Damaged > 0; damage != (&value[0] == &damaged[0]) {
				t.Fatalf("key %x, damaged %t: found %+v", op.Key, !damage, v.Damage)
			}
		}
	}
}

func TestSummaryOfWindowsGolden(t *testing.T) {
	s := Summary{
		Width: 86_400_000, Shards: 1, NewSeries: 2, Samples: 576, ChunkBytes: 900, MinTime: 5, MaxTime: 600,
		Derived: &Derived{Sources: []uint32{3, 300}, Partial: true},
		Sealed:  &Sealed{Slices: Slices{Width: 86_400_000, Count: 1}, Columns: 1, Digests: []Digest{}},
	}
	const want = "010080b89929010002c0040084070ad3040002" + "0203a9020100" + "80b89929010100" + "00"
	row := s.append(nil, 0)
	if got := hex.EncodeToString(row); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got, err := decodeSummary(row, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Sealed.Digests = nil
	if !reflect.DeepEqual(got, s) {
		t.Errorf("decoded %+v, want %+v", got, s)
	}
}

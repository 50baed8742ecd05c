package tsdb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

func TestMetadataGolden(t *testing.T) {
	m := series.Metadata{Metric: "up", Type: model.MetricTypeGauge, Unit: "s", Help: "Is it?"}
	key, value := metadataKey(9, m.Metric), encodeMetadata(m)
	const wantKey = "4d" + "00000009" + "75700001"
	const wantValue = "01" + "056761756765" + "0173" + "06" + "49732069743f"
	if hex.EncodeToString(key) != wantKey || hex.EncodeToString(value) != wantValue {
		t.Errorf("got %x -> %x, want %s -> %s", key, value, wantKey, wantValue)
	}
	tenant, got, err := decodeMetadata(key, value)
	if err != nil || tenant != 9 || got != m {
		t.Errorf("got %d %+v %v", tenant, got, err)
	}
}

func FuzzDecodeMetadata(f *testing.F) {
	m := series.Metadata{Metric: "a\x00b", Type: "counter", Help: "h"}
	f.Add(metadataKey(1, m.Metric), encodeMetadata(m))
	f.Add([]byte{}, []byte{1})
	f.Add([]byte{'M', 0, 0, 0, 1, 0, 1}, []byte{1, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		tenant, m, err := decodeMetadata(key, value)
		if err != nil {
			if !errors.Is(err, errCorruptRecord) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if !bytes.Equal(metadataKey(tenant, m.Metric)[1:], key[1:]) {
			t.Fatalf("key %x became %x", key, metadataKey(tenant, m.Metric))
		}
		_, again, err := decodeMetadata(key, encodeMetadata(m))
		if err != nil || again != m {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

// TestMetadataOutlivesRestart also damages a row, which is left out.
func TestMetadataOutlivesRestart(t *testing.T) {
	store := memkv.New(memkv.Options{})
	db := openDB(t, store, testOptions())
	var b series.Batch
	for i := range 3 {
		b.Metadata = append(b.Metadata, series.Metadata{Metric: fmt.Sprint("m", i), Type: model.MetricTypeCounter, Help: strings.Repeat("h", 5000)})
	}
	b.Metadata = append(b.Metadata, series.Metadata{Metric: "", Help: "of nothing"})
	mustAppend(t, db, 4, &b)
	db.Close()
	var damage kv.Batch
	damage.Set(metadataKey(4, "m1"), []byte{1, 0xff})
	damage.Set([]byte{keyspace.MetricMetadata, 0}, []byte{1})
	if err := store.Apply(&damage, kv.NoSync); err != nil {
		t.Fatal(err)
	}
	db = openDB(t, store, testOptions())
	got := db.Metadata(4, "", 0)
	if len(got) != 2 || got[0].Metric != "m0" || got[1].Metric != "m2" || len(got[0].Help) != metadataTextMax {
		t.Errorf("got %d entries: %.100v", len(got), got)
	}
	if got := db.Metadata(4, "m2", 0); len(got) != 1 {
		t.Errorf("m2 alone: %v", got)
	}
	if got := db.Metadata(4, "", 1); len(got) != 1 {
		t.Errorf("with a limit: %v", got)
	}
	if got := db.Metadata(0, "", 0); len(got) != 0 {
		t.Errorf("another tenant: %v", got)
	}
}

// TestNodeGolden pins the settings rows.
func TestNodeGolden(t *testing.T) {
	store := memkv.New(memkv.Options{})
	db := openDB(t, store, testOptions())
	if err := db.DropBefore(context.Background(), 86400000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, value string }{
		{"4e" + "6e6f6465" + "0001", hex.EncodeToString(db.node.ID[:]) + "00000001"},
		{"4e" + "686f72697a6f6e" + "0001", "0000000005265c00"},
		{"4e" + "7769647468" + "0001", "0000000005265c00"},
	} {
		key, err := hex.DecodeString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		value, err := store.Get(key)
		if err != nil || hex.EncodeToString(value) != c.value {
			t.Errorf("%s: got %x, %v, want %s", key, value, err, c.value)
		}
	}
	node := db.Node()
	db.Close()
	if again := openDB(t, store, testOptions()).Node(); again != node || node.Incarnation != 1 {
		t.Errorf("node %s became %s", node, again)
	}
	other := testOptions()
	other.Width = 48 * 3600e9
	if _, err := Open(context.Background(), store, other); err == nil {
		t.Error("a folder was opened with another partition width")
	}
}

// TestLogKeysGolden pins the keys of the log and of the marks.
func TestLogKeysGolden(t *testing.T) {
	store := memkv.New(memkv.Options{})
	db := openDB(t, store, testOptions())
	var b series.Batch
	b.AddEncodedRow(nil)
	b.AddSample(testNow.UnixMilli(), 0, 1)
	mustAppend(t, db, 0, &b)
	if _, err := store.Get(append([]byte("W"), 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1)); err != nil {
		t.Errorf("the first record: %v", err)
	}
	mustFlush(t, db)
	if value, err := store.Get(append([]byte("E"), 0, 0, 0, 0, 0, 0, 0, 1)); err != nil || len(value) != 0 {
		t.Errorf("the mark of the first epoch: %x, %v", value, err)
	}
	it, err := store.Scan([]byte("W"), []byte("X"))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if it.SeekGE([]byte("W")) {
		t.Errorf("the log still has %x", it.Key())
	}
}

package tsdb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// checkedStore holds something of every family.
func checkedStore(t *testing.T) (*memkv.Store, sealTruth) {
	t.Helper()
	store, truth := sealContent(t, 6)
	db := openDB(t, store, testOptions())
	b := toBatch([]sent{{labels: labels.FromStrings("__name__", "logged"), samples: nil}})
	b.AddSample(testNow.UnixMilli(), 0, 1)
	b.AddSample(testNow.UnixMilli()+1, 0, 1)
	b.Metadata = append(b.Metadata, series.Metadata{Metric: "logged", Type: "gauge", Help: "Helpful."})
	mustAppend(t, db, series.DefaultTenant, b)
	setRow(t, store, []byte("Kone"), []byte("value"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return store, truth
}

func TestCheckOfAWholeStore(t *testing.T) {
	store, truth := checkedStore(t)
	last, total, calls := int64(0), int64(0), 0
	report, err := Check(context.Background(), store, CheckOptions{Progress: func(done, of int64) {
		if calls++; done < last || done > of {
			t.Errorf("progress went from %d to %d of %d", last, done, of)
		}
		last, total = done, of
	}})
	if err != nil || report.Damaged > 0 {
		t.Fatalf("%v, %+v", err, report)
	}
	if calls < 10 || last != total || total == 0 {
		t.Errorf("progress was told %d times, the last time %d of %d", calls, last, total)
	}
	var samples uint64
	for _, all := range truth {
		samples += uint64(len(all))
	}
	// Late samples may lie in two generations.
	if report.Samples < samples || report.Samples > 2*samples || report.Generations < 4 || report.Sealed == 0 || report.Series == 0 || report.Exemplars == 0 {
		t.Errorf("%+v, the store holds %d samples", report, samples)
	}
	if report.LogRecords != 1 || report.LogSamples != 2 || report.Metadata != 1 || report.Generic != 1 || report.BytesPerSample <= 0 {
		t.Errorf("%+v", report)
	}
}

func TestCheckFindsPlantedDamage(t *testing.T) {
	content, _ := checkedStore(t)
	keyAt := func(prefix byte) []byte {
		it, err := content.Scan([]byte{prefix}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer it.Close()
		if !it.SeekGE([]byte{prefix}) || it.Key()[0] != prefix {
			t.Fatalf("there are no keys that begin with %c", prefix)
		}
		return slices.Clone(it.Key())
	}
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	longer := func(b []byte) []byte { return append(b, 0) }
	otherRef := func(b []byte) []byte { // a record of a reference that was never registered
		var rec record
		if err := rec.decode(b); err != nil {
			t.Fatal(err)
		}
		var w recordWriter
		refs := slices.Clone(rec.Refs)
		refs[0] += 7
		return w.append(nil, rec.recordHeader, &rec.Batch, refs, nil)
	}
	for _, c := range []struct {
		name   string
		key    []byte
		change func([]byte) []byte
		reason string
	}{
		{"log record", keyAt('W'), cut, "corrupt log record"},
		{"log record of nobody", keyAt('W'), otherRef, "has no labels in this epoch"},
		{"log key", append(keyAt('W'), 1), nil, "key of 18 bytes"},
		{"mark", keyAt('E'), longer, "mark of a flushed epoch"},
		{"metadata", keyAt('M'), cut, "metadata row"},
		{"node", nodeKey, cut, "19 bytes instead of 20"},
		{"width", widthKey, longer, "9 bytes instead of 8"},
		{"stranger", []byte("Zero"), nil, "no part of the program owns this row"},
		{"short key", []byte("P\x00"), nil, "key of 2 bytes"},
		{"flushed chunks", firstRow(t, content, 'c'), cut, ""},
		{"cell", firstRow(t, content, 'v'), cut, "corrupt column"},
		{"labels", firstRow(t, content, 's'), longer, ""},
	} {
		store := cloneStore(t, content)
		value := []byte{1}
		if c.change != nil {
			old, err := store.Get(c.key)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			value = c.change(old)
		}
		setRow(t, store, c.key, value)
		report, err := Check(context.Background(), store, CheckOptions{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !slices.ContainsFunc(report.Damage, func(d CheckDamage) bool {
			return strings.Contains(d.Reason, c.reason) && d.Family != "" && (c.key[0] == 'P' || d.Key == hex.EncodeToString(c.key))
		}) {
			t.Errorf("%s: %+v, want %q at %x", c.name, report.Damage, c.reason, c.key)
		}
	}
}

// TestCheckOfDroppedGenerations finds generations that nothing can read any more
// to be in order.
func TestCheckOfDroppedGenerations(t *testing.T) {
	store, _ := checkedStore(t)
	for _, key := range rowsOf(t, store, 'm') {
		var batch kv.Batch
		batch.Delete(key)
		listed := bytes.Clone(key[:len(block.ID{}.Prefix())])
		listed[0] = 'D'
		batch.Delete(listed)
		if err := store.Apply(&batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
	}
	if report := mustBeWhole(t, store, "without summaries"); report.Dropped < 4 || report.Generations > 0 || report.Samples > 0 {
		t.Errorf("%+v", report)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Check(ctx, store, CheckOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
}

package tsdb

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
)

// familyAt is where the byte that names a row's family stands in a key.
const familyAt = 1 + 4 + 1 + 8 + 2 + 4

// rowsOf returns the keys of a family of rows in all generations.
func rowsOf(t testing.TB, store kv.Reader, family byte) (keys [][]byte) {
	t.Helper()
	it, err := store.Scan([]byte{keyspace.Partitions}, []byte{keyspace.Partitions + 1})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.SeekGE([]byte{keyspace.Partitions}); ok; ok = it.Next() {
		if it.Key()[familyAt] == family {
			keys = append(keys, slices.Clone(it.Key()))
		}
	}
	return keys
}

func firstRow(t testing.TB, store kv.Reader, family byte) []byte {
	t.Helper()
	keys := rowsOf(t, store, family)
	if len(keys) == 0 {
		t.Fatalf("there are no rows of family %c", family)
	}
	return keys[0]
}

// setRow writes a row.
func setRow(t testing.TB, store kv.Store, key, value []byte) {
	t.Helper()
	var batch kv.Batch
	batch.Set(key, value)
	if err := store.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
}

func counterValue(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

package tsdb

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
)

// holedStore is a store of which the rows in [from, to] cannot be read. As with
// the engine on disk, an iterator that comes to them ends with an error, which
// the next seek forgets.
type holedStore struct {
	*memkv.Store
	from, to []byte
}

func (s *holedStore) bad(key []byte) bool {
	return s.from != nil && bytes.Compare(key, s.from) >= 0 && bytes.Compare(key, s.to) <= 0
}

func (s *holedStore) Get(key []byte) ([]byte, error) {
	if s.bad(key) {
		return nil, fmt.Errorf("get: %w", kv.ErrCorrupt)
	}
	return s.Store.Get(key)
}

func (s *holedStore) Scan(lower, upper []byte) (kv.Iterator, error) {
	it, err := s.Store.Scan(lower, upper)
	return &holedIterator{Iterator: it, store: s}, err
}

type holedIterator struct {
	kv.Iterator
	store *holedStore
	err   error
}

func (i *holedIterator) settle(ok bool) bool {
	if ok && i.store.bad(i.Iterator.Key()) {
		i.err = fmt.Errorf("iterate: %w", kv.ErrCorrupt)
		return false
	}
	return ok
}

func (i *holedIterator) SeekGE(key []byte) bool {
	i.err = nil
	return i.settle(i.Iterator.SeekGE(key))
}

func (i *holedIterator) Next() bool { return i.err == nil && i.settle(i.Iterator.Next()) }

func (i *holedIterator) Key() []byte {
	if i.err != nil {
		return nil
	}
	return i.Iterator.Key()
}

func (i *holedIterator) Value() []byte {
	if i.err != nil {
		return nil
	}
	return i.Iterator.Value()
}

func (i *holedIterator) Err() error { return i.err }

// TestSealUnreadableRows makes every row of partitions unreadable in turn, alone
// and with its neighbours: an answer is right, or tells that something is
// missing, nothing is removed for it, and a check finds it.
func TestSealUnreadableRows(t *testing.T) {
	Sequential(t)
	for name, fill := range map[string]func(*testing.T) (*memkv.Store, sealTruth){
		"mixed": func(t *testing.T) (*memkv.Store, sealTruth) { return sealContent(t, 5) },
		"wide":  func(t *testing.T) (*memkv.Store, sealTruth) { return noiseContent(t, 150, 20) },
		"long":  func(t *testing.T) (*memkv.Store, sealTruth) { return noiseContent(t, 5, 1500) },
	} {
		t.Run(name, func(t *testing.T) {
			content, truth := fill(t)
			testUnreadable(t, content, truth)
		})
	}
}

// noiseContent is a sealed partition with several groups of cells, and slices if
// there are many samples.
func noiseContent(t *testing.T, members int, samples int64) (*memkv.Store, sealTruth) {
	t.Helper()
	store := memkv.New(memkv.Options{})
	db := openDB(t, store, testOptions())
	r := rand.New(rand.NewPCG(1, 2))
	truth := sealTruth{}
	for part := range int64(2) {
		var rows []sent
		for i := range members {
			row := sent{labels: labels.FromStrings("__name__", fmt.Sprint("wide_", i/60), "i", fmt.Sprint(i))}
			for n := range samples {
				row.samples = append(row.samples, chunks.FloatSample(testNow.UnixMilli()-(part*samples+n)*1000, r.Float64()))
			}
			rows = append(rows, row)
		}
		mustAppend(t, db, 0, toBatch(rows))
		truth.join(0, rows)
		mustFlush(t, db)
	}
	mustSeal(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return store, truth
}

func testUnreadable(t *testing.T, content *memkv.Store, truth sealTruth) {
	var keys [][]byte
	for _, family := range []byte("chmpstvx") {
		found := rowsOf(t, content, family)
		t.Logf("%d rows of family %c", len(found), family)
		keys = append(keys, found...)
	}
	stride := 1 + len(keys)/150
	if testing.Short() {
		stride = 11
	}
	for i := 0; i < len(keys); i += stride {
		store := &holedStore{Store: cloneStore(t, content), from: keys[i], to: keys[i]}
		if i%3 > 0 && i+i%3 < len(keys) && keys[i+i%3][familyAt] == keys[i][familyAt] && bytes.Compare(keys[i], keys[i+i%3]) < 0 {
			store.to = keys[i+i%3]
		}
		before := countRows(t, store.Store)
		outcome := readFlipped(t, store, truth)
		if outcome == flipSilent {
			t.Errorf("rows %x to %x: the answer lacks something and does not say so", store.from, store.to)
		}
		report, err := Check(context.Background(), store, CheckOptions{})
		if err != nil || report.Damaged == 0 {
			t.Errorf("rows %x to %x: the check finds nothing, %v", store.from, store.to, err)
		}
		if after := countRows(t, store.Store); after != before {
			t.Errorf("rows %x to %x: %d rows are left of %d", store.from, store.to, after, before)
		}
		sealUnreadable(t, store, truth)
	}
}

// sealUnreadable seals what has a hole, and expects nothing to be lost by it.
func sealUnreadable(t *testing.T, store *holedStore, truth sealTruth) {
	t.Helper()
	db, err := Open(context.Background(), store, testOptions())
	if err != nil {
		return // as was said
	}
	late := []sent{{labels: labels.FromStrings("__name__", "late"), samples: []chunks.Sample{chunks.FloatSample(testNow.UnixMilli(), 1)}}}
	mustAppend(t, db, 0, toBatch(late))
	with := maps.Clone(truth)
	with.join(0, late)
	_, err = db.Seal(context.Background())
	if closed := db.Close(); closed != nil {
		t.Fatal(closed)
	}
	hole := fmt.Sprintf("rows %x to %x", store.from, store.to)
	store.from = nil
	again := openDB(t, store, testOptions())
	mustEqualTruth(t, again, with, fmt.Sprintf("%s, sealed (%v), and readable again", hole, err))
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func countRows(t *testing.T, store kv.Reader) (n int) {
	t.Helper()
	it, err := store.Scan([]byte{keyspace.Partitions}, []byte{keyspace.Partitions + 1})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.SeekGE([]byte{keyspace.Partitions}); ok; ok = it.Next() {
		n++
	}
	return n
}

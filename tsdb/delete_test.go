package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

var everything = []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")}

// refusingStore is a store whose batches fail while they touch a family.
type refusingStore struct {
	*memkv.Store
	family byte
}

var errRefused = errors.New("refused")

func (s *refusingStore) Apply(batch *kv.Batch, d kv.Durability) error {
	for _, op := range batch.Ops() {
		if s.family != 0 && op.Key[0] == s.family {
			return errRefused
		}
	}
	return s.Store.Apply(batch, d)
}

// TestDeletionThatFailsChangesNothing fails the batch that switches, and expects
// every sample, no rows left behind, and success when it is tried again.
func TestDeletionThatFailsChangesNothing(t *testing.T) {
	store := &refusingStore{Store: memkv.New(memkv.Options{})}
	db, err := Open(context.Background(), store, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for day := range int64(3) {
		churn(t, db, fmt.Sprintf("day%d", day), 50, testNow.UnixMilli()-day*dayMillis, 1)
	}
	mustSeal(t, db)
	count := func() (n int) {
		got, warnings, err := answer(db, 0, math.MinInt64, math.MaxInt64, everything[0])
		if err != nil || warnings > 0 {
			t.Fatal(warnings, err)
		}
		for _, list := range got {
			n += len(list)
		}
		return n
	}
	before, rows := count(), partitionRows(t, store)
	d := Deletion{Selectors: [][]*labels.Matcher{everything}, Min: math.MinInt64, Max: math.MaxInt64}
	store.family = keyspace.Deletions
	if r, err := db.Delete(context.Background(), d); !errors.Is(err, errRefused) || r.State != DeletionFailed {
		t.Fatalf("%v, %+v", err, r)
	}
	if n := count(); n != before || partitionRows(t, store) != rows {
		t.Errorf("%d samples in %d rows instead of %d in %d", n, partitionRows(t, store), before, rows)
	}
	store.family = 0
	r, err := db.Delete(context.Background(), d)
	if err != nil || r.Samples != uint64(before) || r.BytesFreed <= 0 || count() != 0 {
		t.Errorf("%v, %+v, %d samples left", err, r, count())
	}
	list, err := db.Deletions(series.DefaultTenant)
	if err != nil || len(list) != 2 || list[0].State != DeletionFailed || !strings.Contains(list[0].Error, "refused") || list[1].State != DeletionDone {
		t.Errorf("deletions %+v, %v", list, err)
	}
}

func partitionRows(t *testing.T, r kv.Reader) (n int) {
	t.Helper()
	lower := []byte{keyspace.Partitions}
	it, err := r.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		n++
	}
	return n
}

// TestDeletionIsSeenByResultCaches expects a change from the earliest sample on
// that may have gone.
func TestDeletionIsSeenByResultCaches(t *testing.T) {
	db := openDB(t, memkv.New(memkv.Options{}), testOptions())
	churn(t, db, "m", 5, testNow.UnixMilli(), 1)
	mark := db.Changes(0).Mark()
	d := Deletion{Selectors: [][]*labels.Matcher{everything}, Min: testNow.UnixMilli() - 10, Max: testNow.UnixMilli()}
	if _, err := db.Delete(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if since := db.Changes(0).Since(mark); since != d.Min {
		t.Errorf("changed since %d, want %d", since, d.Min)
	}
}

func FuzzDecodeDeletion(f *testing.F) {
	f.Add(deletionKey(1), []byte(`{"tenant":0,"asked":"2026-01-01T00:00:00Z","selectors":["{a=\"1\"}"],"state":"done"}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if r, err := decodeDeletion(key, value); err == nil && len(key) == 9 && string(deletionKey(r.number)) == string(key) != (key[0] == keyspace.Deletions) {
			t.Errorf("key %x became %d", key, r.number)
		}
	})
}

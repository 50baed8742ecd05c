package tsdb

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/varve-db/varve/internal/fault"
	"github.com/varve-db/varve/kv/memkv"
)

// TestDownsamplePowerLoss crashes the file system while windows are made, and made
// again of late samples, and expects the right ones then and after the job goes on.
func TestDownsamplePowerLoss(t *testing.T) {
	ctx, seed := context.Background(), rand.Uint64()
	t.Logf("seed %d", seed)
	before, after := 0, 0
	mint, maxt := testNow.Add(-5*24*time.Hour).UnixMilli(), testNow.UnixMilli()
	for round := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, round))
		files, m := fault.NewCrashableFS(), downsampleModel{}
		db := openDB(t, openCrashable(t, files), testOptions())
		setDownsampling(t, db)
		for part := range 2 {
			for range 30 {
				m.appendRandom(t, db, r)
			}
			mustSeal(t, db)
			if part == 0 {
				if _, err := db.Downsample(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		done := make(chan error, 1)
		go func() {
			_, err := db.Downsample(ctx)
			done <- err
		}()
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Microsecond)
		clone := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		store := openCrashable(t, clone)
		db = openDB(t, store, testOptions())
		setDownsampling(t, db)
		for _, width := range downsampleWidths {
			n := expectWindows(t, db, m, width, mint, maxt)
			before, after = before+4-n, after+n
		}
		if _, err := db.Downsample(ctx); err != nil {
			t.Fatal(err)
		}
		for _, width := range downsampleWidths {
			if n := expectWindows(t, db, m, width, mint, maxt); n < 3 {
				t.Errorf("round %d: windows of %d partitions only", round, n)
			}
		}
		mustBeWhole(t, store, "after the crash")
	}
	t.Logf("the crash found the windows of %d partitions made, of %d not", after, before)
}

// TestDownsampleFaults lets the writes of the job fail one after the other, before or
// after they took effect: what is read stays right, and the next run makes what lacks.
func TestDownsampleFaults(t *testing.T) {
	ctx := context.Background()
	mint, maxt := testNow.Add(-5*24*time.Hour).UnixMilli(), testNow.UnixMilli()
	failed := 0
	for nth := range 16 {
		r := rand.New(rand.NewPCG(uint64(nth), 3))
		store, m := &faultyStore{Store: memkv.New(memkv.Options{})}, downsampleModel{}
		db := openDB(t, store, testOptions())
		setDownsampling(t, db)
		for range 30 {
			m.appendRandom(t, db, r)
		}
		mustSeal(t, db)
		writes, effective := 0, nth%2 == 0
		store.setFault(func(string) (before, after bool) {
			writes++
			hit := writes == 1+nth/2
			return hit && !effective, hit && effective
		})
		if _, err := db.Downsample(ctx); err != nil {
			failed++
		}
		store.setFault(nil)
		for _, width := range downsampleWidths {
			expectWindows(t, db, m, width, mint, maxt)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = openDB(t, store, testOptions())
		setDownsampling(t, db)
		for _, width := range downsampleWidths {
			expectWindows(t, db, m, width, mint, maxt)
		}
		if _, err := db.Downsample(ctx); err != nil {
			t.Fatal(err)
		}
		for _, width := range downsampleWidths {
			if n := expectWindows(t, db, m, width, mint, maxt); n < 3 {
				t.Errorf("write %d: windows of %d partitions only", nth/2, n)
			}
		}
		mustBeWhole(t, store, "after the fault")
	}
	if failed < 8 {
		t.Errorf("%d runs failed, the faults were elsewhere", failed)
	}
}

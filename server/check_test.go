package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// inspectedFolder makes a data folder with 200 sealed and 200 flushed samples.
func inspectedFolder(t *testing.T, plant func(kv.Store)) string {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	store, err := pebblekv.Open(filepath.Join(dir, storeFolder), pebblekv.Options{Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 4, 12, 0, 0, 0, time.UTC)
	db, err := tsdb.Open(ctx, store, tsdb.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for part := range int64(2) {
		var b series.Batch
		b.AddSeries(labels.FromStrings("__name__", "m"))
		for i := range int64(200) {
			b.AddSample(now.UnixMilli()-part*500_000-i*1000, 0, float64(i))
		}
		if _, err := db.Append(ctx, series.DefaultTenant, &b); err != nil {
			t.Fatal(err)
		}
		if part == 0 {
			_, err = db.Seal(ctx)
		} else {
			err = db.Flush(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if plant != nil {
		plant(store)
	}
	if err := errors.Join(db.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inspect runs an inspection as on a terminal.
func inspect(path string, asJSON bool) (out, progress string, err error) {
	var report, line bytes.Buffer
	err = Inspection{Path: path, JSON: asJSON, Out: &report, Progress: &line}.Run(context.Background())
	return report.String(), line.String(), err
}

func TestInspection(t *testing.T) {
	dir := inspectedFolder(t, nil)
	out, progress, err := inspect(dir, false)
	if err != nil || !strings.Contains(out, "generations    2, of which 1 sealed\n") || !strings.Contains(out, "samples        400\n") || !strings.Contains(out, "damage         0 findings\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(progress, "checked 100 %") || !strings.HasSuffix(progress, "\r\x1b[K") {
		t.Errorf("progress %q", progress)
	}
	out, _, err = inspect(dir, true)
	var report tsdb.CheckReport
	if jsonErr := json.Unmarshal([]byte(out), &report); err != nil || jsonErr != nil || report.Samples != 400 || report.Damage == nil {
		t.Errorf("%v, %v: %s", err, jsonErr, out)
	}
}

func TestInspectionFindsDamage(t *testing.T) {
	planted := inspectedFolder(t, func(s kv.Store) {
		var b kv.Batch
		b.Set([]byte("Zero"), []byte{1})
		b.Set([]byte("M\x00\x00\x00\x01up\x00\x01"), []byte{9})
		if err := s.Apply(&b, kv.Sync); err != nil {
			t.Fatal(err)
		}
	})
	out, _, err := inspect(planted, false)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(out, "key     5a65726f\n") || !strings.Contains(out, "damage         2 findings\n") {
		t.Errorf("%v\n%s", err, out)
	}
	flipped := inspectedFolder(t, nil)
	tables, err := filepath.Glob(filepath.Join(flipped, storeFolder, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[10] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, _, err = inspect(flipped, true)
	var report tsdb.CheckReport
	if jsonErr := json.Unmarshal([]byte(out), &report); !errors.Is(err, ErrDamaged) || jsonErr != nil || report.Damaged == 0 || report.Damage[0].Reason == "" {
		t.Errorf("%v, %v: %s", err, jsonErr, out)
	}
}

func TestInspectionRefuses(t *testing.T) {
	if _, _, err := inspect(filepath.Join(t.TempDir(), "none"), false); err == nil || !strings.Contains(err.Error(), "open data folder") {
		t.Errorf("no folder: %v", err)
	}
	dir := inspectedFolder(t, nil)
	store, err := pebblekv.Open(filepath.Join(dir, storeFolder), pebblekv.Options{Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, _, err := inspect(dir, false); !errors.Is(err, kv.ErrInUse) {
		t.Errorf("a folder in use: %v", err)
	}
}

package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varve-db/varve/backup"
)

// backupOf is a backup of a node's folder, whose report goes to out.
func backupOf(n *testNode, repository string, out *bytes.Buffer) Backup {
	b := Backup{
		Repository: Repository{Where: repository}, Console: Console{Out: out, Progress: io.Discard, JSON: true},
		Path: n.config.Load().Storage.Path, URL: "http://" + n.Address(), Client: http.DefaultClient,
	}
	b.Options.Now, b.Options.Random = func() time.Time { return noon }, n.options.Random
	return b
}

func mustDecode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// digests are the digests of a node's sealed generations.
func digests(n *testNode) string {
	n.t.Helper()
	type blocks struct {
		Data struct {
			Blocks []map[string]any `json:"blocks"`
		} `json:"data"`
	}
	var s strings.Builder
	for _, b := range mustDecode[blocks](n.t, n.get("/api/v1/status/tsdb/blocks").body).Data.Blocks {
		fmt.Fprintln(&s, b["minTime"], b["numSamples"], b["digests"])
	}
	return s.String()
}

func TestBackupAndRestore(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) { c.Web.EnableAdminAPI = true })
	repository := filepath.Join(t.TempDir(), "new", "repository")
	for day := range 3 {
		at := noon.Add(-24 * time.Hour * time.Duration(day))
		n.write("/api/v1/write", writeRequest(t, "a", at, 500)).want(t, "write", 204, "")
	}
	n.do("POST", "/api/v1/admin/tsdb/seal", "").want(t, "seal", 200, "")
	n.do("PUT", "/kv/v1/fruit/apple", "sweet").want(t, "value", 201, "")
	var out bytes.Buffer
	first := backupOf(n, repository, &out)
	if err := first.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.write("/api/v1/write", writeRequest(t, "b", noon, 10)).want(t, "write", 204, "")
	out.Reset()
	second := backupOf(n, repository, &out)
	second.Options.Now = func() time.Time { return noon.Add(time.Hour) }
	if err := second.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := mustDecode[backup.Report](t, out.String())
	if report.CopiedBytes >= report.Bytes || report.CopiedFiles >= report.Files {
		t.Errorf("the second backup sent everything again: %+v", report)
	}
	if left, err := os.ReadDir(filepath.Join(first.Path, snapshotFolder)); err != nil || len(left) > 0 {
		t.Errorf("snapshots left: %v, %v", left, err)
	}

	look := Backups{first.Repository, first.Console}
	out.Reset()
	if err := look.List(t.Context()); err != nil || strings.Count(out.String(), `"name"`) != 2 {
		t.Errorf("list: %v, %s", err, out.String())
	}
	if err := look.Verify(t.Context(), backup.Latest); err != nil {
		t.Errorf("verify: %v", err)
	}

	folder := filepath.Join(t.TempDir(), "restored")
	r := Restore{first.Repository, first.Console, backup.Latest, folder, n.options.Random}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "holds a store") {
		t.Errorf("restored over a store: %v", err)
	}
	restored := startFull(t, folder, func(c *Config, _ *Options) { c.Web.EnableAdminAPI = true })
	restored.query("count_over_time(a[3d])", noon).want(t, "sealed", 200, `"1500"]`)
	restored.query("count_over_time(b[1h])", noon).want(t, "not flushed", 200, `"10"]`)
	restored.get("/kv/v1/fruit/apple").want(t, "value", 200, "sweet")
	if want := digests(n); digests(restored) != want || !strings.Contains(want, "[") {
		t.Errorf("digests\n%s\nwant\n%s", digests(restored), want)
	}
	if err := (Inspection{Path: folder, Out: io.Discard, Progress: io.Discard}).Run(t.Context()); err == nil {
		t.Error("a folder in use was inspected")
	}
	restored.stop()
	if err := (Inspection{Path: folder, Out: io.Discard, Progress: io.Discard}).Run(t.Context()); err != nil {
		t.Errorf("inspect what was restored: %v", err)
	}
}

func TestBackupOffline(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	n.write("/api/v1/write", writeRequest(t, "a", noon, 10)).want(t, "write", 204, "")
	b := backupOf(n, t.TempDir(), new(bytes.Buffer))
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "admin") {
		t.Errorf("without the admin API: %v", err)
	}
	b.URL = ""
	if err := b.Run(t.Context()); err == nil {
		t.Error("a folder in use was opened")
	}
	n.stop()
	if err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.Where, "objects")); err == nil {
		t.Error("the repository holds no objects")
	}
	m := filepath.Join(b.Where, "backups")
	taken, err := os.ReadDir(m)
	if err != nil || len(taken) != 1 {
		t.Fatalf("backups %v, %v", taken, err)
	}
	if err := os.Truncate(filepath.Join(m, taken[0].Name()), 100); err != nil {
		t.Fatal(err)
	}
	r := Restore{b.Repository, b.Console, backup.Latest, filepath.Join(t.TempDir(), "x"), b.Options.Random}
	if err := r.Run(t.Context()); !errors.Is(err, backup.ErrCorrupt) {
		t.Errorf("a manifest that was cut: %v", err)
	}
}

func TestRepositoriesThatCannotBe(t *testing.T) {
	for where, want := range map[string]string{"": "say where", "s3://": "no name", "/nowhere/at/all": "no such file"} {
		err := Backups{Repository{Where: where}, Console{Out: io.Discard, Progress: io.Discard}}.List(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", where, err, want)
		}
	}
}

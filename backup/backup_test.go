package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
)

var taken = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// options has a clock that stands at now, and numbers backups.
func options(now time.Time) Options {
	var n atomic.Uint64
	return Options{Version: "test", Now: func() time.Time { return now }, Random: func() uint64 { return n.Add(1) }}
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func folderOf(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for path, content := range files {
		m[path] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func contents(t *testing.T, dir fs.FS) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(dir, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func equal(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for path, content := range want {
		if got[path] != content {
			t.Errorf("%s holds %q, want %q", path, got[path], content)
		}
	}
}

func save(t *testing.T, from fs.FS, to Repository, now time.Time) Report {
	t.Helper()
	report, err := Save(t.Context(), from, to, options(now))
	if err != nil {
		t.Fatalf("save: %v", err)
	}
	return report
}

func restoreInto(t *testing.T, from Repository, name string) (map[string]string, Report) {
	t.Helper()
	m, err := Load(t.Context(), from, name)
	if err != nil {
		t.Fatal(err)
	}
	root := openRoot(t, t.TempDir())
	report, err := Restore(t.Context(), from, m, root, Options{})
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return contents(t, root.FS()), report
}

var (
	monday  = map[string]string{"FORMAT": "1", "store/000001.sst": "first", "store/000002.sst": "second", "store/empty": ""}
	tuesday = map[string]string{"FORMAT": "1", "store/000002.sst": "second", "store/000003.sst": "third", "copy": "third"}
)

// judge holds a repository to the promise of the package.
func judge(t *testing.T, repository Repository) {
	first := save(t, folderOf(monday), repository, taken)
	if first.Files != 4 || first.CopiedFiles != 3 || first.CopiedBytes != 12 {
		t.Errorf("first backup: %+v", first)
	}
	second := save(t, folderOf(tuesday), repository, taken.Add(24*time.Hour))
	if second.Files != 4 || second.CopiedFiles == 0 || second.CopiedBytes > 10 {
		t.Errorf("second backup sent what was there: %+v", second)
	}
	names, err := Names(t.Context(), repository)
	if err != nil || len(names) != 2 || names[0] != first.Name || names[1] != second.Name {
		t.Fatalf("backups %v, %v", names, err)
	}
	got, _ := restoreInto(t, repository, first.Name)
	equal(t, got, monday)
	got, _ = restoreInto(t, repository, Latest)
	equal(t, got, tuesday)
	for _, name := range names {
		m, err := Load(t.Context(), repository, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(t.Context(), repository, m, Options{}); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
	if _, err := Load(t.Context(), repository, "20200101T000000Z-00000000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a backup that is not there: %v", err)
	}

	now := time.Now().Add(48 * time.Hour) // by the repository's own clock
	gone, freed, err := Prune(t.Context(), repository, Keep{Last: 1}, now)
	if err != nil || len(gone) != 1 || gone[0] != first.Name || freed != int64(len("first")) {
		t.Errorf("pruned %v, %d bytes, %v", gone, freed, err)
	}
	got, _ = restoreInto(t, repository, Latest)
	equal(t, got, tuesday)
}

func TestFolderKeepsBackups(t *testing.T) { judge(t, NewFolder(openRoot(t, t.TempDir()))) }

func TestRestoreGoesOnWhereItStopped(t *testing.T) {
	repository := NewFolder(openRoot(t, t.TempDir()))
	save(t, folderOf(monday), repository, taken)
	m, err := Load(t.Context(), repository, Latest)
	if err != nil {
		t.Fatal(err)
	}
	root := openRoot(t, t.TempDir())
	if err := root.Mkdir("store", 0o750); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{"store/000001.sst": "first", "store/000002.sst": "seco", "FORMAT": "9", "store/000009.log": "of another state"} {
		if err := root.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	report, err := Restore(t.Context(), repository, m, root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, contents(t, root.FS()), monday)
	if report.CopiedFiles != 3 {
		t.Errorf("%d files copied, want the two that were wrong and the one that was missing", report.CopiedFiles)
	}
}

// failing is a repository that fails at its calls from the one numbered at on,
// having written a part of what it was given.
type failing struct {
	Repository
	calls, at int64
}

var errBroken = errors.New("the repository broke")

func (f *failing) broken() bool { return atomic.AddInt64(&f.calls, 1) > f.at }

func (f *failing) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	if f.broken() {
		part := io.LimitReader(content, size/2)
		return errors.Join(errBroken, ignoreCorrupt(f.Repository.Put(ctx, name, part, size)))
	}
	return f.Repository.Put(ctx, name, content, size)
}

func ignoreCorrupt(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return nil
	}
	return err
}

func (f *failing) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if f.broken() {
		return nil, errBroken
	}
	return f.Repository.Get(ctx, name)
}

func (f *failing) List(ctx context.Context, prefix string) ([]Object, error) {
	if f.broken() {
		return nil, errBroken
	}
	return f.Repository.List(ctx, prefix)
}

func TestInterruptedBackupIsNone(t *testing.T) {
	for at := int64(0); ; at++ {
		folder := NewFolder(openRoot(t, t.TempDir()))
		save(t, folderOf(monday), folder, taken)
		_, err := Save(t.Context(), folderOf(tuesday), &failing{Repository: folder, at: at}, options(taken.Add(time.Hour)))
		names, listErr := Names(t.Context(), folder)
		if listErr != nil {
			t.Fatal(listErr)
		}
		if err == nil {
			if len(names) != 2 || at < 5 {
				t.Fatalf("after %d calls the backup was made, backups %v", at, names)
			}
			return
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("interrupted at call %d: %v", at, err)
		}
		if len(names) != 1 {
			t.Fatalf("interrupted at call %d there are %d backups", at, len(names))
		}
		got, _ := restoreInto(t, folder, Latest)
		equal(t, got, monday)
		save(t, folderOf(tuesday), folder, taken.Add(2*time.Hour))
		got, _ = restoreInto(t, folder, Latest)
		equal(t, got, tuesday)
	}
}

func TestDamagedObjectsAreFound(t *testing.T) {
	dir := t.TempDir()
	repository := NewFolder(openRoot(t, dir))
	save(t, folderOf(monday), repository, taken)
	m, err := Load(t.Context(), repository, Latest)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []struct {
		name   string
		change func(path string) error
	}{
		{"changed", func(path string) error { return os.WriteFile(path, []byte("fyrst"), 0o600) }},
		{"cut", func(path string) error { return os.Truncate(path, 2) }},
		{"lost", os.Remove},
	} {
		f := m.Files[1]
		path := filepath.Join(dir, f.object())
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := damage.change(path); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(t.Context(), repository, m, Options{})
		if err == nil || !strings.Contains(err.Error(), f.Path) {
			t.Errorf("%s: verify says %v", damage.name, err)
		}
		if _, err := Restore(t.Context(), repository, m, openRoot(t, t.TempDir()), Options{}); err == nil {
			t.Errorf("%s: restored", damage.name)
		}
	}
}

func TestCancelledSaveEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(taken)
	o.Progress = func(int64, int64) { cancel() }
	o.Parallel = 1
	repository := NewFolder(openRoot(t, t.TempDir()))
	if _, err := Save(ctx, folderOf(monday), repository, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if names, err := Names(t.Context(), repository); err != nil || len(names) > 0 {
		t.Errorf("backups %v, %v", names, err)
	}
}

func TestPruneKeepsByTimeAndFreshObjects(t *testing.T) {
	repository := NewFolder(openRoot(t, t.TempDir()))
	now := time.Now()
	for day := range 5 {
		save(t, folderOf(map[string]string{"day": fmt.Sprint(day)}), repository, now.Add(time.Duration(day-4)*24*time.Hour))
	}
	gone, freed, err := Prune(t.Context(), repository, Keep{Within: 25 * time.Hour}, now)
	if err != nil || len(gone) != 3 || freed != 0 {
		t.Errorf("pruned %v, %d bytes of objects just written, %v", gone, freed, err)
	}
	gone, freed, err = Prune(t.Context(), repository, Keep{}, now.Add(orphanAge+time.Hour))
	if err != nil || len(gone) != 1 || freed != 4 {
		t.Errorf("pruned %v, %d bytes, %v", gone, freed, err)
	}
	got, _ := restoreInto(t, repository, Latest)
	equal(t, got, map[string]string{"day": "4"})
}

func TestManifestGolden(t *testing.T) {
	m := &Manifest{
		Format: 1, Name: "20260301T120000Z-00000001", Taken: taken, Version: "v1",
		Files: []File{{"FORMAT", 1, "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"}},
	}
	got, err := encodeManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("manifest\n%s\nwant\n%s", got, want)
	}
	if _, err := decodeManifest(want); err != nil {
		t.Error(err)
	}
	for i := range want { // every byte counts
		changed := bytes.Clone(want)
		changed[i] ^= 1
		if _, err := decodeManifest(changed); err == nil && i < len(want)-1 {
			t.Fatalf("a manifest whose byte %d was changed is read", i)
		}
		if _, err := decodeManifest(want[:i]); err == nil && i < len(want)-1 {
			t.Fatalf("a manifest of %d bytes is read", i)
		}
	}
}

func FuzzManifest(f *testing.F) {
	seed, err := os.ReadFile("testdata/manifest.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("{}\n{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeManifest(text)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(file.Path) {
				t.Errorf("file %q leaves the folder", file.Path)
			}
		}
		again, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(again); err != nil {
			t.Errorf("what was read does not come back: %v", err)
		}
	})
}

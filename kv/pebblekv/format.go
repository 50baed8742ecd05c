package pebblekv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"github.com/varve-db/varve/kv"
)

// formatVersion is the newest data folder that this version reads and writes.
const formatVersion = 1

const (
	formatFile     = "FORMAT"
	formatBytesMax = 64 << 10
)

// formatRecord is the content of FORMAT, a JSON object on one line:
//
//	{"format":1,"engine":"pebble"}
//
// Newer versions may add fields; one that changes what older versions could
// misread raises format. The file is written before anything else in a new
// folder, and last in a checkpoint.
type formatRecord struct {
	Format int    `json:"format"`
	Engine string `json:"engine"`
}

// checkFormat refuses folders that a newer version wrote and reports whether
// there is a FORMAT file.
func checkFormat(files vfs.FS, dir string) (formatted bool, err error) {
	names, err := files.List(dir)
	if err != nil {
		return false, fmt.Errorf("list files: %w", err)
	}
	path := files.PathJoin(dir, formatFile)
	text, err := readSmallFile(files, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, name := range names {
			if strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, "marker.manifest.") {
				return false, damaged(path, "it is missing, though the folder holds a store")
			}
		}
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	record, err := decodeFormat(text)
	if err != nil {
		return false, damaged(path, err.Error())
	}
	if record.Format > formatVersion {
		return false, fmt.Errorf("file %s says format %d, this version reads up to %d: %w (%s)",
			path, record.Format, formatVersion, kv.ErrNewerFormat, adviceNewer)
	}
	return true, checkEngineFormat(files, dir)
}

func decodeFormat(text []byte) (formatRecord, error) {
	var record formatRecord
	if err := json.Unmarshal(text, &record); err != nil {
		return record, err
	}
	if record.Format < 1 {
		return record, fmt.Errorf("it says format %d", record.Format)
	}
	return record, nil
}

// checkEngineFormat looks at the marker in which Pebble keeps its own format.
func checkEngineFormat(files vfs.FS, dir string) error {
	value, err := atomicfs.ReadMarker(files, dir, "format-version")
	if err != nil {
		return fmt.Errorf("read the engine's format: %w", err)
	}
	if n, err := strconv.ParseUint(value, 10, 64); err == nil && n > uint64(pebble.FormatNewest) {
		return fmt.Errorf("the folder has engine format %d, this version reads up to %d: %w (%s)",
			n, uint64(pebble.FormatNewest), kv.ErrNewerFormat, adviceNewer)
	}
	return nil
}

// writeFormat writes FORMAT durably and whole, or not at all.
func writeFormat(files vfs.FS, dir string) error {
	text, err := json.Marshal(formatRecord{Format: formatVersion, Engine: "pebble"})
	if err != nil {
		return fmt.Errorf("write %s: %w", formatFile, err)
	}
	path := files.PathJoin(dir, formatFile)
	if err := writeWhole(files, path, append(text, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func writeWhole(files vfs.FS, path string, content []byte) error {
	temporary := path + ".tmp"
	file, err := files.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := files.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(files, files.PathDir(path))
}

func syncDir(files vfs.FS, dir string) error {
	handle, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(handle.Sync(), handle.Close())
}

func readSmallFile(files vfs.FS, path string) ([]byte, error) {
	file, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, formatBytesMax))
	return content, errors.Join(err, file.Close())
}

// makeDir creates dir and its missing parents durably.
func makeDir(files vfs.FS, dir string) error {
	var parents []string
	for child := dir; ; {
		if _, err := files.Stat(child); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parent := files.PathDir(child)
		if parent == child {
			break
		}
		parents = append(parents, parent)
		child = parent
	}
	if err := files.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := syncDir(files, parent); err != nil {
			return err
		}
	}
	return nil
}

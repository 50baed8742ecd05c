package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Manifest says what a backup consists of.
type Manifest struct {
	Format  int       `json:"format"`
	Name    string    `json:"name"`
	Taken   time.Time `json:"taken"`
	Version string    `json:"version"` // of the program that took it
	Files   []File    `json:"files"`   // by path
}

// File is one file of a backup.
type File struct {
	Path   string `json:"path"` // relative, with slashes
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Bytes returns the size of all files.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

const (
	manifestFormat   = 1
	manifestBytesMax = 256 << 20
	backupsPrefix    = "backups/"
	objectsPrefix    = "objects/"
	nameSuffix       = ".json"
)

func (f File) object() string { return objectsPrefix + f.SHA256[:2] + "/" + f.SHA256 }

// encodeManifest writes a manifest as two lines of JSON, the second of which
// holds the SHA-256 of the first: what was cut or changed is not a backup.
func encodeManifest(m *Manifest) ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	sum := sha256.Sum256(line)
	return fmt.Appendf(append(line, '\n'), "{\"sha256\":%q}\n", hex.EncodeToString(sum[:])), nil
}

// decodeManifest is the inverse of encodeManifest. What it returns can be
// restored without leaving the folder.
func decodeManifest(text []byte) (*Manifest, error) {
	line, seal, ok := bytes.Cut(text, []byte("\n"))
	if !ok {
		return nil, fmt.Errorf("%w: the manifest has no second line", ErrCorrupt)
	}
	var check struct{ SHA256 string }
	sum := sha256.Sum256(line)
	if err := json.Unmarshal(seal, &check); err != nil || check.SHA256 != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%w: the manifest does not have the checksum that it states", ErrCorrupt)
	}
	m := new(Manifest)
	if err := json.Unmarshal(line, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if m.Format < 1 || m.Format > manifestFormat {
		return nil, fmt.Errorf("the backup has format %d, this version reads up to %d", m.Format, manifestFormat)
	}
	for i, f := range m.Files {
		sum, err := hex.DecodeString(f.SHA256)
		switch {
		case err != nil || len(sum) != sha256.Size || f.SHA256 != hex.EncodeToString(sum):
			return nil, fmt.Errorf("%w: file %q has no SHA-256", ErrCorrupt, f.Path)
		case !fs.ValidPath(f.Path) || f.Path == "." || f.Size < 0:
			return nil, fmt.Errorf("%w: file %q of %d bytes", ErrCorrupt, f.Path, f.Size)
		case i > 0 && f.Path <= m.Files[i-1].Path:
			return nil, fmt.Errorf("%w: file %q is out of order", ErrCorrupt, f.Path)
		}
	}
	return m, nil
}

// Latest is the name that stands for the newest backup.
const Latest = "latest"

// Load reads the manifest of the backup called name, or of the newest.
func Load(ctx context.Context, from Repository, name string) (*Manifest, error) {
	if name == Latest {
		names, err := Names(ctx, from)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("the repository has no backup: %w", ErrNotFound)
		}
		name = names[len(names)-1]
	}
	content, err := from.Get(ctx, backupsPrefix+name+nameSuffix)
	if err != nil {
		return nil, fmt.Errorf("read backup %s: %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(content, manifestBytesMax))
	if err = errors.Join(err, content.Close()); err != nil {
		return nil, fmt.Errorf("read backup %s: %w", name, err)
	}
	m, err := decodeManifest(text)
	if err != nil {
		return nil, fmt.Errorf("read backup %s: %w", name, err)
	}
	return m, nil
}

// Names lists the backups, the oldest first.
func Names(ctx context.Context, in Repository) ([]string, error) {
	objects, err := in.List(ctx, backupsPrefix)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var names []string
	for _, o := range objects {
		if name, ok := strings.CutSuffix(path.Base(o.Name), nameSuffix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

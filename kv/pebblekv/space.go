package pebblekv

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/varve-db/varve/kv"
)

const (
	// BALLAST is a file that only takes space. When the disk is full although
	// writes stopped at the reserve, because something else fills it, the file
	// is removed: what is in memory can still be flushed, and the next start has
	// room for its recovery.
	ballastFile     = "BALLAST"
	ballastBytesMax = 64 << 20
	ballastBytesMin = 1 << 20

	reserveBytesMin   = 512 << 20
	reserveShareMax   = 8 << 30
	freeFigureMaxAge  = time.Second
	floorPerReserve   = 4 // the floor is this fraction of the reserve
	preallocateChunks = 1 << 20
)

// space watches the free space of the disk. Its files are those below the
// ballast, so that removing it cannot wait for itself.
type space struct {
	dir     string
	files   vfs.FS
	log     *slog.Logger
	now     func() time.Time
	ask     func() (uint64, error)
	reserve int64 // writes stop below this; negative: no check
	floor   int64 // everything that takes space stops below this

	refused, fullEvents atomic.Uint64

	mu      sync.Mutex
	known   bool // the disk tells its free space
	free    int64
	asked   time.Time
	written int64 // since asked
}

func newSpace(dir string, options Options) *space {
	s := &space{dir: dir, files: options.FS, log: options.Logger, now: options.Now, ask: options.FreeBytes}
	if s.ask == nil {
		s.ask = func() (uint64, error) {
			usage, err := s.files.GetDiskUsage(dir)
			return usage.AvailBytes, err
		}
	}
	s.reserve = options.Reserve
	if s.reserve == 0 {
		share := int64(0)
		if usage, err := s.files.GetDiskUsage(dir); err == nil {
			share = int64(min(usage.TotalBytes/20, reserveShareMax))
		}
		s.reserve = max(3*options.memtableBytes()+share, reserveBytesMin)
	}
	s.floor = s.reserve / floorPerReserve
	return s
}

// left returns the free bytes, at most a second old, less what was written
// since; ok is false when the disk does not tell.
func (s *space) left(writing int64) (free int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if age := now.Sub(s.asked); s.asked.IsZero() || age >= freeFigureMaxAge || age < 0 {
		s.askLocked(now)
	}
	s.written += writing
	return s.free - s.written, s.known
}

func (s *space) askLocked(now time.Time) {
	free, err := s.ask()
	if err != nil && (s.known || s.asked.IsZero()) {
		s.log.Warn("free disk space is not known, the reserve is not kept", "folder", s.dir, "error", err)
	}
	s.known = err == nil
	s.free, s.written, s.asked = int64(min(free, math.MaxInt64)), 0, now
}

// admit lets a batch of size bytes through, or returns kv.ErrFull. One that
// frees space may go down to the floor.
func (s *space) admit(size int64, relieving bool) error {
	limit := s.reserve
	if relieving {
		limit = s.floor
	}
	return s.check(size, limit)
}

// admitTable lets a table through down to the floor: tables carry what the log
// already holds, and let the log be dropped.
func (s *space) admitTable(size int64) error { return s.check(size, s.floor) }

func (s *space) check(size, limit int64) error {
	if s.reserve < 0 {
		return nil
	}
	free, known := s.left(size)
	if !known || free >= limit {
		return nil
	}
	s.refused.Add(1)
	return fmt.Errorf("%d bytes free, %d kept in reserve: %w", max(free, 0), limit, kv.ErrFull)
}

// Full reports whether the disk reserve is reached, so that work which needs
// space and can wait, waits.
func (s *Store) Full() bool {
	if s.space.reserve < 0 {
		return false
	}
	free, known := s.space.left(0)
	return known && free < s.space.reserve
}

// diskFull is called when a write met a full disk. Writes wait for it, and the
// one that failed is tried again after it.
func (s *space) diskFull() {
	s.fullEvents.Add(1)
	err := s.files.Remove(s.files.PathJoin(s.dir, ballastFile))
	s.log.Error("disk is full", "folder", s.dir, "ballast_removed", err == nil)
	s.mu.Lock()
	s.asked = time.Time{}
	s.mu.Unlock()
}

// ensureBallast creates the ballast if there is plenty of space. It is a
// precaution: if it cannot be created, the store opens without it.
func (s *space) ensureBallast() {
	path := s.files.PathJoin(s.dir, ballastFile)
	if _, err := s.files.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	free, known := s.left(0)
	size := min(free/100, ballastBytesMax)
	if !known || size < ballastBytesMin || free < max(s.reserve, 0)+2*size {
		return
	}
	if err := s.createBallast(path, size); err != nil {
		s.log.Warn("ballast file cannot be created", "file", path, "error", err)
		if err := s.files.Remove(path); err != nil {
			s.log.Warn("ballast file cannot be removed", "file", path, "error", err)
		}
	}
}

// createBallast asks the file system for the space, and writes zeros where it
// cannot give space without.
func (s *space) createBallast(path string, size int64) error {
	file, err := s.files.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err = file.Preallocate(0, size); err != nil {
		zeros := make([]byte, preallocateChunks)
		err = nil
		for written := int64(0); written < size && err == nil; written += int64(len(zeros)) {
			_, err = file.Write(zeros)
		}
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

package pebblekv

import (
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Options tunes a Store; the zero value works.
type Options struct {
	// FS holds all files; the default is the operating system's.
	FS vfs.FS
	// Logger takes events; the default drops them.
	Logger *slog.Logger
	// Registerer takes the metrics, if set. Close unregisters them.
	Registerer prometheus.Registerer

	// MemoryBytes is the memory of the machine or its cgroup, from which caches
	// and memtables are sized. The default is 1 GiB.
	MemoryBytes int64
	// Cores bounds concurrent compactions; the default is 1.
	Cores int

	// Reserve is how many bytes of disk stay free: below it Apply returns
	// kv.ErrFull. 0 means three memtables and 5 % of the disk (8 GiB at most),
	// at least 512 MiB; a negative value turns the check off.
	Reserve int64
	// FreeBytes tells the free bytes of the disk; the default asks FS.
	FreeBytes func() (uint64, error)

	// SyncInterval above 0 trades durability for speed: Apply with kv.Sync
	// returns once the batch is in the log's buffer, and the log is fsynced
	// every interval. A crash may lose what was acknowledged since.
	SyncInterval time.Duration
	// Fatal is told that a commit, an fsync or a write of the MANIFEST has failed
	// for good. It has to end the process; the default logs and calls os.Exit(1).
	// If it returns, the call that failed never does, because nothing may be
	// acknowledged any more, and the store must be abandoned.
	Fatal func(error)

	// ReadOnly opens an existing folder without changing it.
	ReadOnly bool
	// Now is the clock; the default is time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = 1 << 30
	}
	if o.Cores <= 0 {
		o.Cores = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Fatal == nil {
		log := o.Logger
		o.Fatal = func(err error) {
			log.Error("store failed for good, ending the process", "error", err)
			os.Exit(1)
		}
	}
	return o
}

const (
	memtableBytesMin = 64 << 20
	memtableBytesMax = 256 << 20
	// memtablesMax is how many memtables may wait for their flush before writers
	// have to wait too.
	memtablesMax  = 4
	cacheBytesMin = 32 << 20
	cacheBytesMax = 4 << 30

	blockBytes      = 32 << 10
	indexBlockBytes = 128 << 10
	bloomBits       = 10
	levels          = 7
)

// memtableBytes is a thirty-second of the memory, so that all memtables together
// stay below an eighth of a machine with 2 GiB or more.
func (o Options) memtableBytes() int64 {
	return min(max(o.MemoryBytes/32, memtableBytesMin), memtableBytesMax)
}

// cacheBytes is an eighth of the memory for blocks. Pebble takes the memtables
// out of its cache's budget, so those in use come on top.
func (o Options) cacheBytes() int64 {
	return min(max(o.MemoryBytes/8, cacheBytesMin), cacheBytesMax) + 2*o.memtableBytes()
}

// compactions leaves half of the cores to queries, and one at a time is enough
// where there is little memory.
func (o Options) compactions() int {
	if o.MemoryBytes < 1<<30 {
		return 1
	}
	return min(max(o.Cores/2, 1), 8)
}

// pebbleOptions builds the engine's options. Format and levels are part of what
// is on disk: the format is named, so that a newer Pebble does not raise it by
// itself.
func (o Options) pebbleOptions() *pebble.Options {
	p := &pebble.Options{
		FormatMajorVersion:          pebble.FormatValueSeparation,
		CacheSize:                   o.cacheBytes(),
		MemTableSize:                uint64(o.memtableBytes()),
		MemTableStopWritesThreshold: memtablesMax,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       36,
		LBaseMaxBytes:               o.memtableBytes(),
		ReadOnly:                    o.ReadOnly,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, o.compactions() },
	}
	p.TargetFileSizes = [levels]int64{4 << 20, 8 << 20, 16 << 20, 32 << 20, 64 << 20, 64 << 20, 64 << 20}
	// Most rows arrive as tables that overlap nothing and stay where they land:
	// compactions triggered by reads would only rewrite them.
	p.Experimental.ReadSamplingMultiplier = -1
	p.Experimental.IngestSplit = func() bool { return true }
	p.Experimental.EnableDeleteOnlyCompactionExcises = func() bool { return true }
	// Fast compression above, zstd on the last level; a block that does not
	// shrink, as a sealed column, is stored as it is.
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	for i := range p.Levels {
		p.Levels[i].BlockSize = blockBytes
		p.Levels[i].IndexBlockSize = indexBlockBytes
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		p.Levels[i].FilterType = pebble.TableFilter
	}
	// Pebble's Get never reads the filters of the last level, where most keys
	// that are asked for exist: they would only take 10 bits a key.
	p.Levels[levels-1].FilterPolicy = pebble.NoFilterPolicy
	return p
}

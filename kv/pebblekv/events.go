package pebblekv

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// corruptFilesMax bounds the set of damaged files that are remembered, so that
// each is logged and counted once.
const corruptFilesMax = 4096

// events takes what Pebble reports: it is Pebble's logger, builds its listener,
// and counts.
type events struct {
	log   *slog.Logger
	fatal func(error)
	// failed is set when the store cannot go on.
	failed atomic.Bool

	commits, commitBytes         atomic.Uint64
	backgroundErrors, slowWrites atomic.Uint64
	stalls                       atomic.Uint64
	corrupt                      atomic.Uint64 // damaged tables

	mu           sync.Mutex
	corruptFiles map[string]struct{}
}

func newEvents(options Options) *events {
	return &events{log: options.Logger, fatal: options.Fatal, corruptFiles: map[string]struct{}{}}
}

// Infof is part of pebble.Logger.
func (e *events) Infof(format string, args ...any) {
	e.log.Debug("engine", "text", fmt.Sprintf(format, args...))
}

// Errorf is part of pebble.Logger.
func (e *events) Errorf(format string, args ...any) {
	e.log.Error("engine", "text", fmt.Sprintf(format, args...))
}

// Fatalf is part of pebble.Logger: the engine calls it when a commit, an fsync
// or a write of the MANIFEST has failed, and must not go on after it.
func (e *events) Fatalf(format string, args ...any) {
	e.fail(fmt.Errorf(format, args...))
}

// fail does not return: the caller would acknowledge what is not durable.
func (e *events) fail(err error) {
	e.failed.Store(true)
	e.fatal(fmt.Errorf("store failed: %w", err))
	select {}
}

func (e *events) listener() *pebble.EventListener {
	l := &pebble.EventListener{
		DataCorruption: e.dataCorruption,
		BackgroundError: func(err error) {
			e.backgroundErrors.Add(1)
			e.log.Error("background work failed", "error", err)
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			e.slowWrites.Add(1)
			e.log.Warn("disk is slow", "file", info.Path, "operation", info.OpType.String(), "duration", info.Duration)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			e.stalls.Add(1)
			e.log.Warn("writers wait", "reason", info.Reason)
		},
		WriteStallEnd: func() { e.log.Info("writers go on") },
	}
	l.EnsureDefaults(e)
	return l
}

// dataCorruption is called on every read that meets damage; the read returns
// kv.ErrCorrupt by itself.
func (e *events) dataCorruption(info pebble.DataCorruptionInfo) {
	e.mu.Lock()
	_, known := e.corruptFiles[info.Path]
	known = known || len(e.corruptFiles) == corruptFilesMax
	if !known {
		e.corruptFiles[info.Path] = struct{}{}
	}
	e.mu.Unlock()
	if known {
		return
	}
	e.corrupt.Add(1)
	e.log.Error("table is damaged, the rest is served",
		"file", info.Path, "keys", info.Bounds.String(), "error", info.Details)
}

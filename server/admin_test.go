package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestAdmin(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "snapshots")
	flushed := 0
	broken := error(nil)
	a := &admin{
		folder: folder, random: func() uint64 { return 7 }, log: slog.New(slog.DiscardHandler),
		now:      func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) },
		flush:    func(context.Context) error { flushed++; return broken },
		snapshot: func(dir string) error { return errors.Join(broken, os.Mkdir(dir, 0o750)) },
	}
	disabled := openNode(t, nil, fakeParts(a.routes()...)).serve().awaitReady()
	for _, path := range []string{"/api/v1/admin/tsdb/snapshot", "/api/v1/admin/tsdb/flush"} {
		disabled.do("POST", path, "").want(t, "disabled", 503, `{"error":"admin APIs disabled","errorType":"unavailable","status":"error"}`)
		disabled.get(path).want(t, "GET", 405, "")
	}
	if _, err := os.Stat(folder); err == nil || flushed != 0 {
		t.Fatal("a disabled API did something")
	}

	a.enabled = true
	n := openNode(t, nil, fakeParts(a.routes()...)).serve().awaitReady()
	got := n.do("POST", "/api/v1/admin/tsdb/snapshot", "")
	got.want(t, "snapshot", 200, `{"name":"20300102T030405Z-0000000000000007"}`)
	name := regexp.MustCompile(`2030[^"]*`).FindString(got.body)
	if info, err := os.Stat(filepath.Join(folder, name, storeFolder)); err != nil || !info.IsDir() {
		t.Errorf("no store in the snapshot: %v", err)
	}
	n.do("PUT", "/api/v1/admin/tsdb/flush", "").want(t, "flush", 204, "")
	if flushed != 1 {
		t.Errorf("%d flushes", flushed)
	}

	broken = errors.New("no space")
	a.random = func() uint64 { return 8 }
	n.do("POST", "/api/v1/admin/tsdb/snapshot", "").want(t, "failing snapshot", 500, "no space")
	n.do("POST", "/api/v1/admin/tsdb/flush", "").want(t, "failing flush", 500, "no space")
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("a failed snapshot left %v, %v", left, err)
	}
}

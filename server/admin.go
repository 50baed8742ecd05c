package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/server/auth"
	"github.com/varve-db/varve/tsdb"
)

// admin serves what may change or copy the whole database.
type admin struct {
	enabled  bool
	folder   string // where snapshots go
	snapshot func(dir string) error
	flush    func(ctx context.Context) error
	seal     func(ctx context.Context) ([]tsdb.SealReport, error)
	thin     func(ctx context.Context) ([]tsdb.DownsampleReport, error)
	blocks   func() ([]tsdb.Block, error)
	now      func() time.Time
	random   func() uint64
	log      *slog.Logger
}

func (a *admin) routes() []route {
	return []route{
		{methods: putPost, path: "/api/v1/admin/tsdb/snapshot", handle: a.guard(a.takeSnapshot), scope: auth.Admin, shared: true, changes: true, bodyBytesMax: bodyless},
		{methods: putPost, path: "/api/v1/admin/tsdb/flush", handle: a.guard(a.flushNow), scope: auth.Admin, shared: true, changes: true, bodyBytesMax: bodyless},
		{methods: putPost, path: "/api/v1/admin/tsdb/seal", handle: a.guard(a.sealNow), scope: auth.Admin, shared: true, changes: true, bodyBytesMax: bodyless},
		{methods: putPost, path: "/api/v1/admin/tsdb/downsample", handle: a.guard(a.downsampleNow), scope: auth.Admin, shared: true, changes: true, bodyBytesMax: bodyless},
		{methods: get, path: "/api/v1/status/tsdb/blocks", handle: a.listBlocks, scope: auth.Read, shared: true, bodyBytesMax: bodyless},
	}
}

func (a *admin) guard(handle fasthttp.RequestHandler) fasthttp.RequestHandler {
	if a.enabled {
		return handle
	}
	return func(ctx *fasthttp.RequestCtx) { failAPI(ctx, kindUnavailable, "admin APIs disabled") }
}

// takeSnapshot copies the database into a folder of its own, which can be
// served as it is.
func (a *admin) takeSnapshot(ctx *fasthttp.RequestCtx) {
	name := fmt.Sprintf("%s-%016x", a.now().UTC().Format("20060102T150405Z0700"), a.random())
	if err := a.copyInto(filepath.Join(a.folder, name)); err != nil {
		a.log.Error("snapshot failed", "name", name, "err", err)
		failAPI(ctx, kindInternal, "create snapshot: "+err.Error())
		return
	}
	a.log.Info("snapshot taken", "name", name)
	succeedAPI(ctx, struct {
		Name string `json:"name"`
	}{name})
}

// copyInto leaves nothing behind when it fails.
func (a *admin) copyInto(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := a.snapshot(filepath.Join(dir, storeFolder)); err != nil {
		if removeErr := os.RemoveAll(dir); removeErr != nil {
			a.log.Warn("remains of a failed snapshot could not be removed", "folder", dir, "err", removeErr)
		}
		return err
	}
	return nil
}

func (a *admin) flushNow(ctx *fasthttp.RequestCtx) {
	if err := a.flush(ctx); err != nil {
		a.log.Error("flush on request failed", "err", err)
		failAPI(ctx, kindInternal, "flush: "+err.Error())
		return
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// sealed is a tsdb.SealReport as the API shows it.
type sealed struct {
	Tenant    series.TenantID `json:"tenant"`
	MinTime   int64           `json:"minTime"`
	MaxTime   int64           `json:"maxTime"`
	Inputs    int             `json:"inputs"`
	Series    uint64          `json:"numSeries"`
	Samples   uint64          `json:"numSamples"`
	BytesIn   uint64          `json:"bytesRead"`
	BytesOut  uint64          `json:"bytesWritten"`
	Conflicts int             `json:"conflicts"`
	Seconds   float64         `json:"seconds"`
}

// sealNow seals everything up to now and tells what became of it.
func (a *admin) sealNow(ctx *fasthttp.RequestCtx) {
	reports, err := a.seal(ctx)
	if err != nil {
		a.log.Error("seal on request failed", "err", err)
		failAPI(ctx, kindInternal, "seal: "+err.Error())
		return
	}
	out := make([]sealed, 0, len(reports))
	for _, r := range reports {
		out = append(out, sealed{
			r.Tenant, r.Start, r.End, r.Inputs, r.Series, r.Samples, r.BytesIn, r.BytesOut, r.Conflicts, r.Took.Seconds(),
		})
	}
	succeedAPI(ctx, struct {
		Partitions []sealed `json:"partitions"`
	}{out})
}

// downsampled is a tsdb.DownsampleReport as the API shows it.
type downsampled struct {
	Tenant   series.TenantID `json:"tenant"`
	MinTime  int64           `json:"minTime"`
	MaxTime  int64           `json:"maxTime"`
	Widths   []string        `json:"widths"`
	Series   uint64          `json:"numSeries"`
	Samples  uint64          `json:"numSamples"`
	Windows  uint64          `json:"numWindows"`
	BytesOut uint64          `json:"bytesWritten"`
	Seconds  float64         `json:"seconds"`
}

// downsampleNow makes the windows that are missing and tells what became of it.
func (a *admin) downsampleNow(ctx *fasthttp.RequestCtx) {
	reports, err := a.thin(ctx)
	if err != nil {
		a.log.Error("downsampling on request failed", "err", err)
		failAPI(ctx, kindInternal, "downsample: "+err.Error())
		return
	}
	out := make([]downsampled, 0, len(reports))
	for _, r := range reports {
		var widths []string
		for _, width := range r.Widths {
			widths = append(widths, model.Duration(width).String())
		}
		out = append(out, downsampled{
			r.Tenant, r.Start, r.End, widths, r.Series, r.Samples, r.Windows, r.BytesOut, r.Took.Seconds(),
		})
	}
	succeedAPI(ctx, struct {
		Partitions []downsampled `json:"partitions"`
	}{out})
}

// listBlocks lists the generations on disk.
func (a *admin) listBlocks(ctx *fasthttp.RequestCtx) {
	blocks, err := a.blocks()
	if err != nil {
		failAPI(ctx, kindInternal, "list blocks: "+err.Error())
		return
	}
	if blocks == nil {
		blocks = []tsdb.Block{}
	}
	succeedAPI(ctx, struct {
		Blocks []tsdb.Block `json:"blocks"`
	}{blocks})
}

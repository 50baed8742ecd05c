package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// prometheusTSDB is a Prometheus's data folder.
type prometheusTSDB struct {
	folder  string
	filter  Filter
	sandbox string
	db      *tsdb.DBReadOnly
	blocks  []tsdb.BlockReader
	head    int64 // where the write-ahead log begins to tell something new
}

// OpenPrometheus opens a Prometheus's data folder, or a snapshot of it, without
// writing there; temporary is a folder for what the head's chunks need. A part is
// a day of a block; the head, with its exemplars and metadata, are two more. What
// a Prometheus writes meanwhile may be missed: a snapshot is better than the
// folder of one that runs.
func OpenPrometheus(folder, temporary string, f Filter) (Source, error) {
	sandbox, err := os.MkdirTemp(temporary, "varve-import-")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", folder, err)
	}
	db, err := tsdb.OpenDBReadOnly(folder, sandbox, slog.New(slog.DiscardHandler))
	if err != nil {
		_ = os.RemoveAll(sandbox)
		return nil, fmt.Errorf("open %s: %w", folder, err)
	}
	p := &prometheusTSDB{folder: folder, filter: f, sandbox: sandbox, db: db, head: math.MinInt64}
	if p.blocks, err = db.Blocks(); err != nil {
		_ = p.Close()
		return nil, fmt.Errorf("open the blocks of %s: %w", folder, err)
	}
	for _, b := range p.blocks {
		p.head = max(p.head, b.Meta().MaxTime)
	}
	return p, nil
}

// Name implements Source.
func (p *prometheusTSDB) Name() string { return p.folder }

// Close implements Source.
func (p *prometheusTSDB) Close() error {
	return errors.Join(p.db.Close(), os.RemoveAll(p.sandbox))
}

// The indices of the parts that are no block.
const (
	partHead = -1
	partLog  = -2
)

// Parts implements Source.
func (p *prometheusTSDB) Parts(context.Context) ([]Part, error) {
	var parts []Part
	mint, maxt := p.filter.bounds()
	for i, b := range p.blocks {
		meta := b.Meta()
		days := daysOf(max(meta.MinTime, mint), min(meta.MaxTime-1, maxt))
		for _, d := range days {
			d.Name = meta.ULID.String() + "/" + d.Name
			d.Size = b.Size() * (d.to - d.from + 1) / max(meta.MaxTime-meta.MinTime, 1)
			d.index = i
			parts = append(parts, d)
		}
	}
	size, err := folderBytes(filepath.Join(p.folder, "wal"))
	if err != nil {
		return nil, err
	}
	if size > 0 && maxt >= p.head {
		parts = append(parts,
			Part{Name: "head", Size: size, index: partHead, from: max(p.head, mint), to: maxt},
			Part{Name: "head's exemplars and metadata", Size: 1, index: partLog, from: mint, to: maxt})
	}
	return parts, nil
}

// folderBytes returns the size of a folder, 0 when there is none.
func folderBytes(folder string) (int64, error) {
	var total int64
	err := filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return total, err
}

// Read implements Source.
func (p *prometheusTSDB) Read(ctx context.Context, part Part, to Sink) error {
	switch part.index {
	case partLog:
		return p.readLog(ctx, part, to)
	case partHead:
		return p.readHead(ctx, part, to)
	}
	q, err := tsdb.NewBlockQuerier(p.blocks[part.index], part.from, part.to)
	if err != nil {
		return err
	}
	defer q.Close()
	return p.readQuerier(ctx, q, part, to)
}

// readHead reads what is not in a block yet. It opens the folder anew, because
// that closes the blocks opened before.
func (p *prometheusTSDB) readHead(ctx context.Context, part Part, to Sink) (err error) {
	db, err := tsdb.OpenDBReadOnly(p.folder, p.sandbox, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	q, err := db.Querier(part.from, part.to)
	if err != nil {
		return err
	}
	defer q.Close()
	return p.readQuerier(ctx, q, part, to)
}

// everything is the selector by which Prometheus's storage gives all series.
var everything = []*labels.Matcher{{Type: labels.MatchEqual}}

func (p *prometheusTSDB) readQuerier(ctx context.Context, q storage.Querier, part Part, to Sink) error {
	selectors := p.filter.Selectors
	if len(selectors) == 0 {
		selectors = [][]*labels.Matcher{everything}
	}
	pack := &packer{to: to}
	var it chunkenc.Iterator
	for _, selector := range selectors {
		set := q.Select(ctx, false, nil, selector...)
		for set.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			it = set.At().Iterator(it)
			if err := pack.samples(set.At().Labels(), it, part.from, part.to); err != nil {
				return err
			}
		}
		if err := set.Err(); err != nil {
			return err
		}
		if w := set.Warnings(); len(w) > 0 {
			return errors.Join(w.AsErrors()...)
		}
	}
	return pack.flush()
}

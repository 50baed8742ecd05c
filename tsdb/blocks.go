package tsdb

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// Block describes a generation on disk.
type Block struct {
	ID         string          `json:"id"`
	Tenant     series.TenantID `json:"tenant"`
	Generation uint32          `json:"generation"`
	State      string          `json:"state"`      // flushed or sealed
	Resolution string          `json:"resolution"` // raw, or the width of windows
	MinTime    int64           `json:"minTime"`
	MaxTime    int64           `json:"maxTime"`
	Stats      BlockStats      `json:"stats"`
	// Digests and Metrics are known of sealed generations.
	Digests []BlockDigest     `json:"digests,omitempty"`
	Metrics []block.MetricUse `json:"metrics,omitempty"`
}

// BlockStats are the figures of a Block.
type BlockStats struct {
	Samples    uint64 `json:"numSamples"`
	Series     uint64 `json:"numSeries"`
	Exemplars  uint64 `json:"numExemplars"`
	Flushes    int    `json:"numFlushes"`
	ChunkBytes uint64 `json:"chunkBytes"`
	Bytes      uint64 `json:"numBytes"` // on disk, estimated
}

// BlockDigest is the digest of two hours of a sealed generation, in hexadecimal.
type BlockDigest struct {
	Start int64  `json:"start"`
	Sum   string `json:"sum"`
}

// Blocks lists the generations on disk, by tenant and time.
func (db *DB) Blocks() ([]Block, error) {
	v, err := db.acquire()
	if err != nil {
		return nil, err
	}
	defer db.release(v)
	usage, _ := db.store.(kv.SpaceUser)
	var out []Block
	for _, g := range v.all() {
		b := describeBlock(g)
		if usage != nil {
			if b.Stats.Bytes, err = usage.Usage(g.ID.Span()); err != nil {
				return nil, fmt.Errorf("measure %s: %w", g.ID, err)
			}
		}
		out = append(out, b)
	}
	return out, nil
}

func describeBlock(g *heldGeneration) Block {
	b := Block{
		ID: hex.EncodeToString(g.ID.Prefix()[1:]), Tenant: g.ID.Tenant, Generation: g.ID.Generation, State: "flushed", Resolution: resolutionText(g.ID),
		MinTime: g.Flushes[0].MinTime, MaxTime: g.Flushes[0].MaxTime,
	}
	for _, f := range g.Flushes {
		b.MinTime, b.MaxTime = min(b.MinTime, f.MinTime), max(b.MaxTime, f.MaxTime)
		b.Stats.Samples += f.Samples
		b.Stats.Series += uint64(f.NewSeries)
		b.Stats.Exemplars += f.Exemplars
		b.Stats.ChunkBytes += f.ChunkBytes
		b.Stats.Flushes++
		if f.Sealed != nil {
			b.State, b.Metrics = "sealed", f.Sealed.Metrics
			for _, d := range f.Sealed.Digests {
				sum := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, d.Sum[1]), d.Sum[0])
				b.Digests = append(b.Digests, BlockDigest{d.Start, hex.EncodeToString(sum)})
			}
		}
	}
	return b
}

// resolutionText returns raw, or a width as PromQL writes it.
func resolutionText(id block.ID) string {
	if id.Resolution == block.Raw {
		return "raw"
	}
	return model.Duration(id.WindowWidth()).String()
}

package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// ErrCorrupt reports rows that do not decode.
var ErrCorrupt = errors.New("corrupt partition row")

// Raw is the resolution of samples as they were written.
const Raw uint8 = 0

// ID names a generation of a partition.
type ID struct {
	Tenant     series.TenantID
	Resolution uint8
	Start      int64 // of the window, milliseconds
	Shard      uint16
	Generation uint32
}

// String names the generation for messages and logs.
func (id ID) String() string {
	return fmt.Sprintf("tenant %d, window from %s, generation %d",
		id.Tenant, time.UnixMilli(id.Start).UTC().Format(time.RFC3339), id.Generation)
}

// The rows of a generation, by the byte that follows the generation in the key.
const (
	familyChunks     = 'c' // c | flush u32 | ordinal u32 -> chunks of a series
	familyHistograms = 'h' // h | ordinal u32 | slice u16 -> chunks of a series (sealed)
	familySummary    = 'm' // m | flush u32 -> Summary
	familyPostings   = 'p' // p | name string | value string | flush u32 -> ordinals
	familyLabels     = 's' // s | ordinal u32 -> label set; sealed: s | last ordinal u32 -> label sets
	familyTimes      = 't' // t | column u32 -> timestamps (sealed)
	familyValues     = 'v' // v | last ordinal u32 | slice u16 -> cell of value columns (sealed)
	familyExemplars  = 'x' // x | flush u32 | ordinal u32 -> exemplars of a series
)

// prefixBytes is the length of the part of a key that names the generation.
const prefixBytes = 1 + 4 + 1 + 8 + 2 + 4

// Prefix returns the bytes with which every key of the generation begins.
func (id ID) Prefix() []byte {
	key := make([]byte, 0, prefixBytes)
	key = append(key, keyspace.Partitions)
	key = keyspace.AppendUint32(key, uint32(id.Tenant))
	key = append(key, id.Resolution)
	key = keyspace.AppendInt64(key, id.Start)
	key = keyspace.AppendUint16(key, id.Shard)
	return keyspace.AppendUint32(key, id.Generation)
}

// cutID splits the generation off a key.
func cutID(key []byte) (id ID, rest []byte, err error) {
	if len(key) < prefixBytes || key[0] != keyspace.Partitions {
		return id, nil, fmt.Errorf("%w: key of %d bytes", ErrCorrupt, len(key))
	}
	tenant, b, _ := keyspace.CutUint32(key[1:])
	id.Tenant, id.Resolution = series.TenantID(tenant), b[0]
	id.Start, b, _ = keyspace.CutInt64(b[1:])
	id.Shard, b, _ = keyspace.CutUint16(b)
	id.Generation, b, err = keyspace.CutUint32(b)
	return id, b, err
}

// Summary describes one flush of a generation.
type Summary struct {
	Flush        uint32
	Epoch        uint64 // whose samples it holds
	Width        int64  // of the window, milliseconds
	Shards       uint16 // into which the window is split
	FirstOrdinal uint32 // of the series that are new in this flush
	NewSeries    uint32
	Samples      uint64
	Exemplars    uint64
	ChunkBytes   uint64
	MinTime      int64 // of its samples and exemplars, milliseconds
	MaxTime      int64

	// Sealed is set for a sealed generation, whose only flush this is.
	Sealed *Sealed
}

// A summary row is
//
//	version        u8  1
//	epoch, width, shards, first ordinal, new series, samples, exemplars,
//	chunk bytes    uvarint each
//	min time       varint   less the window's start
//	span           uvarint  max time less min time
//	sealed         u8 1 and what Sealed.append writes, or u8 0
const summaryVersion = 1

func (s Summary) append(dst []byte, start int64) []byte {
	dst = append(dst, summaryVersion)
	for _, u := range []uint64{
		s.Epoch, uint64(s.Width), uint64(s.Shards), uint64(s.FirstOrdinal), uint64(s.NewSeries), s.Samples, s.Exemplars, s.ChunkBytes,
	} {
		dst = binary.AppendUvarint(dst, u)
	}
	dst = binary.AppendVarint(dst, s.MinTime-start)
	dst = binary.AppendUvarint(dst, uint64(s.MaxTime-s.MinTime))
	if s.Sealed == nil {
		return append(dst, 0)
	}
	return s.Sealed.append(append(dst, 1), start)
}

func decodeSummary(value []byte, flush uint32, start int64) (Summary, error) {
	s := Summary{Flush: flush}
	if len(value) == 0 || value[0] != summaryVersion {
		return s, fmt.Errorf("%w: summary of flush %d has an unknown version", ErrCorrupt, flush)
	}
	b := value[1:]
	var fields [8]uint64
	for i := range fields {
		u, n := binary.Uvarint(b)
		if n <= 0 {
			return s, fmt.Errorf("%w: summary of flush %d is cut off", ErrCorrupt, flush)
		}
		fields[i], b = u, b[n:]
	}
	minTime, n := binary.Varint(b)
	if n <= 0 {
		return s, fmt.Errorf("%w: summary of flush %d is cut off", ErrCorrupt, flush)
	}
	span, m := binary.Uvarint(b[n:])
	if m <= 0 || n+m == len(b) {
		return s, fmt.Errorf("%w: summary of flush %d is cut off", ErrCorrupt, flush)
	}
	switch b = b[n+m:]; {
	case b[0] == 0 && len(b) == 1:
	case b[0] == 1:
		sealed, err := decodeSealed(b[1:], start)
		if err != nil {
			return s, fmt.Errorf("summary of flush %d: %w", flush, err)
		}
		s.Sealed = sealed
	default:
		return s, fmt.Errorf("%w: summary of flush %d", ErrCorrupt, flush)
	}
	s.Epoch, s.Width, s.Shards = fields[0], int64(fields[1]), uint16(fields[2])
	s.FirstOrdinal, s.NewSeries = uint32(fields[3]), uint32(fields[4])
	s.Samples, s.Exemplars, s.ChunkBytes = fields[5], fields[6], fields[7]
	s.MinTime = start + minTime
	s.MaxTime = s.MinTime + int64(span)
	return s, nil
}

// Generation is a readable generation.
type Generation struct {
	ID      ID
	Flushes []Summary // ascending
}

// List returns the readable generations of the keyspace, in key order, and the
// generations that have rows but no summary, which nothing can read.
func List(r kv.Reader) (readable []Generation, orphans []ID, err error) {
	it, err := r.Scan([]byte{keyspace.Partitions}, []byte{keyspace.Partitions + 1})
	if err != nil {
		return nil, nil, err
	}
	defer it.Close()
	for ok := it.SeekGE([]byte{keyspace.Partitions}); ok; {
		id, _, err := cutID(it.Key())
		if err != nil {
			return nil, nil, err
		}
		prefix := id.Prefix()
		g := Generation{ID: id}
		from := append(prefix[:len(prefix):len(prefix)], familySummary)
		for ok = it.SeekGE(from); ok && len(it.Key()) == len(from)+4 && string(it.Key()[:len(from)]) == string(from); ok = it.Next() {
			s, err := decodeSummary(it.Value(), binary.BigEndian.Uint32(it.Key()[len(from):]), id.Start)
			if err != nil {
				return nil, nil, fmt.Errorf("read %s: %w", id, err)
			}
			g.Flushes = append(g.Flushes, s)
		}
		if err := it.Err(); err != nil { // a summary may be there and not be readable
			return nil, nil, fmt.Errorf("read %s: %w", id, err)
		}
		if len(g.Flushes) > 0 {
			readable = append(readable, g)
		} else {
			orphans = append(orphans, id)
		}
		ok = it.SeekGE(keyspace.PrefixEnd(prefix))
	}
	return readable, orphans, it.Err()
}

// DeleteSummaries adds to batch the writes after which the generation is not
// readable any more.
func (g Generation) DeleteSummaries(batch *kv.Batch) {
	from := append(g.ID.Prefix(), familySummary)
	batch.DeleteRange(from, keyspace.PrefixEnd(from))
}

// Span returns the bounds of the generation's keys.
func (id ID) Span() (lower, upper []byte) {
	lower = id.Prefix()
	return lower, keyspace.PrefixEnd(lower)
}

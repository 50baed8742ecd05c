package block

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/varve-db/varve/internal/fields"
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
	text := fmt.Sprintf("tenant %d, window from %s, generation %d",
		id.Tenant, time.UnixMilli(id.Start).UTC().Format(time.RFC3339), id.Generation)
	if id.Resolution != Raw {
		text += fmt.Sprintf(", windows of %s", id.WindowWidth())
	}
	return text
}

// The rows of a generation, by the byte that follows the generation in the key.
const (
	familyChunks     = 'c' // c | flush u32 | ordinal u32 -> chunks of a series
	familyHistograms = 'h' // h | ordinal u32 | slice u16 -> chunks of a series (sealed)
	familySummary    = 'm' // m | flush u32 -> Summary
	familyPostings   = 'p' // p | name string | value string | flush u32 -> ordinals
	familyLabels     = 's' // s | ordinal u32 -> label set; sealed: s | last ordinal u32 -> label sets
	familyTimes      = 't' // t | column u32 -> timestamps (sealed), or the shape of windows
	familyValues     = 'v' // v | last ordinal u32 | slice u16 -> cell of value columns (sealed)
	familyWindows    = 'w' // w | last ordinal u32 -> cell of windows
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
	// Counters are the ranges of the origins' batch counters that the flush
	// covers, by origin and counter.
	Counters []CounterRange

	// Sealed is set for a sealed generation, whose only flush this is.
	Sealed *Sealed
	// Derived is set too for a generation of windows: Samples counts windows.
	Derived *Derived
}

// CounterRange is the batches First to Last of an origin; origin 0 is the node
// and incarnation that own the folder.
type CounterRange struct{ Origin, First, Last uint64 }

// MergeCounters returns the union of ranges, sorted, with neighbours joined.
func MergeCounters(ranges []CounterRange) []CounterRange {
	slices.SortFunc(ranges, func(a, b CounterRange) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.First, b.First))
	})
	var out []CounterRange
	for _, r := range ranges {
		if n := len(out); n > 0 && out[n-1].Origin == r.Origin && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// A summary row is
//
//	version        u8  1
//	epoch, width, shards, first ordinal, new series, samples, exemplars,
//	chunk bytes    uvarint each
//	min time       varint   less the window's start
//	span           uvarint  max time less min time
//	counters       uvarint number, then for each: uvarint origin, first, last less
//	               first
//	sealed         u8 1 and what Sealed.append writes, u8 2 and what Derived.append
//	               writes and it, or u8 0
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
	dst = binary.AppendUvarint(dst, uint64(len(s.Counters)))
	for _, c := range s.Counters {
		dst = binary.AppendUvarint(dst, c.Origin)
		dst = binary.AppendUvarint(dst, c.First)
		dst = binary.AppendUvarint(dst, c.Last-c.First)
	}
	if s.Sealed == nil {
		return append(dst, 0)
	}
	if s.Derived != nil {
		return s.Sealed.append(s.Derived.append(append(dst, 2)), start)
	}
	return s.Sealed.append(append(dst, 1), start)
}

func decodeSummary(value []byte, flush uint32, start int64) (Summary, error) {
	s := Summary{Flush: flush}
	if len(value) == 0 || value[0] != summaryVersion {
		return s, fmt.Errorf("%w: summary of flush %d has an unknown version", ErrCorrupt, flush)
	}
	f := fields.New(value[1:])
	s.Epoch, s.Width, s.Shards = f.Uvarint(), int64(f.Uvarint()), uint16(f.Uvarint())
	s.FirstOrdinal, s.NewSeries = uint32(f.Uvarint()), uint32(f.Uvarint())
	s.Samples, s.Exemplars, s.ChunkBytes = f.Uvarint(), f.Uvarint(), f.Uvarint()
	s.MinTime = start + f.Varint()
	s.MaxTime = s.MinTime + int64(f.Uvarint())
	for range f.Count(3) {
		c := CounterRange{Origin: f.Uvarint(), First: f.Uvarint()}
		c.Last = c.First + f.Uvarint()
		s.Counters = append(s.Counters, c)
	}
	mark := f.Take(1)
	switch {
	case f.Bad() || mark[0] > 2 || mark[0] == 0 && f.Len() > 0:
		return s, fmt.Errorf("%w: summary of flush %d", ErrCorrupt, flush)
	case mark[0] > 0:
		if err := s.decodeSealed(&f, mark[0] == 2, start); err != nil {
			return s, fmt.Errorf("summary of flush %d: %w", flush, err)
		}
	}
	return s, nil
}

// decodeSealed reads the rest of the summary of a generation that is sealed or of
// windows.
func (s *Summary) decodeSealed(f *fields.Reader, derived bool, start int64) (err error) {
	if derived {
		if s.Derived, err = readDerived(f); err != nil {
			return err
		}
	}
	s.Sealed, err = decodeSealed(f.Rest(), start)
	return err
}

// Generation is a readable generation.
type Generation struct {
	ID      ID
	Flushes []Summary // ascending
}

// DirectoryKey returns the key of the row that lists the generation. It comes and
// goes with the first and the last summary, and makes generations known whose own
// rows cannot be read.
func (id ID) DirectoryKey() []byte {
	key := id.Prefix()
	key[0] = keyspace.Generations
	return key
}

// Listing is what there is of partitions, each list in key order.
type Listing struct {
	Readable []Generation
	// Orphans have rows but are not in the directory: nothing can read them.
	Orphans []ID
	// Damaged are in the directory, but have a summary that cannot be read.
	Damaged []DamagedGeneration
}

// DamagedGeneration is a generation that is left out, and why.
type DamagedGeneration struct {
	ID  ID
	Err error
}

// List returns the generations of the keyspace. damaged is told of other rows of
// partitions that cannot be read.
func List(ctx context.Context, r kv.Reader, damaged func(key []byte, err error)) (l Listing, err error) {
	directory, err := readDirectory(r)
	if err != nil {
		return l, fmt.Errorf("read the directory of generations: %w", err)
	}
	known := map[ID]bool{}
	for _, id := range directory {
		known[id] = true
		g, err := readSummaries(r, id)
		if err == nil && len(g.Flushes) == 0 {
			err = fmt.Errorf("%w: no summary", ErrCorrupt)
		}
		switch {
		case IsDamage(err):
			l.Damaged = append(l.Damaged, DamagedGeneration{id, err})
		case err != nil:
			return l, fmt.Errorf("read %s: %w", id, err)
		default:
			l.Readable = append(l.Readable, g)
		}
	}
	ids, err := Rows{Reader: r, Damaged: damaged}.IDs(ctx)
	for _, id := range ids {
		if !known[id] {
			l.Orphans = append(l.Orphans, id)
		}
	}
	return l, err
}

func readDirectory(r kv.Reader) (ids []ID, err error) {
	lower := []byte{keyspace.Generations}
	it, err := r.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		id, err := cutDirectoryKey(it.Key())
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, it.Err()
}

func cutDirectoryKey(key []byte) (ID, error) {
	row := append([]byte{keyspace.Partitions}, key[1:]...)
	id, rest, err := cutID(row)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: directory key of %d bytes", ErrCorrupt, len(key))
	}
	return id, err
}

// CheckListed returns an error if the generation that a row of the directory
// lists has no summary that can be read.
func CheckListed(r kv.Reader, key []byte) error {
	id, err := cutDirectoryKey(key)
	if err != nil {
		return err
	}
	g, err := readSummaries(r, id)
	if err == nil && len(g.Flushes) == 0 {
		err = fmt.Errorf("%w: %s is listed and has no summary", ErrCorrupt, id)
	}
	return err
}

func readSummaries(r kv.Reader, id ID) (Generation, error) {
	g := Generation{ID: id}
	lower := append(id.Prefix(), familySummary)
	it, err := r.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return g, err
	}
	defer it.Close()
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		value := it.Value()
		if value == nil || len(it.Key()) != len(lower)+4 {
			return g, errors.Join(it.Err(), ErrCorrupt)
		}
		s, err := decodeSummary(value, binary.BigEndian.Uint32(it.Key()[len(lower):]), id.Start)
		if err != nil {
			return g, err
		}
		g.Flushes = append(g.Flushes, s)
	}
	return g, it.Err()
}

// DeleteSummaries adds to batch the writes after which the generation is not
// readable any more.
func (g Generation) DeleteSummaries(batch *kv.Batch) {
	from := append(g.ID.Prefix(), familySummary)
	batch.DeleteRange(from, keyspace.PrefixEnd(from))
	batch.Delete(g.ID.DirectoryKey())
}

// Span returns the bounds of the generation's keys.
func (id ID) Span() (lower, upper []byte) {
	lower = id.Prefix()
	return lower, keyspace.PrefixEnd(lower)
}

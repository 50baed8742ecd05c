package tsdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/tsdb/block"
)

// CheckOptions tune a Check.
type CheckOptions struct {
	// Progress, if set, is told from time to time how much is done of an
	// estimated total, in bytes; the last call says that all is.
	Progress func(done, total int64)
}

// CheckReport is what a Check found.
type CheckReport struct {
	Generations int    `json:"generations"` // that can be read
	Sealed      int    `json:"sealed"`      // of them
	Dropped     int    `json:"dropped"`     // generations that wait to be removed
	Series      uint64 `json:"series"`      // of all generations; one that occurs in two counts twice
	Samples     uint64 `json:"samples"`
	Exemplars   uint64 `json:"exemplars"`

	// PartitionBytes is what the generations take on disk, or, where the store
	// does not tell, the bytes of their keys and values.
	PartitionBytes uint64  `json:"partitionBytes"`
	BytesPerSample float64 `json:"bytesPerSample"`

	LogRecords uint64 `json:"logRecords"`
	LogSamples uint64 `json:"logSamples"` // that wait to be flushed
	Metadata   uint64 `json:"metadata"`   // entries
	Generic    uint64 `json:"generic"`    // rows of the generic keyspaces
	Rows       uint64 `json:"rows"`
	Bytes      uint64 `json:"bytes"` // keys and values of all rows

	Damage  []CheckDamage `json:"damage"` // at most checkDamageKept
	Damaged int           `json:"damaged"`
}

// CheckDamage is one thing that is wrong.
type CheckDamage struct {
	Family     string `json:"family"` // of rows
	Generation string `json:"generation,omitempty"`
	Key        string `json:"key"` // in hexadecimal; the last good one before rows that cannot be read
	Reason     string `json:"reason"`
}

// checkDamageKept bounds the damage that a report lists.
const checkDamageKept = 1000

// Check reads every row of a store that nobody writes to, decodes it, and
// compares rows with each other. Damage is in the report; the error is another
// one, or the context's.
func Check(ctx context.Context, r kv.Reader, o CheckOptions) (CheckReport, error) {
	c := checker{ctx: ctx, options: o, report: CheckReport{Damage: []CheckDamage{}}}
	c.rows = block.Rows{
		Reader: r, Read: c.read,
		Damaged: func(key []byte, err error) { c.note(key, "rows from here on cannot be read: %v", err) },
	}
	if err := c.run(); err != nil {
		return c.report, fmt.Errorf("check store: %w", err)
	}
	return c.report, nil
}

// checker is the state of one Check.
type checker struct {
	ctx     context.Context
	options CheckOptions
	rows    block.Rows
	report  CheckReport

	total, before  int64 // bytes of all spans, and of those before the present one
	span           int64 // bytes of the present one
	spanRead, told int64
}

func (c *checker) note(key []byte, format string, args ...any) {
	d := CheckDamage{Key: hex.EncodeToString(key), Reason: fmt.Sprintf(format, args...)}
	if len(key) > 0 {
		d.Family = fmt.Sprintf("unknown (%#02x)", key[0])
		if f, ok := keyspace.Owner(key); ok {
			d.Family = f.Holds
		}
	}
	c.add(d)
}

// add lists a finding. Of an engine's error the first line says it.
func (c *checker) add(d CheckDamage) {
	d.Reason, _, _ = strings.Cut(d.Reason, "\n")
	if c.report.Damaged++; len(c.report.Damage) < checkDamageKept {
		c.report.Damage = append(c.report.Damage, d)
	}
}

// size estimates what the keys that begin with prefix take.
func (c *checker) size(prefix []byte) int64 {
	usage, ok := c.rows.Reader.(kv.SpaceUser)
	if !ok {
		return 1
	}
	n, err := usage.Usage(prefix, keyspace.PrefixEnd(prefix))
	if err != nil {
		return 1 // what cannot be read is met when it is
	}
	return int64(n) + 1
}

// begin starts on a span of the given size, end of it counts as done whatever
// the estimate was.
func (c *checker) begin(size int64) {
	c.before += c.span
	c.span, c.spanRead = size, 0
	c.tell()
}

// read counts the bytes of a row.
func (c *checker) read(n int) {
	c.report.Rows++
	c.report.Bytes += uint64(n)
	c.spanRead += int64(n)
	c.tell()
}

// tell reports progress when there is a thousandth more.
func (c *checker) tell() {
	done := c.before + min(c.spanRead, c.span)
	if c.options.Progress != nil && (done-c.told)*1000 >= max(c.total, 1) {
		c.told = done
		c.options.Progress(done, c.total)
	}
}

func (c *checker) run() error {
	ids, err := c.rows.IDs(c.ctx)
	if err != nil {
		return err
	}
	// What IDs read is read again.
	c.report.Rows, c.report.Bytes, c.spanRead, c.told = 0, 0, 0, 0
	sizes := make([]int64, len(ids))
	for i, id := range ids {
		sizes[i] = c.size(id.Prefix())
		c.total += sizes[i]
	}
	visits := map[byte]func(key, value []byte) error{
		keyspace.Node: c.node, keyspace.FlushedEpochs: c.flushedEpoch, keyspace.WriteAhead: c.logRecords(),
		keyspace.MetricMetadata: c.metadata, keyspace.Generic: c.generic, keyspace.Generations: c.directory,
		keyspace.Deletions: func(key, value []byte) error { _, err := decodeDeletion(key, value); return err },
	}
	for _, f := range keyspace.Families() {
		if err := c.family(f.Prefix, visits[f.Prefix]); err != nil {
			return err
		}
	}
	for i, id := range ids {
		c.begin(sizes[i])
		if err := c.generation(id, sizes[i]-1); err != nil {
			return err
		}
	}
	if err := c.strangers(); err != nil {
		return err
	}
	if c.report.Samples > 0 {
		c.report.BytesPerSample = float64(c.report.PartitionBytes) / float64(c.report.Samples)
	}
	if c.options.Progress != nil {
		c.options.Progress(c.total, c.total)
	}
	return nil
}

// family walks the rows of a family other than partitions; what visit returns is
// damage. Where there is no visit, reading them has to do.
func (c *checker) family(first byte, visit func(key, value []byte) error) error {
	if first == keyspace.Partitions {
		return nil
	}
	size := c.size([]byte{first})
	c.total += size
	c.begin(size)
	return c.rows.Walk(c.ctx, []byte{first}, func(key, value []byte) ([]byte, error) {
		if visit == nil {
			return nil, nil
		}
		if err := visit(key, value); err != nil {
			c.note(key, "%v", err)
		}
		return nil, nil
	})
}

// strangers notes rows that nobody owns, by the first of each family. What cannot
// be read there was met as a neighbour's already, if anything was.
func (c *checker) strangers() error {
	rows := c.rows
	rows.Damaged = func(key []byte, err error) {
		if c.report.Damaged == 0 {
			c.rows.Damaged(key, err)
		}
	}
	for first := range 256 {
		if _, owned := keyspace.Owner([]byte{byte(first)}); owned {
			continue
		}
		seen := false
		err := rows.Walk(c.ctx, []byte{byte(first)}, func(key, _ []byte) ([]byte, error) {
			if !seen {
				c.note(key, "no part of the program owns this row")
			}
			seen = true
			return nil, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// node checks an entry of the store's settings.
func (c *checker) node(key, value []byte) error {
	for _, known := range []struct {
		key   []byte
		bytes int
	}{{nodeKey, 20}, {horizonKey, 8}, {widthKey, 8}} {
		if bytes.Equal(key, known.key) && len(value) != known.bytes {
			return fmt.Errorf("%w: %d bytes instead of %d", kv.ErrCorrupt, len(value), known.bytes)
		}
	}
	return nil
}

// directory expects a summary of each generation that is listed.
func (c *checker) directory(key, value []byte) error {
	if len(value) != 0 {
		return fmt.Errorf("%w: %d bytes in a row of the directory", kv.ErrCorrupt, len(value))
	}
	return block.CheckListed(c.rows.Reader, key)
}

func (c *checker) flushedEpoch(key, value []byte) error {
	if len(key) != 9 || len(value) != 0 {
		return fmt.Errorf("%w: mark of a flushed epoch", kv.ErrCorrupt)
	}
	return nil
}

// logRecords returns a visit of the log, which expects each epoch to tell the
// labels of its references before it uses them.
func (c *checker) logRecords() func(key, value []byte) error {
	var rec record
	var epoch uint64
	var flushed bool
	known := map[index.Ref]bool{}
	return func(key, value []byte) error {
		if len(key) != 17 {
			return fmt.Errorf("%w: key of %d bytes", errCorruptRecord, len(key))
		}
		if id := binary.BigEndian.Uint64(key[1:]); id != epoch {
			epoch, flushed = id, c.flushed(id)
			clear(known)
		}
		c.report.LogRecords++
		if err := rec.decode(value); err != nil {
			return err
		}
		for _, g := range rec.Registrations {
			known[g.Ref] = true
		}
		for i, ref := range rec.Refs {
			if !known[ref] {
				return fmt.Errorf("%w: reference %d has no labels in this epoch", errCorruptRecord, ref)
			}
			if row := &rec.Batch.Rows[i]; !flushed {
				c.report.LogSamples += uint64(row.Samples.Len() + row.Histograms.Len())
			}
		}
		return nil
	}
}

// flushed reports whether the epoch is marked as flushed.
func (c *checker) flushed(epoch uint64) bool {
	_, err := c.rows.Reader.Get(epochKey(keyspace.FlushedEpochs, epoch))
	return err == nil
}

func (c *checker) metadata(key, value []byte) error {
	c.report.Metadata++
	_, _, err := decodeMetadata(key, value)
	return err
}

// generic only reads the row: the store's checksums have the word.
func (c *checker) generic(_, _ []byte) error {
	c.report.Generic++
	return nil
}

// generation verifies a generation, which takes so many bytes on disk.
func (c *checker) generation(id block.ID, size int64) error {
	v, err := block.Verify(c.ctx, c.rows.Reader, id, c.read)
	if err != nil {
		return err
	}
	if !v.Readable {
		c.report.Dropped++
	} else {
		c.report.Generations++
	}
	if v.Sealed {
		c.report.Sealed++
	}
	c.report.Series += v.Series
	c.report.Samples += v.Samples
	c.report.Exemplars += v.Exemplars
	if _, ok := c.rows.Reader.(kv.SpaceUser); !ok {
		size = int64(v.Bytes)
	}
	c.report.PartitionBytes += uint64(size)
	for _, d := range v.Damage {
		c.add(CheckDamage{Family: "partition", Generation: id.String(), Key: hex.EncodeToString(d.Key), Reason: d.Reason})
	}
	c.report.Damaged += v.Damaged - len(v.Damage)
	return nil
}

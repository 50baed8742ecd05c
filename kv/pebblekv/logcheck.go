package pebblekv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// Pebble takes the first chunk of a log that it cannot read as the place where a
// crash cut the log off, unless a later block proves otherwise. Damage near the
// end of the log, or anywhere in the MANIFEST, would so silently drop what
// follows. The check here looks in all that follows for proof that the bad chunk
// had been fsynced, which a chunk that a crash tore has not:
//
//   - In the write-ahead log each chunk tells up to where, at least, the log had
//     been fsynced when it was written. Either a later chunk tells of an offset
//     beyond the bad chunk; or the figure rises twice among later chunks, for
//     only one fsync can have begun before the bad chunk was complete and have
//     ended after the next chunk was begun.
//   - A log that was closed ends with a mark, before which everything is fsynced.
//   - In the MANIFEST a record is fsynced before the next one is written, so it
//     is enough that another record follows.
//
// Damage in the last few fsyncs of a log that was not closed, and in the last
// record of the MANIFEST, looks like a torn write and cannot be told from it.
//
// A log is made of 32 KiB blocks of chunks; numbers are little-endian:
//
//	crc32c u32 | length u16 | type u8 | [log number u32 | [synced up to u64]] | payload
//
// Types 1 to 4 have neither optional field, 5 to 8 the first, 9 to 12 both. The
// four of each are: whole record, first, middle, last chunk of one. A block's
// rest that is too small for a header is zero. A log that was closed ends with a
// chunk of the next log's number.
const logBlockBytes = 32 << 10

type logKind struct {
	manifest bool
	number   uint32 // of a write-ahead log
}

type chunk struct {
	size     int // with header
	starts   bool
	promised uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readChunk decodes the chunk at the front of b, the rest of its block.
func (k logKind) readChunk(b []byte) (chunk, bool) {
	if len(b) < 7 || b[6] == 0 || b[6] > 12 {
		return chunk{}, false
	}
	class, position := (b[6]-1)/4, (b[6]-1)%4
	header := []int{7, 11, 19}[class]
	size := header + int(binary.LittleEndian.Uint16(b[4:]))
	if k.manifest != (class == 0) || size > len(b) {
		return chunk{}, false
	}
	if !k.manifest && binary.LittleEndian.Uint32(b[7:]) != k.number {
		return chunk{}, false
	}
	sum := crc32.Checksum(b[6:size], castagnoli)
	if binary.LittleEndian.Uint32(b) != (sum>>15|sum<<17)+0xa282ead8 {
		return chunk{}, false
	}
	c := chunk{size: size, starts: position < 2}
	if class == 2 {
		c.promised = binary.LittleEndian.Uint64(b[11:])
	}
	return c, true
}

// closed reports whether b begins with the mark of a closed log: a header of the
// second class, all zero but its type and the next log's number.
func (k logKind) closed(b []byte) bool {
	return !k.manifest && len(b) >= 11 && binary.LittleEndian.Uint32(b) == 0 && binary.LittleEndian.Uint16(b[4:]) == 0 &&
		b[6] == 5 && binary.LittleEndian.Uint32(b[7:]) == k.number+1
}

// padding reports whether b is the rest of a block that a header does not fit.
func (k logKind) padding(b []byte) bool {
	smallest := 7
	if !k.manifest {
		smallest = 19
	}
	return len(b) < smallest && len(bytes.Trim(b, "\x00")) == 0
}

// logCheck is the state of a pass over one log.
type logCheck struct {
	kind logKind
	bad  int64 // offset of the first chunk that cannot be read, or -1

	followed bool   // a chunk was read after the bad one
	promised uint64 // the greatest figure among those chunks
	rises    int    // how often it rose
}

// proves reports whether c, a chunk after the bad one, shows that the bad one was
// once whole.
func (l *logCheck) proves(c chunk) bool {
	if l.kind.manifest {
		return c.starts
	}
	if l.followed && c.promised > l.promised {
		l.rises++
	}
	l.followed, l.promised = true, max(l.promised, c.promised)
	return l.rises == 2 || c.promised > uint64(l.bad)
}

// block looks at the block that begins at base. It reports whether the bad chunk
// is damaged for certain, and whether the log ends here.
func (l *logCheck) block(b []byte, base int64) (proven, ended bool) {
	for at := 0; at < len(b); {
		rest := b[at:]
		c, ok := l.kind.readChunk(rest)
		switch {
		case ok && l.bad >= 0 && l.proves(c):
			return true, false
		case ok:
			at += c.size
		case l.kind.closed(rest):
			return l.bad >= 0, true
		case l.bad >= base:
			at++ // look for the next chunk at every offset of this block
		case l.bad >= 0, l.kind.padding(rest):
			return false, false // later blocks begin with a chunk, or are not of this log
		default:
			l.bad = base + int64(at)
		}
	}
	return false, false
}

// findDamage returns the offset of a chunk of the log that is damaged for
// certain, or -1.
func (k logKind) findDamage(r io.Reader) (int64, error) {
	block := make([]byte, logBlockBytes)
	check := logCheck{kind: k, bad: -1}
	for base := int64(0); ; base += logBlockBytes {
		n, err := io.ReadFull(r, block)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return -1, err
		}
		proven, ended := check.block(block[:n], base)
		switch {
		case proven:
			return check.bad, nil
		case ended:
			return -1, nil
		case n < logBlockBytes:
			if k.manifest && check.bad == 0 {
				return 0, nil // a MANIFEST in use has at least one whole record
			}
			return -1, nil
		}
	}
}

// checkLogs refuses a folder whose MANIFEST or newest write-ahead log is damaged
// for certain. Older logs were closed, and Pebble holds them to that. It reports
// whether there is no store in the folder yet.
func checkLogs(files vfs.FS, dir string) (empty bool, err error) {
	manifest, err := atomicfs.ReadMarker(files, dir, "manifest")
	if err != nil {
		return false, fmt.Errorf("find the MANIFEST: %w", err)
	}
	if manifest == "" {
		return true, nil
	}
	if err := checkLog(files, files.PathJoin(dir, manifest), logKind{manifest: true}); err != nil {
		return false, err
	}
	return false, checkNewestLog(files, dir)
}

func checkNewestLog(files vfs.FS, dir string) error {
	names, err := files.List(dir)
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	newest, newestName := int64(-1), ""
	for _, name := range names {
		digits, isLog := strings.CutSuffix(name, ".log")
		if n, err := strconv.ParseInt(digits, 10, 64); isLog && err == nil && n > newest {
			newest, newestName = n, name
		}
	}
	if newestName == "" {
		return nil
	}
	return checkLog(files, files.PathJoin(dir, newestName), logKind{number: uint32(newest)})
}

func checkLog(files vfs.FS, path string, kind logKind) error {
	file, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(path, "it is missing")
	}
	if err != nil {
		return fmt.Errorf("check log: %w", err)
	}
	at, err := kind.findDamage(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("check log %s: %w", path, err)
	}
	if at >= 0 {
		return damaged(path, fmt.Sprintf("the record at offset %d is damaged, and more follow", at))
	}
	return nil
}

package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/varve-db/varve/ingest/influx"
	"github.com/varve-db/varve/ingest/text"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/series/jsonl"
)

// Format is a format of lines.
type Format string

// The formats that files may have.
const (
	JSONLines   Format = "jsonl"
	Exposition  Format = "text"        // Prometheus's text format
	OpenMetrics Format = "openmetrics" // its successor
	Influx      Format = "influx"      // InfluxDB's line protocol
)

// LineOptions say how lines are read.
type LineOptions struct {
	Now       time.Time // of lines without a time
	Precision string    // unit of times in the line protocol: ns, us, ms, s, m or h
	Database  string    // the label db of lines in the line protocol
}

// ErrPrecision means a unit of time that the line protocol does not know.
var ErrPrecision = errors.New("unknown precision")

// lines is how the lines of a format are read.
type lines struct {
	// decode adds what a line holds to a batch.
	decode func(dst *series.Batch, line []byte) error
	// split returns the length of the first line with its end; not above 0 when
	// the end is missing.
	split func([]byte) int
	// ordered means that a line cannot be read without those before it.
	ordered bool
	// open reports whether lines that come may change what was decoded last; nil:
	// they never do.
	open func() bool
}

// jsonLines are lines of JSON.
func jsonLines() lines { return lines{decode: (&jsonl.Decoder{}).Line, split: endOfLine} }

// lines returns how lines are read.
func (f Format) lines(o LineOptions) (lines, error) {
	switch f {
	case JSONLines:
		return jsonLines(), nil
	case Exposition, OpenMetrics:
		var d text.Decoder
		d.Begin(text.Options{OpenMetrics: f == OpenMetrics, Timestamp: o.Now.UnixMilli()})
		return lines{d.Line, endOfLine, true, d.Open}, nil
	case Influx:
		var d influx.Decoder
		precision, err := influx.ParsePrecision(o.Precision)
		if err != nil {
			return lines{}, fmt.Errorf("%w: %w", ErrPrecision, err)
		}
		d.Begin(influx.Options{Database: o.Database, Precision: precision, Now: o.Now.UnixMilli()})
		return lines{d.Line, influx.Split, true, nil}, nil // a string may hold ends of lines
	}
	return lines{}, fmt.Errorf("unknown format %q", f)
}

// lineFile is a file of lines.
type lineFile struct {
	path    string
	stdin   io.Reader
	format  Format
	options LineOptions
	ordered bool
	bytes   int64 // of a part
}

// OpenLines reads a file of lines, compressed if its name ends in .gz or .zst; -
// is stdin. Files that are not compressed, and whose lines do not depend on each
// other, are read in parts of 64 MiB.
func OpenLines(path string, stdin io.Reader, format Format, o LineOptions) (Source, error) {
	l, err := format.lines(o)
	if err != nil {
		return nil, err
	}
	if path != "-" {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	return &lineFile{path: path, stdin: stdin, format: format, options: o, ordered: l.ordered, bytes: filePartBytes}, nil
}

// Name implements Source.
func (l *lineFile) Name() string { return l.path }

// Close implements Source.
func (l *lineFile) Close() error { return nil }

const filePartBytes = 64 << 20

// whole reports whether the file can only be read from its start to its end.
func (l *lineFile) whole() bool {
	return l.ordered || l.path == "-" || strings.HasSuffix(l.path, ".gz") || strings.HasSuffix(l.path, ".zst")
}

// Parts implements Source.
func (l *lineFile) Parts(context.Context) ([]Part, error) {
	if l.whole() {
		return []Part{{Name: "all", Size: 1}}, nil
	}
	info, err := os.Stat(l.path)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for from := int64(0); from < info.Size(); from += l.bytes {
		to := min(from+l.bytes, info.Size())
		parts = append(parts, Part{Name: fmt.Sprintf("bytes %d-%d", from, to), Size: to - from, from: from, to: to})
	}
	return parts, nil
}

// Read implements Source. A line belongs to the part in which it starts.
func (l *lineFile) Read(ctx context.Context, part Part, to Sink) error {
	how, err := l.format.lines(l.options)
	if err != nil {
		return err
	}
	if l.path == "-" {
		return how.read(ctx, l.stdin, to)
	}
	file, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if !l.whole() {
		return how.readRange(ctx, file, part, to)
	}
	in, closeIn, err := decompressed(l.path, file)
	if err != nil {
		return err
	}
	defer closeIn()
	return how.read(ctx, in, to)
}

// decompressed reads what a file holds, by its name.
func decompressed(path string, file io.Reader) (io.Reader, func(), error) {
	switch {
	case strings.HasSuffix(path, ".gz"):
		z, err := gzip.NewReader(file)
		return z, func() {}, err
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewReader(file)
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return file, func() {}, nil
}

// readRange reads the lines that start in a part of a file.
func (l lines) readRange(ctx context.Context, file *os.File, part Part, to Sink) error {
	from := part.from
	if from > 0 {
		// The line that the byte before belongs to is the part's before.
		if _, err := file.Seek(from-1, io.SeekStart); err != nil {
			return err
		}
		skipped, err := skipLine(bufio.NewReader(file))
		if err != nil {
			return err
		}
		from += skipped - 1
	}
	if from >= part.to {
		return nil
	}
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return err
	}
	end := part.to
	if _, err := file.Seek(part.to-1, io.SeekStart); err != nil {
		return err
	}
	rest, err := skipLine(bufio.NewReader(file)) // to the end of the last line
	if err != nil {
		return err
	}
	end += rest - 1
	return l.read(ctx, io.NewSectionReader(file, from, end-from), to)
}

// skipLine returns how many bytes there are up to the end of a line.
func skipLine(r *bufio.Reader) (int64, error) {
	var n int64
	for {
		piece, err := r.ReadSlice('\n')
		n += int64(len(piece))
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return n, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return n, err
		}
	}
}

func endOfLine(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }

// lineBytesMax bounds a line.
const lineBytesMax = 64 << 20

// read decodes lines and sends what they hold.
func (l lines) read(ctx context.Context, in io.Reader, to Sink) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), lineBytesMax)
	scanner.Split(func(b []byte, atEOF bool) (int, []byte, error) {
		if n := l.split(b); n > 0 {
			return n, b[:n], nil
		}
		if atEOF && len(b) > 0 {
			return len(b), b, nil
		}
		return 0, nil, nil
	})
	pack := &packer{to: to}
	var b series.Batch
	for number := 1; scanner.Scan(); number++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.decode(&b, bytes.TrimRight(scanner.Bytes(), "\r\n")); err != nil {
			to.Lost(Loss{Reason: "malformed_line", N: 1, Example: fmt.Sprintf("line %d: %v", number, err)})
			continue
		}
		if l.open != nil && l.open() {
			continue
		}
		if len(b.Timestamps) >= requestSamplesMax/10 || b.MemoryBytes() > requestBytesMax {
			if err := moveOn(pack, &b); err != nil {
				return err
			}
		}
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("a line has more than %d MiB", lineBytesMax>>20)
	} else if err != nil {
		return err
	}
	if err := moveOn(pack, &b); err != nil {
		return err
	}
	return pack.flush()
}

// moveOn packs what was decoded.
func moveOn(pack *packer, b *series.Batch) error {
	if err := pack.repack(b); err != nil {
		return err
	}
	if b.MemoryBytes() > 2*requestBytesMax {
		*b = series.Batch{}
	}
	b.Reset()
	return nil
}

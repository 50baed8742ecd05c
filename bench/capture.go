package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

// Captured is one series of a capture.
type Captured struct {
	Name       string // metric{name="value",...}
	Group      int    // the scrape target: series of a group share their times
	Timestamps []int64
	Values     []float64
}

// ErrCapture means that a file is not a capture, or a damaged one.
var ErrCapture = errors.New("not a readable capture")

const (
	captureMagic       = "TSD1\n"
	captureWindowMax   = 128 << 20
	captureNameMax     = 1 << 16
	captureSamplesMax  = 1 << 26 // of one series
	captureGroupMax    = 1 << 24
	captureSampleChunk = 1 << 12 // memory is taken as the bytes arrive
)

// ReadCapture reads a file of series in the TSD1 format: one zstd stream of
// "TSD1\n", uvarint number of series, and for each series uvarint length of the
// name, the name, uvarint group, uvarint number of samples, the timestamps
// (int64, little endian, milliseconds), the values (float64 bits, little endian).
func ReadCapture(r io.Reader) ([]Captured, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(captureWindowMax), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	defer z.Close()
	in := bufio.NewReaderSize(z, 1<<16)
	magic := make([]byte, len(captureMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != captureMagic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrCapture, captureMagic)
	}
	count, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, fmt.Errorf("%w: number of series: %w", ErrCapture, err)
	}
	var all []Captured
	for i := range count {
		c, err := readCaptured(in)
		if err != nil {
			return nil, fmt.Errorf("%w: series %d of %d: %w", ErrCapture, i, count, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func readCaptured(in *bufio.Reader) (Captured, error) {
	nameLen, err := readUvarint(in, "name length", captureNameMax)
	if err != nil {
		return Captured{}, err
	}
	name := make([]byte, nameLen)
	if _, err := io.ReadFull(in, name); err != nil {
		return Captured{}, fmt.Errorf("name: %w", err)
	}
	group, err := readUvarint(in, "group", captureGroupMax)
	if err != nil {
		return Captured{}, err
	}
	n, err := readUvarint(in, "number of samples", captureSamplesMax)
	if err != nil {
		return Captured{}, err
	}
	c := Captured{Name: string(name), Group: int(group)}
	c.Timestamps, err = readWords(in, int(n), func(w uint64) int64 { return int64(w) })
	if err != nil {
		return Captured{}, fmt.Errorf("timestamps: %w", err)
	}
	c.Values, err = readWords(in, int(n), math.Float64frombits)
	if err != nil {
		return Captured{}, fmt.Errorf("values: %w", err)
	}
	return c, nil
}

func readUvarint(in *bufio.Reader, what string, limit uint64) (uint64, error) {
	v, err := binary.ReadUvarint(in)
	if err == nil && v > limit {
		err = fmt.Errorf("%d, the limit is %d", v, limit)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

func readWords[T any](in io.Reader, n int, convert func(uint64) T) ([]T, error) {
	var words []T
	buf := make([]byte, 8*min(n, captureSampleChunk))
	for n > 0 {
		part := buf[:8*min(n, captureSampleChunk)]
		if _, err := io.ReadFull(in, part); err != nil {
			return nil, err
		}
		for ; len(part) > 0; part = part[8:] {
			words = append(words, convert(binary.LittleEndian.Uint64(part)))
			n--
		}
	}
	return words, nil
}

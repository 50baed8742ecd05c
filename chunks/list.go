package chunks

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/internal/fields"
)

// Encoding says how a chunk's bytes are to be read. Values below 16 are
// Prometheus's chunkenc encodings.
type Encoding uint8

const (
	// EncFloat is the byte-aligned float encoding of float.go.
	EncFloat Encoding = 16
	// EncColumns stands for floats that are decoded already. It is never stored.
	EncColumns Encoding = 17
	// EncHistogramColumns is a long run of histograms as columns, see histogramrun.go.
	EncHistogramColumns Encoding = 18
)

// String names the encoding.
func (e Encoding) String() string {
	switch e {
	case EncFloat:
		return "float"
	case EncColumns:
		return "columns"
	case EncHistogramColumns:
		return "histogram columns"
	}
	return chunkenc.Encoding(e).String()
}

// Chunk is an encoded run of samples of one series, ascending in time.
type Chunk struct {
	Encoding Encoding
	Count    int
	MinTime  int64 // of the first sample, milliseconds
	MaxTime  int64 // of the last
	Data     []byte

	// Times, Values and Starts are the samples of an EncColumns chunk; Starts
	// may be empty.
	Times  []int64
	Values []float64
	Starts []int64

	// list and position say which list a chunk was read from, so that an
	// iterator knows when two chunks follow each other as they were written.
	list, position int
}

// A row holds the chunks of one series in one flush, one after the other:
//
//	encoding  u8
//	count     uvarint
//	min time  varint   less the window's start
//	span      uvarint  max time less min time
//	length    uvarint
//	data      length bytes

// AppendChunk appends the row form of c to dst; base is the start of the
// partition's window.
func AppendChunk(dst []byte, base int64, c Chunk) []byte {
	dst = append(dst, byte(c.Encoding))
	dst = binary.AppendUvarint(dst, uint64(c.Count))
	dst = binary.AppendVarint(dst, c.MinTime-base)
	dst = binary.AppendUvarint(dst, uint64(c.MaxTime-c.MinTime))
	dst = binary.AppendUvarint(dst, uint64(len(c.Data)))
	return append(dst, c.Data...)
}

// DecodeList appends the chunks of a row to dst. list is a number of the
// caller's that tells rows of one series apart. The chunks' data points into row:
// it must not be appended to.
func DecodeList(dst []Chunk, row []byte, base int64, list int) ([]Chunk, error) {
	for position := 0; len(row) > 0; position++ {
		c, rest, err := cutChunk(row, base)
		if err != nil {
			return dst, fmt.Errorf("chunk %d of a row: %w", position, err)
		}
		dst = append(dst, c.WithList(list, position))
		row = rest
	}
	return dst, nil
}

// cutChunk takes the first chunk off a row. Its data points into the row.
func cutChunk(row []byte, base int64) (c Chunk, rest []byte, err error) {
	r := fields.New(row)
	c.Encoding = Encoding(r.Byte())
	count, min, span, length := r.Uvarint(), r.Varint(), r.Uvarint(), r.Uvarint()
	if r.Bad() || length > uint64(r.Len()) || count == 0 || count > c.Encoding.countMax(length) {
		return c, nil, fmt.Errorf("%w: bad header", ErrCorrupt)
	}
	end := r.At() + int(length)
	c.Count, c.MinTime, c.Data = int(count), base+min, row[r.At():end]
	if c.MaxTime = c.MinTime + int64(span); c.MaxTime < c.MinTime {
		return c, nil, fmt.Errorf("%w: bad header", ErrCorrupt)
	}
	return c, row[end:], nil
}

// countMax returns the most samples that so many bytes can hold; none in an
// encoding that is not stored.
func (e Encoding) countMax(bytes uint64) uint64 {
	switch {
	case e == EncFloat:
		return bytes
	case e == EncHistogramColumns:
		return column.SamplesMax
	case chunkenc.IsValidEncoding(chunkenc.Encoding(e)):
		return bytes * 8 // a sample takes at least a bit
	default:
		return 0
	}
}

// WithList returns c as a member of the caller's list number list.
func (c Chunk) WithList(list, position int) Chunk {
	c.list, c.position = list, position
	return c
}

// iterator returns an iterator over a chunk in one of Prometheus's encodings, or
// of histograms in columns.
func (c Chunk) iterator(reuse chunkenc.Iterator) (chunkenc.Iterator, error) {
	if c.Encoding == EncHistogramColumns {
		return c.runIterator(reuse)
	}
	if len(c.Data) < 4 {
		return nil, corrupt(c, fmt.Errorf("%d bytes", len(c.Data)))
	}
	decoded, err := chunkenc.FromData(chunkenc.Encoding(c.Encoding), c.Data)
	if err != nil {
		return nil, corrupt(c, err)
	}
	if decoded.NumSamples() != c.Count {
		return nil, corrupt(c, fmt.Errorf("%d samples instead of %d", decoded.NumSamples(), c.Count))
	}
	return decoded.Iterator(reuse), nil
}

func corrupt(c Chunk, err error) error {
	return fmt.Errorf("%w: %s chunk of %d samples: %w", ErrCorrupt, c.Encoding, c.Count, err)
}

func bitsOf(f float64) uint64  { return math.Float64bits(f) }
func floatOf(b uint64) float64 { return math.Float64frombits(b) }

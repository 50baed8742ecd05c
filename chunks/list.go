package chunks

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

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
)

// String names the encoding.
func (e Encoding) String() string {
	switch e {
	case EncFloat:
		return "float"
	case EncColumns:
		return "columns"
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
// caller's that tells rows of one series apart. The chunks' data points into row.
func DecodeList(dst []Chunk, row []byte, base int64, list int) ([]Chunk, error) {
	for position := 0; len(row) > 0; position++ {
		r := fields.New(row)
		c := Chunk{Encoding: Encoding(r.Byte()), list: list, position: position}
		count, min, span, length := r.Uvarint(), r.Varint(), r.Uvarint(), r.Uvarint()
		perByte := uint64(1)
		if c.Encoding != EncFloat {
			perByte = 8 // a sample takes at least a bit
		}
		if r.Bad() || length > uint64(r.Len()) || count == 0 || count > length*perByte {
			return dst, fmt.Errorf("%w: chunk %d of a row has a bad header", ErrCorrupt, position)
		}
		end := r.At() + int(length)
		c.Count, c.MinTime, c.Data = int(count), base+min, row[r.At():end:end]
		c.MaxTime = c.MinTime + int64(span)
		if c.MaxTime < c.MinTime || c.Encoding != EncFloat && !chunkenc.IsValidEncoding(chunkenc.Encoding(c.Encoding)) {
			return dst, fmt.Errorf("%w: chunk %d of a row has a bad header", ErrCorrupt, position)
		}
		dst = append(dst, c)
		row = row[end:]
	}
	return dst, nil
}

// WithList returns c as a member of the caller's list number list.
func (c Chunk) WithList(list, position int) Chunk {
	c.list, c.position = list, position
	return c
}

// iterator returns an iterator over a chunk in one of Prometheus's encodings.
func (c Chunk) iterator(reuse chunkenc.Iterator) (chunkenc.Iterator, error) {
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

package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// xorSamplesMax is how many samples Prometheus puts into a chunk.
const xorSamplesMax = 120

// segmentBytes is what a segment file adds to a chunk besides its length: the
// encoding and a checksum.
const segmentBytes = 1 + 4

// xor is the codec of Prometheus's float chunks.
type xor struct{}

type xorEncoded struct {
	chunks   [][]byte
	chunk    *chunkenc.XORChunk
	iterator chunkenc.Iterator
	times    []int64
	values   []float64
}

func (*xor) encode(c *capture) (encoded, error) {
	e := &xorEncoded{chunk: chunkenc.NewXORChunk(), chunks: make([][]byte, 0, c.chunks)}
	for _, part := range c.parts {
		for i := range part {
			k := &part[i]
			if len(k.values) > xorSamplesMax {
				return nil, fmt.Errorf("chunk of %d samples, more than the %d of an XOR chunk", len(k.values), xorSamplesMax)
			}
			chunk := chunkenc.NewXORChunk()
			appender, err := chunk.Appender()
			if err != nil {
				return nil, err
			}
			for i, v := range k.values {
				appender.Append(0, k.times[i], v)
			}
			chunk.Compact()
			e.chunks = append(e.chunks, chunk.Bytes())
		}
	}
	return e, nil
}

func (e *xorEncoded) size() (n int) {
	var length [binary.MaxVarintLen64]byte
	for _, b := range e.chunks {
		n += binary.PutUvarint(length[:], uint64(len(b))) + segmentBytes + len(b)
	}
	return n
}

func (e *xorEncoded) each(visit visitor) error {
	for _, b := range e.chunks {
		e.chunk.Reset(b)
		e.iterator = e.chunk.Iterator(e.iterator)
		e.times, e.values = e.times[:0], e.values[:0]
		for e.iterator.Next() == chunkenc.ValFloat {
			t, v := e.iterator.At()
			e.times, e.values = append(e.times, t), append(e.values, v)
		}
		if err := e.iterator.Err(); err != nil {
			return err
		}
		visit(e.times, e.values)
	}
	return nil
}

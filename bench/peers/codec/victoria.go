package codec

import (
	"bytes"
	"hash/fnv"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/decimal"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/encoding"
)

// precisionBits asks VictoriaMetrics for all it can keep.
const precisionBits = 64

// indexBlockBytes is how many bytes of block headers are compressed together.
const indexBlockBytes = 64 << 10

// victoria is the codec of VictoriaMetrics' blocks.
type victoria struct {
	integers []int64
}

// block is a block with its header.
type block struct {
	series                  int
	times, values           []byte
	sharesTimes             bool // times are those of the block before
	timesType, valuesType   encoding.MarshalType
	firstTime, lastTime     int64
	firstValue              int64
	scale                   int16
	rows                    int
	timesOffset, dataOffset int
	group                   uint64 // identifies the metric
	instance                uint32
}

type victoriaEncoded struct {
	blocks   []block
	heads    int // bytes of the compressed headers
	times    []int64
	integers []int64
	values   []float64
}

func (v *victoria) encode(c *capture) (encoded, error) {
	e := &victoriaEncoded{blocks: make([]block, 0, c.chunks)}
	timesOffset, dataOffset := 0, 0
	for _, part := range c.parts {
		for i := range part {
			b := v.block(&part[i])
			b.timesOffset, b.dataOffset = timesOffset, dataOffset
			if n := len(e.blocks); i > 0 && bytes.Equal(e.blocks[n-1].times, b.times) && len(b.times) > 0 {
				b.sharesTimes, b.timesOffset = true, e.blocks[n-1].timesOffset
			} else {
				timesOffset += len(b.times)
			}
			dataOffset += len(b.values)
			e.blocks = append(e.blocks, b)
		}
	}
	e.heads = e.compressHeads(c.samples / max(1, c.chunks))
	return e, nil
}

func (v *victoria) block(k *chunk) block {
	b := block{series: k.series, rows: len(k.values), lastTime: k.times[len(k.times)-1], instance: uint32(k.target)}
	hash := fnv.New64a()
	hash.Write([]byte(k.metric))
	b.group = hash.Sum64()
	v.integers, b.scale = decimal.AppendFloatToDecimal(v.integers[:0], k.values)
	b.values, b.valuesType, b.firstValue = encoding.MarshalValues(nil, v.integers, precisionBits)
	b.times, b.timesType, b.firstTime = encoding.MarshalTimestamps(nil, k.times, precisionBits)
	return b
}

// compressHeads returns the size of the headers of blocks of so many rows.
func (e *victoriaEncoded) compressHeads(rows int) (size int) {
	level := headLevel(rows)
	var plain, compressed []byte
	for i := range e.blocks {
		plain = e.blocks[i].appendHead(plain)
		if len(plain) >= indexBlockBytes || i == len(e.blocks)-1 {
			compressed = encoding.CompressZSTDLevel(compressed[:0], plain, level)
			size += len(compressed)
			plain = plain[:0]
		}
	}
	return size
}

// headLevel is the level of compression of a part whose blocks have so many rows.
func headLevel(rows int) int {
	switch {
	case rows <= 10:
		return -5
	case rows <= 50:
		return -2
	case rows <= 200:
		return -1
	case rows <= 500:
		return 1
	case rows <= 1000:
		return 2
	default:
		return 3
	}
}

// appendHead appends the 81 bytes of a block's header.
func (b *block) appendHead(dst []byte) []byte {
	dst = encoding.MarshalUint64(dst, b.group)
	dst = encoding.MarshalUint32(dst, 0) // job
	dst = encoding.MarshalUint32(dst, b.instance)
	dst = encoding.MarshalUint64(dst, 1<<60+uint64(b.series))
	dst = encoding.MarshalInt64(dst, b.firstTime)
	dst = encoding.MarshalInt64(dst, b.lastTime)
	dst = encoding.MarshalInt64(dst, b.firstValue)
	dst = encoding.MarshalUint64(dst, uint64(b.timesOffset))
	dst = encoding.MarshalUint64(dst, uint64(b.dataOffset))
	dst = encoding.MarshalUint32(dst, uint32(len(b.times)))
	dst = encoding.MarshalUint32(dst, uint32(len(b.values)))
	dst = encoding.MarshalUint32(dst, uint32(b.rows))
	dst = encoding.MarshalInt16(dst, b.scale)
	return append(dst, byte(b.timesType), byte(b.valuesType), precisionBits)
}

func (e *victoriaEncoded) size() int {
	n := e.heads
	for i := range e.blocks {
		n += len(e.blocks[i].values)
		if !e.blocks[i].sharesTimes {
			n += len(e.blocks[i].times)
		}
	}
	return n
}

// decodeTimes decodes the timestamps of every block: VictoriaMetrics does so
// for shared ones too.
func (e *victoriaEncoded) decodeTimes() (err error) {
	for i := range e.blocks {
		if err = e.blockTimes(&e.blocks[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *victoriaEncoded) blockTimes(b *block) (err error) {
	e.times, err = encoding.UnmarshalTimestamps(e.times[:0], b.times, b.timesType, b.firstTime, b.rows)
	return err
}

func (e *victoriaEncoded) decodeValues() error {
	for i := range e.blocks {
		if err := e.blockValues(&e.blocks[i]); err != nil {
			return err
		}
	}
	return nil
}

func (e *victoriaEncoded) blockValues(b *block) (err error) {
	e.integers, err = encoding.UnmarshalValues(e.integers[:0], b.values, b.valuesType, b.firstValue, b.rows)
	if err == nil {
		e.values = decimal.AppendDecimalToFloat(e.values[:0], e.integers, b.scale)
	}
	return err
}

func (e *victoriaEncoded) each(visit visitor) error {
	for i := range e.blocks {
		if err := e.blockTimes(&e.blocks[i]); err != nil {
			return err
		}
		if err := e.blockValues(&e.blocks[i]); err != nil {
			return err
		}
		visit(e.times, e.values)
	}
	return nil
}

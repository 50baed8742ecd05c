package column

import (
	"errors"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// zstdMagic begins every zstd frame; the format leaves it out.
const zstdMagic = "\x28\xb5\x2f\xfd"

// zstdBytesMax bounds the compressed form of at most SamplesMax tokens.
const zstdBytesMax = 2 * SamplesMax

// entropy decodes tokens that were compressed. Its parts are made when they are
// needed first and kept.
type entropy struct {
	huff  *huff0.Scratch
	zstd  *zstd.Decoder
	frame []byte
}

// expand fills tok, whose capacity is its length, from compressed bytes.
func (e *entropy) expand(c *cursor, form byte, tok []byte) {
	size := c.count(len(c.src), "compressed tokens end early")
	src := c.take(size)
	if c.err != nil {
		return
	}
	var err error
	switch form {
	case streamZstd:
		err = e.expandZstd(tok, src)
	default:
		err = e.expandHuffman(tok, src, form == streamHuff4)
	}
	if err != nil {
		c.off -= size
		c.fail("compressed tokens: " + err.Error())
	}
}

var (
	errTokens     = errors.New("wrong number of tokens")
	errLongTokens = errors.New("too long")
)

func (e *entropy) expandHuffman(tok, src []byte, four bool) error {
	if e.huff == nil {
		e.huff = new(huff0.Scratch)
	}
	_, rest, err := huff0.ReadTable(src, e.huff)
	if err != nil {
		return err
	}
	var out []byte
	if four {
		out, err = e.huff.Decoder().Decompress4X(tok[:0], rest)
	} else {
		out, err = e.huff.Decoder().Decompress1X(tok[:0], rest)
	}
	if err == nil && len(out) != len(tok) {
		err = errTokens
	}
	return err
}

func (e *entropy) expandZstd(tok, src []byte) error {
	if len(src) > zstdBytesMax {
		return errLongTokens
	}
	if e.zstd == nil {
		// The limits hold against damaged bytes: no output beyond the tokens'
		// capacity, no window beyond the least there is.
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(64<<10), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return err
		}
		e.zstd = z
	}
	e.frame = append(append(e.frame[:0], zstdMagic...), src...)
	out, err := e.zstd.DecodeAll(e.frame, tok[:0])
	if err == nil && len(out) != len(tok) {
		err = errTokens
	}
	return err
}

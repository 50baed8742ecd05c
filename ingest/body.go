package ingest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// declaredBytes returns how long the body is or may be.
func declaredBytes(ctx *fasthttp.RequestCtx, limit int) (int, error) {
	n := ctx.Request.Header.ContentLength()
	if ctx.RequestBodyStream() == nil {
		n = len(ctx.PostBody())
	}
	switch {
	case n > limit:
		return 0, bad("the body has %d bytes, the limit is %d", n, limit)
	case n < 0: // it comes in chunks
		return limit, nil
	}
	return n, nil
}

// readBody returns the body, which is read into buf if the server streams it.
func readBody(ctx *fasthttp.RequestCtx, buf []byte, expected, limit int) (body, grown []byte, err error) {
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return ctx.PostBody(), buf, nil
	}
	if ctx.Request.Header.ContentLength() >= 0 {
		buf = slices.Grow(buf[:0], expected)
	}
	for buf = buf[:0]; ; {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, 16<<10)
		}
		n, err := stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return nil, buf, bad("the body has more than %d bytes", limit)
		case err == io.EOF && cutShort(ctx, len(buf)):
			return nil, buf, bad("read the body: %w", io.ErrUnexpectedEOF)
		case err == io.EOF:
			return buf, buf, nil
		case err != nil:
			return nil, buf, bad("read the body: %w", err)
		}
	}
}

// cutShort reports whether a body of n bytes is less than was announced.
func cutShort(ctx *fasthttp.RequestCtx, n int) bool { return n < ctx.Request.Header.ContentLength() }

// decodedBytes returns how long body is without its compression, or limit when
// it does not say.
func decodedBytes(body []byte, e encoding, limit int) (int, error) {
	var n uint64
	if e == zstandard {
		var h zstd.Header
		if err := h.Decode(body); err != nil {
			return 0, bad("decompress the body as zstd: %w", err)
		}
		if !h.HasFCS {
			return limit, nil
		}
		n = h.FrameContentSize
	} else {
		length, err := snappy.DecodedLen(body)
		if err != nil {
			return 0, bad("decompress the body as snappy: %w", err)
		}
		// No byte of snappy stands for more than 64/3.
		const growth, fixed = 22, 64
		if n = uint64(length); n > growth*uint64(len(body))+fixed {
			return 0, bad("decompress the body as snappy: %d bytes cannot become %d", len(body), n)
		}
	}
	if n > uint64(limit) {
		return 0, bad("the body has %d bytes without its compression, the limit is %d", n, limit)
	}
	return int(n), nil
}

// decompressor undoes compression within a limit.
type decompressor struct {
	sized   func() (*zstd.Decoder, error) // never exceeds the capacity it is given
	unsized func() (*zstd.Decoder, error) // never exceeds the limit
}

func newDecompressor(limit int) decompressor {
	open := func(sized bool) func() (*zstd.Decoder, error) {
		return sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(uint64(limit)),
				zstd.WithDecodeAllCapLimit(sized))
		})
	}
	return decompressor{sized: open(true), unsized: open(false)}
}

// decompress returns body without its compression in buf, whose capacity it may
// replace; size is what decodedBytes said.
func (d *decompressor) decompress(buf, body []byte, e encoding, size int) ([]byte, error) {
	if e == snappyBlock {
		out, err := snappy.Decode(slices.Grow(buf[:0], size)[:size], body)
		if err != nil {
			return buf, bad("decompress the body as snappy: %w", err)
		}
		return out, nil
	}
	open := d.unsized
	var h zstd.Header
	if h.Decode(body) == nil && h.HasFCS {
		open = d.sized
		buf = slices.Grow(buf[:0], size)
	}
	decoder, err := open()
	if err != nil {
		return buf, fmt.Errorf("set up zstd: %w", err)
	}
	out, err := decoder.DecodeAll(body, buf[:0])
	if err != nil {
		return buf, bad("decompress the body as zstd: %w", err)
	}
	return out, nil
}

// isZstd reports whether body starts as a zstd frame does. A queue that an
// agent kept from before it spoke zstd holds snappy blocks under zstd's name;
// no snappy block starts so.
func isZstd(body []byte) bool { return bytes.HasPrefix(body, []byte{0x28, 0xb5, 0x2f, 0xfd}) }

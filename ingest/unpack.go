package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// zstdWindowBytesMax bounds what one zstd stream takes; the strongest usual
// level asks for 8 MiB.
const zstdWindowBytesMax = 32 << 20

// unpackers undo the compression of bodies that are read as streams. They are
// kept for reuse.
type unpackers struct{ gzip, zstd, snappy sync.Pool }

// resettable is a decompressor that can be used for one stream after another.
type resettable interface {
	io.Reader
	Reset(io.Reader) error
}

// snappyStream is a resettable of snappy's framing format.
type snappyStream struct{ *snappy.Reader }

func (s snappyStream) Reset(r io.Reader) error {
	s.Reader.Reset(r)
	return nil
}

// open returns the body of a request without its compression. The caller hands
// back what it has read of by calling the function.
func (u *unpackers) open(ctx *fasthttp.RequestCtx) (io.Reader, func(), error) {
	body := sentBody(ctx)
	name := strings.ToLower(strings.TrimSpace(string(ctx.Request.Header.ContentEncoding())))
	var pool *sync.Pool
	var open func() (resettable, error)
	switch name {
	case "", "identity":
		return body, func() {}, nil
	case "gzip", "x-gzip":
		pool, open = &u.gzip, func() (resettable, error) { return new(gzip.Reader), nil }
	case "zstd":
		pool, open = &u.zstd, func() (resettable, error) {
			return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowBytesMax))
		}
	case "snappy", "x-snappy-framed":
		pool, open = &u.snappy, func() (resettable, error) { return snappyStream{snappy.NewReader(nil)}, nil }
	default:
		return nil, nil, unsupported("content encoding %q is not supported; gzip, zstd and snappy's framing format are", name)
	}
	r, ok := pool.Get().(resettable)
	if !ok {
		var err error
		if r, err = open(); err != nil {
			return nil, nil, fmt.Errorf("set up %s: %w", name, err)
		}
	}
	giveBack := func() {
		// A reader that is kept must not keep the request.
		if err := r.Reset(bytes.NewReader(nil)); err == nil || errors.Is(err, io.EOF) {
			pool.Put(r)
		}
	}
	if err := r.Reset(body); err != nil {
		giveBack()
		return nil, nil, unreadable(err)
	}
	return r, giveBack, nil
}

// sentBody returns the body as it was sent. A body that is shorter than was
// announced ends in an error.
func sentBody(ctx *fasthttp.RequestCtx) io.Reader {
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return bytes.NewReader(ctx.PostBody())
	}
	return &announced{src: stream, missing: ctx.Request.Header.ContentLength()}
}

// announced is a stream that knows how many bytes it should have; missing is
// negative where nobody said.
type announced struct {
	src     io.Reader
	missing int
}

func (a *announced) Read(p []byte) (int, error) {
	n, err := a.src.Read(p)
	if a.missing >= 0 {
		a.missing = max(0, a.missing-n)
	}
	if err == io.EOF && a.missing > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// unreadable is the sender's fault: the body is cut short, or is not what its
// headers say.
func unreadable(err error) error { return bad("read the body: %w", err) }

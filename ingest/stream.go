package ingest

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/series"
)

// lineFormat is what a format of lines adds to the path that they share.
type lineFormat struct {
	// decode adds what a line holds to dst; or it adds nothing, and says what is
	// wrong with the line.
	decode func(dst *series.Batch, line []byte) error
	// split is that of lineReader.
	split func([]byte) int
	// open reports whether lines that come may change what was decoded last.
	open func() bool
}

func never() bool { return false }

// pieceBatchBytes is how large a batch grows before it is stored, whatever is
// left of the piece.
const pieceBatchBytes = 32 << 20

// streamed carries out a request with a body of lines, in the format that begin
// returns once it has read the parameters.
func (h *Handler) streamed(ctx *fasthttp.RequestCtx, a *account, begin func(*worker) (lineFormat, error)) error {
	if err := onlyPost(ctx); err != nil {
		return err
	}
	w := h.workers.Get().(*worker)
	defer h.putWorker(w)
	f, err := begin(w)
	if err != nil {
		return err
	}
	return h.stream(ctx, f, w, a)
}

// stream reads, decodes and stores a body of lines piece by piece, so that one of
// any length takes little memory. What was stored stays stored when a later piece
// fails; the sender repeats it, which changes nothing.
func (h *Handler) stream(ctx *fasthttp.RequestCtx, f lineFormat, w *worker, a *account) error {
	body, giveBack, err := h.unpackers.open(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	held := int64(0)
	defer func() { h.received.leave(held) }()
	raw := h.buffers.Get().(*[]byte)
	defer h.putBuffer(raw)
	lines := lineReader{
		src: body, max: h.options.LineBytesMax, split: f.split, buf: (*raw)[:0], number: 1,
		tooBig: func(line int) {
			a.lines.add(line, fmt.Errorf("it has more than %d bytes", h.options.LineBytesMax))
		},
	}
	defer func() { *raw = lines.buf }()
	for need := firstPiece(ctx); !lines.done(); need = lines.wanted() {
		if more := min(int64(need), h.received.limit) - held; more > 0 {
			if more, err = h.received.pass(ctx, more); err != nil {
				return err
			}
			held += more
		}
		if err := lines.fill(); err != nil {
			return unreadable(err)
		}
		if err := h.storePiece(ctx, f, w, &lines, a); err != nil {
			return err
		}
	}
	return nil
}

// firstPiece returns how much of a body is read at first.
func firstPiece(ctx *fasthttp.RequestCtx) int {
	n := ctx.Request.Header.ContentLength()
	if n < 0 || n > pieceBytes || len(ctx.Request.Header.ContentEncoding()) > 0 {
		return pieceBytes
	}
	return n
}

// batchGrowth is how many bytes of batch a byte of line is taken for before it
// is decoded: every field of a line repeats all labels.
const batchGrowth = 8

// storePiece decodes and stores the lines that were read.
func (h *Handler) storePiece(ctx *fasthttp.RequestCtx, f lineFormat, w *worker, lines *lineReader, a *account) error {
	taken, err := h.decoded.pass(ctx, batchGrowth*int64(len(lines.buf)))
	if err != nil {
		return err
	}
	defer func() { h.decoded.leave(taken) }()
	for more := true; more; {
		start := h.options.Now()
		more, err = decodeLines(f, &w.batch, lines, a)
		if err != nil {
			return unreadable(err)
		}
		h.metrics.decodeSeconds.Observe(h.options.Now().Sub(start).Seconds())
		taken = h.decoded.resize(taken, int64(w.batch.MemoryBytes()))
		if err := h.store(ctx, &w.batch, a); err != nil {
			return err
		}
		if w.batch.MemoryBytes() > pieceBatchBytes {
			w.batch = series.Batch{}
		}
		w.batch.Reset()
	}
	return nil
}

// openPiecesMax is how many pieces are read on for what a format holds open.
const openPiecesMax = 2

// decodeLines fills b with lines until it is large or no line is left that was
// read. It reports whether there are more lines.
func decodeLines(f lineFormat, b *series.Batch, lines *lineReader, a *account) (more bool, err error) {
	for pieces := 1; ; {
		line, number, ok := lines.next()
		switch {
		case ok:
			if err := f.decode(b, line); err != nil {
				a.lines.add(number, err)
				lines.untake(line, number)
			}
			if b.MemoryBytes() > pieceBatchBytes && !f.open() {
				return true, nil
			}
		case f.open() && !lines.done() && pieces < openPiecesMax && b.MemoryBytes() <= pieceBatchBytes:
			pieces++
			if err := lines.fill(); err != nil {
				return false, err
			}
		default:
			return false, nil
		}
	}
}

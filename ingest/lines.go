package ingest

import (
	"bytes"
	"io"
	"slices"
)

const (
	// pieceBytes is how much of a body of lines is read before what it holds is
	// stored.
	pieceBytes = 1 << 20
	// firstReadBytes is what a new buffer starts with; most bodies are small.
	firstReadBytes = 64 << 10
)

// lineReader reads a body of any length a piece at a time, and cuts it into lines.
type lineReader struct {
	src    io.Reader
	max    int              // bytes of a line
	split  func([]byte) int // length of the first line with its end, -1 where that is missing
	tooBig func(line int)   // told of each line that has more than max bytes

	buf      []byte
	at       int // buf[at:] was not taken yet
	last     int // where the line taken last starts
	number   int // of the line at buf[at], from 1
	ended    bool
	skipping bool // that line is too long: its start is gone already
}

// splitLines is the usual split.
func splitLines(b []byte) int {
	n := bytes.IndexByte(b, '\n')
	if n < 0 {
		return -1
	}
	return n + 1
}

// done reports whether there is nothing left to read or to take.
func (r *lineReader) done() bool { return r.ended && r.at == len(r.buf) }

// wanted returns how many bytes the next fill reads up to.
func (r *lineReader) wanted() int {
	if rest := len(r.buf) - r.at; rest >= pieceBytes/2 { // the start of a long line
		return min(2*rest, r.max+1)
	}
	return pieceBytes
}

// fill reads until there is a piece, more than that if a line is longer, or the
// end of the body.
func (r *lineReader) fill() error {
	wanted := r.wanted()
	r.buf = append(r.buf[:0], r.buf[r.at:]...)
	r.at = 0
	for !r.ended && (r.skipping || len(r.buf) < wanted) {
		if len(r.buf) == cap(r.buf) {
			r.buf = slices.Grow(r.buf, max(firstReadBytes, min(cap(r.buf), wanted-len(r.buf))))
		}
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if err == io.EOF {
			r.ended = true
		} else if err != nil {
			return err
		}
		r.skip()
	}
	return nil
}

// skip drops the rest of a line that is too long.
func (r *lineReader) skip() {
	if !r.skipping {
		return
	}
	n := bytes.IndexByte(r.buf, '\n')
	if n < 0 {
		r.buf = r.buf[:0]
		return
	}
	r.buf = append(r.buf[:0], r.buf[n+1:]...)
	r.skipping = false
	r.number++
}

// next takes a line, without its end, and tells its number. It reports false
// when no line is complete.
func (r *lineReader) next() (line []byte, number int, ok bool) {
	for {
		rest := r.buf[r.at:]
		n := r.split(rest)
		switch {
		case n < 0 && len(rest) > r.max:
			r.tooBig(r.number)
			r.buf, r.at, r.skipping = r.buf[:0], 0, !r.ended
			return nil, 0, false
		case n < 0 && r.ended && len(rest) > 0:
			n = len(rest)
		case n < 0:
			return nil, 0, false
		}
		number = r.number
		r.last, r.at = r.at, r.at+n
		line = bytes.TrimSuffix(rest[:n], []byte("\n"))
		r.number += 1 + bytes.Count(line, []byte("\n"))
		if len(line) > r.max {
			r.tooBig(number)
			continue
		}
		return bytes.TrimSuffix(line, []byte("\r")), number, true
	}
}

// untake gives back all that follows the first line feed of line, which was
// taken last and makes no sense.
func (r *lineReader) untake(line []byte, number int) {
	if first := bytes.IndexByte(line, '\n'); first >= 0 {
		r.at = r.last + first + 1
		r.number = number + 1
	}
}

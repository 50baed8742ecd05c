package api

import (
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fasthttp"
)

const (
	// gzipBytesMin is the size from which compressing an answer pays.
	gzipBytesMin = 1 << 10
	// wholeBytesMax is the size up to which an answer is built before it is
	// sent, with its length; a longer one is sent as it is built, in chunks.
	wholeBytesMax = 1 << 20
	// keptBytesMax is the size of the largest buffer that is kept for reuse.
	keptBytesMax = 4 << 20
)

// A source produces a body in blocks: next appends one to dst and reports whether
// it was the last.
type source interface {
	next(dst []byte) (out []byte, done bool, err error)
}

// buffers and compressors are shared by the answers of an API.
type buffers struct {
	bytes    sync.Pool // *[]byte
	matching sync.Pool // *gzip.Writer that looks for repetitions, fast
	counting sync.Pool // *gzip.Writer that only gives frequent bytes short codes
}

// compressors returns the pool of a level's.
func (b *buffers) compressors(level int) *sync.Pool {
	if level == gzip.HuffmanOnly {
		return &b.counting
	}
	return &b.matching
}

func (b *buffers) take() *[]byte {
	if buffer, ok := b.bytes.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, 0, 2*blockBytes)
	return &buffer
}

func (b *buffers) give(buffer *[]byte) {
	if cap(*buffer) <= keptBytesMax {
		*buffer = (*buffer)[:0]
		b.bytes.Put(buffer)
	}
}

func (b *buffers) compressor(to io.Writer, level int) *gzip.Writer {
	if w, ok := b.compressors(level).Get().(*gzip.Writer); ok {
		w.Reset(to)
		return w
	}
	w, _ := gzip.NewWriterLevel(to, level) // the level is valid, so there is no error
	return w
}

// level chooses how a long body is compressed that begins with plain. Repetitions
// cost about three times what codes alone do; on a fast network they are worth it
// if they make the body small, as flat lines and lists of labels are, and not if
// it is digits.
func (b *buffers) level(plain []byte) int {
	const worthwhile = 5 // how many times smaller
	sample := plain[len(plain)/2:]
	sample = sample[:min(len(sample), blockBytes)]
	packed := b.take()
	defer b.give(packed)
	w := b.compressor((*appender)(packed), gzip.BestSpeed)
	_, _ = w.Write(sample) // into memory: it cannot fail
	_ = w.Close()
	b.compressors(gzip.BestSpeed).Put(w)
	if len(*packed) < len(sample)/worthwhile {
		return gzip.BestSpeed
	}
	return gzip.HuffmanOnly
}

// send makes from the body of the response. An error is one before the first
// byte: nothing is sent then, and finish was not called. Otherwise finish is
// called once the body has been written or given up.
func (b *buffers) send(rc *fasthttp.RequestCtx, from source, compress bool, finish func()) error {
	buffer := b.take()
	done := false
	for !done && len(*buffer) <= wholeBytesMax {
		var err error
		if *buffer, done, err = from.next(*buffer); err != nil {
			b.give(buffer)
			return err
		}
	}
	s := &stream{shared: b, block: buffer, finish: finish}
	if !done {
		s.from = from
	}
	size := -1
	if compress && len(*buffer) >= gzipBytesMin {
		rc.Response.Header.Set("Content-Encoding", "gzip")
		s.level = gzip.BestSpeed
		if !done {
			s.level = b.level(*buffer)
		}
		s.compress()
	}
	if done {
		size = len(*s.block)
	}
	rc.Response.SetBodyStream(s, size)
	return nil
}

// stream is a body on its way to the client.
type stream struct {
	shared *buffers
	block  *[]byte // what is to be sent next
	sent   int     // how much of it Read has handed out
	from   source  // what comes after it, nil when nothing does
	zip    *gzip.Writer
	level  int     // of zip
	plain  *[]byte // what was not compressed yet
	finish func()
}

// compress makes the rest of s be compressed, from the block at hand on.
func (s *stream) compress() {
	s.plain, s.block = s.block, s.shared.take()
	s.zip = s.shared.compressor((*appender)(s.block), s.level)
	s.deflate()
}

// deflate moves what is plain to the block.
func (s *stream) deflate() {
	_, _ = s.zip.Write(*s.plain) // into memory: it cannot fail
	if s.from == nil {
		_ = s.zip.Close()
	}
}

// more fills the block anew; it is io.EOF when there is nothing left.
func (s *stream) more() error {
	*s.block, s.sent = (*s.block)[:0], 0
	for s.from != nil && len(*s.block) == 0 {
		into := s.block
		if s.zip != nil {
			into = s.plain
			*into = (*into)[:0]
		}
		out, done, err := s.from.next(*into)
		if err != nil {
			return err
		}
		*into = out
		if done {
			s.from = nil
		}
		if s.zip != nil {
			s.deflate()
		}
	}
	if len(*s.block) == 0 {
		return io.EOF
	}
	return nil
}

// SupportsBodyWriteTo tells fasthttp that WriteTo does what reading does.
func (s *stream) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo. An error ends the connection before the body's
// end, so that a client does not take a part for the whole.
func (s *stream) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if rest := (*s.block)[s.sent:]; len(rest) > 0 {
			n, err := w.Write(rest)
			total += int64(n)
			if err != nil {
				return total, err
			}
		}
		if err := s.more(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if s.sent == len(*s.block) {
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, (*s.block)[s.sent:])
	s.sent += n
	return n, nil
}

// Close gives back what the body holds.
func (s *stream) Close() error {
	if s.finish == nil {
		return nil
	}
	s.finish()
	s.finish, s.from = nil, nil
	if s.zip != nil {
		s.zip.Reset(io.Discard)
		s.shared.compressors(s.level).Put(s.zip)
		s.shared.give(s.plain)
	}
	s.shared.give(s.block)
	s.block, s.zip = new([]byte), nil
	return nil
}

// appender is a buffer that is written to.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// acceptsGzip reads an Accept-Encoding header.
func acceptsGzip(header string) bool {
	for header != "" {
		var one string
		one, header, _ = strings.Cut(header, ",")
		name, rest, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		key, quality, _ := strings.Cut(strings.TrimSpace(rest), "=")
		if strings.TrimSpace(key) != "q" {
			return true
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(quality), 64)
		return err == nil && q > 0
	}
	return false
}

// whole is a source of bytes that are there already.
type whole []byte

func (b whole) next(dst []byte) ([]byte, bool, error) { return append(dst, b...), true, nil }

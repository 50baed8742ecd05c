package api

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// blocks is a source of numbered blocks that may fail after some.
type blocks struct {
	left   int
	size   int
	failAt int // blocks left when it fails; below zero never
}

func (b *blocks) next(dst []byte) ([]byte, bool, error) {
	if b.left == b.failAt {
		return dst, false, errors.New("broken")
	}
	b.left--
	return append(dst, strings.Repeat(string(rune('a'+b.left%26)), b.size)...), b.left == 0, nil
}

func wantBlocks(count, size int) string {
	var out strings.Builder
	for i := count - 1; i >= 0; i-- {
		out.WriteString(strings.Repeat(string(rune('a'+i%26)), size))
	}
	return out.String()
}

// sending serves the source that make returns, once per request.
func sending(t *testing.T, make func() source, finished *atomic.Int64) *server {
	a := New(depsOf(nil), Options{})
	handler := a.plain("test", func(ctx context.Context, c *call) error {
		c.atEnd(func() { finished.Add(1) })
		return c.send(make())
	})
	return serveHandler(t, a, handler)
}

func TestBodies(t *testing.T) {
	for _, c := range []struct {
		name          string
		count, size   int
		zipped, whole bool
	}{
		{"tiny", 1, 10, false, true},
		{"small", 1, gzipBytesMin, true, true},
		{"some blocks", 5, 50_000, true, true},
		{"streamed", 30, 50_000, true, false},
		{"one block that is too large for the whole", 1, wholeBytesMax + 1, true, true},
	} {
		for _, accept := range []string{"", "gzip", "gzip;q=0", "br, gzip;q=0.5", "deflate"} {
			t.Run(c.name+" "+accept, func(t *testing.T) {
				var finished atomic.Int64
				s := sending(t, func() source { return &blocks{left: c.count, size: c.size, failAt: -1} }, &finished)
				for range 3 { // the same connection, and buffers that were used before
					got := s.do(t, "GET", "/", "", "Accept-Encoding", accept)
					zipped := c.zipped && (accept == "gzip" || accept == "br, gzip;q=0.5")
					if (got.header.Get("Content-Encoding") == "gzip") != zipped {
						t.Fatalf("encoding %q", got.header.Get("Content-Encoding"))
					}
					if zipped {
						got.body = unzip(t, got.body)
					}
					if got.body != wantBlocks(c.count, c.size) {
						t.Fatalf("%d bytes that differ", len(got.body))
					}
					if hasLength := got.header.Get("Content-Length") != ""; hasLength != c.whole {
						t.Errorf("length %q", got.header.Get("Content-Length"))
					}
				}
				for range 100 {
					if finished.Load() == 3 {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				t.Errorf("%d of 3 bodies were finished", finished.Load())
			})
		}
	}
}

func unzip(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestFailureBeforeTheFirstByte(t *testing.T) {
	var finished atomic.Int64
	s := sending(t, func() source { return &blocks{left: 10, size: 10, failAt: 5} }, &finished)
	got := s.get(t, "/")
	if got.code != 422 || got.body != "broken\n" || finished.Load() != 1 {
		t.Errorf("%d %s, finished %d times", got.code, got.body, finished.Load())
	}
}

func TestFailureWhileStreamingBreaksTheConnection(t *testing.T) {
	for _, accept := range []string{"identity", "gzip"} {
		var finished atomic.Int64
		s := sending(t, func() source { return &blocks{left: 100, size: 50_000, failAt: 5} }, &finished)
		request, _ := http.NewRequest("GET", s.base+"/", nil)
		request.Header.Set("Accept-Encoding", accept)
		response, err := s.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(response.Body); err == nil {
			t.Errorf("%s: a body that was cut short looks whole", accept)
		}
		response.Body.Close()
		if finished.Load() != 1 {
			t.Errorf("finished %d times", finished.Load())
		}
	}
}

func TestPanicFailsTheRequestAlone(t *testing.T) {
	a := New(depsOf(nil), Options{})
	s := serveHandler(t, a, a.json("test", func(context.Context, *call) (answer, error) { panic("unexpected") }))
	for range 2 {
		got := s.ask(t, "GET", "/", nil)
		got.failed(t, 500, "internal")
	}
}

func TestCloseCancelsAndRefuses(t *testing.T) {
	a := New(depsOf(nil), Options{})
	entered := make(chan struct{})
	s := serveHandler(t, a, a.json("test", func(ctx context.Context, c *call) (answer, error) {
		close(entered)
		<-ctx.Done()
		return answer{}, ctx.Err()
	}))
	go func() {
		<-entered
		a.Close()
		a.Close()
	}()
	s.ask(t, "GET", "/", nil).failed(t, 499, "canceled")
	s.ask(t, "GET", "/", nil).failed(t, 503, "unavailable")
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "deflate, gzip": true, "gzip;q=0": false, "gzip; q=0.0": false, "gzip ; q=1": true,
		"identity": false, "xgzip": false, "gzip;q=x": false, "*": false, "br;q=1, gzip;q=0.2": true,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

func TestStreamReadsAsItWrites(t *testing.T) {
	for _, zip := range []bool{false, true} {
		var shared buffers
		rc := &fasthttp.RequestCtx{}
		if err := shared.send(rc, &blocks{left: 60, size: 50_000, failAt: -1}, zip, func() {}); err != nil {
			t.Fatal(err)
		}
		s := rc.Response.BodyStream().(*stream)
		got, err := io.ReadAll(onlyReader{s})
		if err != nil {
			t.Fatal(err)
		}
		if zip {
			got = []byte(unzip(t, string(got)))
		}
		if string(got) != wantBlocks(60, 50_000) {
			t.Errorf("%d bytes that differ", len(got))
		}
		if s.Close() != nil || s.Close() != nil {
			t.Error("close fails")
		}
	}
}

type onlyReader struct{ io.Reader }

// blocksOf is a source of text that is there, in blocks.
type blocksOf []byte

func (b *blocksOf) next(dst []byte) ([]byte, bool, error) {
	n := min(len(*b), blockBytes)
	dst, *b = append(dst, (*b)[:n]...), (*b)[n:]
	return dst, len(*b) == 0, nil
}

// A long body of digits is compressed in another way than one of repetitions; both
// are what clients read as gzip.
func TestLongBodiesAreCompressedAsTheyPay(t *testing.T) {
	digits, _ := matrixText(matrixOf(matrices[0].value), nil)
	flat, _ := matrixText(matrixOf(func(*rand.Rand, int) float64 { return 1 }), nil)
	for _, c := range []struct {
		name  string
		body  []byte
		level int
		ratio float64
	}{{"digits", digits, gzip.HuffmanOnly, 0.6}, {"flat", flat, gzip.BestSpeed, 0.05}} {
		if got := new(buffers).level(c.body[:wholeBytesMax]); got != c.level {
			t.Errorf("%s: level %d, want %d", c.name, got, c.level)
		}
		var finished atomic.Int64
		s := sending(t, func() source { rest := blocksOf(c.body); return &rest }, &finished)
		for range 2 {
			got := s.do(t, "GET", "/", "", "Accept-Encoding", "gzip").body
			if ratio := float64(len(got)) / float64(len(c.body)); ratio > c.ratio {
				t.Errorf("%s: compressed to %.3f", c.name, ratio)
			}
			if unzip(t, got) != string(c.body) {
				t.Errorf("%s: the body differs", c.name)
			}
		}
	}
}

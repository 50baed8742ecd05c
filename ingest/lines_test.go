package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/varve-db/varve/ingest/influx"
)

// readLines reads all lines of r, and "too long" in place of those that are.
func readLines(t testing.TB, r io.Reader, max int, split func([]byte) int) []string {
	t.Helper()
	var got []string
	lines := lineReader{src: r, max: max, split: split, number: 1}
	lines.tooBig = func(n int) { got = append(got, fmt.Sprint(n, " too long")) }
	for !lines.done() {
		if err := lines.fill(); err != nil {
			t.Fatal(err)
		}
		for {
			line, n, ok := lines.next()
			if !ok {
				break
			}
			got = append(got, fmt.Sprintf("%d %s", n, line))
		}
	}
	return got
}

func wantLines(body string, max int) []string {
	var want []string
	lines := strings.Split(body, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, line := range lines {
		if len(line) > max {
			want = append(want, fmt.Sprint(i+1, " too long"))
		} else {
			want = append(want, fmt.Sprintf("%d %s", i+1, strings.TrimSuffix(line, "\r")))
		}
	}
	return want
}

func TestLineReader(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	for range 30 {
		var body strings.Builder
		for range r.IntN(400) {
			n := r.IntN(60)
			if r.IntN(100) == 0 {
				n = r.IntN(300_000)
			}
			body.WriteString(strings.Repeat(string(rune('a'+r.IntN(26))), n))
			body.WriteString([]string{"\n", "\r\n", "\n\n"}[r.IntN(3)])
		}
		text := body.String()
		if r.IntN(2) == 0 {
			text = strings.TrimSuffix(text, "\n")
		}
		max := []int{50, 1000, 200_000, 1 << 24}[r.IntN(4)]
		readers := []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))}
		got, want := readLines(t, readers[r.IntN(len(readers))], max, splitLines), wantLines(text, max)
		if len(got) != len(want) {
			t.Fatalf("%d lines of at most %d bytes, want %d", len(got), max, len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("line %.80q, want %.80q", got[i], want[i])
			}
		}
	}
}

func TestLinesWithinLines(t *testing.T) {
	body := "m f=\"a\nb\",g=1\nx\nm f=\"never\nclosed\nm f=2"
	want := []string{"1 m f=\"a\nb\",g=1", "3 x", "4 m f=\"never\nclosed\nm f=2"}
	if got := readLines(t, strings.NewReader(body), 1000, influx.Split); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
	// What is given back is read again, line by line.
	lines := lineReader{src: strings.NewReader(body), max: 1000, split: influx.Split, number: 1, tooBig: func(int) { t.Error("too long") }}
	if err := lines.fill(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		line, n, ok := lines.next()
		if !ok {
			break
		}
		got = append(got, fmt.Sprintf("%d %s", n, line))
		lines.untake(line, n)
	}
	want = []string{"1 m f=\"a\nb\",g=1", "2 b\",g=1", "3 x", "4 m f=\"never\nclosed\nm f=2", "5 closed", "6 m f=2"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLineReaderFails(t *testing.T) {
	broken := errors.New("broken")
	lines := lineReader{src: io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), max: 10, split: splitLines, number: 1}
	if err := lines.fill(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// FuzzLineReader checks that lines come out as they are, whatever their lengths.
func FuzzLineReader(f *testing.F) {
	f.Add([]byte("a\nbcd\r\n\nefghi"), uint8(3))
	f.Add([]byte("\n\n\r\nx"), uint8(0))
	f.Fuzz(func(t *testing.T, body []byte, max uint8) {
		got, want := readLines(t, iotest.OneByteReader(bytes.NewReader(body)), int(max), splitLines), wantLines(string(body), int(max))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

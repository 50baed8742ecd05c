package transfer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// manyLines are JSON lines of which some are longer than a part of a file.
func manyLines() []byte {
	var text bytes.Buffer
	for i := range 50 {
		fmt.Fprintf(&text, `{"metric":{"__name__":"a","i":"%d","pad":"%s"},"values":[%d,null,"NaN:7ff0000000000002"],"timestamps":[1,2,3]}`+"\n",
			i, strings.Repeat("x", i*13%170), i)
	}
	return text.Bytes()
}

func TestEveryLineIsInOnePart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines.jsonl")
	text := manyLines()
	if err := os.WriteFile(path, text[:len(text)-1], 0o644); err != nil { // the last line has no end
		t.Fatal(err)
	}
	open := func(path string, stdin io.Reader) *lineFile {
		t.Helper()
		s, err := OpenLines(path, stdin, JSONLines, LineOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s.(*lineFile)
	}
	want := all(t, open(path, nil))
	if len(want) != 150 {
		t.Fatalf("%d samples", len(want))
	}
	for _, size := range []int64{1, 97, 100, 1000, int64(len(text))} {
		s := open(path, nil)
		s.bytes = size
		all(t, s).want(t, fmt.Sprintf("parts of %d bytes", size), want)
		total := 0
		parts, _ := s.Parts(t.Context())
		for _, p := range parts {
			one := collected{}
			if err := s.Read(t.Context(), p, one); err != nil {
				t.Fatal(err)
			}
			total += len(one)
		}
		if total != len(want) {
			t.Errorf("parts of %d bytes: %d samples were read", size, total)
		}
	}
	all(t, open("-", bytes.NewReader(text))).want(t, "stdin", want)

	var zipped, packed bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(text)
	z.Close()
	e, _ := zstd.NewWriter(&packed)
	e.Write(text)
	e.Close()
	for name, b := range map[string][]byte{"a.gz": zipped.Bytes(), "a.zst": packed.Bytes()} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		all(t, open(path, nil)).want(t, name, want)
	}
}

func TestFormats(t *testing.T) {
	now := time.UnixMilli(5000)
	for _, c := range []struct {
		format Format
		text   string
		want   []string
	}{
		{Exposition, "# HELP a Some.\n# TYPE a counter\na{x=\"1\"} 3 1000\na 4\nbroken{\n", []string{
			`{__name__="a", x="1"} 1000 start=0 4008000000000000`, `{__name__="a"} 5000 start=0 4010000000000000`, "metadata {a counter  Some.}", "lost 1 malformed_line"}},
		{OpenMetrics, "# TYPE a counter\na_total 3 1.5 # {trace_id=\"x\"} 1 1.25\n# EOF\n", []string{
			`{__name__="a_total"} 1500 start=0 4008000000000000`, `{__name__="a_total"} exemplar {trace_id="x"} 1250 3ff0000000000000`, "metadata {a counter  }"}},
		{Influx, "cpu,host=a usage=1.5,free=2i,note=\"two\nlines\" 7\ncpu\n", []string{
			`{__name__="cpu_usage", db="metrics", host="a"} 7000 start=0 3ff8000000000000`, `{__name__="cpu_free", db="metrics", host="a"} 7000 start=0 4000000000000000`, "lost 1 malformed_line"}},
		{JSONLines, `{"metric":{"x":"y"},"values":[1],"timestamps":[1]}` + "\n{}\n", []string{"lost 1 no_metric_name", "lost 1 malformed_line"}},
	} {
		s, err := OpenLines("-", strings.NewReader(c.text), c.format, LineOptions{Now: now, Precision: "s", Database: "metrics"})
		if err != nil {
			t.Fatal(err)
		}
		want := collected{}
		for _, line := range c.want {
			want[line] = true
		}
		got := all(t, s)
		got.want(t, string(c.format), want)
	}
	if _, err := OpenLines("-", nil, "csv", LineOptions{}); err == nil {
		t.Error("an unknown format was accepted")
	}
	if _, err := OpenLines("-", nil, Influx, LineOptions{Precision: "x"}); err == nil {
		t.Error("an unknown precision was accepted")
	}
}

// TestALongSeriesIsCut reads a line of more samples than a request holds.
func TestALongSeriesIsCut(t *testing.T) {
	var values, times strings.Builder
	const samples = 3*requestSamplesMax + 7
	for i := range samples {
		if i > 0 {
			values.WriteByte(',')
			times.WriteByte(',')
		}
		fmt.Fprint(&values, i)
		fmt.Fprint(&times, i*15000)
	}
	line := `{"metric":{"__name__":"a"},"values":[` + values.String() + `],"timestamps":[` + times.String() + "]}\n"
	s, err := OpenLines("-", strings.NewReader(line), JSONLines, LineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	to, requests := script(t, answer(204, requestSamplesMax, ""), answer(204, requestSamplesMax, ""), answer(204, requestSamplesMax, ""), answer(204, 7, ""))
	report, err := Import(t.Context(), s, to, Options{Connections: 1})
	if err != nil || report.Samples != samples || *requests != 4 || report.Series != 1 || report.LostTotal() != 0 {
		t.Errorf("got %+v, %v after %d requests", report, err, *requests)
	}
}

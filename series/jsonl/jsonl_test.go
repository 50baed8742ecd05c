package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/series"
)

var golden = []struct {
	labels     labels.Labels
	timestamps []int64
	values     []float64
	line       string
}{
	{labels.FromStrings("__name__", "up", "job", "node"), []int64{1700000000000, 1700000015000}, []float64{1, 0.5},
		`{"metric":{"__name__":"up","job":"node"},"values":[1,0.5],"timestamps":[1700000000000,1700000015000]}`},
	{labels.FromStrings("__name__", "specials"), []int64{-1, 0, 1, 2, 3, 4},
		[]float64{math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(value.StaleNaN), math.Copysign(0, -1), 5e-324},
		`{"metric":{"__name__":"specials"},"values":["Infinity","-Infinity",null,"NaN:7ff0000000000002",-0,5e-324],"timestamps":[-1,0,1,2,3,4]}`},
	{labels.FromStrings("__name__", "text", "a", "q\"b\\n\nt\tr\rz\x01é😀/"), []int64{math.MaxInt64}, []float64{math.MaxFloat64},
		`{"metric":{"__name__":"text","a":"q\"b\\n\nt\tr\rz\u0001é😀/"},"values":[1.7976931348623157e+308],"timestamps":[9223372036854775807]}`},
}

func TestGoldenLines(t *testing.T) {
	for _, g := range golden {
		line := AppendLine(nil, g.labels, g.timestamps, g.values)
		if string(line) != g.line+"\n" {
			t.Errorf("wrote\n%s, want\n%s", line, g.line)
		}
		var d Decoder
		var b series.Batch
		if err := d.Line(&b, line); err != nil {
			t.Fatal(err)
		}
		if len(b.Rows) != 1 || b.Labels(0).String() != g.labels.String() || fmt.Sprint(b.Timestamps) != fmt.Sprint(g.timestamps) {
			t.Errorf("read %v %v, want %v %v", b.Labels(0), b.Timestamps, g.labels, g.timestamps)
		}
		for i, v := range b.Values {
			if math.Float64bits(v) != math.Float64bits(g.values[i]) {
				t.Errorf("%s: value %d has bits %x, want %x", g.labels, i, math.Float64bits(v), math.Float64bits(g.values[i]))
			}
		}
	}
}

func TestLinesOfOthers(t *testing.T) {
	cases := []struct{ line, want string }{
		{``, ``},
		{" \t\r", ``},
		{`{"timestamps":[1],"values":["NaN"],"metric":{"__name__":"a"}}`, `{__name__="a"} 1:NaN`},
		{` { "metric" : { "b" : "x" , "__name__" : "a" } , "values" : [ 1 , 2.50 ] , "timestamps" : [ 1 , 2 ] } `, `{__name__="a", b="x"} 1:1 2:2.5`},
		{`{"metric":{"__name__":"a","empty":""},"other":{"x":[1,{"y":"]}"}],"z":null},"n":1,"values":["-inf","null"],"timestamps":[1,2]}`, `{__name__="a"} 1:-Inf 2:NaN`},
		{`{"metric":{"__name__":"\u0061\ud83d\ude00\/\b\f"},"values":[1],"timestamps":[1]}`, `{__name__="a😀/` + `\b\f"} 1:1`},
		{`{"metric":{"__name__":"first"},"metric":{"__name__":"last"},"values":[1],"timestamps":[1]}`, `{__name__="last"} 1:1`},
		{`{"metric":{"job":"x"},"values":[1,2],"timestamps":[1,2]}`, `refused 2 samples (no_metric_name): the series has no metric name (label __name__), first in series {job="x"}`},
		{`{"metric":{"__name__":"a","b":"1","b":"2"},"values":[1],"timestamps":[1]}`, `refused 1 sample (duplicate_label): label name "b" occurs twice, first in series {__name__="a", b="1", b="2"}`},
	}
	for _, c := range cases {
		var d Decoder
		var b series.Batch
		if err := d.Line(&b, []byte(c.line)); err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if got := dump(&b); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestLabelsOfTheRequest(t *testing.T) {
	d := Decoder{Labels: []labels.Label{{Name: "job", Value: "import"}, {Name: "dc", Value: "x"}}}
	var b series.Batch
	if err := d.Line(&b, []byte(`{"metric":{"__name__":"a","job":"y"},"values":[1],"timestamps":[1]}`)); err != nil || dump(&b) != `{__name__="a", dc="x", job="import"} 1:1` {
		t.Errorf("%v %s", err, dump(&b))
	}
}

func dump(b *series.Batch) string {
	var parts []string
	for i, row := range b.Rows {
		parts = append(parts, b.Labels(i).String())
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			parts = append(parts, fmt.Sprintf("%d:%v", b.Timestamps[j], b.Values[j]))
		}
	}
	if !b.Refused.Empty() {
		parts = append(parts, b.Refused.String())
	}
	return strings.Join(parts, " ")
}

func TestMalformedLinesAddNothing(t *testing.T) {
	var d Decoder
	var b series.Batch
	const good = `{"metric":{"__name__":"a"},"values":[1],"timestamps":[1]}`
	lines := []string{
		`x`, `[]`, `null`, `{`, `{}`, `{"metric":{"__name__":"a"}}`, good + `x`, good + good,
		`{"metric":{"__name__":"a"},"values":[1,2],"timestamps":[1]}`, `{"metric":{"__name__":"a"},"values":[],"timestamps":[]}`,
		`{"metric":[],"values":[1],"timestamps":[1]}`, `{"metric":{"__name__":1},"values":[1],"timestamps":[1]}`,
		`{"metric":{"__name__":"a",},"values":[1],"timestamps":[1]}`, `{"metric":{"__name__":"a"},"values":[1,],"timestamps":[1]}`,
		`{"metric":{"__name__":"a"},"values":["x"],"timestamps":[1]}`, `{"metric":{"__name__":"a"},"values":["NaN:0"],"timestamps":[1]}`,
		`{"metric":{"__name__":"a"},"values":[true],"timestamps":[1]}`, `{"metric":{"__name__":"a"},"values":[1],"timestamps":[1.5]}`,
		`{"metric":{"__name__":"a"},"values":[1],"timestamps":["1"]}`, `{"metric":{"__name__":"\ud800"},"values":[1],"timestamps":[1]}`,
		`{"metric":{"__name__":"\x"},"values":[1],"timestamps":[1]}`, `{"metric":{"__name__":"\u00"}`, `{"a":}`, `{"a":,}`, `{"a":[}`,
	}
	for i := range good {
		lines = append(lines, good[:i])
	}
	for _, line := range lines[:len(lines)-1] {
		if err := d.Line(&b, []byte(line)); line != "" && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if len(b.Rows)+len(b.Values) > 0 || !b.Refused.Empty() {
		t.Errorf("something was added: %s", dump(&b))
	}
	if err := d.Line(&b, []byte(good)); err != nil || dump(&b) != `{__name__="a"} 1:1` {
		t.Errorf("afterwards: %v %s", err, dump(&b))
	}
}

// FuzzLine checks that no line makes the decoder panic, and that what it reads
// is read again from what is written of it.
func FuzzLine(f *testing.F) {
	for _, g := range golden {
		f.Add([]byte(g.line))
	}
	f.Add([]byte(`{"x":[{}],"metric":{"__name__":"\ud83d\ude00"},"values":["NaN:fff8000000000000","-inf"],"timestamps":[-9223372036854775808,7]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var d Decoder
		var b, again series.Batch
		if err := d.Line(&b, line); err != nil || len(b.Rows) == 0 {
			if len(b.Rows)+len(b.Values) > 0 {
				t.Fatalf("%v, and something was added", err)
			}
			return
		}
		var builder labels.ScratchBuilder
		ls, err := b.Labels(0).Decode(&builder)
		if err != nil {
			t.Fatal(err)
		}
		written := AppendLine(nil, ls, b.Timestamps, b.Values)
		if bytes.Count(written, []byte("\n")) != 1 {
			t.Fatalf("not one line: %q", written)
		}
		if err := d.Line(&again, written); err != nil {
			t.Fatal(err)
		}
		if dump(&b) != dump(&again) {
			t.Fatalf("%s\nbecame\n%s", dump(&b), dump(&again))
		}
		for i, v := range b.Values {
			if math.Float64bits(v) != math.Float64bits(again.Values[i]) {
				t.Fatalf("bits of %v changed", v)
			}
		}
	})
}

func BenchmarkLine(b *testing.B) {
	const samples = 1000
	var timestamps []int64
	var values []float64
	for i := range samples {
		timestamps = append(timestamps, 1700000000000+15000*int64(i))
		values = append(values, float64(i*i%977)/8)
	}
	line := AppendLine(nil, labels.FromStrings("__name__", "up", "job", "node", "instance", "10.0.0.1:9100"), timestamps, values)
	var d Decoder
	var dst series.Batch
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		dst.Reset()
		if err := d.Line(&dst, line); err != nil {
			b.Fatal(err)
		}
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano())/float64(b.N*samples), "CPU-ns/sample")
}

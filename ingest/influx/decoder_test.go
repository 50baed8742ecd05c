package influx

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// decode decodes body line by line, and returns what it became, a row a line.
func decode(t testing.TB, o Options, body string) (string, error) {
	t.Helper()
	var d Decoder
	var b series.Batch
	d.Begin(o)
	var failed []error
	for rest := []byte(body); len(rest) > 0; {
		n := Split(rest)
		if n < 0 {
			n = len(rest)
		}
		if err := d.Line(&b, []byte(strings.TrimSuffix(string(rest[:n]), "\n"))); err != nil {
			failed = append(failed, err)
		}
		rest = rest[n:]
	}
	return dump(t, &b), errors.Join(failed...)
}

func dump(t testing.TB, b *series.Batch) string {
	t.Helper()
	var s strings.Builder
	for i, row := range b.Rows {
		if err := b.Labels(i).Check(); err != nil {
			t.Fatal(err)
		}
		s.WriteString(b.Labels(i).String())
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			fmt.Fprintf(&s, " %d:%v", b.Timestamps[j], b.Values[j])
		}
		s.WriteByte('\n')
	}
	if !b.Refused.Empty() {
		s.WriteString(b.Refused.String() + "\n")
	}
	return s.String()
}

const now = 1700000123456

func TestLines(t *testing.T) {
	precision := func(name string) Precision {
		p, err := ParsePrecision(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	cases := []struct {
		name    string
		options Options
		body    string
		want    string
	}{
		{"the protocol's own example", Options{}, "weather,location=us-midwest temperature=82 1465839830100400200\n",
			"{__name__=\"weather_temperature\", location=\"us-midwest\"} 1465839830100:82\n"},
		{"Telegraf's cpu", Options{Database: "telegraf"},
			"cpu,cpu=cpu-total,host=h1 usage_idle=98.5,usage_user=1.25e0,n=3i,m=18446744073709551615u,up=true,down=F 1700000000000000001\n",
			`{__name__="cpu_usage_idle", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000:98.5
{__name__="cpu_usage_user", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000:1.25
{__name__="cpu_n", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000:3
{__name__="cpu_m", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000:1.8446744073709552e+19
{__name__="cpu_up", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000:1
{__name__="cpu_down", cpu="cpu-total", db="telegraf", host="h1"} 1700000000000:0
`},
		{"the field value keeps its name", Options{}, "load,host=a value=1 1\n", "{__name__=\"load_value\", host=\"a\"} 0:1\n"},
		{"no measurement", Options{}, ",host=a load=1 1000000\n", "{__name__=\"load\", host=\"a\"} 1:1\n"},
		{"no tags, no time", Options{Now: now}, "m f=1\nm f=2 \n", "{__name__=\"m_f\"} 1700000123456:1\n{__name__=\"m_f\"} 1700000123456:2\n"},
		{"no time in seconds", Options{Now: now, Precision: precision("s")}, "m f=1\n", "{__name__=\"m_f\"} 1700000123000:1\n"},
		{"strings are left out", Options{}, `m a="x y=1,z",b=2,c="" 1000000` + "\n" + `m s="only" 1000000` + "\n", "{__name__=\"m_b\"} 1:2\n"},
		{"strings with line feeds and escapes", Options{}, "m a=\"one\ntwo \\\" three\\\\\",b=2 1000000\nm b=3 2000000\n", "{__name__=\"m_b\"} 1:2\n{__name__=\"m_b\"} 2:3\n"},
		{"quotation marks in tags", Options{}, "m,t=\"q f=1 1000000\nm,t=q\" f=2 1000000\n", "{__name__=\"m_f\", t=\"\\\"q\"} 1:1\n{__name__=\"m_f\", t=\"q\\\"\"} 1:2\n"},
		{"comments, blank lines, carriage returns", Options{}, "# m f=\"\n\n  \nm f=1 1000000\r\n  m f=2 2000000\n", "{__name__=\"m_f\"} 1:1\n{__name__=\"m_f\"} 2:2\n"},
		{"escapes", Options{}, `my\ m\,x,ta\=g\ 1=a\,b\ c\=d\\ fi\ eld\=\,=1 1000000` + "\n" + `m,p=C:\dir\ f=1 1000000` + "\n",
			"{__name__=\"my m,x_fi eld=,\", \"ta=g 1\"=\"a,b c=d\\\\\"} 1:1\n"},
		{"tags in any order, around the name, empty ones", Options{}, "m,zone=z,Host=h,empty=,_a=1,__z=2,__a=3 f=1 1000000\n",
			"{Host=\"h\", __a=\"3\", __name__=\"m_f\", __z=\"2\", _a=\"1\", zone=\"z\"} 1:1\n"},
		{"a tag db", Options{Database: "param"}, "m,db=tag f=1 1000000\n", "{__name__=\"m_f\", db=\"tag\"} 1:1\n"},
		{"labels of the request", Options{Database: "d", Labels: []labels.Label{{Name: "host", Value: "new"}, {Name: "dc", Value: "x"}, {Name: "gone", Value: ""}}}, "m,host=old,gone=1 f=1 1000000\n",
			"{__name__=\"m_f\", db=\"d\", dc=\"x\", host=\"new\"} 1:1\n"},
		{"other alphabets", Options{}, "wetter,ort=Zürich größe=1,n=2 1000000\n", "{__name__=\"wetter_größe\", ort=\"Zürich\"} 1:1\n{__name__=\"wetter_n\", ort=\"Zürich\"} 1:2\n"},
		{"long names", Options{}, "m," + strings.Repeat("n", 200) + "=v " + strings.Repeat("f", 130) + "=1,short=2 1000000\n",
			"{__name__=\"m_" + strings.Repeat("f", 130) + "\", " + strings.Repeat("n", 200) + "=\"v\"} 1:1\n{__name__=\"m_short\", " + strings.Repeat("n", 200) + "=\"v\"} 1:2\n"},
		{"before 1970", Options{}, "m f=1 -1\n", "{__name__=\"m_f\"} -1:1\n"},
		{"microseconds", Options{Precision: precision("us")}, "m f=1 1700000000000999\n", "{__name__=\"m_f\"} 1700000000000:1\n"},
		{"milliseconds", Options{Precision: precision("ms")}, "m f=1 1700000000001\n", "{__name__=\"m_f\"} 1700000000001:1\n"},
		{"hours", Options{Precision: precision("h")}, "m f=1 2\n", "{__name__=\"m_f\"} 7200000:1\n"},
		{"rules", Options{Rules: series.LabelRules{LabelsMax: 2, ValueBytesMax: 200}}, "m,a=1,b=2 f=1,g=2 1000000\nm,a=" + strings.Repeat("x", 201) + " f=1 1000000\nm,a=1 f=1 1000000\n",
			"{__name__=\"m_f\", a=\"1\"} 1:1\nrefused 2 samples (too_many_labels): 3 labels, the limit is 2, first in series {__name__=\"m_f\", a=\"1\", b=\"2\"}; " +
				"refused 1 sample (label_too_long): 201 bytes in the value of label \"a\", the limit is 200, first in series {__name__=\"m_f\", a=\"" + strings.Repeat("x", 128) + "...\"}\n"},
		{"twice the same tag", Options{}, "m,a=1,a=2 f=1 1000000\n", "refused 1 sample (duplicate_label): label name \"a\" occurs twice, first in series {__name__=\"m_f\", a=\"1\", a=\"2\"}\n"},
		{"a tag __name__", Options{}, "m,__name__=x f=1 1000000\n", "refused 1 sample (duplicate_label): label name \"__name__\" occurs twice, first in series {__name__=\"m_f\", __name__=\"x\"}\n"},
		{"not UTF-8", Options{}, "m,a=\xff f=1 1000000\nm \xfff=1 1000000\n", "refused 2 samples (invalid_utf8): the value of label \"a\" is not valid UTF-8, first in series {__name__=\"m_f\", a=\"\\xff\"}\n"},
	}
	for _, c := range cases {
		got, err := decode(t, c.options, c.body)
		if err != nil && !strings.Contains(c.name, "escapes") {
			t.Errorf("%s: %v", c.name, err)
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestBadLines(t *testing.T) {
	for _, line := range []string{
		"m", "m,a=1", "m f", "m f=", "m =1", "m f=1,", "m f=1,,g=1", "m,a f=1", "m f=x", "m f=1x", "m f=1ii", "m f=1.5i", "m f=-1u", "m f=1 x",
		"m f=1 1 2", "m f=1 1.5", `m f="x`, `m f="x"y`, `m f="x" y`, "m f g=1", "m f=true1", "m f=0x10", "m f=1_0", "m f=99999999999999999999i",
		"m f=1 99999999999999999999", "m f=1,g=bad,h=2 1", "m ", " ", "m f=1 HTTP/1.1",
	} {
		got, err := decode(t, Options{}, line)
		if line != " " && !errors.Is(err, ErrMalformed) || got != "" {
			t.Errorf("%q: %v, and rows %q", line, err, got)
		}
	}
	hours, err := ParsePrecision("h")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(t, Options{Precision: hours}, "m f=1 9223372036854775807"); !errors.Is(err, ErrMalformed) {
		t.Errorf("a time beyond all clocks: %v", err)
	}
	if _, err := ParsePrecision("fortnight"); !errors.Is(err, ErrPrecision) {
		t.Error(err)
	}
	bomb := "m,a=" + strings.Repeat("x", 60000) + " " + strings.Repeat("f=1,", 2000) + "f=1"
	if got, err := decode(t, Options{}, bomb); !errors.Is(err, ErrTooLarge) || got != "" {
		t.Errorf("a line that expands: %v", err)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		b    string
		want int
	}{
		{"", -1}, {"a", -1}, {"a\n", 2}, {"\nb\n", 1}, {"m f=\"a\nb\" 1\nx", 12}, {"m f=\"a\nb", -1}, {"# \"\nm", 4},
		{"m f=\"a\\\"\n\"\n", 11}, {"m,t=\" f=1\n\"", 10}, {"m f=\"" + "\n" + strings.Repeat("x\n", quotedBytesMax), 6},
	} {
		if got := Split([]byte(c.b)); got != c.want {
			t.Errorf("%.20q: %d, want %d", c.b, got, c.want)
		}
	}
}

// FuzzLine checks that no line makes the decoder panic, that a bad line adds
// nothing, and that the short cut gives the rows of the long way.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"cpu,cpu=cpu-total,host=h1 usage_idle=98.5,n=3i,up=true,s=\"x\\\"\ny\" 1700000000000000001",
		`my\ m\,x,ta\=g\ 1=a\,b\ c\=d\\ fi\ eld\=\,=1 1`, ",a=b c=1u", "# c", "m,__name__=x,__a=1,_=2,Z=3 f=1,g=2", "größe,ü=ä ö=1 -5",
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, line []byte, database bool) {
		if n := Split(line); n == 0 || n > len(line) {
			t.Fatalf("split at %d of %d", n, len(line))
		}
		var d, careful Decoder
		var fast, slow series.Batch
		o := Options{Now: now}
		if database {
			o.Database = "d"
		}
		d.Begin(o)
		careful.Begin(o)
		careful.simple = false
		err := d.Line(&fast, line)
		if other := careful.Line(&slow, line); (err == nil) != (other == nil) {
			t.Fatalf("%v, the long way %v", err, other)
		}
		got, want := dump(t, &fast), dump(t, &slow)
		if got != want {
			t.Fatalf("rows\n%s, the long way\n%s", got, want)
		}
		if err != nil && got != "" {
			t.Fatalf("%v, and rows %s", err, got)
		}
	})
}

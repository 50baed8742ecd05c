package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/value"
)

// appendCapture writes the inside of a capture.
func appendCapture(dst []byte, all []Captured) []byte {
	dst = append(dst, captureMagic...)
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, c := range all {
		dst = binary.AppendUvarint(dst, uint64(len(c.Name)))
		dst = append(dst, c.Name...)
		dst = binary.AppendUvarint(dst, uint64(c.Group))
		dst = binary.AppendUvarint(dst, uint64(len(c.Timestamps)))
		for _, t := range c.Timestamps {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(t))
		}
		for _, v := range c.Values {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
		}
	}
	return dst
}

func compressCapture(t testing.TB, inside []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(inside, nil)
}

var twoSeries = []Captured{
	{"up{job=\"a\",}", 0, []int64{testStart, testStart + 1000}, []float64{1, 0}},
	{"x_total", 3, []int64{testStart + 500}, []float64{math.Inf(1)}},
}

func TestReadCaptureGolden(t *testing.T) {
	const golden = "545344310a" + "02" + // two series
		"0c" + "75707b6a6f623d2261222c7d" + "00" + "02" + // up{job="a",}, group 0, two samples
		"00c02cc899010000" + "e8c32cc899010000" + "000000000000f03f" + "0000000000000000" +
		"07" + "785f746f74616c" + "03" + "01" + // x_total, group 3, one sample
		"f4c12cc899010000" + "000000000000f07f"
	inside, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadCapture(bytes.NewReader(compressCapture(t, inside)))
	if err != nil || !reflect.DeepEqual(got, twoSeries) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestReadCaptureRefusesDamage(t *testing.T) {
	whole := appendCapture(nil, twoSeries)
	for n := range len(whole) {
		if _, err := ReadCapture(bytes.NewReader(compressCapture(t, whole[:n]))); !errors.Is(err, ErrCapture) {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
	if _, err := ReadCapture(strings.NewReader("plain text")); err == nil {
		t.Error("plain text was read")
	}
	huge := binary.AppendUvarint([]byte(captureMagic+"\x01\x01x\x00"), 1<<60)
	if _, err := ReadCapture(bytes.NewReader(compressCapture(t, huge))); err == nil || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("a huge count gave %v", err)
	}
}

func FuzzReadCapture(f *testing.F) {
	f.Add(appendCapture(nil, twoSeries))
	f.Add([]byte(captureMagic + "\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, inside []byte) {
		got, err := ReadCapture(bytes.NewReader(compressCapture(t, inside)))
		if err != nil {
			return
		}
		again, err := ReadCapture(bytes.NewReader(compressCapture(t, appendCapture(nil, got))))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
			t.Fatalf("%v does not survive a round trip: %v", got, err)
		}
	})
}

func TestReplaySendsEverySampleOnceInOrder(t *testing.T) {
	var capture []Captured
	want := map[sample]bool{}
	for i := range 20 {
		c := Captured{Name: fmt.Sprintf("m%d{job=\"j\"}", i), Group: i % 4}
		for j := range 5 + i {
			at := testStart - 5000 + int64(j*1000+c.Group)
			c.Timestamps = append(c.Timestamps, at)
			c.Values = append(c.Values, float64(i*100+j))
			for _, copyLabel := range []string{"", " {copy 1}"} {
				// The first sample moves to testStart.
				name := fmt.Sprintf("[{__name__ m%d}%s {env x} {instance target-%d} {job j}]", i, copyLabel, c.Group)
				want[sample{name, at + 5000, float64(i*100 + j)}] = true
			}
		}
		if i == 7 {
			c.Timestamps = append(c.Timestamps, testStart+60_000)
			c.Values = append(c.Values, math.Float64frombits(value.StaleNaN))
		}
		capture = append(capture, c)
	}
	for _, p := range []Protocol{RemoteWrite1, RemoteWrite2} {
		sources, err := NewReplay(capture, ReplayOptions{Protocol: p, SamplesPerRequest: 17, Connections: 3,
			Start: testStart, Copies: 2, Labels: []Label{{"env", "x"}}})
		if err != nil {
			t.Fatal(err)
		}
		got, last := map[sample]bool{}, map[string]int64{}
		stale := 0
		for _, s := range sources {
			for {
				b, ok := s.Next(t.Context())
				if !ok {
					break
				}
				stale += b.Stale
				for _, x := range decode(t, p, b.Bytes) {
					if math.IsNaN(x.value) {
						continue
					}
					if got[x] || !want[x] || x.time <= last[x.series] {
						t.Fatalf("unexpected %+v", x)
					}
					got[x], last[x.series] = true, x.time
				}
			}
		}
		if len(got) != len(want) || stale != 2 {
			t.Errorf("%d samples, want %d; %d stale markers, want 2", len(got), len(want), stale)
		}
	}
}

func TestReplayStopsWithItsContext(t *testing.T) {
	c := Captured{Name: "m", Timestamps: make([]int64, 10000), Values: make([]float64, 10000)}
	for i := range c.Timestamps {
		c.Timestamps[i] = testStart + int64(i)
	}
	sources, err := NewReplay([]Captured{c}, ReplayOptions{Protocol: RemoteWrite1, SamplesPerRequest: 1, Connections: 4})
	if err != nil || len(sources) != 1 {
		t.Fatal(sources, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if _, ok := sources[0].Next(ctx); !ok {
		t.Fatal("no body")
	}
	stop()
	left := 0
	for range sources[0].(*replaySource).bodies { // closed when the encoder has gone
		left++
	}
	if left > replayAhead+1 {
		t.Errorf("%d bodies were encoded ahead, the bound is %d", left, replayAhead)
	}
}

func TestParseSeries(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"up", "[{__name__ up}]"},
		{"up{}", "[{__name__ up}]"},
		{`up{a="b"}`, "[{__name__ up} {a b}]"},
		{`up{a="b",}`, "[{__name__ up} {a b}]"},
		{`up{a="b", c="d"}{}`, "[{__name__ up} {a b} {c d}]"},
		{`up{a="x\"y\\z\n{}"}`, "[{__name__ up} {a x\"y\\z\n{}}]"},
		{"", "error"}, {"{}", "error"}, {"up{", "error"}, {`up{a}`, "error"}, {`up{a="b`, "error"},
		{`up{a="b\`, "error"}, {`up{="b"}`, "error"}, {`up{a="b"} 1`, "error"}, {"up{}{}{}", "error"},
	} {
		got, err := ParseSeries(c.text)
		text := fmt.Sprint(got)
		if err != nil {
			text = "error"
			if !errors.Is(err, errSeriesName) {
				t.Errorf("%s: %v", c.text, err)
			}
		}
		if text != c.want {
			t.Errorf("%s: got %s, want %s", c.text, text, c.want)
		}
	}
}

func FuzzParseSeries(f *testing.F) {
	f.Add(`node_cpu_seconds_total{instance="n00",cpu="0",}{}`)
	f.Add(`up{a="\\\"\n"}`)
	f.Fuzz(func(t *testing.T, text string) {
		ls, err := ParseSeries(text)
		if err == nil && (len(ls) == 0 || ls[0].Name != "__name__" || ls[0].Value == "") {
			t.Fatalf("%q gave %v", text, ls)
		}
	})
}

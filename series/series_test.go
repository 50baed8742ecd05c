package series

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

func randomLabels(r *rand.Rand) labels.Labels {
	words := []string{"", "a", "ab", "b", "\x00", "é", "zz", strings.Repeat("x", 130), strings.Repeat("y", 16500)}
	m := map[string]string{}
	for range r.IntN(6) {
		m[words[1+r.IntN(len(words)-1)]] = words[r.IntN(len(words))]
	}
	return labels.FromMap(m)
}

func TestLabelsRoundTripAndOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var builder labels.ScratchBuilder
	for range 2000 {
		x, y := randomLabels(r).WithoutEmpty(), randomLabels(r).WithoutEmpty()
		ex, ey := AppendLabels(nil, x), AppendLabels(nil, y)
		if err := ex.Check(); err != nil {
			t.Fatal(err)
		}
		back, err := ex.Decode(&builder)
		if err != nil || !labels.Equal(back, x) {
			t.Fatalf("got %v, %v, want %v", back, err, x)
		}
		got, want := Compare(ex, ey), labels.Compare(x, y)
		if (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Fatalf("Compare(%v, %v) = %d, Prometheus says %d", x, y, got, want)
		}
		if bytes.Equal(ex, ey) != labels.Equal(x, y) {
			t.Fatalf("equal bytes must mean equal sets: %v %v", x, y)
		}
	}
}

func FuzzLabels(f *testing.F) {
	f.Add([]byte(AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "x"))))
	f.Add([]byte{1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var builder labels.ScratchBuilder
		ls := Labels(b)
		decoded, err := ls.Decode(&builder)
		_ = ls.Get("job")
		_ = Compare(ls, ls)
		if ls.Check() == nil {
			if err != nil {
				t.Fatalf("checked labels do not decode: %v", err)
			}
			if !bytes.Equal(AppendLabels(nil, decoded), b) && !bytes.Contains(b, []byte{0x80}) {
				// Only overlong length prefixes may differ after a round trip.
				if len(AppendLabels(nil, decoded)) == len(b) {
					t.Fatalf("round trip changed %x", b)
				}
			}
		}
	})
}

func TestJoinOrder(t *testing.T) {
	order := []uint64{
		value.StaleNaN, 0x7ff0000000000001, value.NormalNaN, 0xfff8000000000001,
		math.Float64bits(math.Inf(-1)), math.Float64bits(-1), 1 << 63, 0, math.Float64bits(1), math.Float64bits(math.Inf(1)),
	}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := CompareFloat(a, b); got != want {
				t.Errorf("CompareFloat(%#x, %#x) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestBatchRows(t *testing.T) {
	var b Batch
	for range 2 { // the second round reuses the memory
		b.Reset()
		b.BeginLabels()
		b.AddLabel([]byte("job"), []byte("x"))
		b.AddLabel([]byte("__name__"), []byte("up"))
		b.AddLabel([]byte("gone"), nil)
		if reason, detail := b.BeginRow(LabelRules{}); reason != "" {
			t.Fatal(detail)
		}
		b.AddSample(1, 0, 10)
		b.AddSample(2, 1, 20)
		b.AddSample(3, 0, 30)
		if want := AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "x")); !bytes.Equal(b.Labels(0), want) {
			t.Fatalf("labels %q, want %q", b.Labels(0), want)
		}
		if !slices.Equal(b.Starts, []int64{0, 1, 0}) || b.Rows[0].Samples != (Span{0, 3}) {
			t.Fatalf("starts %v, span %v", b.Starts, b.Rows[0].Samples)
		}
	}
	cases := []struct {
		pairs  []string
		reason Reason
	}{
		{[]string{"job", "x"}, ReasonNoMetricName},
		{[]string{"__name__", ""}, ReasonNoMetricName},
		{[]string{"__name__", "a", "", "x"}, ReasonEmptyLabelName},
		{[]string{"__name__", "a", "b", "x", "b", "x"}, ReasonDuplicateLabel},
		{[]string{"__name__", "a", "b", "\xff"}, ReasonInvalidUTF8},
		{[]string{"__name__", "a", "\xff", "x"}, ReasonInvalidUTF8},
		{[]string{"__name__", "a", "b", strings.Repeat("x", 65537)}, ReasonLabelTooLong},
		{[]string{"__name__", "a", strings.Repeat("x", 1025), "b"}, ReasonLabelTooLong},
	}
	for _, c := range cases {
		b.BeginLabels()
		for i := 0; i < len(c.pairs); i += 2 {
			b.AddLabel([]byte(c.pairs[i]), []byte(c.pairs[i+1]))
		}
		if reason, detail := b.BeginRow(LabelRules{}); reason != c.reason || detail == "" {
			t.Errorf("%q: refused for %q (%s), want %q", c.pairs, reason, detail, c.reason)
		}
		_ = b.PendingLabels()
	}
	if len(b.Rows) != 1 {
		t.Errorf("refused sets added rows: %d", len(b.Rows))
	}
}

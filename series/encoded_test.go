package series

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

func TestLabelsFromPrometheusAreTheSameAsOneByOne(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, ls := range []labels.Labels{
		labels.FromStrings("__name__", "up", "job", "a", "zone", "ä"),
		labels.FromStrings("Caps", "1", "__name__", "up"),
		labels.FromStrings("__name__", "up", "empty", "", "long", long),
		labels.FromStrings("job", "a"),
		labels.FromStrings("__name__", "up", "bad", "\xff"),
		labels.FromStrings("__name__", "up", long+long+long+long, "1"),
		labels.EmptyLabels(),
	} {
		var one, other Batch
		reason, detail := one.AddSeries(ls)
		other.BeginLabelsFrom(ls)
		if r, d := other.BeginRow(LabelRules{}); r != reason || d != detail {
			t.Errorf("%s: %s %s, one by one %s %s", ls, r, d, reason, detail)
		}
		if reason == "" && string(one.Labels(0)) != string(other.Labels(0)) {
			t.Errorf("%s: %s, one by one %s", ls, other.Labels(0), one.Labels(0))
		}
	}
}

func TestRelabel(t *testing.T) {
	var b Batch
	b.AddSeries(labels.FromStrings("__name__", "a"))
	b.AddSample(1, 0, 1)
	b.AddSeries(labels.FromStrings("__name__", "b"))
	b.AddSample(2, 0, 2)
	b.Relabel(0, AppendLabels(nil, labels.FromStrings("__name__", "c", "x", "y")))
	b.AddSeries(labels.FromStrings("__name__", "d"))
	for i, want := range []string{`{__name__="c", x="y"}`, `{__name__="b"}`, `{__name__="d"}`} {
		if got := b.Labels(i).String(); got != want {
			t.Errorf("row %d: %s, want %s", i, got, want)
		}
	}
	if s := b.Rows[1].Samples; s.Len() != 1 || b.Values[s.Start] != 2 {
		t.Errorf("%+v", b.Rows)
	}
}

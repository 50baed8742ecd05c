package series

import "github.com/prometheus/prometheus/model/labels"

// AddEncodedRow adds a row for a label set that is encoded already and known to
// be well-formed; it may be empty, where the series is known by other means.
func (b *Batch) AddEncodedRow(ls Labels) {
	b.BeginLabels()
	b.arena = append(b.arena, ls...)
	s := Span{b.open, len(b.arena)}
	b.keepLabels()
	at, h, x := len(b.Timestamps), len(b.Histograms), len(b.Exemplars)
	b.Rows = append(b.Rows, Row{labels: s, Samples: Span{at, at}, Histograms: Span{h, h}, Exemplars: Span{x, x}})
}

// AddEncodedExemplar adds an exemplar with an encoded label set to the row
// begun last.
func (b *Batch) AddEncodedExemplar(timestamp int64, value float64, ls Labels) {
	b.BeginLabels()
	b.arena = append(b.arena, ls...)
	s := Span{b.open, len(b.arena)}
	b.keepLabels()
	b.Exemplars = append(b.Exemplars, Exemplar{labels: s, Timestamp: timestamp, Value: value})
	b.Rows[len(b.Rows)-1].Exemplars.End = len(b.Exemplars)
}

// Relabel gives row i another label set, which is encoded already and known to be
// well-formed.
func (b *Batch) Relabel(i int, ls Labels) {
	b.BeginLabels()
	b.arena = append(b.arena, ls...)
	b.Rows[i].labels = Span{b.open, len(b.arena)}
	b.keepLabels()
}

// BeginLabelsFrom starts a label set with all of ls, whose names are in order and
// distinct; it is BeginLabels and AddLabel for each, at less cost.
func (b *Batch) BeginLabelsFrom(ls labels.Labels) {
	b.BeginLabels()
	b.arena = AppendLabels(b.arena, ls)
	b.pending = ls.Len()
	b.named = ls.Get(MetricName) != ""
}

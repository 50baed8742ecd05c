package series

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

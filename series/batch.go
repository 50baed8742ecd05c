package series

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// TenantID numbers a tenant; DefaultTenant is used where a request names none.
type TenantID uint32

// DefaultTenant owns everything written without a tenant.
const DefaultTenant TenantID = 0

// Batch is what one request asks to be stored: a row per series, with the
// samples of all rows in shared columns. A Batch is filled by a decoder, handed
// to the database once, and reused after Reset; it keeps no memory of the
// request's body, so the body may be reused at once.
type Batch struct {
	// Rows lists the series in the order in which the request named them. The
	// same label set may occur in several rows.
	Rows []Row

	// Timestamps (milliseconds since 1970) and Values are the float samples of
	// all rows; a row owns the range Row.Samples. Starts holds their start
	// timestamps in milliseconds (0: unknown): it is as long as Timestamps, or
	// empty when no sample of the batch has one.
	Timestamps []int64
	Values     []float64
	Starts     []int64

	// Histograms are the native histogram samples of all rows (Row.Histograms).
	Histograms []Histogram
	// Exemplars are the exemplars of all rows (Row.Exemplars).
	Exemplars []Exemplar
	// Metadata describes metrics; it belongs to no row.
	Metadata []Metadata

	// Refused counts what the decoder left out, and why.
	Refused Refusals

	arena   []byte // encoded label sets of rows and exemplars
	pairs   []pair // labels of the set being built
	scratch []byte
	open    int // where in arena the set being built starts
}

// Span is a half-open range of indices.
type Span struct{ Start, End int }

// Len returns the number of indices in s.
func (s Span) Len() int { return s.End - s.Start }

// Row is one series of a batch with its samples.
type Row struct {
	labels     Span
	Samples    Span
	Histograms Span
	Exemplars  Span
}

// Histogram is a native histogram sample; exactly one of Int and Float is set.
// The histograms belong to the batch's user from then on and are not mutated.
type Histogram struct {
	Timestamp, Start int64 // milliseconds
	Int              *histogram.Histogram
	Float            *histogram.FloatHistogram
}

// Exemplar is one exemplar of a row's series.
type Exemplar struct {
	labels    Span
	Timestamp int64 // milliseconds
	Value     float64
}

// Metadata describes the metric family called Metric.
type Metadata struct {
	Metric string
	Type   model.MetricType
	Unit   string
	Help   string
}

type pair struct{ name, value Span }

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Histograms)
	clear(b.Metadata)
	b.Rows, b.Timestamps, b.Values, b.Starts = b.Rows[:0], b.Timestamps[:0], b.Values[:0], b.Starts[:0]
	b.Histograms, b.Exemplars, b.Metadata = b.Histograms[:0], b.Exemplars[:0], b.Metadata[:0]
	b.arena, b.pairs, b.scratch = b.arena[:0], b.pairs[:0], b.scratch[:0]
	b.Refused = Refusals{}
}

// Labels returns the label set of row i. It is valid until Reset.
func (b *Batch) Labels(i int) Labels {
	s := b.Rows[i].labels
	return Labels(b.arena[s.Start:s.End:s.End])
}

// ExemplarLabels returns the labels of exemplar i (index into Exemplars).
func (b *Batch) ExemplarLabels(i int) Labels {
	s := b.Exemplars[i].labels
	return Labels(b.arena[s.Start:s.End:s.End])
}

// StartOf returns the start timestamp of float sample i.
func (b *Batch) StartOf(i int) int64 {
	if len(b.Starts) == 0 {
		return 0
	}
	return b.Starts[i]
}

// BeginLabels starts a label set, dropping one that was begun and not used.
func (b *Batch) BeginLabels() {
	b.pairs, b.scratch = b.pairs[:0], b.scratch[:0]
}

// AddLabel adds a label to the set begun last, in any order. The bytes are copied.
func (b *Batch) AddLabel(name, value []byte) {
	n := len(b.scratch)
	b.scratch = append(b.scratch, name...)
	v := len(b.scratch)
	b.scratch = append(b.scratch, value...)
	b.pairs = append(b.pairs, pair{Span{n, v}, Span{v, len(b.scratch)}})
}

// LabelRules are the limits that BeginRow holds a label set to. A zero field
// means the default.
type LabelRules struct {
	LabelsMax     int // labels a series; default 256
	NameBytesMax  int // bytes of a label name; default 1,024
	ValueBytesMax int // bytes of a label value; default 65,536
}

func (r LabelRules) withDefaults() LabelRules {
	if r.LabelsMax == 0 {
		r.LabelsMax = 256
	}
	if r.NameBytesMax == 0 {
		r.NameBytesMax = 1024
	}
	if r.ValueBytesMax == 0 {
		r.ValueBytesMax = 65536
	}
	return r
}

// BeginRow adds a row for the label set that BeginLabels and AddLabel built.
// Labels are sorted; labels with an empty value are left out. A set that breaks
// a rule is not added: the reason is returned, with what is wrong in words.
func (b *Batch) BeginRow(rules LabelRules) (Reason, string) {
	if reason, detail := b.closeLabels(rules.withDefaults()); reason != "" {
		return reason, detail
	}
	s := Span{b.open, len(b.arena)}
	name := Labels(b.arena[s.Start:s.End]).Get(MetricName)
	if len(name) == 0 {
		b.arena = b.arena[:b.open]
		return ReasonNoMetricName, "the series has no metric name (label __name__)"
	}
	at, h, x := len(b.Timestamps), len(b.Histograms), len(b.Exemplars)
	b.Rows = append(b.Rows, Row{labels: s, Samples: Span{at, at}, Histograms: Span{h, h}, Exemplars: Span{x, x}})
	return "", ""
}

// closeLabels encodes the set being built at the arena's end.
func (b *Batch) closeLabels(rules LabelRules) (Reason, string) {
	if len(b.pairs) > rules.LabelsMax {
		return ReasonTooManyLabels, countDetail("labels", len(b.pairs), rules.LabelsMax)
	}
	name := func(p pair) []byte { return b.scratch[p.name.Start:p.name.End] }
	value := func(p pair) []byte { return b.scratch[p.value.Start:p.value.End] }
	for i := 1; i < len(b.pairs); i++ {
		if bytes.Compare(name(b.pairs[i-1]), name(b.pairs[i])) > 0 {
			slices.SortFunc(b.pairs, func(x, y pair) int { return bytes.Compare(name(x), name(y)) })
			break
		}
	}
	b.open = len(b.arena)
	for i, p := range b.pairs {
		n, v := name(p), value(p)
		reason, detail := checkPair(n, v, rules)
		if reason == "" && i > 0 && bytes.Equal(n, name(b.pairs[i-1])) {
			reason, detail = ReasonDuplicateLabel, "label name "+quote(n)+" occurs twice"
		}
		if reason != "" {
			b.arena = b.arena[:b.open]
			return reason, detail
		}
		if len(v) > 0 {
			b.arena = appendPair(b.arena, n, v)
		}
	}
	return "", ""
}

func checkPair(name, value []byte, rules LabelRules) (Reason, string) {
	switch {
	case len(name) == 0:
		return ReasonEmptyLabelName, "a label name is empty"
	case len(name) > rules.NameBytesMax:
		return ReasonLabelTooLong, countDetail("bytes in label name "+quote(name), len(name), rules.NameBytesMax)
	case len(value) > rules.ValueBytesMax:
		return ReasonLabelTooLong, countDetail("bytes in the value of label "+quote(name), len(value), rules.ValueBytesMax)
	case !utf8.Valid(name):
		return ReasonInvalidUTF8, "label name " + quote(name) + " is not valid UTF-8"
	case !utf8.Valid(value):
		return ReasonInvalidUTF8, "the value of label " + quote(name) + " is not valid UTF-8"
	}
	return "", ""
}

// PendingLabels returns the set being built as it came, for messages about a
// set that BeginRow refused. Long sets are cut.
func (b *Batch) PendingLabels() string {
	const shown = 16
	builder := labels.NewScratchBuilder(shown)
	for i, p := range b.pairs {
		if i == shown {
			break
		}
		builder.Add(clip(b.scratch[p.name.Start:p.name.End]), clip(b.scratch[p.value.Start:p.value.End]))
	}
	return builder.Labels().String()
}

// AddSample adds a float sample to the row begun last. Times are in
// milliseconds; start is 0 when unknown.
func (b *Batch) AddSample(timestamp, start int64, value float64) {
	b.Timestamps = append(b.Timestamps, timestamp)
	b.Values = append(b.Values, value)
	if start != 0 || len(b.Starts) > 0 {
		for len(b.Starts) < len(b.Timestamps)-1 {
			b.Starts = append(b.Starts, 0)
		}
		b.Starts = append(b.Starts, start)
	}
	b.Rows[len(b.Rows)-1].Samples.End = len(b.Timestamps)
}

// AddHistogram adds a native histogram sample to the row begun last.
func (b *Batch) AddHistogram(h Histogram) {
	b.Histograms = append(b.Histograms, h)
	b.Rows[len(b.Rows)-1].Histograms.End = len(b.Histograms)
}

// AddExemplar adds an exemplar to the row begun last, with the label set that
// BeginLabels and AddLabel built since (it may be empty). Labels are held to
// the same rules as a series's.
func (b *Batch) AddExemplar(timestamp int64, value float64, rules LabelRules) (Reason, string) {
	if reason, detail := b.closeLabels(rules.withDefaults()); reason != "" {
		return reason, detail
	}
	b.Exemplars = append(b.Exemplars, Exemplar{labels: Span{b.open, len(b.arena)}, Timestamp: timestamp, Value: value})
	b.Rows[len(b.Rows)-1].Exemplars.End = len(b.Exemplars)
	return "", ""
}

// AddSeries adds a row for labels in Prometheus's form, for callers that are
// not decoders. It applies the default rules.
func (b *Batch) AddSeries(ls labels.Labels) (Reason, string) {
	b.BeginLabels()
	ls.Range(func(l labels.Label) { b.AddLabel([]byte(l.Name), []byte(l.Value)) })
	return b.BeginRow(LabelRules{})
}

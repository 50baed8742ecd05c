package series

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"
	"unsafe"

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

	arena     []byte // encoded label sets; the one being built is its tail from open on
	open      int
	pending   int    // labels of the set being built
	lastName  int    // where in arena its latest name starts
	lastEnd   int    // and ends
	lastKey   uint64 // first eight bytes of that name, big-endian
	irregular bool   // it is out of order, or has an empty name or value
	named     bool   // it has a metric name, which may be empty if irregular
	pairs     []pair // of an irregular set, for sorting
	scratch   []byte // an irregular set, put right
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

type pair struct{ name, value []byte }

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	clear(b.Histograms)
	clear(b.Metadata)
	b.Rows, b.Timestamps, b.Values, b.Starts = b.Rows[:0], b.Timestamps[:0], b.Values[:0], b.Starts[:0]
	b.Histograms, b.Exemplars, b.Metadata = b.Histograms[:0], b.Exemplars[:0], b.Metadata[:0]
	b.arena, b.open = b.arena[:0], 0
	b.BeginLabels()
	b.Refused = Refusals{}
}

// MemoryBytes returns how much memory b holds, used or kept for reuse. What
// histograms and metadata point to is not counted.
func (b *Batch) MemoryBytes() int {
	const word = 8
	return int(unsafe.Sizeof(Row{}))*cap(b.Rows) +
		word*(cap(b.Timestamps)+cap(b.Values)+cap(b.Starts)) +
		int(unsafe.Sizeof(Histogram{}))*cap(b.Histograms) +
		int(unsafe.Sizeof(Exemplar{}))*cap(b.Exemplars) +
		int(unsafe.Sizeof(Metadata{}))*cap(b.Metadata) +
		int(unsafe.Sizeof(pair{}))*cap(b.pairs) + cap(b.arena) + cap(b.scratch)
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
	b.arena, b.pending = b.arena[:b.open], 0
	b.lastKey, b.lastName, b.lastEnd = 0, 0, 0
	b.irregular, b.named = false, false
}

// AddLabel adds a label to the set begun last, in any order. The bytes are
// copied. Labels that arrive in order of name are the fastest: they are encoded
// where they stay.
func (b *Batch) AddLabel(name, value []byte) {
	at, n, v := len(b.arena), len(name), len(value)
	if n|v >= 0x80 || cap(b.arena)-at < shortPairBytes || cap(name) < keyBytes {
		b.addAnyLabel(name, value)
		return
	}
	a := b.arena[at : at+shortPairBytes]
	a[0] = byte(n)
	copyShort(a[1:], name)
	a[1+n] = byte(v)
	copyShort(a[2+n:], value)
	b.arena = b.arena[:at+2+n+v]
	b.pending++

	key := binary.BigEndian.Uint64(name[:keyBytes])
	if n < keyBytes {
		key &= ^uint64(0) << (8 * (keyBytes - n)) // a shift by 64 gives 0
	}
	if v == 0 || key <= b.lastKey && !b.follows(key, name) {
		b.irregular = true
	}
	if key == metricNameKey && n == keyBytes {
		b.named = true
	}
	b.lastKey, b.lastName, b.lastEnd = key, at+1, at+1+n
}

// shortPairBytes is room for the encoding of a name and a value of less than
// 128 bytes each, and for what copyShort writes too much.
const shortPairBytes = 2*128 + 32

// copyShort copies src to dst. A few bytes after them may be overwritten.
func copyShort(dst, src []byte) {
	switch {
	case len(src) <= 16 && cap(src) >= 16:
		*(*[16]byte)(dst) = [16]byte(src[:16])
	case len(src) <= 32 && cap(src) >= 32:
		*(*[32]byte)(dst) = [32]byte(src[:32])
	default:
		copy(dst, src)
	}
}

// addAnyLabel is AddLabel for labels of any length in slices of any capacity.
func (b *Batch) addAnyLabel(name, value []byte) {
	b.arena = slices.Grow(b.arena, max(len(name)+len(value)+2*binary.MaxVarintLen64, shortPairBytes))
	b.arena = binary.AppendUvarint(b.arena, uint64(len(name)))
	at := len(b.arena)
	b.arena = append(b.arena, name...)
	b.arena = binary.AppendUvarint(b.arena, uint64(len(value)))
	b.arena = append(b.arena, value...)
	b.pending++

	var first [keyBytes]byte
	copy(first[:], name)
	key := binary.BigEndian.Uint64(first[:])
	if len(value) == 0 || key <= b.lastKey && !b.follows(key, name) {
		b.irregular = true
	}
	b.named = b.named || string(name) == MetricName
	b.lastKey, b.lastName, b.lastEnd = key, at, at+len(name)
}

const (
	keyBytes      = 8                  // of a name that its key holds, as a number that sorts as they do
	metricNameKey = 0x5f5f6e616d655f5f // the key of MetricName
)

// follows reports whether name is greater than the set's latest name, the keys
// of which being equal or out of order. An empty name never follows.
func (b *Batch) follows(key uint64, name []byte) bool {
	return key == b.lastKey && bytes.Compare(name, b.arena[b.lastName:b.lastEnd]) > 0
}

// LabelRules are the limits that BeginRow holds a label set to. A zero field
// means the default.
type LabelRules struct {
	LabelsMax     int // labels a series; default 256
	NameBytesMax  int // bytes of a label name; default 1,024
	ValueBytesMax int // bytes of a label value; default 65,536
}

// WithDefaults returns r with the defaults in place of zero fields.
func (r LabelRules) WithDefaults() LabelRules {
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
	if reason, detail := b.closeLabels(rules.WithDefaults()); reason != "" {
		return reason, detail
	}
	s := Span{b.open, len(b.arena)}
	if !b.named || b.irregular && len(Labels(b.arena[s.Start:s.End]).Get(MetricName)) == 0 {
		return ReasonNoMetricName, "the series has no metric name (label __name__)"
	}
	b.keepLabels()
	at, h, x := len(b.Timestamps), len(b.Histograms), len(b.Exemplars)
	b.Rows = append(b.Rows, Row{labels: s, Samples: Span{at, at}, Histograms: Span{h, h}, Exemplars: Span{x, x}})
	return "", ""
}

// keepLabels makes the set being built part of the batch.
func (b *Batch) keepLabels() {
	b.open = len(b.arena)
	b.BeginLabels()
}

// closeLabels brings the set being built into its final form, or says which
// rule it breaks and leaves it as it is.
func (b *Batch) closeLabels(rules LabelRules) (Reason, string) {
	if b.pending > rules.LabelsMax {
		return ReasonTooManyLabels, countDetail("labels", b.pending, rules.LabelsMax)
	}
	// An encoding that is all ASCII has no length above 127 either.
	const shortMax = 127
	if !b.irregular && rules.NameBytesMax >= shortMax && rules.ValueBytesMax >= shortMax && isASCII(b.arena[b.open:]) {
		return "", ""
	}
	b.splitPending()
	if b.irregular {
		slices.SortStableFunc(b.pairs, func(x, y pair) int { return bytes.Compare(x.name, y.name) })
	}
	b.scratch = b.scratch[:0]
	for i, p := range b.pairs {
		reason, detail := checkPair(p.name, p.value, rules)
		if reason == "" && i > 0 && bytes.Equal(p.name, b.pairs[i-1].name) {
			reason, detail = ReasonDuplicateLabel, "label name "+quote(p.name)+" occurs twice"
		}
		if reason != "" {
			return reason, detail
		}
		if len(p.value) > 0 {
			b.scratch = appendPair(b.scratch, p.name, p.value)
		}
	}
	b.arena = append(b.arena[:b.open], b.scratch...)
	return "", ""
}

// splitPending sets pairs to the labels of the set being built, as they came.
func (b *Batch) splitPending() {
	b.pairs = b.pairs[:0]
	for rest := Labels(b.arena[b.open:]); len(rest) > 0; {
		name, value, after, ok := rest.CutPair()
		if !ok {
			return // impossible: AddLabel wrote it
		}
		b.pairs = append(b.pairs, pair{name, value})
		rest = after
	}
}

func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	for len(b) >= 32 {
		x := binary.LittleEndian.Uint64(b) | binary.LittleEndian.Uint64(b[8:]) |
			binary.LittleEndian.Uint64(b[16:]) | binary.LittleEndian.Uint64(b[24:])
		if x&high != 0 {
			return false
		}
		b = b[32:]
	}
	var x byte
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&high != 0 {
			return false
		}
	}
	for _, c := range b {
		x |= c
	}
	return x < 0x80
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
	for rest, i := Labels(b.arena[b.open:]), 0; len(rest) > 0 && i < shown; i++ {
		name, value, after, ok := rest.CutPair()
		if !ok {
			break
		}
		builder.Add(clip(name), clip(value))
		rest = after
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
	if reason, detail := b.closeLabels(rules.WithDefaults()); reason != "" {
		return reason, detail
	}
	labels := Span{b.open, len(b.arena)}
	b.keepLabels()
	b.Exemplars = append(b.Exemplars, Exemplar{labels: labels, Timestamp: timestamp, Value: value})
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

package remotewrite

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/series"
)

// histogramMessage is a Histogram message, the same in 1.0 and 2.0 but for
// field 17. Repeated fields are counted in one pass and filled in another.
type histogramMessage struct {
	isFloat            bool // the total count is: then the float counts count
	zeroIsFloat        bool
	count, zero        uint64 // or the bits of floats
	sum, zeroThreshold float64
	schema, resetHint  int32
	timestamp, start   int64
	spans              [2]int // negative, positive
	deltas, counts     [2]int
	customValues       int
}

const (
	negative = 0
	positive = 1
)

// The numbers of the repeated fields.
const (
	fieldNegativeSpans  = 8
	fieldNegativeDeltas = 9
	fieldNegativeCounts = 10
	fieldPositiveSpans  = 11
	fieldPositiveDeltas = 12
	fieldPositiveCounts = 13
	fieldCustomValues   = 16
	fieldStart          = 17
)

// histogram decodes the Histogram message b[i:] and adds it to the row begun
// last, or counts it as refused.
func (d *Decoder) histogram(b []byte, i int, hasStart bool) error {
	var m histogramMessage
	if at := m.scan(b, i, hasStart); at >= 0 {
		return malformed(at, "a broken histogram")
	}
	if d.discard {
		return nil
	}
	if err := d.charge((m.spans[0]+m.spans[1])*spanBytes + 8*(m.values()+m.customValues)); err != nil {
		return err
	}
	h := series.Histogram{Timestamp: m.timestamp, Start: m.start}
	var err error
	if m.isFloat {
		h.Float = m.float(b, i)
		err = settleFloat(h.Float)
	} else {
		h.Int = m.int(b, i)
		err = settleInt(h.Int)
	}
	if err != nil {
		d.dst.Refused.Add(series.ReasonInvalidHistogram, 0, 1, 0, func() (string, string) { return d.rowText(), err.Error() })
		return nil
	}
	d.dst.AddHistogram(h)
	return nil
}

// settleInt brings a resolution beyond what is stored down to the highest that
// is, and validates h.
func settleInt(h *histogram.Histogram) error {
	if h.Schema > histogram.ExponentialSchemaMax && h.Schema <= histogram.ExponentialSchemaMaxReserved {
		if err := h.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
			return err
		}
	}
	return h.Validate()
}

func settleFloat(h *histogram.FloatHistogram) error {
	if h.Schema > histogram.ExponentialSchemaMax && h.Schema <= histogram.ExponentialSchemaMaxReserved {
		if err := h.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
			return err
		}
	}
	return h.Validate()
}

// scan reads the scalars of the message b[i:] and counts its repeated fields.
// It returns the offset of what is malformed, or -1.
func (m *histogramMessage) scan(b []byte, i int, hasStart bool) int {
	for i < len(b) {
		start := i
		t, at := readTag(b, i)
		if at < 0 {
			return start
		}
		field := int(t.field())
		switch field {
		case fieldNegativeSpans, fieldPositiveSpans:
			i = m.countSpan(b, at, t)
		case fieldNegativeDeltas, fieldPositiveDeltas, fieldNegativeCounts, fieldPositiveCounts, fieldCustomValues:
			i = m.countValues(b, at, t)
		default:
			if field > fieldStart || field < 1 || field == fieldStart && !hasStart {
				i = skip(b, at, t)
			} else {
				i = m.scalar(b, at, t)
			}
		}
		if i < 0 {
			return start
		}
	}
	return -1
}

// scalar reads a field that occurs once; it returns the offset after it or -1.
func (m *histogramMessage) scalar(b []byte, i int, t tag) int {
	var v uint64
	switch t {
	case of(2, wireFixed64), of(3, wireFixed64), of(5, wireFixed64), of(7, wireFixed64):
		v, i = fixed64(b, i)
	case of(1, wireVarint), of(4, wireVarint), of(6, wireVarint), of(14, wireVarint), of(15, wireVarint), of(fieldStart, wireVarint):
		v, i = uvarint(b, i)
	default:
		return -1
	}
	switch t.field() {
	case 1, 2:
		m.count, m.isFloat = v, t.field() == 2
	case 3:
		m.sum = math.Float64frombits(v)
	case 4:
		m.schema = zigzag32(v)
	case 5:
		m.zeroThreshold = math.Float64frombits(v)
	case 6, 7:
		m.zero, m.zeroIsFloat = v, t.field() == 7
	case 14:
		m.resetHint = int32(v)
	case 15:
		m.timestamp = int64(v)
	case fieldStart:
		m.start = int64(v)
	}
	return i
}

// side tells whether a repeated field is about the negative or the positive buckets.
func side(field int32) int {
	if field <= fieldNegativeCounts {
		return negative
	}
	return positive
}

func (m *histogramMessage) countSpan(b []byte, i int, t tag) int {
	from, to := span(b, i)
	if t.wire() != wireBytes || to < 0 {
		return -1
	}
	if _, ok := bucketSpanOf(b[:to], from); !ok {
		return -1
	}
	m.spans[side(t.field())]++
	return to
}

func (m *histogramMessage) countValues(b []byte, i int, t tag) int {
	n, end := repeatedCount(b, i, t, isVarints(t.field()))
	if end < 0 {
		return -1
	}
	switch t.field() {
	case fieldNegativeDeltas, fieldPositiveDeltas:
		m.deltas[side(t.field())] += n
	case fieldNegativeCounts, fieldPositiveCounts:
		m.counts[side(t.field())] += n
	case fieldCustomValues:
		m.customValues += n
	}
	return end
}

func isVarints(field int32) bool {
	return field == fieldNegativeDeltas || field == fieldPositiveDeltas
}

// repeatedCount returns how many numbers the field at b[i:] holds, packed or
// alone, and the offset after it, or -1 when it is malformed.
func repeatedCount(b []byte, i int, t tag, varints bool) (n, end int) {
	switch {
	case t.wire() == wireVarint && varints:
		_, end = uvarint(b, i)
		return 1, end
	case t.wire() == wireFixed64 && !varints:
		_, end = fixed64(b, i)
		return 1, end
	case t.wire() != wireBytes:
		return 0, -1
	}
	from, to := span(b, i)
	switch {
	case to < 0:
		return 0, -1
	case !varints:
		if (to-from)%8 != 0 {
			return 0, -1
		}
		return (to - from) / 8, to
	}
	for packed := b[:to]; from < to; n++ {
		if _, from = uvarint(packed, from); from < 0 {
			return 0, -1
		}
	}
	return n, to
}

// values returns how many bucket values the kind of histogram at hand has.
func (m *histogramMessage) values() int {
	if m.isFloat {
		return m.counts[negative] + m.counts[positive]
	}
	return m.deltas[negative] + m.deltas[positive]
}

func (m *histogramMessage) hint() histogram.CounterResetHint {
	if m.resetHint < 0 || m.resetHint > int32(histogram.GaugeType) {
		return histogram.UnknownCounterReset
	}
	return histogram.CounterResetHint(m.resetHint)
}

// int makes an integer histogram of the scanned message b[i:].
func (m *histogramMessage) int(b []byte, i int) *histogram.Histogram {
	spans := m.spansOf(b, i)
	deltas := split[int64](m.deltas)
	h := &histogram.Histogram{
		CounterResetHint: m.hint(),
		Schema:           m.schema,
		ZeroThreshold:    m.zeroThreshold,
		Count:            m.count,
		Sum:              m.sum,
	}
	if !m.zeroIsFloat {
		h.ZeroCount = m.zero
	}
	eachField(b, i, func(t tag, at int) {
		switch t.field() {
		case fieldNegativeDeltas, fieldPositiveDeltas:
			s := side(t.field())
			deltas[s] = appendVarints(deltas[s], b, at, t)
		}
	})
	h.NegativeSpans, h.PositiveSpans = spans[negative], spans[positive]
	h.NegativeBuckets, h.PositiveBuckets = deltas[negative], deltas[positive]
	h.CustomValues = m.customOf(b, i)
	return h
}

// float makes a float histogram of the scanned message b[i:].
func (m *histogramMessage) float(b []byte, i int) *histogram.FloatHistogram {
	spans := m.spansOf(b, i)
	counts := split[float64](m.counts)
	h := &histogram.FloatHistogram{
		CounterResetHint: m.hint(),
		Schema:           m.schema,
		ZeroThreshold:    m.zeroThreshold,
		Count:            math.Float64frombits(m.count),
		Sum:              m.sum,
	}
	if m.zeroIsFloat {
		h.ZeroCount = math.Float64frombits(m.zero)
	}
	eachField(b, i, func(t tag, at int) {
		switch t.field() {
		case fieldNegativeCounts, fieldPositiveCounts:
			s := side(t.field())
			counts[s] = appendFloats(counts[s], b, at, t)
		}
	})
	h.NegativeSpans, h.PositiveSpans = spans[negative], spans[positive]
	h.NegativeBuckets, h.PositiveBuckets = counts[negative], counts[positive]
	h.CustomValues = m.customOf(b, i)
	return h
}

// split returns two empty slices with room for n, of one allocation; nil where
// nothing comes.
func split[T any](n [2]int) (s [2][]T) {
	if n[0]+n[1] == 0 {
		return s
	}
	all := make([]T, n[0]+n[1])
	if n[0] > 0 {
		s[0] = all[:0:n[0]]
	}
	if n[1] > 0 {
		s[1] = all[n[0]:n[0]:len(all)]
	}
	return s
}

func (m *histogramMessage) spansOf(b []byte, i int) [2][]histogram.Span {
	spans := split[histogram.Span](m.spans)
	if m.spans[0]+m.spans[1] == 0 {
		return spans
	}
	eachField(b, i, func(t tag, at int) {
		if t.field() == fieldNegativeSpans || t.field() == fieldPositiveSpans {
			from, to := span(b, at)
			one, _ := bucketSpanOf(b[:to], from)
			s := side(t.field())
			spans[s] = append(spans[s], one)
		}
	})
	return spans
}

func (m *histogramMessage) customOf(b []byte, i int) []float64 {
	if m.customValues == 0 {
		return nil
	}
	values := make([]float64, 0, m.customValues)
	eachField(b, i, func(t tag, at int) {
		if t.field() == fieldCustomValues {
			values = appendFloats(values, b, at, t)
		}
	})
	return values
}

// eachField calls f with the tag and the value's offset of every field of the
// message b[i:], which is known to be well-formed.
func eachField(b []byte, i int, f func(t tag, at int)) {
	for i < len(b) {
		t, at := readTag(b, i)
		f(t, at)
		i = skip(b, at, t)
	}
}

func appendVarints(dst []int64, b []byte, i int, t tag) []int64 {
	end := i + 1 // a lone value: any end will do
	if t.wire() == wireBytes {
		i, end = span(b, i)
	}
	for i < end {
		var v uint64
		v, i = uvarint(b, i)
		dst = append(dst, zigzag(v))
	}
	return dst
}

func appendFloats(dst []float64, b []byte, i int, t tag) []float64 {
	end := i + 8
	if t.wire() == wireBytes {
		i, end = span(b, i)
	}
	for i < end {
		var v float64
		v, i = float(b, i)
		dst = append(dst, v)
	}
	return dst
}

// bucketSpanOf decodes the BucketSpan message b[i:]: the offset is field 1, the
// length field 2.
func bucketSpanOf(b []byte, i int) (s histogram.Span, ok bool) {
	for i < len(b) {
		t, at := readTag(b, i)
		if at < 0 {
			return s, false
		}
		var v uint64
		switch t {
		case of(1, wireVarint):
			v, i = uvarint(b, at)
			s.Offset = zigzag32(v)
		case of(2, wireVarint):
			v, i = uvarint(b, at)
			s.Length = uint32(v)
		default:
			if f := t.field(); f == 1 || f == 2 {
				return s, false
			}
			i = skip(b, at, t)
		}
		if i < 0 {
			return s, false
		}
	}
	return s, true
}

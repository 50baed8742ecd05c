package remotewrite

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/series"
)

// AppendV1 appends b as a prometheus.WriteRequest to dst. Start timestamps are
// lost: 1.0 has no place for them.
func AppendV1(dst []byte, b *series.Batch) []byte {
	var e encoder
	for i := range b.Rows {
		at := e.open()
		e.labelsV1(b.Labels(i), 1)
		row := b.Rows[i]
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			e.sample(2, b.Values[j], b.Timestamps[j], 0)
		}
		for j := row.Exemplars.Start; j < row.Exemplars.End; j++ {
			x := e.open()
			e.labelsV1(b.ExemplarLabels(j), 1)
			e.float(2, b.Exemplars[j].Value)
			e.int(3, b.Exemplars[j].Timestamp)
			e.close(3, x)
		}
		for j := row.Histograms.Start; j < row.Histograms.End; j++ {
			h := b.Histograms[j]
			h.Start = 0
			e.histogram(4, h)
		}
		e.close(1, at)
	}
	for _, m := range b.Metadata {
		at := e.open()
		e.int(1, int64(typeNumber(m.Type)))
		e.text(2, m.Metric)
		e.text(4, m.Help)
		e.text(5, m.Unit)
		e.close(3, at)
	}
	return append(dst, e.buf...)
}

// AppendV2 appends b as an io.prometheus.write.v2.Request to dst. Metadata is
// attached to the rows that it describes; metadata without a row gets a series
// of its own that has no samples.
func AppendV2(dst []byte, b *series.Batch) []byte {
	t := symbolTable{refs: map[string]uint32{"": 0}, list: []string{""}}
	var e encoder
	described := map[string]int{}
	for i, m := range b.Metadata {
		described[m.Metric] = i
	}
	used := make([]bool, len(b.Metadata))
	for i := range b.Rows {
		at := e.open()
		e.refs(t.labels(b.Labels(i)))
		e.rowV2(b, b.Rows[i], &t)
		if j, ok := metadataOf(described, b.Metadata, string(b.Labels(i).Get(series.MetricName))); ok {
			used[j] = true
			e.metadataV2(b.Metadata[j], &t)
		}
		e.close(5, at)
	}
	for i, m := range b.Metadata {
		if !used[i] {
			at := e.open()
			e.refs([]uint32{t.ref(series.MetricName), t.ref(m.Metric)})
			e.metadataV2(m, &t)
			e.close(5, at)
		}
	}
	var s encoder
	for _, text := range t.list {
		s.bytes(4, text)
	}
	return append(append(dst, s.buf...), e.buf...)
}

// metadataOf finds the entry that describes the metric called name.
func metadataOf(described map[string]int, list []series.Metadata, name string) (int, bool) {
	if i, ok := described[name]; ok {
		return i, true
	}
	for _, kind := range []model.MetricType{model.MetricTypeHistogram, model.MetricTypeGaugeHistogram, model.MetricTypeSummary} {
		if i, ok := described[familyName(name, kind)]; ok && list[i].Type == kind {
			return i, true
		}
	}
	return 0, false
}

// symbolTable numbers the strings of a 2.0 request.
type symbolTable struct {
	refs map[string]uint32
	list []string
}

func (t *symbolTable) ref(s string) uint32 {
	if r, ok := t.refs[s]; ok {
		return r
	}
	r := uint32(len(t.list))
	t.refs[s], t.list = r, append(t.list, s)
	return r
}

func (t *symbolTable) labels(ls series.Labels) []uint32 {
	var refs []uint32
	eachLabel(ls, func(name, value []byte) { refs = append(refs, t.ref(string(name)), t.ref(string(value))) })
	return refs
}

func eachLabel(ls series.Labels, f func(name, value []byte)) {
	for len(ls) > 0 {
		name, value, rest, ok := ls.CutPair()
		if !ok {
			return
		}
		f(name, value)
		ls = rest
	}
}

func typeNumber(t model.MetricType) int32 {
	for n := int32(1); n <= 7; n++ {
		if metricType(n) == t {
			return n
		}
	}
	return 0
}

// encoder writes protobuf fields. Scalars of value zero are left out.
type encoder struct{ buf []byte }

func (e *encoder) tag(field, wire int) {
	e.buf = binary.AppendUvarint(e.buf, uint64(of(field, wire)))
}

// open starts a message; close makes it a field of the message around it.
func (e *encoder) open() int { return len(e.buf) }

func (e *encoder) close(field, at int) {
	var head [2 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(of(field, wireBytes)))
	n += binary.PutUvarint(head[n:], uint64(len(e.buf)-at))
	e.buf = append(e.buf, head[:n]...)
	copy(e.buf[at+n:], e.buf[at:len(e.buf)-n])
	copy(e.buf[at:], head[:n])
}

func (e *encoder) bytes(field int, s string) {
	e.tag(field, wireBytes)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) text(field int, s string) {
	if s != "" {
		e.bytes(field, s)
	}
}

func (e *encoder) int(field int, v int64) { e.uint(field, uint64(v)) }

func (e *encoder) uint(field int, v uint64) {
	if v != 0 {
		e.tag(field, wireVarint)
		e.buf = binary.AppendUvarint(e.buf, v)
	}
}

// float leaves out +0 alone: -0 has bits of its own.
func (e *encoder) float(field int, v float64) {
	if math.Float64bits(v) != 0 {
		e.alwaysFloat(field, v)
	}
}

func (e *encoder) alwaysFloat(field int, v float64) {
	e.tag(field, wireFixed64)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
}

func (e *encoder) floats(field int, values []float64) {
	if len(values) == 0 {
		return
	}
	e.tag(field, wireBytes)
	e.buf = binary.AppendUvarint(e.buf, uint64(8*len(values)))
	for _, v := range values {
		e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
	}
}

func (e *encoder) ints(field int, values []int64) {
	if len(values) == 0 {
		return
	}
	at := e.open()
	for _, v := range values {
		e.buf = binary.AppendUvarint(e.buf, unzigzag(v))
	}
	e.close(field, at)
}

func (e *encoder) refs(refs []uint32) {
	if len(refs) == 0 {
		return
	}
	at := e.open()
	for _, r := range refs {
		e.buf = binary.AppendUvarint(e.buf, uint64(r))
	}
	e.close(1, at)
}

func (e *encoder) labelsV1(ls series.Labels, field int) {
	eachLabel(ls, func(name, value []byte) {
		at := e.open()
		e.bytes(1, string(name))
		e.bytes(2, string(value))
		e.close(field, at)
	})
}

func (e *encoder) sample(field int, value float64, timestamp, start int64) {
	at := e.open()
	e.float(1, value)
	e.int(2, timestamp)
	e.int(3, start)
	e.close(field, at)
}

func (e *encoder) rowV2(b *series.Batch, row series.Row, t *symbolTable) {
	for j := row.Samples.Start; j < row.Samples.End; j++ {
		e.sample(2, b.Values[j], b.Timestamps[j], b.StartOf(j))
	}
	for j := row.Histograms.Start; j < row.Histograms.End; j++ {
		e.histogram(3, b.Histograms[j])
	}
	for j := row.Exemplars.Start; j < row.Exemplars.End; j++ {
		at := e.open()
		e.refs(t.labels(b.ExemplarLabels(j)))
		e.float(2, b.Exemplars[j].Value)
		e.int(3, b.Exemplars[j].Timestamp)
		e.close(4, at)
	}
}

func (e *encoder) metadataV2(m series.Metadata, t *symbolTable) {
	at := e.open()
	e.int(1, int64(typeNumber(m.Type)))
	e.uint(3, uint64(t.ref(m.Help)))
	e.uint(4, uint64(t.ref(m.Unit)))
	e.close(5, at)
}

func (e *encoder) histogram(field int, h series.Histogram) {
	at := e.open()
	switch {
	case h.Float != nil:
		f := h.Float
		e.alwaysFloat(2, f.Count)
		e.float(3, f.Sum)
		e.schema(f.Schema)
		e.float(5, f.ZeroThreshold)
		e.alwaysFloat(7, f.ZeroCount)
		e.spans(fieldNegativeSpans, f.NegativeSpans)
		e.floats(fieldNegativeCounts, f.NegativeBuckets)
		e.spans(fieldPositiveSpans, f.PositiveSpans)
		e.floats(fieldPositiveCounts, f.PositiveBuckets)
		e.int(14, int64(f.CounterResetHint))
		e.int(15, h.Timestamp)
		e.floats(fieldCustomValues, f.CustomValues)
	case h.Int != nil:
		n := h.Int
		e.uint(1, n.Count)
		e.float(3, n.Sum)
		e.schema(n.Schema)
		e.float(5, n.ZeroThreshold)
		e.uint(6, n.ZeroCount)
		e.spans(fieldNegativeSpans, n.NegativeSpans)
		e.ints(fieldNegativeDeltas, n.NegativeBuckets)
		e.spans(fieldPositiveSpans, n.PositiveSpans)
		e.ints(fieldPositiveDeltas, n.PositiveBuckets)
		e.int(14, int64(n.CounterResetHint))
		e.int(15, h.Timestamp)
		e.floats(fieldCustomValues, n.CustomValues)
	}
	e.int(fieldStart, h.Start)
	e.close(field, at)
}

func (e *encoder) schema(s int32) { e.uint(4, unzigzag32(s)) }

func (e *encoder) spans(field int, spans []histogram.Span) {
	for _, s := range spans {
		at := e.open()
		e.uint(1, unzigzag32(s.Offset))
		e.uint(2, uint64(s.Length))
		e.close(field, at)
	}
}

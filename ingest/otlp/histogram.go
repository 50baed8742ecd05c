package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/series"
)

// readHistogram decodes a HistogramDataPoint message.
func (p *point) readHistogram(d *Decoder, m []byte) error {
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 4:
			p.count = f.fixed64()
		case 5:
			p.sum, p.hasSum = f.float(), true
		case 6:
			p.counts = f.fixed64s(p.counts)
		case 7:
			p.bounds = f.floats(p.bounds)
		case 8:
			p.readExemplar(&f)
		case 9:
			p.readAttribute(d, &f)
		case 10:
			p.flags = f.varint()
		default:
			p.readTimes(&f)
		}
	}
	return f.broken("a histogram data point")
}

// readExponential decodes an ExponentialHistogramDataPoint message.
func (p *point) readExponential(d *Decoder, m []byte) error {
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 1:
			p.readAttribute(d, &f)
		case 4:
			p.count = f.fixed64()
		case 5:
			p.sum, p.hasSum = f.float(), true
		case 6:
			p.scale = f.sint32()
		case 7:
			p.zeroCount = f.fixed64()
		case 8:
			p.positive.read(&f)
		case 9:
			p.negative.read(&f)
		case 10:
			p.flags = f.varint()
		case 11:
			p.readExemplar(&f)
		case 14:
			p.zeroUpTo = f.float()
		default:
			p.readTimes(&f)
		}
	}
	return f.broken("an exponential histogram data point")
}

// read decodes a Buckets message: the offset is field 1, the counts are 2.
func (b *buckets) read(of *fields) {
	f := fields{rest: of.message()}
	for f.next() {
		switch f.FieldNum {
		case 1:
			b.offset = f.sint32()
		case 2:
			b.counts = f.varints(b.counts)
		}
	}
	if f.err != nil {
		of.err = f.err
	}
}

var infinity = padded("+Inf")

// storeHistogram stores a point with explicit buckets as the series of a classic
// histogram.
func (d *Decoder) storeHistogram() error {
	p := &d.point
	if p.hasSum {
		if err := d.sample(d.metric.sum, label{}, p.sum, nil); err != nil {
			return err
		}
	}
	if err := d.sample(d.metric.count, label{}, float64(p.count), nil); err != nil {
		return err
	}
	slices.SortFunc(p.exemplars, func(x, y exemplar) int { return cmp.Compare(x.value, y.value) })
	rest := p.exemplars
	var upTo uint64
	text := len(d.text)
	for i := range min(len(p.bounds), len(p.counts)) {
		bound := p.bounds[i]
		upTo += p.counts[i]
		if math.IsInf(bound, 1) {
			continue // the bucket below has all, as its count says
		}
		n := 0
		for n < len(rest) && !(rest[n].value > bound) {
			n++
		}
		d.text = d.text[:text]
		if err := d.sample(d.metric.bucket, label{nameLE, d.numberText(bound)}, float64(upTo), rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return d.sample(d.metric.bucket, label{nameLE, infinity}, float64(p.count), rest)
}

// storeNative stores a point as a native histogram.
func (d *Decoder) storeNative(k kind) error {
	p := &d.point
	ok, err := d.row(d.metric.name, label{}, contents{histograms: 1, exemplars: len(p.exemplars)})
	if !ok || err != nil {
		return err
	}
	if err := d.charge(16 * (len(p.counts) + len(p.bounds) + len(p.positive.counts) + len(p.negative.counts))); err != nil {
		return err
	}
	h := series.Histogram{Timestamp: p.time(), Start: p.start}
	if k == kindExponential {
		h.Int, err = p.exponential()
	} else {
		h.Int, err = p.customBuckets()
	}
	if err == nil && p.noValue() {
		h.Int = &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
	} else if err == nil {
		err = h.Int.Validate()
	}
	reason, detail := series.Reason(""), ""
	if err != nil {
		reason, detail = series.ReasonInvalidHistogram, err.Error()
	} else if d.deltas {
		reason, detail = d.addUpNative(&h)
	}
	if reason != "" {
		d.dst.Refused.Add(reason, 0, 1, len(p.exemplars), func() (string, string) { return d.rowText(), detail })
		return nil
	}
	d.dst.AddHistogram(h)
	return d.complete(p.exemplars)
}

// addUpNative replaces a delta by the sum of all that came so far.
func (d *Decoder) addUpNative(h *series.Histogram) (series.Reason, string) {
	p := &d.point
	key := d.dst.Labels(len(d.dst.Rows) - 1)
	piece := delta{start: p.start, at: p.time(), stale: p.noValue()}
	sum, start, reason := d.options.Deltas.addHistogram(d.Tenant, key, piece, h.Int)
	if reason != "" {
		return reason, deltaProblem(reason, piece)
	}
	h.Start = start
	if sum != nil {
		h.Int, h.Float = nil, sum
	}
	return "", ""
}

// defaultZeroThreshold is the width of the zero bucket when the sender tells none.
const defaultZeroThreshold = 1e-128

// exponential makes a native histogram of an exponential one. What is finer than
// the finest schema is made coarser.
func (p *point) exponential() (*histogram.Histogram, error) {
	if p.scale < histogram.ExponentialSchemaMin {
		return nil, fmt.Errorf("scale %d of an exponential histogram, the lowest is %d", p.scale, histogram.ExponentialSchemaMin)
	}
	schema := min(p.scale, histogram.ExponentialSchemaMax)
	coarser := p.scale - schema
	h := &histogram.Histogram{Schema: schema, ZeroThreshold: p.zeroUpTo, ZeroCount: p.zeroCount, Count: p.count}
	if h.ZeroThreshold == 0 {
		h.ZeroThreshold = defaultZeroThreshold
	}
	if p.hasSum {
		h.Sum = p.sum
	}
	var err error
	// The index of a bucket is that of its lower bound in OTLP, here of its upper.
	if h.PositiveSpans, h.PositiveBuckets, err = spansOf(p.positive.counts, int64(p.positive.offset), coarser, 1); err != nil {
		return nil, err
	}
	h.NegativeSpans, h.NegativeBuckets, err = spansOf(p.negative.counts, int64(p.negative.offset), coarser, 1)
	return h, err
}

// customBuckets makes a native histogram with custom buckets of an explicit one.
func (p *point) customBuckets() (*histogram.Histogram, error) {
	h := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: p.count, CustomValues: slices.Clone(p.bounds)}
	if p.hasSum {
		h.Sum = p.sum
	}
	empty := 0
	for empty < len(p.counts) && p.counts[empty] == 0 {
		empty++
	}
	var err error
	h.PositiveSpans, h.PositiveBuckets, err = spansOf(p.counts[empty:], int64(empty), 0, 0)
	return h, err
}

var errBucketIndex = errors.New("the index of a bucket is out of range")

// spansOf lays out dense buckets, of which the first has the given index, as
// spans and differences. Each 2^coarser buckets become one, and the index of that
// is moved by shift. Gaps of more than two empty buckets end a span.
func spansOf(counts []uint64, first int64, coarser int32, shift int64) ([]histogram.Span, []int64, error) {
	if len(counts) == 0 {
		return nil, nil, nil
	}
	last := first + int64(len(counts)) - 1
	if first>>coarser+shift < math.MinInt32 || last>>coarser+shift > math.MaxInt32 {
		return nil, nil, errBucketIndex
	}
	s := spanBuilder{next: first>>coarser + shift}
	s.spans = append(s.spans, histogram.Span{Offset: int32(s.next)})
	var count uint64
	for i, c := range counts {
		count += c
		index := (first + int64(i)) >> coarser
		if at := int64(i) + 1; at < int64(len(counts)) && (first+at)>>coarser == index {
			continue // the next one belongs to the same bucket
		}
		if count != 0 || i == len(counts)-1 {
			s.add(index+shift, count)
		}
		count = 0
	}
	return s.spans, s.deltas, nil
}

// spanBuilder collects buckets.
type spanBuilder struct {
	spans    []histogram.Span
	deltas   []int64
	next     int64 // the index after the last bucket
	previous uint64
}

func (s *spanBuilder) add(index int64, count uint64) {
	const gapMax = 2
	if gap := index - s.next; gap > gapMax {
		s.spans = append(s.spans, histogram.Span{Offset: int32(gap)})
	} else {
		for range gap {
			s.push(0)
		}
	}
	s.push(count)
	s.next = index + 1
}

func (s *spanBuilder) push(count uint64) {
	s.spans[len(s.spans)-1].Length++
	s.deltas = append(s.deltas, int64(count-s.previous))
	s.previous = count
}

package remotewrite

import (
	"encoding/binary"
	"math"

	"github.com/varve-db/varve/series"
)

// V1 decodes body, a prometheus.WriteRequest, into dst as DecodeV1 does.
func (d *Decoder) V1(dst *series.Batch, body []byte, rules series.LabelRules) error {
	if err := d.begin(dst, body, rules, growthV1); err != nil {
		return err
	}
	known := false
	for i := 0; i < len(body); {
		start := i
		t, at := readTag(body, i)
		if at < 0 {
			return malformed(start, "a broken tag")
		}
		switch t {
		case of(1, wireBytes):
			known = true
			from, to := span(body, at)
			if to < 0 {
				return malformed(start, "a series cut short")
			}
			if err := d.seriesV1(body[:to], from); err != nil {
				return err
			}
			i = to
		case of(3, wireBytes):
			known = true
			from, to := span(body, at)
			if to < 0 {
				return malformed(start, "metadata cut short")
			}
			if err := d.metadataV1(body[:to], from); err != nil {
				return err
			}
			i = to
		default:
			if f := t.field(); f == 1 || f == 3 {
				return malformed(start, "a field of the wrong type")
			}
			if i = skip(body, at, t); i < 0 {
				return malformed(start, "a broken field")
			}
		}
	}
	if !known && len(body) > 0 {
		return malformed(0, "no field of prometheus.WriteRequest; is it another message?")
	}
	return nil
}

// The tags of prometheus.TimeSeries.
const (
	tagLabelV1     = 1<<3 | wireBytes
	tagSampleV1    = 2<<3 | wireBytes
	tagExemplarV1  = 3<<3 | wireBytes
	tagHistogramV1 = 4<<3 | wireBytes
)

// seriesV1 decodes the TimeSeries message b[i:]. Fields may come in any order:
// the first pass collects the labels and counts the rest, the second decodes it.
func (d *Decoder) seriesV1(b []byte, i int) error {
	d.dst.BeginLabels()
	i, labels := d.usualLabels(b, i)
	if s, ok := loneSample(b, i); ok {
		return d.loneSample(labels, s)
	}
	var c contents
	first := -1
	for i < len(b) {
		start := i
		t, at := readTag(b, i)
		if at < 0 {
			return malformed(start, "a broken tag in a series")
		}
		switch t {
		case tagLabelV1:
			from, to := span(b, at)
			if to < 0 {
				return malformed(start, "a label cut short")
			}
			if labels++; !d.labelV1(b[:to], from, labels <= d.rules.LabelsMax) {
				return malformed(start, "a broken label")
			}
			i = to
			continue
		case tagSampleV1:
			c.samples++
		case tagExemplarV1:
			c.exemplars++
		case tagHistogramV1:
			c.histograms++
		default:
			if f := t.field(); f >= 1 && f <= 4 {
				return malformed(start, "a field of the wrong type in a series")
			}
		}
		if first < 0 {
			first = start
		}
		if i = skip(b, at, t); i < 0 {
			return malformed(start, "a broken field in a series")
		}
	}
	if c.none() {
		return nil
	}
	if err := d.charge(c.bytes()); err != nil {
		return err
	}
	d.beginRow(labels, c)
	return d.contentsV1(b, first)
}

// usualLabels takes the labels at b[i:] as every encoder writes them: together,
// both fields in order, of less than 128 bytes each. It returns their number
// and the offset of the first field that is not such a label.
func (d *Decoder) usualLabels(b []byte, i int) (next, labels int) {
	for len(b)-i >= 6 && b[i] == tagLabelV1 && b[i+1] < 0x80 && labels < d.rules.LabelsMax {
		end := i + 2 + int(b[i+1])
		if end > len(b) || b[i+2] != 1<<3|wireBytes || b[i+3] >= 0x80 {
			break
		}
		middle := i + 4 + int(b[i+3])
		if end-middle < 2 || b[middle] != 2<<3|wireBytes || b[middle+1] >= 0x80 || middle+2+int(b[middle+1]) != end {
			break
		}
		d.dst.AddLabel(b[i+4:middle], b[middle+2:end])
		i = end
		labels++
	}
	return i, labels
}

// loneSample decodes b[i:] if it is one sample and nothing else, as most
// series end.
func loneSample(b []byte, i int) (sample, bool) {
	if len(b)-i < 2 || b[i] != tagSampleV1 || int(b[i+1]) != len(b)-i-2 || b[i+1] >= 0x80 {
		return sample{}, false
	}
	return sampleOf(b, i+2, false)
}

// loneSample makes a row of the labels just collected with the one sample s.
func (d *Decoder) loneSample(labels int, s sample) error {
	c := contents{samples: 1}
	if err := d.charge(c.bytes()); err != nil {
		return err
	}
	if d.beginRow(labels, c); !d.discard {
		d.dst.AddSample(s.timestamp, 0, s.value)
	}
	return nil
}

// contentsV1 decodes everything but labels from b[i:], which was walked before.
func (d *Decoder) contentsV1(b []byte, i int) error {
	for i < len(b) {
		start := i
		t, at := readTag(b, i)
		i = skip(b, at, t)
		if t != tagSampleV1 && t != tagExemplarV1 && t != tagHistogramV1 {
			continue
		}
		from, to := span(b, at)
		switch t {
		case tagSampleV1:
			s, ok := sampleOf(b[:to], from, false)
			if !ok {
				return malformed(start, "a broken sample")
			}
			if !d.discard {
				d.dst.AddSample(s.timestamp, 0, s.value)
			}
		case tagExemplarV1:
			if err := d.exemplarV1(b[:to], from); err != nil {
				return err
			}
		case tagHistogramV1:
			if err := d.histogram(b[:to], from, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// labelV1 decodes the Label message b[i:] and adds it to the pending labels if
// keep is set. It reports whether the message is well-formed.
func (d *Decoder) labelV1(b []byte, i int, keep bool) bool {
	name, value, ok := pairOf(b, i)
	if ok && keep {
		d.dst.AddLabel(name, value)
	}
	return ok
}

// pairOf decodes the Label message b[i:]: the name is field 1, the value field 2.
func pairOf(b []byte, i int) (name, value []byte, ok bool) {
	for i < len(b) {
		t, at := readTag(b, i)
		if at < 0 {
			return nil, nil, false
		}
		switch t {
		case of(1, wireBytes), of(2, wireBytes):
			from, to := span(b, at)
			if to < 0 {
				return nil, nil, false
			}
			if t.field() == 1 {
				name = b[from:to]
			} else {
				value = b[from:to]
			}
			i = to
		default:
			if f := t.field(); f == 1 || f == 2 {
				return nil, nil, false
			}
			if i = skip(b, at, t); i < 0 {
				return nil, nil, false
			}
		}
	}
	return name, value, true
}

// sample is a Sample message; start exists in 2.0 only.
type sample struct {
	value            float64
	timestamp, start int64
}

// sampleOf decodes the Sample message b[i:]: value is field 1, timestamp 2 and,
// if hasStart, the start timestamp field 3.
func sampleOf(b []byte, i int, hasStart bool) (s sample, ok bool) {
	const usual = 1 + 8 + 1 // value, and the timestamp's tag
	if len(b)-i > usual && b[i] == 1<<3|wireFixed64 && b[i+9] == 2<<3|wireVarint {
		if v, end := longUvarint(b, i+usual); end == len(b) {
			return sample{math.Float64frombits(binary.LittleEndian.Uint64(b[i+1:])), int64(v), 0}, true
		}
	}
	for i < len(b) {
		t, at := readTag(b, i)
		if at < 0 {
			return s, false
		}
		var v uint64
		switch {
		case t == of(1, wireFixed64):
			s.value, i = float(b, at)
		case t == of(2, wireVarint):
			v, i = uvarint(b, at)
			s.timestamp = int64(v)
		case t == of(3, wireVarint) && hasStart:
			v, i = uvarint(b, at)
			s.start = int64(v)
		default:
			if f := t.field(); f == 1 || f == 2 || f == 3 && hasStart {
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

// exemplarV1 decodes the Exemplar message b[i:]: labels are field 1, the value
// is field 2 and the timestamp 3.
func (d *Decoder) exemplarV1(b []byte, i int) error {
	d.dst.BeginLabels()
	labels := 0
	var value float64
	var timestamp int64
	for i < len(b) {
		start := i
		t, at := readTag(b, i)
		if at < 0 {
			return malformed(start, "a broken tag in an exemplar")
		}
		var v uint64
		switch t {
		case of(1, wireBytes):
			from, to := span(b, at)
			labels++
			if to < 0 || !d.labelV1(b[:to], from, labels <= d.rules.LabelsMax && !d.discard) {
				return malformed(start, "a broken label of an exemplar")
			}
			i = to
		case of(2, wireFixed64):
			value, i = float(b, at)
		case of(3, wireVarint):
			v, i = uvarint(b, at)
			timestamp = int64(v)
		default:
			if f := t.field(); f >= 1 && f <= 3 {
				return malformed(start, "a field of the wrong type in an exemplar")
			}
			i = skip(b, at, t)
		}
		if i < 0 {
			return malformed(start, "a broken exemplar")
		}
	}
	d.addExemplar(labels, timestamp, value)
	return nil
}

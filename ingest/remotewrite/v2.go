package remotewrite

import (
	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/series"
)

// symbol is where in the body a string of the symbol table is.
type symbol struct{ at, length uint32 }

// V2 decodes body, an io.prometheus.write.v2.Request, into dst as DecodeV2 does.
func (d *Decoder) V2(dst *series.Batch, body []byte, rules series.LabelRules) error {
	if err := d.begin(dst, body, rules, growthV2); err != nil {
		return err
	}
	first, err := d.readSymbols(body)
	if err != nil || first < 0 {
		return err
	}
	if len(d.symbols) == 0 {
		return malformed(first, "a series, but no symbols")
	}
	for i := first; i < len(body); {
		start := i
		t, at := readTag(body, i)
		i = skip(body, at, t)
		if t != of(5, wireBytes) {
			continue
		}
		from, to := span(body, at)
		if err := d.seriesV2(body[:to], from, start); err != nil {
			return err
		}
	}
	return nil
}

// readSymbols collects the symbols, checks the outline of the request, and
// returns where the first series is, or -1. Symbols may follow series.
func (d *Decoder) readSymbols(body []byte) (first int, err error) {
	d.symbols, d.seen, d.nameSymbol = d.symbols[:0], d.seen[:0], 0
	first, names := -1, 0
	for i := 0; i < len(body); {
		start := i
		t, at := readTag(body, i)
		if at < 0 {
			return 0, malformed(start, "a broken tag")
		}
		switch t {
		case of(4, wireBytes):
			from, to := span(body, at)
			if to < 0 {
				return 0, malformed(start, "a symbol cut short")
			}
			if string(body[from:to]) == series.MetricName {
				names++
				d.nameSymbol = uint32(len(d.symbols))
			}
			d.symbols = append(d.symbols, symbol{uint32(from), uint32(to - from)})
			i = to
			continue
		case of(5, wireBytes):
			if first < 0 {
				first = start
			}
		default:
			if f := t.field(); f == 4 || f == 5 {
				return 0, malformed(start, "a field of the wrong type")
			}
		}
		if i = skip(body, at, t); i < 0 {
			return 0, malformed(start, "a broken field")
		}
	}
	if names > 1 { // then no symbol alone tells the metric's name
		d.nameSymbol = 0
	}
	switch {
	case len(d.symbols) > 0 && d.symbols[0].length > 0:
		return 0, malformed(int(d.symbols[0].at), "the first symbol is not empty")
	case len(d.symbols) == 0 && first < 0 && len(body) > 0:
		return 0, malformed(0, "no field of io.prometheus.write.v2.Request; is it another message?")
	}
	return first, d.charge(len(d.symbols) * symbolBytes)
}

// text returns the bytes of symbol ref. body must reach to the symbol.
func (d *Decoder) text(body []byte, ref uint32) []byte {
	s := d.symbols[ref]
	return body[:cap(body)][s.at : s.at+s.length]
}

// The tags of io.prometheus.write.v2.TimeSeries.
const (
	tagRefsV2      = 1<<3 | wireBytes
	tagRefV2       = 1<<3 | wireVarint
	tagSampleV2    = 2<<3 | wireBytes
	tagHistogramV2 = 3<<3 | wireBytes
	tagExemplarV2  = 4<<3 | wireBytes
	tagMetadataV2  = 5<<3 | wireBytes
)

// seriesV2 decodes the TimeSeries message b[i:]. Fields may come in any order:
// the first pass collects label references and metadata and counts the rest.
// Field 6 once was a creation time; it is ignored whatever it holds.
func (d *Decoder) seriesV2(b []byte, i, startOfSeries int) error {
	d.refs = d.refs[:0]
	var c contents
	var m metadataRefs
	first := len(b)
	for i < len(b) {
		start := i
		t, at := readTag(b, i)
		if at < 0 {
			return malformed(start, "a broken tag in a series")
		}
		switch t {
		case tagRefsV2, tagRefV2:
			if i = d.readRefs(b, at, t); i < 0 {
				return malformed(start, "broken label references")
			}
			continue
		case tagSampleV2:
			c.samples++
		case tagHistogramV2:
			c.histograms++
		case tagExemplarV2:
			c.exemplars++
		case tagMetadataV2:
			from, to := span(b, at)
			if to < 0 || !m.read(b[:to], from) {
				return malformed(start, "broken metadata")
			}
			i = to
			continue
		default:
			if f := t.field(); f >= 1 && f <= 5 {
				return malformed(start, "a field of the wrong type in a series")
			}
		}
		first = min(first, start)
		if i = skip(b, at, t); i < 0 {
			return malformed(start, "a broken field in a series")
		}
	}
	return d.rowV2(b, first, startOfSeries, c, m)
}

// rowV2 makes a row of a series that was walked once; b[first:] is where its
// first sample, histogram or exemplar is.
func (d *Decoder) rowV2(b []byte, first, start int, c contents, m metadataRefs) error {
	metric, size, err := d.addLabels(b, start)
	if err != nil {
		return err
	}
	if int(m.help) >= len(d.symbols) || int(m.unit) >= len(d.symbols) {
		return malformed(start, "metadata that refers to no symbol, in the series")
	}
	if err := d.charge(size + c.bytes()); err != nil {
		return err
	}
	if c.none() {
		return d.describeOnly(b, m)
	}
	d.beginRow(len(d.refs)/2, c)
	if !d.discard && !m.none() {
		if err := d.metadataV2(b, metric, c.histograms > 0, m); err != nil {
			return err
		}
	}
	return d.contentsV2(b, first)
}

// readRefs appends the references of a labels_refs field, packed or not, to
// refs and returns the offset after it, or -1.
func (d *Decoder) readRefs(b []byte, i int, t tag) int {
	if t.wire() == wireVarint {
		v, end := uvarint(b, i)
		d.refs = append(d.refs, uint32(v))
		return end
	}
	i, end := span(b, i)
	if end < 0 {
		return -1
	}
	refs := d.refs
	for packed := b[:end]; i < end; {
		c := uint32(packed[i])
		if c >= 0x80 {
			if i+1 < end && packed[i+1] < 0x80 { // most tables have less than 16,384 symbols
				c = c&0x7f | uint32(packed[i+1])<<7
				i++
			} else {
				var v uint64
				if v, i = longUvarint(packed, i); i < 0 {
					return -1
				}
				refs = append(refs, uint32(v))
				continue
			}
		}
		refs = append(refs, c)
		i++
	}
	d.refs = refs
	return end
}

// addLabels makes refs the pending label set. It returns the symbol of the
// metric's name (0 when unsure) and the bytes that the labels take; labels
// beyond the limit are checked and not collected.
func (d *Decoder) addLabels(b []byte, at int) (metric uint32, size int, err error) {
	d.dst.BeginLabels()
	if len(d.refs)%2 != 0 {
		return 0, 0, malformed(at, "an odd number of label references")
	}
	whole, symbols, kept := b[:cap(b)], d.symbols, 2*d.rules.LabelsMax
	for i := 0; i+1 < len(d.refs); i += 2 {
		name, value := d.refs[i], d.refs[i+1]
		if uint(name) >= uint(len(symbols)) || uint(value) >= uint(len(symbols)) {
			return 0, 0, malformed(at, "a label that refers to no symbol")
		}
		if i >= kept {
			continue
		}
		if name == d.nameSymbol {
			metric = value
		}
		n, v := symbols[name], symbols[value]
		if size += int(n.length) + int(v.length) + 2; size > d.budget {
			return 0, 0, d.charge(size)
		}
		d.dst.AddLabel(whole[n.at:n.at+n.length], whole[v.at:v.at+v.length])
	}
	return metric, size, nil
}

// describeOnly handles a series without samples, histograms and exemplars:
// it may describe its metric, otherwise it has no purpose.
func (d *Decoder) describeOnly(b []byte, m metadataRefs) error {
	if m.none() {
		d.refuse(series.ReasonNoSamples, "the series has no sample, histogram or exemplar", contents{})
		return nil
	}
	for i := 0; i+1 < len(d.refs); i += 2 {
		if string(d.text(b, d.refs[i])) == series.MetricName {
			if metric := d.refs[i+1]; metric != 0 {
				return d.metadataV2(b, metric, false, m)
			}
		}
	}
	d.refuse(series.ReasonNoMetricName, "the series has no metric name (label __name__)", contents{})
	return nil
}

// contentsV2 decodes samples, histograms and exemplars from b[i:], which was
// walked before.
func (d *Decoder) contentsV2(b []byte, i int) error {
	for i < len(b) {
		start := i
		t, at := readTag(b, i)
		i = skip(b, at, t)
		if t != tagSampleV2 && t != tagHistogramV2 && t != tagExemplarV2 {
			continue
		}
		from, to := span(b, at)
		switch t {
		case tagSampleV2:
			s, ok := sampleOf(b[:to], from, true)
			if !ok {
				return malformed(start, "a broken sample")
			}
			if !d.discard {
				d.dst.AddSample(s.timestamp, s.start, s.value)
			}
		case tagHistogramV2:
			if err := d.histogram(b[:to], from, true); err != nil {
				return err
			}
		case tagExemplarV2:
			if err := d.exemplarV2(b[:to], from); err != nil {
				return err
			}
		}
	}
	return nil
}

// exemplarV2 decodes the Exemplar message b[i:]: label references are field 1,
// the value is field 2 and the timestamp 3.
func (d *Decoder) exemplarV2(b []byte, i int) error {
	begin := i
	d.refs = d.refs[:0]
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
		case of(1, wireBytes), of(1, wireVarint):
			i = d.readRefs(b, at, t)
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
	_, size, err := d.addLabels(b, begin)
	if err != nil {
		return err
	}
	if err := d.charge(size); err != nil {
		return err
	}
	d.addExemplar(len(d.refs)/2, timestamp, value)
	return nil
}

// metricType returns the type of metrics that has number n, in 1.0 as in 2.0.
func metricType(n int32) model.MetricType {
	switch n {
	case 1:
		return model.MetricTypeCounter
	case 2:
		return model.MetricTypeGauge
	case 3:
		return model.MetricTypeHistogram
	case 4:
		return model.MetricTypeGaugeHistogram
	case 5:
		return model.MetricTypeSummary
	case 6:
		return model.MetricTypeInfo
	case 7:
		return model.MetricTypeStateset
	}
	return model.MetricTypeUnknown
}

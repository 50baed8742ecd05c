package influx

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/varve-db/varve/series"
)

// shortBytes is the longest string whose length is one byte of an encoding.
const shortBytes = 127

// expandedBytesMax bounds what the series of one line take; rowBytes is what one
// takes beside its labels.
const (
	expandedBytesMax = 64 << 20
	rowBytes         = 100
)

// metricNameKey is series.MetricName as a sortKey, all of it.
var metricNameKey = sortKey([]byte(series.MetricName))

// emit adds a row for each field that was read. ascii tells that the measurement
// and the tags are.
func (d *Decoder) emit(dst *series.Batch, timestamp int64, ascii bool) error {
	d.completeTags()
	labelBytes, before, simple := d.inspectTags()
	if len(d.fields)*(labelBytes+len(d.measurement)+rowBytes) > expandedBytesMax {
		return fmt.Errorf("%w: %d fields with %d bytes of tags each", ErrTooLarge, len(d.fields), labelBytes)
	}
	if simple && ascii {
		d.emitEncoded(dst, timestamp, before)
		return nil
	}
	for _, f := range d.fields {
		d.emitField(dst, timestamp, f)
	}
	return nil
}

// completeTags adds what the options say, and sorts. Tags come in few and mostly
// in order.
func (d *Decoder) completeTags() {
	if len(d.given) > 0 {
		d.tags = slices.DeleteFunc(d.tags, func(t tag) bool {
			return slices.ContainsFunc(d.given, func(g tag) bool { return bytes.Equal(g.name, t.name) })
		})
		d.tags = append(d.tags, d.given...)
	}
	if d.options.Database != "" && !slices.ContainsFunc(d.tags, func(t tag) bool { return string(t.name) == databaseLabel }) {
		d.tags = append(d.tags, d.database)
	}
	for i := 1; i < len(d.tags); i++ {
		t := d.tags[i]
		j := i
		for ; j > 0 && t.before(&d.tags[j-1]); j-- {
			d.tags[j] = d.tags[j-1]
		}
		d.tags[j] = t
	}
}

func (t *tag) before(other *tag) bool {
	if t.key != other.key {
		return t.key < other.key
	}
	return bytes.Compare(t.name, other.name) < 0
}

// inspectTags returns how many bytes the encoded tags take, how many tags sort
// before the metric's name, and whether they need no check but for ASCII: they
// are short, not too many, and none occurs twice or is a metric's name.
func (d *Decoder) inspectTags() (size, before int, simple bool) {
	simple = d.simple && len(d.tags) < d.options.Rules.LabelsMax
	for i := range d.tags {
		t := &d.tags[i]
		size += 2 + len(t.name) + len(t.value)
		simple = simple && len(t.name) <= shortBytes && len(t.value) <= shortBytes && len(t.value) > 0 && t.key != metricNameKey
		if t.key < metricNameKey {
			before++
		}
		if i > 0 && t.key == d.tags[i-1].key && bytes.Equal(t.name, d.tags[i-1].name) {
			simple = false
		}
	}
	for _, g := range d.given {
		simple = simple && isASCII(g.name) && isASCII(g.value)
	}
	return size, before, simple && isASCIIString(d.options.Database)
}

func isASCIIString(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// emitEncoded adds the rows of tags that need no further check. They are encoded
// once: what differs from field to field is the name between them.
func (d *Decoder) emitEncoded(dst *series.Batch, timestamp int64, before int) {
	row := d.row[:0]
	for i := range d.tags[:before] {
		row = d.tags[i].append(row)
	}
	row = append(row, byte(len(series.MetricName)))
	row = append(row, series.MetricName...)
	nameAt := len(row)
	// The tags behind the name wait at the end of the buffer of what is unescaped.
	tail := len(d.unescaped)
	for i := before; i < len(d.tags); i++ {
		d.unescaped = d.tags[i].append(d.unescaped)
	}
	after := d.unescaped[tail:]
	prefix := len(d.measurement)
	row = append(row, 0)
	row = append(row, d.measurement...)
	if prefix > 0 {
		row = append(row, '_')
		prefix++
	}
	fieldAt := len(row)
	for _, f := range d.fields {
		if n := prefix + len(f.name); n > shortBytes || !isASCII(f.name) {
			d.emitField(dst, timestamp, f)
			continue
		}
		row[nameAt] = byte(prefix + len(f.name))
		row = append(row[:fieldAt], f.name...)
		row = append(row, after...)
		dst.AddEncodedRow(row)
		dst.AddSample(timestamp, 0, f.value)
	}
	d.row = row
}

func (t *tag) append(dst []byte) []byte {
	dst = append(dst, byte(len(t.name)))
	dst = append(dst, t.name...)
	dst = append(dst, byte(len(t.value)))
	return append(dst, t.value...)
}

// emitField adds the row of a field after all checks.
func (d *Decoder) emitField(dst *series.Batch, timestamp int64, f field) {
	name := d.unescaped[len(d.unescaped):]
	name = append(name, d.measurement...)
	if len(d.measurement) > 0 {
		name = append(name, '_')
	}
	name = append(name, f.name...)
	dst.BeginLabels()
	dst.AddLabel([]byte(series.MetricName), name)
	for i := range d.tags {
		dst.AddLabel(d.tags[i].name, d.tags[i].value)
	}
	if reason, detail := dst.BeginRow(d.options.Rules); reason != "" {
		dst.Refused.Add(reason, 1, 0, 0, func() (string, string) { return dst.PendingLabels(), detail })
		return
	}
	dst.AddSample(timestamp, 0, f.value)
}

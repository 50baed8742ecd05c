package text

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/series"
)

// comment reads a line that starts with #.
func (d *Decoder) comment(dst *series.Batch, s *scanner) error {
	s.i++
	if bytes.Equal(bytes.TrimRight(s.b[s.i:], " \t"), []byte(" EOF")) {
		d.ended = d.options.OpenMetrics
		return nil
	}
	if s.end() || !isSpace(s.b[s.i]) {
		return nil
	}
	s.space()
	word := s.word()
	kind := string(word)
	if kind != "HELP" && kind != "TYPE" && (kind != "UNIT" || !d.options.OpenMetrics) || s.end() {
		return nil
	}
	s.space()
	name, ok := s.metricName(&d.unescaped)
	if !ok || !s.end() && s.b[s.i] != ' ' && s.b[s.i] != '\t' {
		return fmt.Errorf("%w: want the name of a metric after %s", ErrMalformed, kind)
	}
	s.space()
	m := d.family.Metadata
	if m.Metric != string(name) {
		m = series.Metadata{Metric: string(name)}
	}
	rest := s.b[s.i:]
	switch kind {
	case "HELP":
		if !utf8.Valid(rest) {
			return fmt.Errorf("%w: the help of %s is not valid UTF-8", ErrMalformed, name)
		}
		m.Help = string(unescape(rest, d.options.OpenMetrics, &d.unescaped))
	case "TYPE":
		var known bool
		if m.Type, known = d.metricType(bytes.TrimRight(rest, " \t")); !known {
			return fmt.Errorf("%w: %q is not a type of metric", ErrMalformed, clip(rest))
		}
	case "UNIT":
		m.Unit = string(bytes.TrimRight(rest, " \t"))
		if m.Unit != "" && !bytes.HasSuffix(name, []byte("_"+m.Unit)) {
			return fmt.Errorf("%w: unit %q does not end the name %s", ErrMalformed, clip(rest), name)
		}
	}
	d.describe(dst, m)
	return nil
}

// describe makes m the family at hand and part of the batch.
func (d *Decoder) describe(dst *series.Batch, m series.Metadata) {
	if m.Metric != d.family.Metric || m.Type != d.family.Type {
		d.created.enter(d.options.OpenMetrics && begins(m.Type))
	}
	d.family.Metadata = m
	if last := len(dst.Metadata) - 1; last >= 0 && dst.Metadata[last].Metric == m.Metric {
		dst.Metadata[last] = m
		return
	}
	dst.Metadata = append(dst.Metadata, m)
}

func (d *Decoder) metricType(word []byte) (model.MetricType, bool) {
	switch t := model.MetricType(word); t {
	case model.MetricTypeCounter, model.MetricTypeGauge, model.MetricTypeHistogram, model.MetricTypeSummary:
		return t, true
	case model.MetricTypeGaugeHistogram, model.MetricTypeInfo, model.MetricTypeStateset, model.MetricTypeUnknown:
		return t, d.options.OpenMetrics
	case "untyped":
		return model.MetricTypeUnknown, !d.options.OpenMetrics
	}
	return "", false
}

// suffixOf returns what follows the name of the family in the name of one of its
// series, and whether that belongs to it at all.
func (f *family) suffixOf(name []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(name, []byte(f.Metric))
	if !ok || f.Metric == "" {
		return "", false
	}
	for _, suffix := range suffixes {
		if string(rest) == suffix {
			return suffix, true
		}
	}
	return "", false
}

var suffixes = [...]string{"", "_total", createdSuffix, bucketSuffix, "_sum", "_count"}

const (
	createdSuffix = "_created"
	bucketSuffix  = "_bucket"
)

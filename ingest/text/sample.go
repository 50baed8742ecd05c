package text

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/series/decimal"
)

// reading is what a line says of a series, beside its labels.
type reading struct {
	value     float64
	timestamp int64
	exemplar  bool
	example   float64 // the exemplar's value
	seenAt    int64   // the exemplar's timestamp
}

// sample reads the line of a sample and adds it.
func (d *Decoder) sample(dst *series.Batch, s *scanner) error {
	d.labels, d.exemplar, d.unescaped = d.labels[:0], d.exemplar[:0], d.unescaped[:0]
	name, err := d.series(s)
	if err != nil {
		return err
	}
	r, err := d.reading(s)
	if err != nil {
		return err
	}
	suffix, ours := d.family.suffixOf(name)
	if !ours {
		d.created.leave()
	} else {
		d.created.meet(dst, d.labels, d.apart())
		if d.created.active && suffix == createdSuffix {
			start, ok := decimal.Millis(r.value)
			if !ok {
				return fmt.Errorf("%w: %v is no time", ErrMalformed, r.value)
			}
			d.created.set(dst, start)
			return nil
		}
		d.normalize(suffix)
	}
	d.add(dst, name, r, d.created.start)
	d.created.length = len(dst.Timestamps)
	return nil
}

// add adds the row of a sample.
func (d *Decoder) add(dst *series.Batch, name []byte, r reading, start int64) {
	d.addLabels(dst, name, d.labels)
	if reason, detail := dst.BeginRow(d.options.Rules); reason != "" {
		exemplars := 0
		if r.exemplar {
			exemplars = 1
		}
		dst.Refused.Add(reason, 1, 0, exemplars, func() (string, string) { return dst.PendingLabels(), detail })
		return
	}
	dst.AddSample(r.timestamp, start, r.value)
	if !r.exemplar {
		return
	}
	dst.BeginLabels()
	for _, l := range d.exemplar {
		dst.AddLabel(l.name, l.value)
	}
	if reason, detail := dst.AddExemplar(r.seenAt, r.example, d.options.Rules); reason != "" {
		dst.Refused.Add(reason, 0, 0, 1, func() (string, string) {
			return dst.Labels(len(dst.Rows) - 1).String(), "exemplar: " + detail
		})
	}
}

// series reads the name and the labels of a series.
func (d *Decoder) series(s *scanner) (name []byte, err error) {
	name = s.name(true)
	if len(name) == 0 && (s.end() || s.b[s.i] != '{') {
		return nil, fmt.Errorf("%w: want the name of a metric at %q", ErrMalformed, clip(s.b[s.i:]))
	}
	if s.take('{') {
		quoted, err := d.readLabels(s, &d.labels, len(name) == 0)
		if err != nil {
			return nil, err
		}
		if len(name) == 0 {
			name = quoted
		}
	}
	if len(name) == 0 {
		return nil, fmt.Errorf("%w: no name of a metric", ErrMalformed)
	}
	return name, nil
}

// readLabels reads labels up to the closing brace. A quoted string without a
// value names the metric, where that is allowed.
func (d *Decoder) readLabels(s *scanner, list *[]label, mayName bool) (metric []byte, err error) {
	for {
		if s.take('}') {
			return metric, nil
		}
		s.space()
		quoted := !s.end() && s.b[s.i] == '"'
		var name []byte
		if quoted {
			name, _ = s.quoted(&d.unescaped)
		} else {
			name = s.name(false)
		}
		if len(name) == 0 {
			return nil, fmt.Errorf("%w: want a label's name at %q", ErrMalformed, clip(s.b[s.i:]))
		}
		switch {
		case s.take('='):
			value, ok := s.quoted(&d.unescaped)
			if !ok {
				return nil, fmt.Errorf("%w: want the value of label %q in quotes", ErrMalformed, clip(name))
			}
			*list = append(*list, label{name, value})
		case quoted && mayName && metric == nil:
			metric = name
		default:
			return nil, fmt.Errorf("%w: label %q has no value", ErrMalformed, clip(name))
		}
		if !s.take(',') {
			if s.take('}') {
				return metric, nil
			}
			if !d.options.OpenMetrics && !s.end() {
				continue // Prometheus needs no comma
			}
			return nil, fmt.Errorf("%w: want a comma or a brace at %q", ErrMalformed, clip(s.b[s.i:]))
		}
	}
}

// reading reads what follows the labels.
func (d *Decoder) reading(s *scanner) (r reading, err error) {
	s.space()
	word := s.word()
	var ok bool
	if r.value, ok = decimal.Float(word); !ok {
		return r, fmt.Errorf("%w: %q is no value", ErrMalformed, clip(word))
	}
	if r.timestamp, err = d.timestamp(s, d.options.Timestamp); err != nil {
		return r, err
	}
	if s.end() {
		return r, nil
	}
	if !d.options.OpenMetrics || !s.take('#') || !s.take('{') {
		return r, fmt.Errorf("%w: something follows the sample: %q", ErrMalformed, clip(s.b[s.i:]))
	}
	r.exemplar = true
	if _, err = d.readLabels(s, &d.exemplar, false); err != nil {
		return r, err
	}
	s.space()
	word = s.word()
	if r.example, ok = decimal.Float(word); !ok {
		return r, fmt.Errorf("%w: %q is no value of an exemplar", ErrMalformed, clip(word))
	}
	if r.seenAt, err = d.timestamp(s, r.timestamp); err != nil {
		return r, err
	}
	if !s.end() {
		return r, fmt.Errorf("%w: something follows the exemplar: %q", ErrMalformed, clip(s.b[s.i:]))
	}
	return r, nil
}

// timestamp reads a time if there is one: milliseconds in Prometheus's format,
// seconds in OpenMetrics. It takes the white space behind it, too.
func (d *Decoder) timestamp(s *scanner, otherwise int64) (int64, error) {
	s.space()
	if s.end() || s.b[s.i] == '#' {
		return otherwise, nil
	}
	word := s.word()
	s.space()
	if !d.options.OpenMetrics {
		t, ok := decimal.Int(word)
		if !ok {
			return 0, fmt.Errorf("%w: %q is no time in milliseconds; seconds with a fraction are for application/openmetrics-text", ErrMalformed, clip(word))
		}
		return t, nil
	}
	seconds, ok := decimal.Float(word)
	var t int64
	if ok {
		t, ok = decimal.Millis(seconds)
	}
	if !ok {
		return 0, fmt.Errorf("%w: %q is no time in seconds", ErrMalformed, clip(word))
	}
	return t, nil
}

// apart returns the label that tells apart the series of one metric of the
// family at hand.
func (d *Decoder) apart() string {
	switch d.family.Type {
	case model.MetricTypeHistogram:
		return model.BucketLabel
	case model.MetricTypeSummary:
		return model.QuantileLabel
	}
	return ""
}

// normalize writes the bounds of buckets and quantiles as all do, so that 1 and
// 1.0 are the same series.
func (d *Decoder) normalize(suffix string) {
	name := d.apart()
	if name == "" || name == model.BucketLabel && suffix != bucketSuffix || name == model.QuantileLabel && suffix != "" {
		return
	}
	for i := range d.labels {
		l := &d.labels[i]
		if string(l.name) != name {
			continue
		}
		if v, ok := decimal.Float(l.value); ok {
			if text := labels.FormatOpenMetricsFloat(v); text != string(l.value) {
				l.value = []byte(text)
			}
		}
	}
}

package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/series/decimal"
)

// ErrMalformed means that a line is not of the format.
var ErrMalformed = errors.New("malformed JSON line")

// Decoder decodes lines one after another and keeps its memory for the next
// one. The zero value is ready.
type Decoder struct {
	// Rules are the limits of label sets; the zero value means the defaults.
	Rules series.LabelRules
	// Labels are added to every series, in place of those with their names.
	Labels []labels.Label

	values      []float64
	timestamps  []int64
	name, value []byte // strings without their escapes
}

// MemoryBytes returns how much memory d keeps for reuse.
func (d *Decoder) MemoryBytes() int {
	const word = 8
	return word*(cap(d.values)+cap(d.timestamps)) + cap(d.name) + cap(d.value)
}

// Line decodes one line into a row of dst. A line of white space is nothing.
func (d *Decoder) Line(dst *series.Batch, line []byte) error {
	s := scanner{b: line}
	if s.next() == 0 {
		return nil
	}
	d.values, d.timestamps = d.values[:0], d.timestamps[:0]
	dst.BeginLabels()
	if err := d.object(dst, &s); err != nil {
		return err
	}
	switch {
	case s.next() != 0:
		return malformed(&s, "nothing after the object")
	case len(d.values) != len(d.timestamps):
		return fmt.Errorf("%w: %d values and %d timestamps", ErrMalformed, len(d.values), len(d.timestamps))
	case len(d.values) == 0:
		return fmt.Errorf("%w: no values", ErrMalformed)
	}
	for _, l := range d.Labels {
		dst.AddLabel([]byte(l.Name), []byte(l.Value))
	}
	if reason, detail := dst.BeginRow(d.Rules); reason != "" {
		dst.Refused.Add(reason, len(d.values), 0, 0, func() (string, string) { return dst.PendingLabels(), detail })
		return nil
	}
	for i, v := range d.values {
		dst.AddSample(d.timestamps[i], 0, v)
	}
	return nil
}

// object reads the object of a line: labels into dst, samples into d.
func (d *Decoder) object(dst *series.Batch, s *scanner) error {
	if !s.take('{') {
		return malformed(s, "an object")
	}
	for first := true; ; first = false {
		another, ok := s.more('}', first)
		if !ok {
			return malformed(s, "a comma or the end of the object")
		}
		if !another {
			return nil
		}
		member, ok := s.text(&d.name)
		if !ok || !s.take(':') {
			return malformed(s, "a member")
		}
		var err error
		switch string(member) {
		case "metric":
			err = d.labels(dst, s)
		case "values":
			err = d.readValues(s)
		case "timestamps":
			err = d.readTimestamps(s)
		default:
			if !s.skip(&d.value) {
				err = malformed(s, "a value")
			}
		}
		if err != nil {
			return err
		}
	}
}

func (d *Decoder) labels(dst *series.Batch, s *scanner) error {
	if !s.take('{') {
		return malformed(s, "an object of labels")
	}
	dst.BeginLabels()
	for first := true; ; first = false {
		another, ok := s.more('}', first)
		if !ok {
			return malformed(s, "a comma or the end of the labels")
		}
		if !another {
			return nil
		}
		name, ok := s.text(&d.name)
		if !ok || !s.take(':') {
			return malformed(s, "a label's name")
		}
		value, ok := s.text(&d.value)
		if !ok {
			return malformed(s, "a label's value as a string")
		}
		if !slices.ContainsFunc(d.Labels, func(l labels.Label) bool { return l.Name == string(name) }) {
			dst.AddLabel(name, value)
		}
	}
}

func (d *Decoder) readValues(s *scanner) error {
	if !s.take('[') {
		return malformed(s, "a list of values")
	}
	d.values = d.values[:0]
	for first := true; ; first = false {
		another, ok := s.more(']', first)
		if !ok {
			return malformed(s, "a comma or the end of the values")
		}
		if !another {
			return nil
		}
		v, ok := d.float(s)
		if !ok {
			return malformed(s, "a value")
		}
		d.values = append(d.values, v)
	}
}

func (d *Decoder) float(s *scanner) (float64, bool) {
	if s.next() == '"' {
		word, ok := s.text(&d.value)
		if !ok {
			return 0, false
		}
		return special(word)
	}
	word := s.word()
	if string(word) == "null" {
		return math.Float64frombits(usualNaN), true
	}
	return decimal.Float(word)
}

// special reads the values that JSON has no numbers for.
func special(word []byte) (float64, bool) {
	switch string(word) {
	case "null", "Null":
		return math.Float64frombits(usualNaN), true
	}
	if digits, ok := bytes.CutPrefix(word, []byte(bitsOfNaN)); ok {
		bits, err := strconv.ParseUint(string(digits), 16, 64)
		v := math.Float64frombits(bits)
		return v, err == nil && math.IsNaN(v)
	}
	return decimal.Float(word)
}

func (d *Decoder) readTimestamps(s *scanner) error {
	if !s.take('[') {
		return malformed(s, "a list of timestamps")
	}
	d.timestamps = d.timestamps[:0]
	for first := true; ; first = false {
		another, ok := s.more(']', first)
		if !ok {
			return malformed(s, "a comma or the end of the timestamps")
		}
		if !another {
			return nil
		}
		t, ok := decimal.Int(s.word())
		if !ok {
			return malformed(s, "a timestamp in milliseconds")
		}
		d.timestamps = append(d.timestamps, t)
	}
}

func malformed(s *scanner, want string) error {
	return fmt.Errorf("%w: want %s at byte %d", ErrMalformed, want, s.i)
}

package influx

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/series/decimal"
)

// What can be wrong with a line; ErrMalformed is said with the details.
var (
	ErrMalformed = errors.New("malformed line")
	// ErrTooLarge means that the series of one line would take too much memory:
	// every field repeats all tags.
	ErrTooLarge = errors.New("line expands to too much data")
)

// Options are what a request says about all of its lines.
type Options struct {
	// Database becomes the label db of lines that have no such tag; empty: none.
	Database string
	// Precision is the unit of the timestamps.
	Precision Precision
	// Now is the time, in milliseconds, of lines that have none.
	Now int64
	// Labels are added to every line, in place of tags with their names.
	Labels []labels.Label
	// Rules are the limits of label sets.
	Rules series.LabelRules
}

// Decoder decodes lines one after another and keeps its memory for the next one.
// The zero value decodes with the zero Options.
type Decoder struct {
	options  Options
	given    []tag // of the options
	database tag   // of the options
	simple   bool  // the rules allow all that is short
	now      int64

	measurement []byte
	tags        []tag // in order of name; those of the options included
	fields      []field
	escapes     bool   // whether the line has any
	unescaped   []byte // what the slices above point to where there were escapes
	row         []byte // the labels of a field, encoded
}

type tag struct {
	key         uint64 // the start of name, as a number that sorts as names do
	name, value []byte
}

type field struct {
	name  []byte
	value float64
}

// databaseLabel is the label that names the database.
const databaseLabel = "db"

// Begin makes o the options of the lines that follow.
func (d *Decoder) Begin(o Options) {
	o.Rules = o.Rules.WithDefaults()
	d.options, d.given = o, d.given[:0]
	d.simple = o.Rules.NameBytesMax >= shortBytes && o.Rules.ValueBytesMax >= shortBytes
	d.now = o.Precision.round(o.Now)
	d.database = newTag([]byte(databaseLabel), []byte(o.Database))
	for _, l := range o.Labels {
		d.given = append(d.given, newTag([]byte(l.Name), []byte(l.Value)))
	}
}

// MemoryBytes returns how much memory d keeps for reuse.
func (d *Decoder) MemoryBytes() int {
	return int(unsafe.Sizeof(tag{}))*cap(d.tags) + int(unsafe.Sizeof(field{}))*cap(d.fields) + cap(d.unescaped) + cap(d.row)
}

// Line decodes one line into a row of dst for each field that is a number. An
// empty line and a comment are nothing.
func (d *Decoder) Line(dst *series.Batch, line []byte) error {
	line = trimLeft(line)
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	d.tags, d.fields, d.unescaped = d.tags[:0], d.fields[:0], d.unescaped[:0]
	d.escapes = bytes.IndexByte(line, '\\') >= 0
	n := indexUnescaped(line, ' ')
	if n == len(line) {
		return fmt.Errorf("%w: no fields", ErrMalformed)
	}
	if err := d.readKey(line[:n]); err != nil {
		return err
	}
	rest, err := d.readFields(trimLeft(line[n:]))
	if err != nil {
		return err
	}
	timestamp, err := d.timestamp(rest)
	if err != nil {
		return err
	}
	if len(d.fields) == 0 {
		return nil
	}
	return d.emit(dst, timestamp, isASCII(line[:n]))
}

// readKey reads the measurement and the tags.
func (d *Decoder) readKey(key []byte) error {
	n := indexUnescaped(key, ',')
	d.measurement = d.plain(key[:n])
	for n < len(key) {
		key = key[n+1:]
		n = indexUnescaped(key, ',')
		equals := indexUnescaped(key[:n], '=')
		if equals == n {
			return fmt.Errorf("%w: tag %q has no value", ErrMalformed, clip(key[:n]))
		}
		name, value := d.plain(key[:equals]), d.plain(key[equals+1:n])
		if len(name) > 0 && len(value) > 0 {
			d.tags = append(d.tags, newTag(name, value))
		}
	}
	return nil
}

// plain returns s, a name or a tag's value, without escapes.
func (d *Decoder) plain(s []byte) []byte {
	if !d.escapes {
		return s
	}
	return unescape(s, &d.unescaped)
}

func newTag(name, value []byte) tag { return tag{sortKey(name), name, value} }

// readFields reads the fields and returns what follows them.
func (d *Decoder) readFields(b []byte) (rest []byte, err error) {
	for {
		n := fieldName(b)
		if n == 0 || n == len(b) || b[n] != '=' {
			return nil, fmt.Errorf("%w: want a field as name=value at %q", ErrMalformed, clip(b))
		}
		name := d.plain(b[:n])
		b = b[n+1:]
		if len(b) > 0 && b[0] == '"' {
			if n = stringEnd(b); n < 0 {
				return nil, fmt.Errorf("%w: the string of field %q does not end", ErrMalformed, clip(name))
			}
		} else {
			for n = 0; n < len(b) && b[n] != ',' && b[n] != ' '; {
				n++
			}
			value, ok := number(b[:n])
			if !ok {
				return nil, fmt.Errorf("%w: field %q has the value %q, which is no number, truth value or quoted string", ErrMalformed, clip(name), clip(b[:n]))
			}
			d.fields = append(d.fields, field{name, value})
		}
		switch b = b[n:]; {
		case len(b) == 0 || b[0] == ' ':
			return b, nil
		case b[0] != ',':
			return nil, fmt.Errorf("%w: want a comma or a space at %q", ErrMalformed, clip(b))
		}
		b = b[1:]
	}
}

// fieldName returns the length of the name that b starts with: up to the first
// byte that no name has unless it is escaped.
func fieldName(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '=', ',', ' ':
			return i
		case '\\':
			i++
		}
	}
	return len(b)
}

// stringEnd returns the length of the quoted string that b starts with, -1 when
// it does not end.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// number reads a value that is not a string.
func number(b []byte) (float64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	switch last := b[len(b)-1]; last {
	case 'i':
		v, ok := decimal.Int(b[:len(b)-1])
		return float64(v), ok
	case 'u':
		v, err := strconv.ParseUint(string(b[:len(b)-1]), 10, 64)
		return float64(v), err == nil
	case 't', 'T', 'e', 'E', 'f', 'F':
		switch string(b) {
		case "t", "T", "true", "True", "TRUE":
			return 1, true
		case "f", "F", "false", "False", "FALSE":
			return 0, true
		}
	}
	return decimal.Float(b)
}

// timestamp reads what follows the fields.
func (d *Decoder) timestamp(b []byte) (int64, error) {
	b = bytes.Trim(b, " \t\r")
	if len(b) == 0 {
		return d.now, nil
	}
	t, ok := decimal.Int(b)
	if ok {
		t, ok = d.options.Precision.toMillis(t)
	}
	if !ok {
		return 0, fmt.Errorf("%w: %q is no timestamp", ErrMalformed, clip(b))
	}
	return t, nil
}

// clip bounds what a message shows of a line.
func clip(b []byte) []byte {
	const shown = 64
	return b[:min(len(b), shown)]
}

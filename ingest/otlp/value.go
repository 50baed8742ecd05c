package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
)

// attribute is a KeyValue; the value is in text.
type attribute struct{ key, value []byte }

// attribute decodes a KeyValue message: the key is field 1, the value 2. The
// text of values that are not strings is appended to d.text.
func (d *Decoder) attribute(m []byte) (attribute, error) {
	var a attribute
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 1:
			a.key = f.bytes()
		case 2:
			var err error
			if a.value, err = d.valueText(f.message()); err != nil {
				return a, err
			}
		}
	}
	return a, f.err
}

// The numbers of the fields of AnyValue.
const (
	valueString = 1
	valueBool   = 2
	valueInt    = 3
	valueDouble = 4
	valueArray  = 5
	valueMap    = 6
	valueBytes  = 7
)

// valueText writes an AnyValue message as text: arrays and maps in JSON, bytes
// in base64.
func (d *Decoder) valueText(m []byte) ([]byte, error) {
	var text []byte
	f := fields{rest: m}
	for f.next() {
		at := len(d.text)
		switch f.FieldNum {
		case valueString:
			text = f.bytes()
			continue
		case valueBool:
			d.text = strconv.AppendBool(d.text, f.varint() != 0)
		case valueInt:
			d.text = strconv.AppendInt(d.text, int64(f.varint()), 10)
		case valueDouble:
			d.text = appendDouble(d.text, f.float())
		case valueArray, valueMap:
			raw, err := rawField(&f, 0)
			if err != nil {
				return nil, err
			}
			d.text = appendJSON(d.text, raw)
		case valueBytes:
			d.text = base64.StdEncoding.AppendEncode(d.text, f.bytes())
		default:
			continue
		}
		text = d.text[at:len(d.text):cap(d.text)]
		if err := d.charge(len(text)); err != nil {
			return nil, err
		}
	}
	return text, f.err
}

// appendDouble writes a float as JSON does, and what JSON has no number for as
// protobuf's JSON does.
func appendDouble(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	text, _ := json.Marshal(v) // a finite number: it cannot fail
	return append(dst, text...)
}

// appendJSON writes a value that rawField made. What holds a number that JSON has
// not is written as nothing.
func appendJSON(dst []byte, raw any) []byte {
	var buffer bytes.Buffer
	e := json.NewEncoder(&buffer)
	e.SetEscapeHTML(false)
	if err := e.Encode(raw); err != nil {
		return dst
	}
	return append(dst, bytes.TrimRight(buffer.Bytes(), "\n")...)
}

// valueDepthMax bounds how deep arrays and maps lie in each other.
const valueDepthMax = 32

var errTooDeep = errors.New("a value is nested too deep")

// rawField returns the value of a field of AnyValue as encoding/json takes it.
func rawField(f *fields, depth int) (any, error) {
	if depth == valueDepthMax {
		return nil, errTooDeep
	}
	switch f.FieldNum {
	case valueString:
		return string(f.bytes()), nil
	case valueBool:
		return f.varint() != 0, nil
	case valueInt:
		return int64(f.varint()), nil
	case valueDouble:
		return f.float(), nil
	case valueBytes:
		return f.bytes(), nil
	case valueArray:
		return rawArray(f.message(), depth)
	case valueMap:
		return rawMap(f.message(), depth)
	}
	return nil, nil
}

func rawArray(m []byte, depth int) ([]any, error) {
	list := []any{}
	f := fields{rest: m}
	for f.next() {
		if f.FieldNum != 1 {
			continue
		}
		v, err := rawValue(f.message(), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, f.err
}

func rawMap(m []byte, depth int) (map[string]any, error) {
	all := map[string]any{}
	f := fields{rest: m}
	for f.next() {
		if f.FieldNum != 1 {
			continue
		}
		var key string
		var v any
		pair := fields{rest: f.message()}
		for pair.next() {
			var err error
			switch pair.FieldNum {
			case 1:
				key = string(pair.bytes())
			case 2:
				v, err = rawValue(pair.message(), depth+1)
			}
			if err != nil {
				return nil, err
			}
		}
		if pair.err != nil {
			return nil, pair.err
		}
		all[key] = v
	}
	return all, f.err
}

func rawValue(m []byte, depth int) (v any, err error) {
	f := fields{rest: m}
	for f.next() {
		if v, err = rawField(&f, depth); err != nil {
			return nil, err
		}
	}
	return v, f.err
}

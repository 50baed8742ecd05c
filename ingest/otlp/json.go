package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/varve-db/varve/series"
)

// DecodeJSON is Decode for a body in protobuf's JSON, as OTLP defines it: IDs are
// in hexadecimal, integers of 64 bits may be strings, enumerations are numbers.
func (d *Decoder) DecodeJSON(dst *series.Batch, body []byte) error {
	if err := d.json.run(body); err != nil {
		return malformed("JSON", err)
	}
	return d.Decode(dst, d.json.out)
}

// transcoder writes JSON as protobuf.
type transcoder struct {
	request *message
	from    *json.Decoder
	out     []byte
	depth   int
}

// form is how a field is written in protobuf and in JSON.
type form int

const (
	formText form = iota
	formBase64
	formHex
	formBool
	formInt    // a varint
	formZigzag // an sint32
	formFixed
	formFloat
	formMessage
)

// member is a member of a JSON object: a field of a message.
type member struct {
	number   int
	form     form
	message  *message
	repeated bool
}

// message is a message's fields by their names in JSON.
type message struct{ members map[string]member }

// requestMessage builds the tables of an ExportMetricsServiceRequest.
func requestMessage() *message {
	of := func(members map[string]member) *message { return &message{members} }
	list := func(number int, m *message) member { return member{number, formMessage, m, true} }
	one := func(number int, m *message) member { return member{number, formMessage, m, false} }
	plain := func(number int, f form) member { return member{number: number, form: f} }
	many := func(number int, f form) member { return member{number: number, form: f, repeated: true} }

	value := &message{}
	pair := of(map[string]member{"key": plain(1, formText), "value": one(2, value)})
	value.members = map[string]member{
		"stringValue": plain(valueString, formText), "boolValue": plain(valueBool, formBool), "intValue": plain(valueInt, formInt),
		"doubleValue": plain(valueDouble, formFloat), "bytesValue": plain(valueBytes, formBase64),
		"arrayValue":  one(valueArray, of(map[string]member{"values": list(1, value)})),
		"kvlistValue": one(valueMap, of(map[string]member{"values": list(1, pair)})),
	}
	exemplar := of(map[string]member{
		"filteredAttributes": list(7, pair), "timeUnixNano": plain(2, formFixed), "asDouble": plain(3, formFloat),
		"asInt": plain(6, formFixed), "spanId": plain(4, formHex), "traceId": plain(5, formHex),
	})
	point := func(attributes int, others map[string]member) *message {
		others["attributes"] = list(attributes, pair)
		others["startTimeUnixNano"], others["timeUnixNano"] = plain(fieldStart, formFixed), plain(fieldTime, formFixed)
		return of(others)
	}
	number := point(7, map[string]member{
		"asDouble": plain(4, formFloat), "asInt": plain(6, formFixed), "exemplars": list(5, exemplar), "flags": plain(8, formInt),
	})
	histogram := point(9, map[string]member{
		"count": plain(4, formFixed), "sum": plain(5, formFloat), "bucketCounts": many(6, formFixed), "explicitBounds": many(7, formFloat),
		"exemplars": list(8, exemplar), "flags": plain(10, formInt), "min": plain(11, formFloat), "max": plain(12, formFloat),
	})
	buckets := of(map[string]member{"offset": plain(1, formZigzag), "bucketCounts": many(2, formInt)})
	exponential := point(1, map[string]member{
		"count": plain(4, formFixed), "sum": plain(5, formFloat), "scale": plain(6, formZigzag), "zeroCount": plain(7, formFixed),
		"positive": one(8, buckets), "negative": one(9, buckets), "flags": plain(10, formInt), "exemplars": list(11, exemplar),
		"min": plain(12, formFloat), "max": plain(13, formFloat), "zeroThreshold": plain(14, formFloat),
	})
	summary := point(7, map[string]member{
		"count": plain(4, formFixed), "sum": plain(5, formFloat), "flags": plain(8, formInt),
		"quantileValues": list(6, of(map[string]member{"quantile": plain(1, formFloat), "value": plain(2, formFloat)})),
	})
	data := func(points *message) *message {
		return of(map[string]member{
			"dataPoints": list(1, points), "aggregationTemporality": plain(2, formInt), "isMonotonic": plain(3, formBool),
		})
	}
	metric := of(map[string]member{
		"name": plain(1, formText), "description": plain(2, formText), "unit": plain(3, formText),
		"gauge": one(dataGauge, data(number)), "sum": one(dataSum, data(number)), "histogram": one(dataHistogram, data(histogram)),
		"exponentialHistogram": one(dataExponential, data(exponential)), "summary": one(dataSummary, data(summary)),
	})
	scope := of(map[string]member{"name": plain(1, formText), "version": plain(2, formText), "attributes": list(3, pair)})
	scopes := of(map[string]member{"scope": one(1, scope), "metrics": list(2, metric), "schemaUrl": plain(3, formText)})
	resource := of(map[string]member{"attributes": list(1, pair)})
	resources := of(map[string]member{"resource": one(1, resource), "scopeMetrics": list(2, scopes), "schemaUrl": plain(3, formText)})
	return of(map[string]member{"resourceMetrics": list(1, resources)})
}

// jsonDepthMax bounds how deep objects and arrays lie in each other.
const jsonDepthMax = 200

var errTrailing = errors.New("something follows the object")

// run writes the object in body to t.out.
func (t *transcoder) run(body []byte) error {
	if t.request == nil {
		t.request = requestMessage()
	}
	t.from = json.NewDecoder(bytes.NewReader(body))
	t.from.UseNumber()
	t.out, t.depth = t.out[:0], 0
	defer func() { t.from = nil }()
	token, err := t.from.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return fmt.Errorf("an object was expected, not %v", token)
	}
	if err := t.object(t.request); err != nil {
		return err
	}
	if _, err := t.from.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// enter goes one level down; leave comes back.
func (t *transcoder) enter() error {
	if t.depth++; t.depth > jsonDepthMax {
		return errTooDeep
	}
	return nil
}

func (t *transcoder) leave() { t.depth-- }

// object writes the members of an object whose brace was read.
func (t *transcoder) object(m *message) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	for t.from.More() {
		token, err := t.from.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		field, known := m.members[name]
		if !known {
			field, known = m.members[camelCase(name)]
		}
		if token, err = t.from.Token(); err != nil {
			return err
		}
		switch {
		case !known:
			err = t.skip(token)
		case token == nil:
		case field.repeated:
			err = t.list(field, token)
		default:
			err = t.value(field, token)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	_, err := t.from.Token()
	return err
}

// camelCase turns resource_metrics into resourceMetrics; both are allowed.
func camelCase(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	words := strings.Split(name, "_")
	for i, w := range words {
		if i > 0 && w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}

// skip reads to the end of a value of which the first token was read.
func (t *transcoder) skip(token json.Token) error {
	for depth := 0; ; {
		if d, ok := token.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
		if depth == 0 {
			return nil
		}
		var err error
		if token, err = t.from.Token(); err != nil {
			return err
		}
	}
}

func (t *transcoder) list(field member, token json.Token) error {
	if token != json.Delim('[') {
		return fmt.Errorf("an array was expected, not %v", token)
	}
	for t.from.More() {
		token, err := t.from.Token()
		if err != nil {
			return err
		}
		if err := t.value(field, token); err != nil {
			return err
		}
	}
	_, err := t.from.Token()
	return err
}

// value writes a field whose first token was read.
func (t *transcoder) value(field member, token json.Token) error {
	if field.form == formMessage {
		if token != json.Delim('{') {
			return fmt.Errorf("an object was expected, not %v", token)
		}
		at := len(t.out)
		if err := t.object(field.message); err != nil {
			return err
		}
		t.wrap(field.number, at)
		return nil
	}
	text, err := scalarText(token)
	if err != nil {
		return err
	}
	return t.scalar(field, text)
}

// scalarText returns a string, number or truth value as text.
func scalarText(token json.Token) (string, error) {
	switch v := token.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", fmt.Errorf("unexpected %v", token)
}

const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

func (t *transcoder) tag(number, wire int) {
	t.out = binary.AppendUvarint(t.out, uint64(number)<<3|uint64(wire))
}

// wrap makes what was written from an offset on a field.
func (t *transcoder) wrap(number, at int) {
	var head [2 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(number)<<3|wireBytes)
	n += binary.PutUvarint(head[n:], uint64(len(t.out)-at))
	t.out = append(t.out, head[:n]...)
	copy(t.out[at+n:], t.out[at:len(t.out)-n])
	copy(t.out[at:], head[:n])
}

func (t *transcoder) bytes(number int, b []byte) {
	t.tag(number, wireBytes)
	t.out = binary.AppendUvarint(t.out, uint64(len(b)))
	t.out = append(t.out, b...)
}

func (t *transcoder) scalar(field member, text string) error {
	switch field.form {
	case formText:
		t.bytes(field.number, []byte(text))
	case formBase64:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return err
		}
		t.bytes(field.number, b)
	case formHex:
		b, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		t.bytes(field.number, b)
	case formFloat:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		t.tag(field.number, wireFixed64)
		t.out = binary.LittleEndian.AppendUint64(t.out, math.Float64bits(v))
	default:
		v, err := integer(field.form, text)
		if err != nil {
			return err
		}
		if field.form == formFixed {
			t.tag(field.number, wireFixed64)
			t.out = binary.LittleEndian.AppendUint64(t.out, v)
			return nil
		}
		t.tag(field.number, wireVarint)
		t.out = binary.AppendUvarint(t.out, v)
	}
	return nil
}

// integer reads an integer or a truth value and returns its bits as they go on
// the wire. An integer may be written with a point or an exponent.
func integer(f form, text string) (uint64, error) {
	switch {
	case f == formBool:
		v, err := strconv.ParseBool(text)
		if v {
			return 1, err
		}
		return 0, err
	case f == formZigzag:
		v, err := strconv.ParseInt(text, 10, 32)
		return uint64(uint32(v<<1) ^ uint32(v>>63)), err
	case strings.HasPrefix(text, "AGGREGATION_TEMPORALITY_"):
		names := map[string]uint64{"DELTA": temporalityDelta, "CUMULATIVE": temporalityCumulative}
		return names[strings.TrimPrefix(text, "AGGREGATION_TEMPORALITY_")], nil
	}
	if v, err := strconv.ParseUint(text, 10, 64); err == nil {
		return v, nil
	}
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return uint64(v), nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) >= 1<<63 {
		return 0, fmt.Errorf("%q is not an integer", text)
	}
	return uint64(int64(v)), nil
}

// number writes an integer field, and text a string field, unless it is empty.
func (t *transcoder) number(field int, v int64) {
	if v != 0 {
		t.tag(field, wireVarint)
		t.out = binary.AppendUvarint(t.out, uint64(v))
	}
}

func (t *transcoder) text(field int, s string) {
	if s != "" {
		t.bytes(field, []byte(s))
	}
}

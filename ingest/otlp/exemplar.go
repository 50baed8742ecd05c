package otlp

import (
	"encoding/hex"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/varve-db/varve/series"
)

// exemplar is an Exemplar message; its attributes are read when it is stored.
type exemplar struct {
	message      []byte
	milliseconds int64
	value        float64
	hasValue     bool
	traceID      []byte
	spanID       []byte
}

// exemplarRunesMax is how long the labels of an exemplar may be together, names
// and values, by OpenMetrics. Attributes that are too much are left out.
const exemplarRunesMax = 128

var (
	nameTraceID = padded("trace_id")
	nameSpanID  = padded("span_id")
)

// readExemplar appends the exemplar that is the field at hand.
func (p *point) readExemplar(f *fields) {
	e := exemplar{message: f.message()}
	x := fields{rest: e.message}
	for x.next() {
		switch x.FieldNum {
		case 2:
			e.milliseconds = int64(x.fixed64()) / nanosecondsPerMillisecond
		case 3:
			e.value, e.hasValue = x.float(), true
		case 4:
			e.spanID = x.bytes()
		case 5:
			e.traceID = x.bytes()
		case 6:
			e.value, e.hasValue = float64(int64(x.fixed64())), true
		}
	}
	if x.err != nil {
		f.err = x.err
	}
	p.exemplars = append(p.exemplars, e)
}

var errNoExemplarValue = errors.New("an exemplar has no value")

// storeExemplar adds an exemplar to the row begun last, or counts it as refused.
func (d *Decoder) storeExemplar(e *exemplar) error {
	p := &d.point
	p.attributes = p.attributes[:0] // the row has them already
	if err := d.attributes(e.message, 7, &p.attributes); err != nil {
		return err
	}
	if err := d.charge(len(e.message)); err != nil {
		return err
	}
	runes := 0
	d.dst.BeginLabels()
	for _, id := range [...]label{{nameTraceID, e.traceID}, {nameSpanID, e.spanID}} {
		if nothing(id.value) {
			continue
		}
		from := len(d.text)
		d.text = hex.AppendEncode(d.text, id.value)
		text := d.text[from:len(d.text):cap(d.text)]
		d.dst.AddLabel(id.name, text)
		runes += len(id.name) + len(text)
	}
	overridden := func(a attribute) bool {
		return string(a.key) == "trace_id" && !nothing(e.traceID) || string(a.key) == "span_id" && !nothing(e.spanID)
	}
	for _, a := range p.attributes {
		if !overridden(a) {
			runes += utf8.RuneCount(a.key) + utf8.RuneCount(a.value)
		}
	}
	for _, a := range p.attributes {
		if runes <= exemplarRunesMax && !overridden(a) {
			d.dst.AddLabel(a.key, a.value)
		}
	}
	at := e.milliseconds
	if at == 0 {
		at = p.time()
	}
	reason, detail := series.ReasonInvalidExemplar, errNoExemplarValue.Error()
	if e.hasValue && !math.IsNaN(e.value) {
		reason, detail = d.dst.AddExemplar(at, e.value, d.options.LabelRules)
	}
	if reason != "" {
		d.dst.Refused.Add(reason, 0, 0, 1, func() (string, string) { return d.rowText(), "exemplar: " + detail })
	}
	return nil
}

// nothing reports whether an ID is absent, or all zeros, which means the same.
func nothing(id []byte) bool {
	for _, b := range id {
		if b != 0 {
			return false
		}
	}
	return true
}

package otlp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/varve-db/varve/series"
)

// label is a label of the series being decoded.
type label struct{ name, value []byte }

// baseLabel is a label that a resource, a scope or a metric gives its series. It
// replaces an attribute of the same name, unless it fills: then it takes the
// place of one that is absent or empty.
type baseLabel struct {
	label
	fills bool
}

// setBase adds a label to base, which is sorted by name, or replaces it there.
func setBase(base []baseLabel, l baseLabel) []baseLabel {
	at := 0
	for at < len(base) && bytes.Compare(base[at].name, l.name) < 0 {
		at++
	}
	if at < len(base) && bytes.Equal(base[at].name, l.name) {
		base[at] = l
		return base
	}
	base = append(base, baseLabel{})
	copy(base[at+1:], base[at:])
	base[at] = l
	return base
}

// The label names and attributes with a meaning of their own.
var (
	nameMetric   = padded(series.MetricName)
	nameJob      = padded("job")
	nameInstance = padded("instance")
	nameLE       = padded("le")
	nameQuantile = padded("quantile")
	nameType     = padded("__type__")
	nameUnit     = padded("__unit__")
)

// combine sets d.set to the labels of a series with the given attributes, in
// order of name: attributes whose names come out equal have their values joined,
// in order of the attributes' names, and base is laid over them.
func (d *Decoder) combine(attributes []attribute, base []baseLabel) error {
	if most := d.options.LabelRules.LabelsMax; len(attributes) > most {
		return fmt.Errorf("%w: %d, the limit is %d", errAttributes, len(attributes), most)
	}
	sortAttributes(attributes)
	d.own = d.own[:0]
	for _, a := range attributes {
		if string(a.key) == series.MetricName {
			continue
		}
		name := a.key
		if d.escape {
			var err error
			if name, err = d.names.label(a.key); err != nil {
				return err
			}
		}
		d.insertOwn(label{name, a.value})
	}
	d.set = d.set[:0]
	i := 0
	for _, l := range d.own {
		for i < len(base) && bytes.Compare(base[i].name, l.name) < 0 {
			d.set = append(d.set, base[i].label)
			i++
		}
		if i < len(base) && bytes.Equal(base[i].name, l.name) {
			if !base[i].fills || len(l.value) == 0 {
				l = base[i].label
			}
			i++
		}
		d.set = append(d.set, l)
	}
	for ; i < len(base); i++ {
		d.set = append(d.set, base[i].label)
	}
	d.setBytes = 0
	for _, l := range d.set {
		d.setBytes += len(l.name) + len(l.value) + 2
	}
	return nil
}

var errAttributes = errors.New("too many attributes")

// reasonOf returns the reason that an error of combine is.
func reasonOf(err error) series.Reason {
	if errors.Is(err, errAttributes) {
		return series.ReasonTooManyLabels
	}
	return ReasonUnnamable
}

// sortAttributes sorts by insertion: senders mostly sort attributes, and there
// are few.
func sortAttributes(list []attribute) {
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && bytes.Compare(list[j-1].key, list[j].key) > 0; j-- {
			list[j-1], list[j] = list[j], list[j-1]
		}
	}
}

// insertOwn puts a label into d.own, in order of name; with an equal name it is
// joined to the one that is there.
func (d *Decoder) insertOwn(l label) {
	at := len(d.own)
	for at > 0 && bytes.Compare(d.own[at-1].name, l.name) > 0 {
		at--
	}
	if d.escape && at > 0 && bytes.Equal(d.own[at-1].name, l.name) {
		if same := &d.own[at-1]; len(same.value) == 0 {
			same.value = l.value
		} else {
			from := len(d.text)
			d.text = append(append(append(d.text, same.value...), ';'), l.value...)
			same.value = d.text[from:len(d.text):cap(d.text)]
		}
		return
	}
	d.own = append(d.own, label{})
	copy(d.own[at+1:], d.own[at:])
	d.own[at] = l
}

// row begins a row for the labels in d.set, the metric's name and, if it has a
// name, one more label. When they break a rule, the contents are counted as
// refused and row returns false.
func (d *Decoder) row(metric []byte, extra label, c contents) (bool, error) {
	size := rowBytes + d.setBytes + len(metric) + len(extra.name) + len(extra.value)
	size += c.samples*sampleBytes + c.histograms*histogramBytes + c.exemplars*exemplarBytes
	if err := d.charge(size); err != nil {
		return false, err
	}
	heads := [2]label{{nameMetric, metric}, extra}
	left := heads[:]
	if extra.name == nil {
		left = left[:1]
	}
	dst := d.dst
	dst.BeginLabels()
	for _, l := range d.set {
		replaced := false
		for len(left) > 0 && !replaced {
			order := bytes.Compare(left[0].name, l.name)
			if order > 0 {
				break
			}
			dst.AddLabel(left[0].name, left[0].value)
			left, replaced = left[1:], order == 0
		}
		if !replaced && len(l.value) > 0 {
			dst.AddLabel(l.name, l.value)
		}
	}
	for _, l := range left {
		dst.AddLabel(l.name, l.value)
	}
	if reason, detail := dst.BeginRow(d.options.LabelRules); reason != "" {
		dst.Refused.Add(reason, c.samples, c.histograms, c.exemplars, func() (string, string) { return dst.PendingLabels(), detail })
		return false, nil
	}
	return true, nil
}

// rowText names the row begun last.
func (d *Decoder) rowText() string { return d.dst.Labels(len(d.dst.Rows) - 1).String() }

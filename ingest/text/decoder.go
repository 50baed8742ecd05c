package text

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// ErrMalformed means that a line is not of the format.
var ErrMalformed = errors.New("malformed line")

// Options are what a request says about all of its lines.
type Options struct {
	// OpenMetrics chooses that format; false is Prometheus's text format.
	OpenMetrics bool
	// Timestamp is the time, in milliseconds, of samples that have none.
	Timestamp int64
	// Labels are added to every series, in place of those with their names.
	Labels []labels.Label
	// Rules are the limits of label sets.
	Rules series.LabelRules
}

// Decoder decodes the lines of one body after another. Begin makes it ready.
type Decoder struct {
	options Options
	ended   bool // after # EOF
	family  family
	created created

	labels    []label
	exemplar  []label
	unescaped []byte // what labels and exemplar point to where there were escapes
}

type label struct{ name, value []byte }

// family is what the comments said last.
type family struct{ series.Metadata }

// Begin makes o the options of the lines that follow, and forgets those before.
func (d *Decoder) Begin(o Options) {
	d.options, d.ended, d.family = o, false, family{}
	d.created.begin()
}

// MemoryBytes returns how much memory d keeps for reuse.
func (d *Decoder) MemoryBytes() int {
	const labelBytes = 48
	return labelBytes*(cap(d.labels)+cap(d.exemplar)) + cap(d.unescaped) + cap(d.created.group) + cap(d.created.at)
}

// Line decodes one line. An empty line, and a comment that is no description of
// a metric, are nothing.
func (d *Decoder) Line(dst *series.Batch, line []byte) error {
	s := scanner{line, 0}
	s.space()
	switch {
	case s.end():
		return nil
	case d.ended:
		return fmt.Errorf("%w: something follows # EOF", ErrMalformed)
	case s.b[s.i] == '#':
		return d.comment(dst, &s)
	}
	return d.sample(dst, &s)
}

// Open reports whether lines that come may say when the series of the last lines
// began.
func (d *Decoder) Open() bool { return d.created.open() }

// begins reports whether the samples of a metric of type t may have a start
// timestamp.
func begins(t model.MetricType) bool {
	return t == model.MetricTypeCounter || t == model.MetricTypeHistogram || t == model.MetricTypeSummary
}

// addLabels makes a label set of list and of the options' labels the pending one
// of dst.
func (d *Decoder) addLabels(dst *series.Batch, name []byte, list []label) {
	dst.BeginLabels()
	d.addLabel(dst, []byte(series.MetricName), name)
	for _, l := range list {
		d.addLabel(dst, l.name, l.value)
	}
	for _, l := range d.options.Labels {
		dst.AddLabel([]byte(l.Name), []byte(l.Value))
	}
}

func (d *Decoder) addLabel(dst *series.Batch, name, value []byte) {
	if len(d.options.Labels) == 0 || !slices.ContainsFunc(d.options.Labels, func(l labels.Label) bool { return l.Name == string(name) }) {
		dst.AddLabel(name, value)
	}
}

package otlp

import (
	"strings"
	"unsafe"

	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"

	"github.com/varve-db/varve/series"
)

// names makes the names of labels and metrics, and keeps those made before.
type names struct {
	metricNamer otlptranslator.MetricNamer
	labelNamer  otlptranslator.LabelNamer
	unitNamer   otlptranslator.UnitNamer
	labels      map[string]name
	metrics     map[string]*metric
	bytes       int
	key         []byte // of a metric
}

// namesBytesMax bounds what names keeps; beyond it, it starts anew.
const namesBytesMax = 2 << 20

// name is the label name made of an attribute's, or why there is none.
type name struct {
	text []byte
	err  error
}

// metric is a metric as it is stored.
type metric struct {
	name, bucket, sum, count []byte
	meta                     series.Metadata
	unit                     []byte // for the label __unit__
	kindText                 []byte // for the label __type__
	described                uint64 // number of the request that has described it
	err                      error  // why it has no name
}

func newNames(strategy otlptranslator.TranslationStrategyOption) names {
	return names{
		metricNamer: otlptranslator.NewMetricNamer("", strategy),
		labelNamer: otlptranslator.LabelNamer{
			UTF8Allowed:                 !strategy.ShouldEscape(),
			UnderscoreLabelSanitization: true, //nolint:staticcheck // it is Prometheus's default
			PreserveMultipleUnderscores: true,
		},
		unitNamer: otlptranslator.UnitNamer{UTF8Allowed: !strategy.ShouldEscape()},
		labels:    map[string]name{},
		metrics:   map[string]*metric{},
	}
}

// keep counts n bytes and forgets everything when that is too much.
func (n *names) keep(bytes int) {
	if n.bytes += bytes; n.bytes > namesBytesMax {
		clear(n.labels)
		clear(n.metrics)
		n.bytes = bytes
	}
}

// padded returns s in a slice with room to copy it in blocks.
func padded(s string) []byte {
	const room = 32
	return append(make([]byte, 0, len(s)+room), s...)
}

// label returns the label name for an attribute's.
func (n *names) label(key []byte) ([]byte, error) {
	if known, ok := n.labels[string(key)]; ok {
		return known.text, known.err
	}
	text, err := n.labelNamer.Build(string(key))
	n.keep(2*len(key) + int(unsafe.Sizeof(name{})) + 128)
	n.labels[string(key)] = name{padded(text), err}
	return n.labels[string(key)].text, err
}

// kind is the kind of a metric, as far as names depend on it.
type kind byte

const (
	kindNone kind = iota
	kindGauge
	kindCounter // a monotonic sum
	kindSum     // another one
	kindHistogram
	kindExponential
	kindSummary
)

// kinds say what each kind is called by otlptranslator and by Prometheus.
var kinds = [...]struct {
	translated otlptranslator.MetricType
	stored     model.MetricType
}{
	kindNone:        {otlptranslator.MetricTypeUnknown, model.MetricTypeUnknown},
	kindGauge:       {otlptranslator.MetricTypeGauge, model.MetricTypeGauge},
	kindCounter:     {otlptranslator.MetricTypeMonotonicCounter, model.MetricTypeCounter},
	kindSum:         {otlptranslator.MetricTypeNonMonotonicCounter, model.MetricTypeGauge},
	kindHistogram:   {otlptranslator.MetricTypeHistogram, model.MetricTypeHistogram},
	kindExponential: {otlptranslator.MetricTypeExponentialHistogram, model.MetricTypeHistogram},
	kindSummary:     {otlptranslator.MetricTypeSummary, model.MetricTypeSummary},
}

// metric returns the metric for one of the given kind.
func (n *names) metric(k kind, called, unit, help []byte) *metric {
	n.key = append(append(append(append(n.key[:0], byte(k)), unit...), 0), called...)
	m, ok := n.metrics[string(n.key)]
	if !ok {
		m = n.build(k, string(called), string(unit))
		n.keep(6*len(n.key) + int(unsafe.Sizeof(metric{})) + 512)
		n.metrics[string(n.key)] = m
	}
	if m.meta.Help != string(help) {
		m.meta.Help = strings.ToValidUTF8(string(help), "\uFFFD")
		m.described = 0
		n.keep(len(help))
	}
	return m
}

func (n *names) build(k kind, called, unit string) *metric {
	text, err := n.metricNamer.Build(otlptranslator.Metric{Name: called, Unit: unit, Type: kinds[k].translated})
	plainUnit := (&otlptranslator.UnitNamer{}).Build(unit)
	m := &metric{
		name: padded(text), bucket: padded(text + "_bucket"), sum: padded(text + "_sum"), count: padded(text + "_count"),
		meta: series.Metadata{Metric: text, Type: kinds[k].stored, Unit: strings.ToValidUTF8(plainUnit, "\uFFFD")},
		err:  err,
	}
	if k != kindNone {
		m.kindText = padded(strings.ToLower(string(kinds[k].stored)))
	}
	if plainUnit != "" {
		m.unit = padded(n.unitNamer.Build(plainUnit))
	}
	return m
}

// target returns the metric target_info.
func (n *names) target() *metric {
	const key = "target" // longer than the kind, and without the byte after a unit
	m, ok := n.metrics[key]
	if !ok {
		m = &metric{meta: series.Metadata{Metric: string(nameTarget), Type: model.MetricTypeGauge, Help: "Target metadata"}}
		n.metrics[key] = m
	}
	return m
}

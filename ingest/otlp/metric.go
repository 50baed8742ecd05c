package otlp

import (
	"errors"
	"fmt"

	"github.com/varve-db/varve/series"
)

// The numbers of the fields of Metric that hold data points.
const (
	dataGauge       = 5
	dataSum         = 7
	dataHistogram   = 9
	dataExponential = 10
	dataSummary     = 11
)

// The values of AggregationTemporality.
const (
	temporalityDelta      = 1
	temporalityCumulative = 2
)

// readMetric decodes a Metric message.
func (d *Decoder) readMetric(m []byte) error {
	var called, help, unit, data []byte
	var number uint32
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 1:
			called = f.bytes()
		case 2:
			help = f.bytes()
		case 3:
			unit = f.bytes()
		case dataGauge, dataSum, dataHistogram, dataExponential, dataSummary:
			data, number = f.message(), f.FieldNum
		}
	}
	if f.err != nil {
		return malformed("a metric", f.err)
	}
	kind, temporality, err := kindOf(number, data)
	if err != nil {
		return malformed("a metric's data", err)
	}
	d.deltas = temporality == temporalityDelta
	d.metric = d.names.metric(kind, called, unit, help)
	if reason, detail := d.unfit(kind, temporality); reason != "" {
		return d.refuseAll(data, kind, reason, fmt.Errorf("metric %q: %w", called, detail))
	}
	d.scope.metric = d.scope.base
	if d.options.TypeAndUnitLabels {
		d.scope.metric = d.typeAndUnit(append([]baseLabel(nil), d.scope.base...))
	}
	return d.points(data, kind)
}

// kindOf reads what kind of metric a message of data, field number of Metric,
// makes; 0 is no temporality.
func kindOf(number uint32, data []byte) (k kind, temporality uint64, err error) {
	switch number {
	case dataGauge:
		return kindGauge, temporalityCumulative, nil
	case dataSummary:
		return kindSummary, temporalityCumulative, nil
	case dataSum:
		k = kindSum
	case dataHistogram:
		k = kindHistogram
	case dataExponential:
		k = kindExponential
	default:
		return kindNone, temporalityCumulative, nil
	}
	f := fields{rest: data}
	for f.next() {
		switch {
		case f.FieldNum == 2:
			temporality = f.varint()
		case f.FieldNum == 3 && number == dataSum:
			if k = kindSum; f.varint() != 0 {
				k = kindCounter
			}
		}
	}
	return k, temporality, f.err
}

// unfit says why none of a metric's points can be stored.
func (d *Decoder) unfit(k kind, temporality uint64) (series.Reason, error) {
	switch {
	case k == kindNone:
		return ReasonNoData, errNoData
	case temporality == temporalityDelta && d.options.Deltas == nil:
		return ReasonTemporality, errDelta
	case temporality != temporalityCumulative && temporality != temporalityDelta:
		return ReasonTemporality, errTemporality
	case d.metric.err != nil:
		return ReasonUnnamable, d.metric.err
	case d.resource.problem != nil:
		return ReasonUnnamable, d.resource.problem
	case d.scope.problem != nil:
		return ReasonUnnamable, d.scope.problem
	}
	return "", nil
}

var (
	errNoData      = errors.New("it has no data of a known kind")
	errDelta       = errors.New("delta temporality is not taken; let the sender use cumulative temporality, or the server add deltas up")
	errTemporality = errors.New("its aggregation temporality is neither delta nor cumulative")
)

// typeAndUnit adds the labels that tell the metric's type and unit.
func (d *Decoder) typeAndUnit(base []baseLabel) []baseLabel {
	if d.metric.kindText != nil {
		base = setBase(base, baseLabel{label{nameType, d.metric.kindText}, false})
	}
	if d.metric.unit != nil {
		base = setBase(base, baseLabel{label{nameUnit, d.metric.unit}, false})
	}
	return base
}

// refuseAll counts the points of a metric's data as refused.
func (d *Decoder) refuseAll(data []byte, k kind, reason series.Reason, problem error) error {
	points := 0
	f := fields{rest: data}
	for f.next() {
		if f.FieldNum != 1 {
			continue
		}
		points++
		p := fields{rest: f.message()}
		for p.next() {
			if p.FieldNum == fieldTime {
				d.resource.saw(int64(p.fixed64()))
			}
		}
		if p.err != nil {
			return p.broken("a data point")
		}
	}
	if f.err != nil {
		return f.broken("data points")
	}
	if points > 0 || k == kindNone {
		d.refuse(reason, points, k, problem)
	}
	return nil
}

// refuse counts data points that became no row.
func (d *Decoder) refuse(reason series.Reason, points int, k kind, problem error) {
	samples, histograms := points, 0
	if d.native(k) {
		samples, histograms = 0, points
	}
	d.dst.Refused.Add(reason, samples, histograms, 0, func() (string, string) { return "", problem.Error() })
}

// native reports whether points of a kind are stored as native histograms.
func (d *Decoder) native(k kind) bool {
	return k == kindExponential || k == kindHistogram && d.options.CustomBuckets
}

// saw takes note of the time of a data point.
func (r *resource) saw(nanoseconds int64) {
	r.earliest, r.until = min(r.earliest, nanoseconds), max(r.until, nanoseconds)
}

// describe adds the metric's metadata, once a request.
func (d *Decoder) describe() error {
	if d.metric.described == d.request {
		return nil
	}
	d.metric.described = d.request
	if err := d.charge(metadataBytes + len(d.metric.meta.Help)); err != nil {
		return err
	}
	d.dst.Metadata = append(d.dst.Metadata, d.metric.meta)
	return nil
}

// points decodes the data points of a metric, which are field 1 of its data.
func (d *Decoder) points(data []byte, k kind) error {
	f := fields{rest: data}
	for f.next() {
		if f.FieldNum != 1 {
			continue
		}
		m := f.message()
		if f.err != nil {
			break
		}
		if err := d.onePoint(m, k); err != nil {
			return err
		}
	}
	return f.broken("data points")
}

// onePoint decodes a data point and stores what it says.
func (d *Decoder) onePoint(m []byte, k kind) error {
	p := &d.point
	p.reset()
	d.text = d.text[:d.scope.textBytes]
	var err error
	switch k {
	case kindHistogram:
		err = p.readHistogram(d, m)
	case kindExponential:
		err = p.readExponential(d, m)
	case kindSummary:
		err = p.readSummary(d, m)
	default:
		err = p.readNumber(d, m)
	}
	if err != nil {
		return err
	}
	d.resource.saw(p.nanoseconds)
	if err := d.combine(p.attributes, d.scope.metric); err != nil {
		d.refuse(reasonOf(err), 1, k, fmt.Errorf("metric %q: %w", d.metric.name, err))
		return nil
	}
	switch {
	case k == kindSummary:
		return d.storeSummary()
	case d.native(k):
		return d.storeNative(k)
	case k == kindHistogram:
		return d.storeHistogram()
	default:
		return d.storeNumber(k)
	}
}

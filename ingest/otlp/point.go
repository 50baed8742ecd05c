package otlp

import (
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/value"
)

// point is a data point of any kind.
type point struct {
	attributes  []attribute
	nanoseconds int64
	start       int64 // milliseconds
	value       float64
	flags       uint64
	exemplars   []exemplar
	count       uint64
	sum         float64
	hasSum      bool
	counts      []uint64 // of explicit buckets
	bounds      []float64
	quantiles   []quantile
	scale       int32
	zeroCount   uint64
	zeroUpTo    float64
	positive    buckets
	negative    buckets
}

// quantile is a ValueAtQuantile.
type quantile struct{ quantile, value float64 }

// buckets are those of one side of an exponential histogram.
type buckets struct {
	offset int32
	counts []uint64
}

// reset empties p and keeps its memory.
func (p *point) reset() {
	*p = point{
		attributes: p.attributes[:0], exemplars: p.exemplars[:0], counts: p.counts[:0], bounds: p.bounds[:0], quantiles: p.quantiles[:0],
		positive: buckets{counts: p.positive.counts[:0]}, negative: buckets{counts: p.negative.counts[:0]},
	}
}

// time returns the point's time in milliseconds.
func (p *point) time() int64 { return p.nanoseconds / nanosecondsPerMillisecond }

const nanosecondsPerMillisecond = 1_000_000

// noValue reports whether the point says that there is no value any more.
func (p *point) noValue() bool { return p.flags&1 != 0 }

// orStale returns v, or the stale marker when the point has no value.
func (p *point) orStale(v float64) float64 {
	if p.noValue() {
		return math.Float64frombits(value.StaleNaN)
	}
	return v
}

// The numbers of the fields that all data points have.
const (
	fieldStart = 2
	fieldTime  = 3
)

// readTimes reads the field at hand if it is a time.
func (p *point) readTimes(f *fields) {
	switch f.FieldNum {
	case fieldStart:
		p.start = int64(f.fixed64()) / nanosecondsPerMillisecond
	case fieldTime:
		p.nanoseconds = int64(f.fixed64())
	}
}

// readAttribute appends the attribute that is the field at hand.
func (p *point) readAttribute(d *Decoder, f *fields) {
	a, err := d.attribute(f.message())
	if f.err == nil {
		f.err = err
	}
	p.attributes = append(p.attributes, a)
}

// readNumber decodes a NumberDataPoint message.
func (p *point) readNumber(d *Decoder, m []byte) error {
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 4:
			p.value = f.float()
		case 5:
			p.readExemplar(&f)
		case 6:
			p.value = float64(int64(f.fixed64()))
		case 7:
			p.readAttribute(d, &f)
		case 8:
			p.flags = f.varint()
		default:
			p.readTimes(&f)
		}
	}
	return f.broken("a number data point")
}

// readSummary decodes a SummaryDataPoint message.
func (p *point) readSummary(d *Decoder, m []byte) error {
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 4:
			p.count = f.fixed64()
		case 5:
			p.sum = f.float()
		case 6:
			q := fields{rest: f.message()}
			var one quantile
			for q.next() {
				switch q.FieldNum {
				case 1:
					one.quantile = q.float()
				case 2:
					one.value = q.float()
				}
			}
			if q.err != nil {
				f.err = q.err
			}
			p.quantiles = append(p.quantiles, one)
		case 7:
			p.readAttribute(d, &f)
		case 8:
			p.flags = f.varint()
		default:
			p.readTimes(&f)
		}
	}
	return f.broken("a summary data point")
}

// broken returns the error that ended a walk, if one did.
func (f *fields) broken(what string) error {
	if f.err == nil {
		return nil
	}
	return malformed(what, f.err)
}

// storeNumber stores a point of a gauge or a sum. The start of what only counts
// up is kept; that of others tells nothing.
func (d *Decoder) storeNumber(k kind) error {
	p := &d.point
	if k != kindCounter && !d.deltas {
		p.start = 0
	}
	exemplars := p.exemplars
	if k == kindGauge {
		exemplars = nil
	}
	return d.sample(d.metric.name, label{}, p.value, exemplars)
}

// storeSummary stores a point of a summary: its sum, its count, its quantiles.
func (d *Decoder) storeSummary() error {
	p := &d.point
	if err := d.sample(d.metric.sum, label{}, p.sum, nil); err != nil {
		return err
	}
	if err := d.sample(d.metric.count, label{}, float64(p.count), nil); err != nil {
		return err
	}
	for _, q := range p.quantiles {
		if err := d.sample(d.metric.name, label{nameQuantile, d.numberText(q.quantile)}, q.value, nil); err != nil {
			return err
		}
	}
	return nil
}

// numberText writes a number as the value of a label.
func (d *Decoder) numberText(v float64) []byte {
	from := len(d.text)
	d.text = strconv.AppendFloat(d.text, v, 'f', -1, 64)
	return d.text[from:len(d.text):cap(d.text)]
}

// sample stores a sample of the series called metric with the point's labels and
// one more.
func (d *Decoder) sample(metric []byte, extra label, v float64, exemplars []exemplar) error {
	p := &d.point
	ok, err := d.row(metric, extra, contents{samples: 1, exemplars: len(exemplars)})
	if !ok || err != nil {
		return err
	}
	v, start := p.orStale(v), p.start
	if d.deltas {
		if v, start, ok = d.addUp(v); !ok {
			return nil
		}
	}
	d.dst.AddSample(p.time(), start, v)
	return d.complete(exemplars)
}

// complete adds to a sample just added its exemplars and the metric's metadata.
func (d *Decoder) complete(exemplars []exemplar) error {
	for i := range exemplars {
		if err := d.storeExemplar(&exemplars[i]); err != nil {
			return err
		}
	}
	return d.describe()
}

// addUp adds a delta to what came before it in the series of the row begun last.
func (d *Decoder) addUp(v float64) (sum float64, start int64, ok bool) {
	p := &d.point
	key := d.dst.Labels(len(d.dst.Rows) - 1)
	piece := delta{start: p.start, at: p.time(), stale: p.noValue()}
	sum, start, reason := d.options.Deltas.add(d.Tenant, key, piece, v)
	if reason != "" {
		d.dst.Refused.Add(reason, 1, 0, 0, func() (string, string) { return d.rowText(), deltaProblem(reason, piece) })
		return 0, 0, false
	}
	return sum, start, true
}

// contents counts what one series brings.
type contents struct{ samples, histograms, exemplars int }

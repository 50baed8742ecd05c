package transfer

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/series"
)

// The bounds of a request: samples, and bytes of its batch, as histograms and
// labels may be large. A histogram counts as much as several samples.
const (
	requestSamplesMax = 10_000
	requestBytesMax   = 8 << 20
	histogramWeight   = 10
)

// packer gathers series into batches and hands them to a sink.
type packer struct {
	to     Sink
	batch  series.Batch
	labels series.Labels // of the series at hand
	open   bool          // it has a row in the batch
	weight int
}

// begin makes ls the series at hand. It returns false, and takes note of the loss,
// when the series breaks a rule; the samples that follow are counted by skip then.
func (p *packer) begin(ls labels.Labels) (series.Reason, string) {
	// The rules are the server's; here only what the batch cannot hold is refused.
	p.labels = series.AppendLabels(p.labels[:0], ls)
	p.open = false
	if len(p.labels.Get(series.MetricName)) == 0 {
		return series.ReasonNoMetricName, "the series has no metric name (label __name__)"
	}
	return "", ""
}

// room makes sure that the batch has room and that the series at hand has a row.
func (p *packer) room(weight int) error {
	if p.weight+weight > requestSamplesMax || p.batch.MemoryBytes() > requestBytesMax {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.weight += weight
	if !p.open {
		p.batch.AddEncodedRow(p.labels)
		p.open = true
	}
	return nil
}

func (p *packer) float(t, start int64, v float64) error {
	if err := p.room(1); err != nil {
		return err
	}
	p.batch.AddSample(t, start, v)
	return nil
}

func (p *packer) histogram(t, start int64, h *histogram.Histogram, f *histogram.FloatHistogram) error {
	if err := p.room(histogramWeight); err != nil {
		return err
	}
	p.batch.AddHistogram(series.Histogram{Timestamp: t, Start: start, Int: h, Float: f})
	return nil
}

// flush hands over what was gathered.
func (p *packer) flush() error {
	p.open, p.weight = false, 0
	if len(p.batch.Rows) == 0 && len(p.batch.Metadata) == 0 {
		return nil
	}
	if err := p.to.Batch(&p.batch); err != nil {
		return err
	}
	if p.batch.MemoryBytes() > requestBytesMax {
		p.batch = series.Batch{}
	}
	p.batch.Reset()
	return nil
}

// samples packs the samples of an iterator that lie from mint to maxt, for the
// series that ls names.
func (p *packer) samples(ls labels.Labels, it chunkenc.Iterator, mint, maxt int64) error {
	reason, detail := p.begin(ls)
	lost := 0
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		t := it.AtT()
		if t < mint || t > maxt {
			continue
		}
		if reason != "" {
			lost++
			continue
		}
		var err error
		switch kind {
		case chunkenc.ValFloat:
			_, v := it.At()
			err = p.float(t, it.AtST(), v)
		case chunkenc.ValHistogram:
			_, h := it.AtHistogram(nil)
			err = p.histogram(t, it.AtST(), h, nil)
		case chunkenc.ValFloatHistogram:
			_, h := it.AtFloatHistogram(nil)
			err = p.histogram(t, it.AtST(), nil, h)
		}
		if err != nil {
			return err
		}
	}
	p.to.Lost(Loss{Reason: string(reason), N: lost, Example: ls.String() + ": " + detail})
	return it.Err()
}

// repack hands over what b holds in requests of the usual size.
func (p *packer) repack(b *series.Batch) error {
	for i, row := range b.Rows {
		p.labels, p.open = append(p.labels[:0], b.Labels(i)...), false
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			if err := p.float(b.Timestamps[j], b.StartOf(j), b.Values[j]); err != nil {
				return err
			}
		}
		for j := row.Exemplars.Start; j < row.Exemplars.End; j++ {
			if err := p.room(1); err != nil {
				return err
			}
			p.batch.AddEncodedExemplar(b.Exemplars[j].Timestamp, b.Exemplars[j].Value, b.ExemplarLabels(j))
		}
	}
	p.batch.Metadata = append(p.batch.Metadata, b.Metadata...)
	for _, r := range b.Refused.All() {
		p.to.Lost(Loss{Reason: string(r.Reason), N: r.Samples + r.Histograms + r.Exemplars, Example: r.Series + ": " + r.Detail})
	}
	return nil
}

package transfer

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"

	"github.com/varve-db/varve/series"
)

// logReader finds the exemplars and the metadata in a write-ahead log. A
// Prometheus keeps neither anywhere else.
type logReader struct {
	decoder   record.Decoder
	pack      *packer
	filter    Filter
	known     map[chunks.HeadSeriesRef]labels.Labels
	series    []record.RefSeries
	exemplars []record.RefExemplar
	metadata  []record.RefMetadata
}

// readLog reads the last checkpoint and what comes after it.
func (p *prometheusTSDB) readLog(ctx context.Context, part Part, to Sink) error {
	folder := filepath.Join(p.folder, "wal")
	r := &logReader{
		decoder: record.NewDecoder(nil, slog.New(slog.DiscardHandler)), pack: &packer{to: to}, filter: p.filter,
		known: map[chunks.HeadSeriesRef]labels.Labels{},
	}
	first := -1
	if checkpoint, number, err := wlog.LastCheckpoint(folder); err == nil {
		first = number + 1
		if err := r.readSegments(ctx, wlog.SegmentRange{Dir: checkpoint, First: -1, Last: -1}, part); err != nil {
			return err
		}
	}
	if err := r.readSegments(ctx, wlog.SegmentRange{Dir: folder, First: first, Last: -1}, part); err != nil {
		return err
	}
	return r.pack.flush()
}

// readSegments reads some of a log. What comes after a record that is damaged is
// left out, as Prometheus does.
func (r *logReader) readSegments(ctx context.Context, of wlog.SegmentRange, part Part) error {
	from, err := wlog.NewSegmentsRangeReader(of)
	if err != nil {
		return err
	}
	defer from.Close()
	records := wlog.NewReader(from)
	for records.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.take(records.Record(), part); err != nil {
			return err
		}
	}
	if err := records.Err(); err != nil {
		r.pack.to.Lost(Loss{Reason: "damaged_log", N: 1, Example: err.Error()})
	}
	return nil
}

func (r *logReader) take(b []byte, part Part) (err error) {
	switch r.decoder.Type(b) {
	case record.Series:
		if r.series, err = r.decoder.Series(b, r.series[:0]); err != nil {
			return err
		}
		for _, s := range r.series {
			r.known[s.Ref] = s.Labels
		}
	case record.Exemplars:
		if r.exemplars, err = r.decoder.Exemplars(b, r.exemplars[:0]); err != nil {
			return err
		}
		for _, e := range r.exemplars {
			if err := r.exemplar(e, part); err != nil {
				return err
			}
		}
	case record.Metadata:
		if r.metadata, err = r.decoder.Metadata(b, r.metadata[:0]); err != nil {
			return err
		}
		for _, m := range r.metadata {
			r.describe(m)
		}
	}
	return nil
}

// exemplar packs an exemplar of a series that is wanted.
func (r *logReader) exemplar(e record.RefExemplar, part Part) error {
	ls, known := r.known[e.Ref]
	if !known || e.T < part.from || e.T > part.to || !r.filter.wants(ls) {
		return nil
	}
	if reason, _ := r.pack.begin(ls); reason != "" {
		return nil
	}
	if err := r.pack.room(1); err != nil {
		return err
	}
	r.pack.batch.AddEncodedExemplar(e.T, e.V, series.AppendLabels(nil, e.Labels))
	return nil
}

func (r *logReader) describe(m record.RefMetadata) {
	if ls, known := r.known[m.Ref]; known && r.filter.wants(ls) {
		r.pack.batch.Metadata = append(r.pack.batch.Metadata, series.Metadata{
			Metric: ls.Get(series.MetricName), Type: model.MetricType(record.ToMetricType(m.Type)), Unit: m.Unit, Help: m.Help,
		})
	}
}

package scrape

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/series"
)

// transaction gathers one scrape into one batch. It implements
// storage.AppenderV2 for one scrape loop, and goes back to its Scraper's pool at
// Commit or Rollback.
type transaction struct {
	scraper *Scraper
	ctx     context.Context // of the loop, from AppenderV2 to Commit: the interface's way
	batch   series.Batch
	family  string // whose metadata the batch has already
	// markers are the rows that must not come before a sample of their series.
	markers []int
}

var _ storage.AppenderV2 = (*transaction)(nil)

// batchKept bounds the memory of the batches that are kept for reuse.
const batchKept = 16 << 20

// AppenderV2 implements storage.AppendableV2 for Prometheus's scraper.
func (s *Scraper) AppenderV2(ctx context.Context) storage.AppenderV2 {
	t := s.transactions.Get().(*transaction)
	t.ctx = ctx
	return t
}

// Append implements storage.AppenderV2. The reference that it returns is a hash
// of the labels: loops only tell their series apart by it. A sample of any age
// is taken, and the same one twice: the storage joins them.
func (t *transaction) Append(ref storage.SeriesRef, ls labels.Labels, st, at int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	if err := validate(h, fh); err != nil {
		return 0, err
	}
	t.batch.BeginLabelsFrom(ls)
	if reason, detail := t.batch.BeginRow(t.scraper.options.LabelRules); reason != "" {
		return 0, fmt.Errorf("series %s: %s", t.batch.PendingLabels(), detail)
	}
	if h != nil || fh != nil {
		t.batch.AddHistogram(series.Histogram{Timestamp: at, Start: st, Int: h, Float: fh})
	} else {
		t.batch.AddSample(at, st, v)
	}
	if opts.RejectOutOfOrder && value.IsStaleNaN(v) {
		t.markers = append(t.markers, len(t.batch.Rows)-1)
	}
	t.describe(opts)
	if ref == 0 {
		ref = max(storage.SeriesRef(ls.Hash()), 1)
	}
	return ref, t.addExemplars(opts.Exemplars)
}

func validate(h *histogram.Histogram, fh *histogram.FloatHistogram) error {
	switch {
	case h != nil:
		return h.Validate()
	case fh != nil:
		return fh.Validate()
	}
	return nil
}

// addExemplars adds exemplars to the row begun last. What breaks a rule is left
// out and named.
func (t *transaction) addExemplars(list []exemplar.Exemplar) error {
	var partial *storage.AppendPartialError
	for i, e := range list {
		t.batch.BeginLabelsFrom(e.Labels)
		if reason, detail := t.batch.AddExemplar(e.Ts, e.Value, t.scraper.options.LabelRules); reason != "" {
			if partial == nil {
				partial = &storage.AppendPartialError{}
			}
			partial.ExemplarErrors = append(partial.ExemplarErrors, storage.ExemplarError{Index: i, Err: fmt.Errorf("exemplar %s: %s", t.batch.PendingLabels(), detail)})
		}
	}
	return partial.ToError()
}

// reportSuffix ends the names under which the loop keeps its own series, which no
// scraped name can end in; the family is the name without it.
const reportSuffix = "\xff"

// describe adds the metadata of a sample's family, once a family.
func (t *transaction) describe(opts storage.AOptions) {
	name := strings.TrimSuffix(opts.MetricFamilyName, reportSuffix)
	if name == "" || name == t.family || opts.Metadata.IsEmpty() {
		return
	}
	t.family = strings.Clone(name) // its bytes are the body's
	kind := opts.Metadata.Type
	if kind == "" {
		kind = model.MetricTypeUnknown
	}
	t.batch.Metadata = append(t.batch.Metadata, series.Metadata{Metric: t.family, Type: kind, Unit: opts.Metadata.Unit, Help: opts.Metadata.Help})
}

// Commit implements storage.AppenderV2: it stores everything in one Append. What
// the storage refuses of it is counted and logged; the rest is stored.
func (t *transaction) Commit() error {
	defer t.release()
	s := t.scraper
	t.leaveOutLate()
	if len(t.batch.Rows) == 0 && len(t.batch.Metadata) == 0 {
		return nil
	}
	outcome, err := s.to.Append(t.ctx, s.options.Tenant, &t.batch)
	if err != nil {
		s.metrics.commits.WithLabelValues("failure").Inc()
		return fmt.Errorf("store a scrape: %w", err)
	}
	s.metrics.commits.WithLabelValues("success").Inc()
	s.metrics.samples.Add(float64(outcome.Samples + outcome.Histograms))
	if outcome.Refused.Empty() {
		return nil
	}
	for _, r := range outcome.Refused.All() {
		s.metrics.refused.WithLabelValues(string(r.Reason)).Add(float64(r.Samples + r.Histograms + r.Exemplars))
	}
	if s.refused.due(time.Now()) {
		s.options.Log.Warn("scraped samples refused", "refused", outcome.Refused.String())
	}
	return nil
}

// Rollback implements storage.AppenderV2.
func (t *transaction) Rollback() error {
	t.release()
	return nil
}

func (t *transaction) release() {
	t.ctx, t.family, t.markers = nil, "", t.markers[:0]
	t.batch.Reset()
	if t.batch.MemoryBytes() <= batchKept {
		t.scraper.transactions.Put(t)
	}
}
